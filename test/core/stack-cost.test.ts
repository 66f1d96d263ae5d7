import { describe, expect, test } from 'vitest';
import { trafficOf } from '../../runtime/core/cost-traffic.ts';
import type { Prices } from '../../runtime/core/cost.ts';
import type { CostResource } from '../../runtime/core/stack-cost-plan.ts';
import { type CostRow, stackCost } from '../../runtime/core/stack-cost.ts';
import type { Workload } from '../../runtime/core/workload-fields.ts';
import { DEFAULT_WORKLOAD } from '../../runtime/core/workload.ts';
import { PRICES } from '../../runtime/prices.ts';
import { alert, cache, flex, lake, managed, namespace, resource, WHOLE } from './stack-cost-samples.ts';

function rowsOf(resources: readonly CostResource[], workload: Workload = DEFAULT_WORKLOAD): readonly CostRow[] {
  return stackCost(resources, workload, PRICES).rows;
}

function rowOf(resources: readonly CostResource[], meter: string, workload?: Workload): CostRow {
  const row = rowsOf(resources, workload).find((found) => found.meter === meter);
  if (row === undefined) throw new Error(`no row of ${meter}`);
  return row;
}

/** One call a minute and user, every item new, nothing by chance: so that a bill can be worked out by hand. */
const ROUND: Workload = {
  ...DEFAULT_WORKLOAD,
  ...{
    users: 24,
    callsPerDay: 24 * 24 * 60,
    itemsPerPage: 100,
    newRatio: 1,
    itemBytes: 320,
    dataTypes: 1,
    dataTopics: 0,
  },
  ...{
    firingsPerDay: 24,
    secondsPerCall: 0.5,
    deliverySeconds: 0.5,
    slicesInFlight: 24,
    callsInFlight: 24,
    redeliveryRatio: 0,
    scaleLooksPerMinute: 0,
  },
  ...{ sealedRatio: 0.2, cachedSeenRatio: 0.15 },
};

describe('a bill by hand', () => {
  // 34,560 calls a day x 730 / 24 = 1,051,200 calls; 105,120,000 items, all new.
  // A page takes max(1, 0.5 + 0.5) = 1 s, 24 slices at once: 24 pages an envelope = 2,400 items; but
  // 200,000 x 0.9 / (500 x 0.2) = 1,800 fit. 1,800 x 100 B + 500 = 180,500 B = 3 units of 64 KB.
  test('traffic', () => {
    expect(trafficOf(ROUND)).toMatchObject({
      calls: 1_051_200,
      newItems: 105_120_000,
      pageSeconds: 1,
      itemsPerEnvelope: 1800,
      envelopeBytes: 180_500,
    });
    expect(trafficOf(ROUND).envelopes).toBeCloseTo(58_400);
  });

  // Runs: 24 users x 24 firings x 30.42 days = 17,520; 60 pages each. Slices: 1,051,200 / 50 + 17,520 / 2 = 29,784, x 3 = 89,352.
  // Envelopes: 58,400 x (3 + 3 + 1) = 408,800. Looks: 12 an hour x 730 = 8,760. Sum 506,912.
  test('Service Bus operations', () => {
    const row = rowOf([namespace('Basic')], 'servicebus-basic-operations', ROUND);
    expect(row.quantity).toBeCloseTo(0.506912);
    expect(row.usdPerMonth).toBeCloseTo(0.0253456);
    expect(row.why).toContain('29,784 marker messages x 3 (send, receive, settle)');
  });

  // Mining: 1,051,200 x 1 / 24 = 43,800 s. Timers: 43,800 + 730 firings x 1 s = 44,530 s. Ingest: 24 x 60 = 1,440 busy s a day
  // = 43,800 s, 1.333 envelopes a second of at least 1 s: 43,800 x (1 - e^-1.3333) = 32,254 s. Sum 120,584 s x 2 GB.
  test('GB-seconds of Flex Consumption', () => {
    const row = rowOf([flex(2048)], 'functions-flex-gb-seconds', ROUND);
    const ingest = 43_800 * (1 - Math.exp(-58_400 / 43_800));
    expect(row.quantity).toBeCloseTo(2 * (43_800 + 44_530 + ingest));
    expect(row.usdPerMonth).toBeCloseTo((2 * (43_800 + 44_530 + ingest) - 100_000) * 0.000026);
  });

  // 10 calls of 0.5 s in flight are 20 pages a second, fewer than 24 slices bring: 1,051,200 x 0.05 = 52,560 s.
  test('calls in flight bound what an instance does', () => {
    const { why } = rowOf([flex(2048)], 'functions-flex-gb-seconds', { ...ROUND, callsInFlight: 10 });
    expect(why).toContain('mining 1,051,200 calls x 0.5 s / 10 calls in flight = 52,560 s');
  });

  // 29,784 slices + 58,400 envelopes + 43,800 looks + 730 firings = 132,714, within the 250,000 that are free.
  test('executions', () => {
    expect(rowOf([flex(2048)], 'functions-flex-executions', ROUND)).toMatchObject({
      quantity: 0.132714,
      usdPerMonth: 0,
    });
  });

  // Half a month on average: 105,120,000 x 490 B + 58,400 x 400 B = 51,532,160,000 B = 47.99 GB a month.
  test('ledger', () => {
    expect(rowOf(lake, 'table-zrs-gb', ROUND).quantity).toBeCloseTo(51_532_160_000 / 1024 ** 3 / 2);
  });

  test('telemetry: 1,051,200 calls x 50 B, within the 5 GB that are free', () => {
    const row = rowOf(
      [resource('operationalinsights:Workspace', 'logs', { sku: { name: 'PerGB2018' } })],
      'loganalytics-gb',
      ROUND,
    );
    expect(row).toMatchObject({ quantity: 52_560_000 / 1024 ** 3, usdPerMonth: 0 });
  });
});

describe('the SKU decides', () => {
  test.each([
    [cache('Standard', 'C', 3), 'redis-standard-c3', 2, 328.5],
    [cache('Basic', 'C', 0), 'redis-basic-c0', 1, 16.06],
    [cache('Premium', 'P', 1), 'redis-premium-p1', 2, 404.42],
    [managed('Balanced_B5'), 'redis-managed-b5', 2, 227.76],
    [managed('Balanced_B5', 'Disabled'), 'redis-managed-b5', 1, 113.88],
    [managed('MemoryOptimized_M10'), 'redis-managed-m10', 2, 315.36],
    [namespace('Premium', 4), 'servicebus-premium-unit', 4, 2708.32],
    [resource('web:AppServicePlan', 'p', { sku: { name: 'P1v3', capacity: 2 } }), 'appservice-p1v3', 2, 226.3],
    [resource('monitor:ScheduledQueryRule', 'q', { evaluationFrequency: 'PT5M' }), 'alert-log-5-minutes', 1, 1.5],
  ])('%#', (planned, meter, quantity, usd) => {
    const row = rowOf([planned], meter);
    expect(row.quantity).toBe(quantity);
    expect(row.usdPerMonth).toBeCloseTo(usd);
  });

  test('Premium includes its operations', () => {
    expect(rowsOf([namespace('Premium', 1)]).map(({ meter }) => meter)).toEqual(['servicebus-premium-unit']);
  });

  test('half the memory is half the GB-seconds', () => {
    const large = rowOf([flex(4096)], 'functions-flex-gb-seconds').quantity ?? 0;
    expect(rowOf([flex(2048)], 'functions-flex-gb-seconds').quantity).toBeCloseTo(large / 2);
  });

  // 2 instances x 2 GB x 2,628,000 s x 0.000004 = 42.05.
  test('always-ready instances are paid all month', () => {
    const ready = [{ name: 'function:ingest', instanceCount: 2 }];
    expect(rowOf([flex(2048, ready)], 'functions-flex-ready-baseline').usdPerMonth).toBeCloseTo(42.048);
  });

  // 0.25 vCPU x 2,628,000 s = 657,000 - 180,000 free, x 0.000024 = 11.448; 0.5 x 2,628,000 - 360,000 = 954,000 x 0.000003 = 2.862.
  test('a container that never scales to nothing costs $14.31', () => {
    const template = { containers: [{ resources: { cpu: 0.25, memory: '0.5Gi' } }], scale: { minReplicas: 1 } };
    expect(
      stackCost([resource('app:ContainerApp', 'listener', { template })], DEFAULT_WORKLOAD, PRICES).totalUsd,
    ).toBeCloseTo(14.31);
  });

  test('a daily cap bounds the logs, and long retention is paid', () => {
    const loud = { ...DEFAULT_WORKLOAD, telemetryBytesPerCall: 100_000 };
    const logs = resource('operationalinsights:Workspace', 'logs', {
      sku: { name: 'PerGB2018' },
      workspaceCapping: { dailyQuotaGb: 1 },
      retentionInDays: 92,
    });
    expect(rowOf([logs], 'loganalytics-gb', loud).quantity).toBeCloseTo(730 / 24);
    // 61 days beyond 31, of 30.42 GB a month each.
    expect(rowOf([logs], 'loganalytics-retention-gb', loud).quantity).toBeCloseTo(61);
  });
});

describe('alerts', () => {
  test('are paid by time series: every value of a dimension', () => {
    expect(rowOf([alert('a', ['q1', 'q2', 'q3'])], 'alert-metric-series').quantity).toBe(3);
    expect(rowOf([alert('a')], 'alert-metric-series').quantity).toBe(1);
    expect(rowOf([alert('a', ['q1', 'q2'], 'DynamicThresholdCriterion')], 'alert-dynamic-series').quantity).toBe(2);
  });

  test('share the tiers of their meter', () => {
    const tiers = [
      { above: 0, usd: 0 },
      { above: 3, usd: 1 },
    ];
    const prices: Prices = {
      ...PRICES,
      meters: PRICES.meters.map((meter) => (meter.id === 'alert-metric-series' ? { ...meter, tiers } : meter)),
    };
    const { rows, totalUsd } = stackCost([alert('a', ['1', '2']), alert('b', ['1', '2'])], DEFAULT_WORKLOAD, prices);
    expect([rows.map(({ usdPerMonth }) => usdPerMonth), totalUsd]).toEqual([[0, 1], 1]);
  });
});

describe('the plan counts what it has', () => {
  const queue = (name: string): CostResource => resource('servicebus:Queue', name, { queueName: name });
  const queues = ['a-mining-queue', 'b-mining-queue', 'point-time-data-ingestion-queue'].map(queue);
  const topic = resource('servicebus:Topic', 'a-data-topic');
  const operations = (...more: readonly CostResource[]): number =>
    rowOf([namespace('Standard'), ...queues, ...more], 'servicebus-standard-operations').quantity ?? 0;

  test('a topic is one more operation for each of its envelopes, and a reader two more', () => {
    const forwarding = resource('servicebus:Subscription', 'lake', { forwardTo: 'point-time-data-ingestion-queue' });
    const { envelopes } = trafficOf({ ...DEFAULT_WORKLOAD, dataTypes: 2 });
    const plain = operations();
    expect(operations(topic, forwarding) - plain).toBeCloseTo(envelopes / 2 / 1e6);
    expect(operations(topic, forwarding, resource('servicebus:Subscription', 'reader')) - plain).toBeCloseTo(
      (3 * envelopes) / 2 / 1e6,
    );
  });

  test('a smaller cache leaves more to the ledger', () => {
    const small = rowOf([managed('Balanced_B0'), ...lake], 'table-transactions').quantity ?? 0;
    const none = rowOf(lake, 'table-transactions').quantity ?? 0;
    const large = rowOf([cache('Standard', 'C', 6), ...lake], 'table-transactions').quantity ?? 0;
    expect(none > small && small > large).toBe(true);
    // 5,475,000,000 seen items x 0.15 that a cache of any size can answer.
    expect((none - large) * 10_000).toBeCloseTo(821_250_000, -3);
  });
});

describe('growth', () => {
  const { months } = stackCost(WHOLE, DEFAULT_WORKLOAD, PRICES);

  test('month 12 costs more than month 1, month 24 more than month 12', () => {
    expect(months[1].totalUsd < months[12].totalUsd && months[12].totalUsd < months[24].totalUsd).toBe(true);
  });

  // Nothing but the stored gigabytes grows between month 12 and 24: 12 months of ledger at $0.0562 and of lake in the cold tier.
  test('from month 12 on only by what is stored', () => {
    const traffic = trafficOf(DEFAULT_WORKLOAD);
    expect(months[24].totalUsd - months[12].totalUsd).toBeCloseTo(
      12 * (traffic.ledgerGb * 0.0562 + traffic.lakeGb * 0.0045),
      1,
    );
  });

  test('stops where retention ends', () => {
    const kept = stackCost(WHOLE, { ...DEFAULT_WORKLOAD, retentionMonths: 3 }, PRICES).months;
    expect(kept[24].totalUsd).toBeCloseTo(kept[12].totalUsd);
  });
});

describe('what cannot be priced', () => {
  const cost = stackCost(
    [
      managed('Balanced_B10'),
      managed('Balanced_B700'),
      flex('[unknown]'),
      resource('network:NatGateway', 'nat'),
      resource('authorization:RoleAssignment', 'r'),
      { type: 'adit:infra:Cache', name: 'cache', inputs: {} },
    ],
    DEFAULT_WORKLOAD,
    PRICES,
  );

  test('an unknown price, a missing meter and an unknown input are no zero', () => {
    expect(cost.missing.map(({ meter }) => meter)).toEqual([
      'redis-managed-b10',
      'redis-managed-b700',
      'functions-flex-gb-seconds',
    ]);
    for (const row of cost.rows.filter(({ meter }) => cost.missing.some((missing) => missing.meter === meter))) {
      expect(row).toMatchObject({ usdPerMonth: null, confidence: 'unknown' });
    }
    expect(cost.rows.find(({ meter }) => meter === 'redis-managed-b700')?.why).toContain(
      'the price table has no meter',
    );
  });

  test('a type that nobody priced is listed, never free', () => {
    expect(cost.unpriced).toEqual([{ type: 'azure-native:network:NatGateway', name: 'nat' }]);
    expect(cost.isComplete).toBe(false);
  });

  test('what is free is listed with its reason', () => {
    expect(cost.free).toEqual([
      { type: 'azure-native:authorization:RoleAssignment', count: 1, reason: 'Entra charges nothing for it' },
      { type: 'adit:infra:Cache', count: 1, reason: 'a group of resources' },
    ]);
  });

  test('an unknown SKU of a namespace, a cache, a vault of another kind or a plan is missing', () => {
    const unseen = ['servicebus:Namespace', 'redis:Redis', 'redisenterprise:RedisEnterprise', 'web:AppServicePlan'];
    const { missing } = stackCost(
      unseen.map((type) => resource(type, type, { sku: '[unknown]' })),
      DEFAULT_WORKLOAD,
      PRICES,
    );
    expect(missing).toHaveLength(unseen.length);
  });

  test('a redundancy that the table does not have is missing', () => {
    const account = resource('storage:StorageAccount', 'host', { accountName: 'host', sku: { name: 'Standard_GZRS' } });
    expect(stackCost([account], DEFAULT_WORKLOAD, PRICES).missing.map(({ meter }) => meter)).toEqual([
      'blob-hot-gzrs-gb',
      'blob-hot-gzrs-writes',
    ]);
  });

  test('receivers by telephone are not free', () => {
    const group = resource('monitor:ActionGroup', 'ops', { smsReceivers: [{ name: 'me' }] });
    expect(stackCost([group], DEFAULT_WORKLOAD, PRICES).missing).toHaveLength(1);
  });
});
