import { describe, expect, test } from 'vitest';
import { planStack } from '../../infra/plan.ts';
import type { AlertPlan, StackPlan } from '../../infra/stack-plan.ts';
import { miners } from '../../runtime/catalog.ts';
import { INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import { sampleConfig, sampleMiner } from './sample-config.ts';

/** What a metric alert of Azure may be told (Microsoft, "Metric alerts", 2026). */
const WINDOWS_MINUTES = [1, 5, 15, 30, 60, 360, 720, 1440];
const FREQUENCIES_MINUTES = [1, 5, 15, 30, 60];

/** Metrics that are emitted today, by namespace (Microsoft, "Supported metrics with Azure Monitor", 2026). */
const EMITTED: Readonly<Record<string, readonly string[]>> = {
  'Microsoft.ServiceBus/namespaces': ['ActiveMessages', 'DeadletteredMessages', 'ThrottledRequests', 'ServerErrors'],
  'Microsoft.Cache/redis': ['allusedmemorypercentage', 'allserverLoad', 'allevictedkeys'],
  'Microsoft.Cache/redisEnterprise': ['usedmemorypercentage', 'serverLoad', 'evictedkeys'],
  'Microsoft.Web/sites': ['OnDemandFunctionExecutionUnits'],
  'microsoft.insights/components': ['requests/failed', 'exceptions/count'],
};

const cachePlan = planStack(sampleConfig('prod'));
const managedPlan = planStack(sampleConfig('prod', { 'adit:redis': 'managed-b5' }));

const named = (plan: StackPlan, name: string): AlertPlan => {
  const found = plan.alerts.find((alert) => alert.name === name);
  if (found === undefined) throw new Error(`no alert ${name}`);
  return found;
};

describe.each([
  ['Azure Cache for Redis', cachePlan],
  ['Azure Managed Redis', managedPlan],
])('the alerts of a stack on %s', (_, plan) => {
  test('have unique kebab-case names, and a sentence for the person who is woken', () => {
    const names = plan.alerts.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const { name, summary, unit } of plan.alerts) {
      expect(name).toMatch(/^[a-z]+(-[a-z0-9]+)*$/);
      expect(summary).toMatch(/^[A-Z].{20,}\.$/);
      expect(unit).not.toBe('');
    }
  });

  test('look as often and as far back as Azure allows', () => {
    for (const { name, windowMinutes, everyMinutes } of plan.alerts) {
      expect(WINDOWS_MINUTES, name).toContain(windowMinutes);
      expect(FREQUENCIES_MINUTES, name).toContain(everyMinutes);
      expect(everyMinutes, name).toBeLessThanOrEqual(windowMinutes);
    }
  });

  test('stand on metrics that are emitted today', () => {
    for (const { name, namespace, metric } of plan.alerts) expect(EMITTED[namespace], name).toContain(metric);
  });

  test('look at Redis every 5 minutes at most often, its grain', () => {
    const ofRedis = plan.alerts.filter(({ scope }) => scope === 'redis');
    expect(ofRedis.map(({ name }) => name)).toEqual(['redis-memory', 'redis-load', 'redis-evictions']);
    for (const { everyMinutes, windowMinutes } of ofRedis)
      expect(Math.min(everyMinutes, windowMinutes)).toBeGreaterThanOrEqual(5);
  });

  test('are each in exactly one chart, which shows their metric', () => {
    const charted = plan.dashboard.flatMap((tile) => tile.alerts);
    expect(charted.toSorted()).toEqual(plan.alerts.map(({ name }) => name).toSorted());
    for (const tile of plan.dashboard) {
      expect(tile.metrics).toHaveLength(tile.alerts.length);
      for (const name of tile.alerts) {
        const { metric, namespace, dimension } = named(plan, name);
        expect(tile.metrics.some((shown) => shown.metric === metric && shown.namespace === namespace)).toBe(true);
        if (dimension !== undefined) expect(tile.metrics.map((shown) => shown.dimension)).toContainEqual(dimension);
      }
    }
  });
});

test('the kind of Redis decides the metrics, not the alerts', () => {
  expect(cachePlan.alerts.map(({ name }) => name)).toEqual(managedPlan.alerts.map(({ name }) => name));
  expect(named(cachePlan, 'redis-load')).toMatchObject({ namespace: 'Microsoft.Cache/redis', metric: 'allserverLoad' });
  expect(named(managedPlan, 'redis-load')).toMatchObject({
    namespace: 'Microsoft.Cache/redisEnterprise',
    metric: 'serverLoad',
  });
});

describe('depth', () => {
  const depths = cachePlan.alerts.filter(({ metric }) => metric === 'ActiveMessages');

  test('of every queue is watched by exactly one alert, that of its lane', () => {
    for (const miner of miners) {
      const { miningQueue } = routeOf(miner);
      const watching = depths.filter(({ dimension }) => dimension?.values.includes(miningQueue));
      expect(
        watching.map(({ name, lane }) => [name, lane]),
        miner.name,
      ).toEqual([[`depth-${miner.lane}`, miner.lane]]);
    }
    expect(depths.flatMap(({ dimension }) => dimension?.values ?? []).toSorted()).toEqual(
      [INGESTION_QUEUE, ...miners.map((miner) => routeOf(miner).miningQueue)].toSorted(),
    );
  });

  test('wakes somebody sooner in the realtime lane than in the others', () => {
    expect(depths.map(({ name, severity }) => [name, severity])).toEqual([
      ['depth-realtime', 1],
      ['depth-money', 2],
      ['depth-bulk', 3],
      ['depth-ingestion', 1],
    ]);
  });

  test('of a lane without a data type is not watched, because no value would mean every queue', () => {
    const plan = planStack(sampleConfig('dev'), [sampleMiner({ lane: 'money' })]);
    const names = plan.alerts.filter(({ metric }) => metric === 'ActiveMessages').map(({ name }) => name);
    expect(names).toEqual(['depth-money', 'depth-ingestion']);
  });
});

test('a dead letter anywhere on the bus is seen', () => {
  const names = cachePlan.entities
    .filter(({ entity }) => entity.kind !== 'subscription')
    .map(({ entity }) => entity.name);
  expect(named(cachePlan, 'dead-letters')).toMatchObject({
    threshold: 0,
    operator: 'GreaterThan',
    dimension: { name: 'EntityName', values: names },
  });
});

test('an hour of functions may use 1 % of the monthly budget', () => {
  const { threshold, summary } = named(cachePlan, 'execution-units');
  const usd = (threshold / 1_024_000) * 0.000026;
  expect(usd).toBeCloseTo(sampleConfig('prod').monthlyBudgetUsd / 100, 3);
  expect(summary).toContain('276924 GB-s');
});
