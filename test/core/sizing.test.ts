import { describe, expect, test } from 'vitest';
import { trafficOf } from '../../runtime/core/cost-traffic.ts';
import type { Prices } from '../../runtime/core/cost.ts';
import { sizedTier, type SizeChoice, type SizedTier } from '../../runtime/core/sizing-choice.ts';
import { peakCreditsOf } from '../../runtime/core/sizing-messaging.ts';
import { sizesFor, tierOf } from '../../runtime/core/sizing.ts';
import type { Workload } from '../../runtime/core/workload-fields.ts';
import { DEFAULT_WORKLOAD } from '../../runtime/core/workload.ts';
import { PRICES } from '../../runtime/prices.ts';

function tier(name: SizedTier['tier'], changes: Partial<Workload> = {}, prices: Prices = PRICES): SizedTier {
  return tierOf(sizesFor({ ...DEFAULT_WORKLOAD, ...changes }, prices), name);
}

const SMALL: Partial<Workload> = { users: 100, callsPerDay: 20_000 };

describe('Service Bus', () => {
  // 500 pages a second: 500 / 50 slices and half of one a run of 200 pages = 11.25 x 2 = 22.5 credits; 20.83 envelopes x 2 = 41.7,
  // two fifths of them through a topic, 2 more: 16.7. Sum 80.8 of 1,000.
  test('credits of the busiest second', () => {
    expect(peakCreditsOf(DEFAULT_WORKLOAD, trafficOf(DEFAULT_WORKLOAD))).toBeCloseTo(22.5 + 41.667 + 16.667, 1);
  });

  test('is Standard while there are topics, and Basic without', () => {
    expect(tier('service-bus').chosen?.sku).toBe('Standard');
    expect(tier('service-bus').choices.find(({ sku }) => sku === 'Basic')).toMatchObject({
      carries: false,
      why: 'has no topics, 2 are needed',
    });
    expect(tier('service-bus', { dataTopics: 0 }).chosen?.sku).toBe('Basic');
  });

  test('is Premium from 1,000 credits a second on, and says so before', () => {
    expect(tier('service-bus').forcedBy).toContain('1000 credits/s, 12.37 times the load');
    const busy = tier('service-bus', { users: 10_000, callsPerDay: 40_000_000 });
    expect(busy.chosen).toMatchObject({ sku: 'Premium', capacity: 1 });
    expect(busy.choices.find(({ sku }) => sku === 'Standard')?.why).toMatch(
      /^needs 1,\d+ credits\/s, a namespace has 1000$/,
    );
  });

  test('shows the operations of a message', () => {
    const { arithmetic } = tier('service-bus');
    expect(arithmetic[0]).toContain('1 send + 0 forward + 1 receive + 1 settle = 3 operations');
    expect(arithmetic[2]).toContain('through a topic (40 %): 1 send + 1 forward + 1 receive + 1 settle = 4');
  });
});

describe('Redis', () => {
  // 20,000 x 730 / 24 calls x 100 items / 121.67 firings = 500,000 a firing, x (1 + 0.1 x 0.6) = 530,000 x 224 B = 0.111 GB.
  test('is sized by checkpoints within their TTL', () => {
    expect(tier('redis', SMALL).arithmetic[1]).toBe(
      'memory: 530,000 x 224 B = 0.1106 GB, of which a cache uses 80 %: 0.1382 GB; 2 nodes',
    );
    expect(tier('redis', SMALL).chosen).toMatchObject({
      sku: 'Balanced_B0',
      capacity: 2,
      config: 'adit:redis: managed-b0',
    });
    expect(tier('redis', { ...SMALL, redisNodes: 1 }).chosen).toMatchObject({
      sku: 'Balanced_B0',
      capacity: 1,
      usdPerMonth: 11.68,
    });
  });

  test('goes up a size with the load, and names how much more the size carries', () => {
    // 5 times the checkpoints: 0.55 GB, which 0.4 usable GB of B0 do not hold; B1 has 0.8.
    const sized = tier('redis', { users: 500, callsPerDay: 100_000 });
    expect([sized.chosen?.sku, sized.next?.sku]).toEqual(['Balanced_B1', 'Balanced_B3']);
    expect(sized.forcedBy).toBe('more than 3,834,792 checkpoints within their TTL, 1.447 times the load');
  });

  test('takes no burstable cache for a load that lasts', () => {
    // 10 users, 50,000 calls each at 1 a second, five data types at once: 10,000 s of every day, above a tenth.
    const lasting = tier('redis', { users: 10, callsPerDay: 500_000, itemsPerPage: 1 });
    expect(lasting.choices.find(({ sku, capacity }) => sku === 'Balanced_B0' && capacity === 2)?.why).toContain(
      'burstable',
    );
    expect(lasting.chosen?.sku).toBe('Balanced_B3');
  });

  test('never ranks an unknown price, even where it is the only size that fits', () => {
    const fits12 = { ...DEFAULT_WORKLOAD, cacheBytesPerItem: 180 };
    const sized = tier('redis', fits12);
    const b10 = sized.choices.find(({ sku, capacity }) => sku === 'Balanced_B10' && capacity === 2);
    expect(b10).toMatchObject({ carries: true, usdPerMonth: null, confidence: 'unknown' });
    expect(sized.chosen?.sku).toBe('MemoryOptimized_M10');
    const unknown: Prices = {
      ...PRICES,
      meters: PRICES.meters.filter(({ id }) => !id.startsWith('redis-') || id === 'redis-managed-b10'),
    };
    expect(tier('redis', fits12, unknown)).toMatchObject({
      chosen: undefined,
      next: undefined,
      forcedBy: 'nothing here carries the load at a known price',
    });
  });

  test("the article's load under our assumptions outgrows C3, and a cache that holds it all saves less than it costs", () => {
    const sized = tier('redis');
    expect(sized.choices.find(({ sku }) => sku === 'Standard_C3')).toMatchObject({
      carries: false,
      why: 'holds 43.41 % of the checkpoints',
    });
    expect(sized.chosen?.sku).toBe('Standard_C5');
    expect(sized.arithmetic[3]).toBe(
      'what it saves: 821,250,000 reads of the ledger a month, $29.57; what it does not hold, the ledger answers',
    );
    expect(sized.thrifty?.sku).toBe('Balanced_B0');
  });
});

describe('Functions', () => {
  test('compares the legacy plan and every size of Flex, and takes the smallest that carries a process', () => {
    expect(tier('functions').choices.map(({ name }) => name)).toEqual([
      'Flex, 512 MB, 0.25 cores',
      'Consumption (legacy), 1.5 GB',
      'Flex, 2048 MB, 1 core',
      'Flex, 4096 MB, 2 cores',
    ]);
    expect(tier('functions').chosen).toMatchObject({ capacity: 2048, config: 'adit:instanceMemoryMb: 2048' });
    expect(tier('functions', { processMb: 400 }).chosen?.capacity).toBe(512);
    expect(tier('functions', { processMb: 2049 }).chosen?.capacity).toBe(4096);
    expect(tier('functions', { processMb: 4000, cpuSecondsPerCall: 0.5 }).chosen).toBeUndefined();
  });

  test('more slices in flight are less to pay', () => {
    const usd = (slicesInFlight: number): number => tier('functions', { slicesInFlight }).chosen?.usdPerMonth ?? 0;
    expect(usd(32)).toBeLessThan(usd(10));
  });

  // 60,833,333 calls x 0.2 s / 3,600 = 3,380 hours if each call had an instance to itself.
  test('shows what waiting would cost alone', () => {
    expect(tier('functions').arithmetic[1]).toContain('waiting for every call alone would be 3,380 hours');
  });
});

describe('listener', () => {
  test('is none until there is a socket', () => {
    expect(tier('listener')).toMatchObject({
      chosen: { name: 'none', usdPerMonth: 0 },
      next: { sku: 'B1' },
      forcedBy: 'the first socket',
    });
    expect(tier('listener', { sockets: 500 }).chosen).toMatchObject({ sku: 'B1', usdPerMonth: 13.14 });
    expect(tier('listener', { sockets: 15_000 }).chosen?.sku).toBe('P1v3');
    expect(
      tier('listener', { sockets: 500 }).choices.some(
        ({ name, usdPerMonth }) =>
          name.startsWith('Container App') && usdPerMonth !== null && usdPerMonth.toFixed(2) === '14.31',
      ),
    ).toBe(true);
  });
});

describe('a whole stack', () => {
  test('is priced with the chosen tiers, and with the thrifty ones', () => {
    const { stack, thriftyStack, notes } = sizesFor(DEFAULT_WORKLOAD, PRICES);
    expect(stack).toMatchObject({ isComplete: true, unpriced: [], missing: [] });
    expect(thriftyStack!.totalUsd).toBeLessThan(stack!.totalUsd);
    expect(notes.join('\n')).toContain('20000 of a storage account');
  });

  test('small objects never pay back a move to the cool tier', () => {
    // 2,534,722 moves x $0.0000125 = $31.68, to save 75.06 GB x ($0.026 - $0.019) = $0.53 a month.
    expect(sizesFor(DEFAULT_WORKLOAD, PRICES).notes.join('\n')).toContain(
      'costs $31.68 and saves $0.53 a month: 60.3 months to pay back',
    );
  });

  test('a workload without calls is sized too', () => {
    const idle = sizesFor({ ...DEFAULT_WORKLOAD, callsPerDay: 0 }, PRICES);
    expect(idle.tiers.every(({ chosen }) => chosen !== undefined)).toBe(true);
    expect(JSON.stringify(idle.tiers)).not.toMatch(/NaN|Infinity|∞/);
  });
});

describe('ranking', () => {
  const choice = (name: string, usdPerMonth: number | null, headroom: number): SizeChoice => ({
    ...{ name, sku: name, capacity: 1, usdPerMonth, confidence: 'sourced', carries: headroom >= 1, why: '', headroom },
  });

  test('takes the cheapest that carries, then the cheapest that carries more', () => {
    const given = [
      choice('large', 30, 9),
      choice('unknown', null, 99),
      choice('same', 20, 2),
      choice('small', 1, 0.5),
      choice('right', 10, 2),
    ];
    const sized = sizedTier('redis', [], given, ({ name }) => `over ${name}`);
    expect([sized.chosen?.name, sized.next?.name, sized.forcedBy]).toEqual(['right', 'large', 'over right']);
    expect(sized.choices.map(({ name }) => name)).toEqual(['small', 'right', 'same', 'large', 'unknown']);
  });
});
