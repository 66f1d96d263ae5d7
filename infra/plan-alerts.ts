import type { Lane, Miner } from '../runtime/core/miner.ts';
import type { Entity } from '../runtime/core/route.ts';
import { INGESTION_QUEUE, routeOf } from '../runtime/core/route.ts';
import type { AlertPlan, DashboardTile, MetricPlan, RedisPlan } from './stack-plan.ts';

/** What the alerts of a stack depend on. */
export interface AlertInputs {
  readonly miners: readonly Miner[];
  readonly entities: readonly Entity[];
  readonly redis: RedisPlan;
  readonly monthlyBudgetUsd: number;
}

/**
 * Every alert of a stack, on metrics that Azure emits today (Microsoft, "Supported metrics with Azure Monitor", 2026);
 * what only the runtime can know is not alerted here until the runtime sends it.
 */
export function alertsOf(inputs: AlertInputs): readonly AlertPlan[] {
  return [
    ...depthAlerts(inputs.miners),
    ...busAlerts(inputs.entities),
    ...redisAlerts(inputs.redis.kind),
    ...functionAlerts(inputs.monthlyBudgetUsd),
  ];
}

/** How long a lane may stay deep before somebody is told. */
interface LaneRule {
  readonly severity: AlertPlan['severity'];
  /** Marker messages in one queue, on average over the window. */
  readonly depth: number;
  readonly windowMinutes: number;
  readonly everyMinutes: number;
}

/**
 * A firing puts one marker message per active user into a queue at once, so depth alone is healthy; depth that lasts is
 * not. Waits are scheduled messages and do not count. At the default of 100 calls a second for an upstream, each of
 * these depths is worked off in a few minutes while users have a page or two. A fleet with more users than a depth
 * names needs a higher one here.
 */
const LANE_RULES: Readonly<Record<Lane, LaneRule>> = {
  realtime: { severity: 1, depth: 1000, windowMinutes: 15, everyMinutes: 5 },
  money: { severity: 2, depth: 5000, windowMinutes: 30, everyMinutes: 5 },
  bulk: { severity: 3, depth: 10_000, windowMinutes: 60, everyMinutes: 15 },
};

/** Envelopes that wait for ingestion; an envelope is up to 200 KB of items, so this is already a long wait. */
const INGESTION_DEPTH = 1000;

const BUS = { scope: 'serviceBus', namespace: 'Microsoft.ServiceBus/namespaces' } as const;

function depthAlerts(miners: readonly Miner[]): readonly AlertPlan[] {
  const depthOf = (queues: readonly string[]): MetricPlan => ({
    ...BUS,
    metric: 'ActiveMessages',
    aggregation: 'Average',
    dimension: { name: 'EntityName', values: queues },
  });
  const alerts: AlertPlan[] = [];
  for (const [lane, rule] of Object.entries(LANE_RULES) as [Lane, LaneRule][]) {
    const queues = miners.filter((miner) => miner.lane === lane).map((miner) => routeOf(miner).miningQueue);
    // Without a value the dimension would mean every queue of the namespace.
    if (queues.length === 0) continue;
    const { depth, ...when } = rule;
    alerts.push({
      name: `depth-${lane}`,
      summary: `A mining queue of the ${lane} lane has held more than ${depth} marker messages for ${rule.windowMinutes} minutes.`,
      ...depthOf(queues),
      ...when,
      operator: 'GreaterThan',
      threshold: depth,
      unit: 'messages',
      lane,
    });
  }
  alerts.push({
    name: 'depth-ingestion',
    summary: `More than ${INGESTION_DEPTH} envelopes have waited for 15 minutes to be written to the lake.`,
    ...depthOf([INGESTION_QUEUE]),
    severity: 1,
    operator: 'GreaterThan',
    threshold: INGESTION_DEPTH,
    unit: 'messages',
    windowMinutes: 15,
    everyMinutes: 5,
  });
  return alerts;
}

function busAlerts(entities: readonly Entity[]): readonly AlertPlan[] {
  // The dead letters of a subscription are counted at its topic.
  const names = entities.filter(({ kind }) => kind !== 'subscription').map(({ name }) => name);
  const failures = { ...BUS, aggregation: 'Total', operator: 'GreaterThan', severity: 2, unit: 'requests' } as const;
  return [
    {
      name: 'dead-letters',
      summary: 'A queue or a subscription holds a dead letter: work that nobody will do until it is sent again.',
      ...BUS,
      metric: 'DeadletteredMessages',
      aggregation: 'Maximum',
      dimension: { name: 'EntityName', values: names },
      severity: 2,
      operator: 'GreaterThan',
      threshold: 0,
      unit: 'messages',
      windowMinutes: 15,
      everyMinutes: 5,
    },
    {
      name: 'throttled-requests',
      summary:
        'Service Bus refused more than 100 requests in 15 minutes, because the namespace is over its 1,000 credits a second.',
      ...failures,
      metric: 'ThrottledRequests',
      threshold: 100,
      windowMinutes: 15,
      everyMinutes: 5,
    },
    {
      name: 'bus-server-errors',
      summary: 'Service Bus failed more than 10 requests in 15 minutes through a fault of its own.',
      ...failures,
      metric: 'ServerErrors',
      threshold: 10,
      windowMinutes: 15,
      everyMinutes: 5,
    },
  ];
}

/** The same three facts have other names in each kind of Redis. */
const REDIS_METRICS = {
  cache: {
    namespace: 'Microsoft.Cache/redis',
    memory: 'allusedmemorypercentage',
    load: 'allserverLoad',
    evictions: 'allevictedkeys',
  },
  managed: {
    namespace: 'Microsoft.Cache/redisEnterprise',
    memory: 'usedmemorypercentage',
    load: 'serverLoad',
    evictions: 'evictedkeys',
  },
} as const;

function redisAlerts(kind: RedisPlan['kind']): readonly AlertPlan[] {
  const { namespace, memory, load, evictions } = REDIS_METRICS[kind];
  // Managed Redis measures every 5 minutes: a rule that looks more often is invalid there.
  const base = { scope: 'redis', namespace, operator: 'GreaterThan', severity: 3, everyMinutes: 5 } as const;
  return [
    {
      ...base,
      name: 'redis-memory',
      summary: 'Redis has used more than 85 % of its memory; it will soon drop checkpoints.',
      metric: memory,
      aggregation: 'Maximum',
      threshold: 85,
      unit: '%',
      windowMinutes: 15,
    },
    {
      ...base,
      name: 'redis-load',
      summary: 'Redis was busier than 90 % within 15 minutes; answers come late, and the ledger is asked instead.',
      metric: load,
      aggregation: 'Maximum',
      severity: 2,
      threshold: 90,
      unit: '%',
      windowMinutes: 15,
    },
    {
      ...base,
      name: 'redis-evictions',
      summary: 'Redis dropped more than 1,000 keys in an hour for want of memory; each is a read of the ledger later.',
      metric: evictions,
      aggregation: 'Total',
      threshold: 1000,
      unit: 'keys',
      windowMinutes: 60,
    },
  ];
}

/** On-demand execution in Flex Consumption, USD per GB-s (Azure Retail Prices API, eastus, read 2026-07-30). */
const USD_PER_GB_SECOND = 0.000026;
/** Microsoft, "Flex Consumption plan, costs" (2026): the metric counts MB-milliseconds. */
const UNITS_PER_GB_SECOND = 1_024_000;
/** The part of a month's budget that one hour may spend on execution: 100 such hours are all of it. */
const HOURLY_BUDGET_SHARE = 0.01;

function functionAlerts(monthlyBudgetUsd: number): readonly AlertPlan[] {
  const hourlyGbSeconds = Math.ceil((monthlyBudgetUsd * HOURLY_BUDGET_SHARE) / USD_PER_GB_SECOND);
  const failures = {
    scope: 'insights',
    namespace: 'microsoft.insights/components',
    aggregation: 'Count',
    operator: 'GreaterThan',
    windowMinutes: 15,
    everyMinutes: 5,
  } as const;
  return [
    {
      ...failures,
      name: 'function-failures',
      summary:
        'More than 10 function runs failed in 15 minutes; their messages are delivered again, and dead-lettered in the end.',
      metric: 'requests/failed',
      severity: 2,
      threshold: 10,
      unit: 'runs',
    },
    {
      ...failures,
      name: 'exceptions',
      summary: 'The functions reported more than 50 exceptions in 15 minutes.',
      metric: 'exceptions/count',
      severity: 3,
      threshold: 50,
      unit: 'exceptions',
    },
    {
      name: 'execution-units',
      summary: `One hour of functions took more than ${hourlyGbSeconds} GB-s, which is 1 % of the monthly budget.`,
      scope: 'functionApp',
      namespace: 'Microsoft.Web/sites',
      metric: 'OnDemandFunctionExecutionUnits',
      aggregation: 'Total',
      severity: 2,
      operator: 'GreaterThan',
      threshold: hourlyGbSeconds * UNITS_PER_GB_SECOND,
      unit: 'MB-ms (1 GB-s = 1,024,000)',
      windowMinutes: 60,
      everyMinutes: 15,
    },
  ];
}

/** Title of the chart of each metric; metrics that are compared share one. */
const TILE_TITLES: Readonly<Record<string, string>> = {
  ActiveMessages: 'Messages that wait, by queue',
  DeadletteredMessages: 'Dead letters, by queue and topic',
  ThrottledRequests: 'Requests that Service Bus refused or failed',
  ServerErrors: 'Requests that Service Bus refused or failed',
  'requests/failed': 'Function runs that failed, and exceptions',
  'exceptions/count': 'Function runs that failed, and exceptions',
  OnDemandFunctionExecutionUnits: 'Execution of functions (1,024,000 units = 1 GB-s)',
  [REDIS_METRICS.cache.memory]: 'Redis: memory and load',
  [REDIS_METRICS.cache.load]: 'Redis: memory and load',
  [REDIS_METRICS.cache.evictions]: 'Redis: keys dropped',
  [REDIS_METRICS.managed.memory]: 'Redis: memory and load',
  [REDIS_METRICS.managed.load]: 'Redis: memory and load',
  [REDIS_METRICS.managed.evictions]: 'Redis: keys dropped',
};

/** The charts of the dashboard: every alert is in exactly one, beside those that watch the same thing. */
export function tilesOf(alerts: readonly AlertPlan[]): readonly DashboardTile[] {
  const tiles = new Map<string, { title: string; metrics: MetricPlan[]; alerts: string[] }>();
  for (const alert of alerts) {
    const title = TILE_TITLES[alert.metric] ?? alert.metric;
    const tile = tiles.get(title) ?? { title, metrics: [], alerts: [] };
    tiles.set(title, tile);
    tile.metrics.push(metricOf(alert));
    tile.alerts.push(alert.name);
  }
  return [...tiles.values()];
}

function metricOf({ scope, namespace, metric, aggregation, dimension }: AlertPlan): MetricPlan {
  return { scope, namespace, metric, aggregation, ...(dimension === undefined ? {} : { dimension }) };
}
