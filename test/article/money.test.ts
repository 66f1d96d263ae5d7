import { brotliCompressSync, constants } from 'node:zlib';
import { Cron } from 'croner';
import { describe, expect, it } from 'vitest';
import { hostJson } from '../../infra/host-json.ts';
import { planStack } from '../../infra/plan.ts';
import { brotli } from '../../runtime/adapters/compression.ts';
import { miners } from '../../runtime/catalog.ts';
import { chargeOf } from '../../runtime/core/cost.ts';
import { entitiesOf } from '../../runtime/core/route.ts';
import { meterOf, PRICES } from '../../runtime/prices.ts';
import { SETTINGS } from '../../runtime/settings.ts';
import { sampleConfig } from '../infra/sample-config.ts';

/** What the meter costs a month, in USD. */
const priceOf = (id: string): number => {
  const usd = meterOf(id)?.tiers.at(-1)?.usd;
  if (typeof usd !== 'number') throw new Error(`the table has no price for ${id}`);
  return usd;
};

/** Minutes between the next two firings of a schedule. */
function minutesBetween(schedule: string): number {
  const [first, second] = new Cron(schedule, { timezone: 'UTC' }).nextRuns(2, '2026-06-15T01:00:00Z');
  return (second!.getTime() - first!.getTime()) / 60_000;
}

describe('prices that are none (article ch. 4 and 6)', () => {
  it('Redis C3 for $61 and P1 for $367: no meter has such a price', () => {
    const nodes = 2;
    expect(priceOf('redis-standard-c3') * nodes).not.toBeCloseTo(61, 0);
    expect(priceOf('redis-standard-c3') * nodes).toBe(328.5);
    expect(priceOf('redis-premium-p1') * nodes).toBeCloseTo(404.42, 2);
    const monthly = PRICES.meters.filter(({ service }) => service.includes('Redis')).flatMap(({ tiers }) => tiers);
    for (const { usd } of monthly)
      for (const printed of [61, 367]) expect(Math.abs((usd ?? 0) - printed)).toBeGreaterThan(1);
  });

  it('Service Bus for $0.05 a million operations is Basic, which has no topics: a stack needs Standard', () => {
    expect(priceOf('servicebus-basic-operations')).toBe(0.05);
    const printed = (calls: number): number => (calls * 0.05) / 1_000_000;
    const standard = meterOf('servicebus-standard-operations')!;
    // 60 million calls a month, one message each: send, receive and settle are an operation each.
    expect(printed(60e6)).toBe(3);
    expect(chargeOf(standard, 3 * 60).usd).toBeCloseTo(87 * 0.8 + 80 * 0.5, 6);
    expect(entitiesOf(miners).some(({ kind }) => kind === 'topic')).toBe(true);
  });

  it('every price has a source and a date', () => {
    for (const { id, source, date } of PRICES.meters)
      expect([id, source, date].every((text) => text.length > 3)).toBe(true);
  });
});

describe('Functions that cost less at night, and hours that save money (article ch. 6)', () => {
  it('as printed the hour is chosen by a price that is not there; ours has one price for every hour', () => {
    const printed = ['0 30 2 * * *', '0 0 3 * * *', '0 30 3 * * *', '0 0 4 * * *'];
    expect(printed.every((schedule) => minutesBetween(schedule) === 24 * 60)).toBe(true);
    for (const meter of PRICES.meters.filter(({ service }) => service === 'Azure Functions')) {
      expect(JSON.stringify(meter)).not.toMatch(/peak|hourOfDay|night/i);
      // Steps are by quantity; nothing in a meter is by time.
      for (const tier of meter.tiers) expect(Object.keys(tier).toSorted()).toEqual(['above', 'usd']);
    }
  });

  it('ours fires by how fresh the data has to be, and not at night', () => {
    for (const { schedule } of miners) {
      const hours = new Cron(schedule, { timezone: 'UTC' }).nextRuns(4).map((run) => run.getUTCHours());
      expect(new Set(hours).size).toBe(4);
    }
  });
});

describe('a memory attribute on a function (article ch. 6)', () => {
  it('as printed changes nothing: memory is of the plan, and ours is set there', () => {
    /** An attribute that no host reads. */
    const memorySize = (_mb: number) => (run: () => string) => run;
    expect(memorySize(512)(() => 'same function')()).toBe('same function');
    const { compute } = planStack(sampleConfig('prod', { 'adit:instanceMemoryMb': '4096' }));
    expect(compute.instanceMemoryMb).toBe(4096);
  });
});

describe('Brotli at its default quality (article ch. 3)', () => {
  const text = Array.from({ length: 600 }, (_, at) =>
    JSON.stringify({ id: `i${at}`, at: at * 7919, note: 'x'.repeat(at % 60) }),
  ).join('\n');
  const at = (quality: number): Buffer =>
    brotliCompressSync(text, {
      params: {
        [constants.BROTLI_PARAM_QUALITY]: quality,
        [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
        [constants.BROTLI_PARAM_SIZE_HINT]: Buffer.byteLength(text),
      },
    });

  it('as printed is quality 11, the slowest there is; ours is quality 4, byte for byte, and still small', async () => {
    const unset = brotliCompressSync(text);
    expect(unset.equals(brotliCompressSync(text, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }))).toBe(true);
    const ours = Buffer.from(await brotli.compress(text));
    expect(ours.equals(at(4))).toBe(true);
    expect(ours.equals(at(11))).toBe(false);
    expect(ours.length).toBeLessThan(1.5 * unset.length);
    expect(await brotli.decompress(ours, 10_000_000)).toBe(text);
  });

  it('ours works off the event loop: the loop turns while a batch is compressed', async () => {
    let turns = 0;
    const over = new AbortController();
    const turning = (async () => {
      for (; !over.signal.aborted; turns += 1) await new Promise((resolve) => setImmediate(resolve));
    })();
    await Promise.all(Array.from({ length: 4 }, () => brotli.compress(text.repeat(20))));
    over.abort();
    await turning;
    expect(turns).toBeGreaterThan(1);
  });
});

describe('"0 */6 * * * *" is every six minutes (article ch. 5)', () => {
  it('as printed: 240 firings a day where four were meant', () => {
    expect(minutesBetween('0 */6 * * * *')).toBe(6);
  });

  it('ours: every data type fires every six hours, and no two at the same minute', () => {
    for (const { name, schedule } of miners) expect(minutesBetween(schedule), name).toBe(6 * 60);
    expect(new Set(miners.map(({ schedule }) => schedule)).size).toBe(miners.length);
  });
});

describe('host.json with the keys of an old extension (article ch. 5)', () => {
  const PRINTED = {
    serviceBus: {
      prefetchCount: 0,
      messageHandlerOptions: { maxConcurrentCalls: 32, maxAutoRenewDuration: '00:05:00' },
    },
    functionTimeout: '00:10:00',
  };

  /** Keys of extension 5.x (Microsoft, "Azure Service Bus bindings, host.json", 2026). */
  const KNOWN = new Set([
    ...['clientRetryOptions', 'prefetchCount', 'transportType', 'webProxy', 'autoCompleteMessages'],
    ...['maxAutoLockRenewalDuration', 'maxConcurrentCalls', 'maxConcurrentSessions', 'maxMessageBatchSize'],
    ...['minMessageBatchSize', 'maxBatchWaitTime', 'sessionIdleTimeout', 'enableCrossEntityTransactions'],
  ]);

  const unknownKeys = (section: object): readonly string[] => Object.keys(section).filter((key) => !KNOWN.has(key));

  it('as printed: the concurrency and the renewal of locks are in a key that nobody reads', () => {
    expect(unknownKeys(PRINTED.serviceBus)).toEqual(['messageHandlerOptions']);
    expect('extensions' in PRINTED).toBe(false);
  });

  it('ours: every key is one of the extension, below extensions, and says what the settings say', () => {
    const { serviceBus } = hostJson().extensions;
    expect(unknownKeys(serviceBus)).toEqual([]);
    expect(serviceBus).toMatchObject({
      maxConcurrentCalls: SETTINGS.miningConcurrency.cloud,
      maxAutoLockRenewalDuration: '00:05:00',
    });
  });
});
