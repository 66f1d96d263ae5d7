import { describe, expect, test } from 'vitest';
import { chargeOf, type Meter, usdText } from '../../runtime/core/cost.ts';
import { operationsOf, UNIT_BYTES } from '../../runtime/core/cost-traffic.ts';
import { meterOf, PRICES } from '../../runtime/prices.ts';

function meter(id: string): Meter {
  const found = meterOf(id);
  if (found === undefined) throw new Error(`no meter ${id}`);
  return found;
}

/** USD of so many units, in cents like a bill. */
function usd(id: string, quantity: number): string {
  return usdText(chargeOf(meter(id), quantity).usd);
}

/** A namespace of Service Bus Standard with so many million operations. */
function standardUsd(millions: number): string {
  const base = chargeOf(meter('servicebus-standard-base'), 1).usd ?? Number.NaN;
  return usdText(base + (chargeOf(meter('servicebus-standard-operations'), millions).usd ?? Number.NaN));
}

const SMALL = 1000;
const queue = operationsOf(SMALL, { forwards: 0, readers: 1 }).total;

describe('50 million messages a month, 19 a second', () => {
  // 3 operations (send, receive, settle) x 50M = 150M = 13 included + 87 x 0.80 + 50 x 0.50 = 94.60; + 9.81 base.
  test('cost $104.41 through a queue of the Standard tier with peek-lock', () => {
    expect(queue).toBe(3);
    expect(standardUsd(50 * queue)).toBe('$104.41');
  });

  // 1 send + 4 x (receive + settle) = 9; 450M = 13 + 87 x 0.80 + 350 x 0.50 = 244.60; + 9.81.
  test('cost $254.41 through a topic with 4 subscriptions', () => {
    const topic = operationsOf(SMALL, { forwards: 0, readers: 4 }).total;
    expect(topic).toBe(9);
    expect(standardUsd(50 * topic)).toBe('$254.41');
  });

  // 1 + 3 x 2 = 7; 350M = 69.60 + 250 x 0.50 = 194.60; + 9.81.
  test('cost $204.41 through a topic with 3 subscriptions', () => {
    expect(standardUsd(50 * operationsOf(SMALL, { forwards: 0, readers: 3 }).total)).toBe('$204.41');
  });

  test('cost $7.50 in the Basic tier: 150M x $0.05', () => {
    expect(usd('servicebus-basic-operations', 50 * queue)).toBe('$7.50');
  });
});

describe("the article's prices, corrected", () => {
  test('Service Bus Standard is not $250 for 50M messages: $250 is near 441M operations, not 150M', () => {
    // 9.81 + 69.60 + 341 x 0.50 = 249.91.
    expect([standardUsd(150), standardUsd(441)]).toEqual(['$104.41', '$249.91']);
  });

  test('Service Bus Basic is not $50 for 50M messages: $50 buys 1,000M operations', () => {
    expect(usd('servicebus-basic-operations', 150)).toBe('$7.50');
    expect(usd('servicebus-basic-operations', 1000)).toBe('$50.00');
  });

  test('Service Bus Premium is not $2,500 for a volume: $677.08 a unit, operations included', () => {
    expect(usd('servicebus-premium-unit', 1)).toBe('$677.08');
    expect(usd('servicebus-premium-unit', 4)).toBe('$2,708.32');
  });

  test('$0.05 per million operations is the Basic tier; Standard is $0.80 after 13M', () => {
    expect(chargeOf(meter('servicebus-standard-operations'), 14).unitUsd).toBe(0.8);
  });

  test('Redis Standard C3 is not $61: two nodes are $328.50', () => {
    expect(usd('redis-standard-c3', 2)).toBe('$328.50');
  });

  test('Redis Premium P1 is not $367: two nodes are $404.42, so C3 saves $75.92, not $306', () => {
    expect(usd('redis-premium-p1', 2)).toBe('$404.42');
    expect(404.42 - 328.5).toBeCloseTo(75.92);
  });

  test('Functions at $0.000016 per GB-s is the legacy plan; Flex is $0.000026 with a quarter of the grant', () => {
    expect(meter('functions-consumption-gb-seconds')).toMatchObject({
      freePerMonth: 400_000,
      tiers: [{ usd: 0.000016 }],
    });
    expect(meter('functions-flex-gb-seconds')).toMatchObject({ freePerMonth: 100_000, tiers: [{ usd: 0.000026 }] });
  });

  test('no price depends on the hour: cron at 2 AM saves nothing', () => {
    for (const { id, unit, sku } of PRICES.meters)
      expect(`${id} ${sku} ${unit}`).not.toMatch(/peak|night|hour of day/i);
  });
});

describe('operations of a message', () => {
  test('are counted in units of 64 KB on send and receive, and once on settlement', () => {
    expect(operationsOf(UNIT_BYTES, { forwards: 0, readers: 1 })).toMatchObject({ units: 1, total: 3 });
    expect(operationsOf(UNIT_BYTES + 1, { forwards: 0, readers: 1 })).toMatchObject({
      units: 2,
      send: 2,
      receive: 2,
      settle: 1,
      total: 5,
    });
    expect(operationsOf(96 * 1024, { forwards: 0, readers: 0 }).total).toBe(2);
  });

  test('count a forwarded copy once: 20 forwarding subscriptions make 21 operations before anybody reads', () => {
    expect(operationsOf(SMALL, { forwards: 20, readers: 0 }).total).toBe(21);
  });

  test('count an empty message as one unit', () => {
    expect(operationsOf(0, { forwards: 0, readers: 1 }).total).toBe(3);
  });
});

describe('tiers and free grants', () => {
  test('a free grant is taken off before the tiers', () => {
    // 150,000 GB-s - 100,000 free = 50,000 x 0.000026 = 1.30.
    const charge = chargeOf(meter('functions-flex-gb-seconds'), 150_000);
    expect([usdText(charge.usd), charge.text]).toEqual(['$1.30', '100,000 free + 50,000 x $0.000026']);
    expect(chargeOf(meter('functions-flex-gb-seconds'), 100_000).usd).toBe(0);
  });

  test('each tier is paid at its own price', () => {
    // 3,000M = 13 free + 87 x 0.80 + 2,400 x 0.50 + 500 x 0.20 = 1,369.60.
    expect(chargeOf(meter('servicebus-standard-operations'), 3000).usd).toBeCloseTo(1369.6);
    expect(chargeOf(meter('servicebus-standard-operations'), 13).usd).toBe(0);
  });

  test('nothing costs nothing, and a negative quantity is nothing', () => {
    expect(chargeOf(meter('redis-standard-c3'), 0)).toMatchObject({ usd: 0, text: '0' });
    expect(chargeOf(meter('redis-standard-c3'), -5).usd).toBe(0);
  });

  test('an unknown price is no price, and stays unknown through a sum', () => {
    expect(chargeOf(meter('redis-managed-b10'), 2)).toMatchObject({ usd: null, unitUsd: null });
    expect(usdText(chargeOf(meter('redis-managed-b10'), 2).usd)).toBe('unknown');
  });
});
