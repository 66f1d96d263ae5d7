import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { namesOf } from '../../infra/names.ts';
import { planStack } from '../../infra/plan.ts';
import type { StackStage } from '../../infra/stack-config.ts';
import type { StackPlan } from '../../infra/stack-plan.ts';
import { miners, upstreams } from '../../runtime/catalog.ts';
import { functionsOf } from '../../runtime/core/functions.ts';
import type { Lane, Miner } from '../../runtime/core/miner.ts';
import { entitiesOf, INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import { LEDGER_TABLES } from '../../runtime/core/storage-names.ts';
import { SETTINGS, type SettingSpec, variableOf } from '../../runtime/settings.ts';
import { sampleConfig, sampleMiner } from './sample-config.ts';

const STAGES: readonly StackStage[] = ['dev', 'prod'];
const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const planOf = (stage: StackStage, list?: readonly Miner[]): StackPlan => planStack(sampleConfig(stage), list);

/** Everything in a plan that mentions a miner. */
function traceOf(
  plan: StackPlan,
  name: string,
): { entities: string[]; timers: number; functions: number; alerts: number } {
  const { miningQueue, dataTopic } = routeOf({ name, dataTopic: true });
  const mine = plan.functions.filter(
    (declaration) => declaration.kind === 'queue' && declaration.queue === miningQueue,
  );
  const fire = plan.functions.filter(
    (declaration) =>
      declaration.kind === 'timer' && declaration.task.kind === 'fire' && declaration.task.minerName === name,
  );
  const own = plan.entities.map(({ entity }) =>
    entity.kind === 'subscription' ? `${entity.topic}/${entity.name}` : entity.name,
  );
  return {
    entities: own.filter((entity) => entity === miningQueue || entity.split('/')[0] === dataTopic),
    timers: fire.length,
    functions: mine.length,
    alerts: plan.alerts.filter((alert) => alert.dimension?.values.includes(miningQueue) === true).length,
  };
}

describe.each(STAGES)('the plan of %s', (stage) => {
  const plan = planOf(stage);

  test('has the entities and functions of the catalog and nothing else', () => {
    expect(plan.entities.map(({ entity }) => entity)).toEqual(entitiesOf(miners));
    expect(plan.functions).toEqual(functionsOf(miners));
  });

  test('has queue, timer, function and alert for every line of the catalog', () => {
    for (const { name, dataTopic } of miners) {
      const trace = traceOf(plan, name);
      expect(trace, name).toMatchObject({ timers: 1, functions: 1, alerts: 2 });
      expect(trace.entities, name).toHaveLength(dataTopic === true ? 3 : 1);
    }
  });

  test('writes every setting that means something in the cloud, and no other', () => {
    const inCloud = Object.entries(SETTINGS).filter(([, spec]: [string, SettingSpec]) => spec.homeOnly !== true);
    expect(plan.settings).toEqual({
      ...Object.fromEntries(inCloud.map(([name, spec]) => [variableOf(name), String(spec.cloud)])),
      ADIT_INSTANCES: plan.settings['ADIT_INSTANCES'],
    });
  });

  test('tells each process how many may call an upstream: every instance of every miner, and one person beside them', () => {
    expect(plan.settings['ADIT_INSTANCES']).toBe(String(plan.compute.instanceLimit * miners.length + 1));
  });

  test('has an address for every upstream', () => {
    expect(Object.keys(plan.upstreamUrls).toSorted()).toEqual(upstreams.map(({ name }) => name).toSorted());
  });

  test('has every table of the ledger and the container of the lake', () => {
    expect(plan.storage.tables).toEqual(LEDGER_TABLES.map((table) => `adit${table}`));
    expect(plan.storage).toMatchObject({ lakeContainer: 'lake', coolAfterDays: 30, archiveAfterDays: 180 });
    expect(plan.storage.deploymentContainer).toMatch(/^[a-z]{3,63}$/);
  });

  test('carries the tags that say whom to ask and who pays', () => {
    expect(plan.tags).toEqual({ project: 'adit', stack: stage, stage, owner: 'data-platform', costCenter: 'cc-0000' });
  });

  test('tells about the budget at 50, 80 and 100 %, and when the forecast passes it', () => {
    expect(plan.budget.amountUsd).toBe(sampleConfig(stage).monthlyBudgetUsd);
    expect(plan.budget.thresholds.map(({ percent, kind }) => `${kind} ${percent}`)).toEqual([
      'Actual 50',
      'Actual 80',
      'Actual 100',
      'Forecasted 100',
    ]);
  });

  test('names everything after prefix and stack, on the Node of the catalogue of Flex', () => {
    expect(plan.names).toEqual(namesOf('adit7', stage));
    expect(plan.compute).toEqual({
      nodeVersion: '22',
      instanceMemoryMb: 2048,
      instanceLimit: stage === 'dev' ? 40 : 100,
    });
  });

  test('is the same each time it is made', () => {
    expect(planOf(stage)).toEqual(plan);
  });
});

describe('what prod has and dev has not', () => {
  test('prod keeps its data and is told about less of its traffic', () => {
    expect(planOf('prod')).toMatchObject({
      keepsData: true,
      storage: { dataSku: 'Standard_ZRS', softDeleteDays: 14 },
      telemetry: { dailyCapGb: 1, retentionDays: 30, samplingPercent: 20 },
    });
    expect(planOf('dev')).toMatchObject({
      keepsData: false,
      storage: { dataSku: 'Standard_LRS', softDeleteDays: 7 },
      telemetry: { dailyCapGb: 0.2, retentionDays: 30, samplingPercent: 100 },
    });
  });

  test('a zone-redundant account is never asked for the archive tier, which it does not have', () => {
    for (const stage of STAGES) {
      const { dataSku, coldestTier } = planOf(stage).storage;
      expect([dataSku, coldestTier]).toEqual(dataSku === 'Standard_ZRS' ? [dataSku, 'cold'] : [dataSku, 'archive']);
    }
  });

  test('everything on the bus is protected in prod, nothing in dev', () => {
    expect(planOf('prod').entities.every(({ isProtected }) => isProtected)).toBe(true);
    expect(planOf('dev').entities.some(({ isProtected }) => isProtected)).toBe(false);
  });
});

describe('Redis', () => {
  test('Standard C3 is family C, capacity 3, on its TLS port', () => {
    expect(planOf('prod').redis).toEqual({ kind: 'cache', family: 'C', capacity: 3, port: 6380 });
  });

  test('a managed one has two nodes in prod and one in dev', () => {
    const managed = (stage: StackStage, redis: string): unknown =>
      planStack(sampleConfig(stage, { 'adit:redis': redis })).redis;
    expect(managed('dev', 'managed-b0')).toEqual({
      kind: 'managed',
      sku: 'Balanced_B0',
      isHighlyAvailable: false,
      port: 10000,
    });
    expect(managed('prod', 'managed-b10')).toEqual({
      kind: 'managed',
      sku: 'Balanced_B10',
      isHighlyAvailable: true,
      port: 10000,
    });
  });
});

describe('a line of the catalog', () => {
  test('that is added gets everything', () => {
    for (const stage of STAGES) {
      const plan = planOf(stage, [...miners, sampleMiner({ dataTopic: true })]);
      expect(traceOf(plan, 'profile-views')).toEqual({
        entities: ['profile-views-mining-queue', 'profile-views-data-topic', 'profile-views-data-topic/lake'],
        timers: 1,
        functions: 1,
        alerts: 2,
      });
      expect(plan.entities.filter(({ isProtected }) => isProtected)).toHaveLength(stage === 'prod' ? 13 : 0);
    }
  });

  test('that retires is still mined and watched, is fired no more, and may be deleted', () => {
    const plan = planOf('prod', [...miners, sampleMiner({ dataTopic: true, retired: true })]);
    expect(traceOf(plan, 'profile-views')).toMatchObject({ timers: 0, functions: 1, alerts: 2 });
    const open = plan.entities.filter(({ isProtected }) => !isProtected).map(({ entity }) => entity.name);
    expect(open).toEqual(['profile-views-mining-queue', 'profile-views-data-topic', 'lake']);
  });

  test('that is gone leaves nothing', () => {
    const plan = planOf(
      'prod',
      miners.filter(({ name }) => name !== 'transactions'),
    );
    expect(traceOf(plan, 'transactions')).toEqual({ entities: [], timers: 0, functions: 0, alerts: 0 });
    expect(JSON.stringify(plan)).not.toContain('transactions');
  });

  test('an empty catalog still has ingestion', () => {
    const plan = planOf('prod', []);
    expect(plan.entities.map(({ entity, isProtected }) => [entity.name, isProtected])).toEqual([
      [INGESTION_QUEUE, true],
    ]);
  });

  test('for any catalog, entities and protection follow from the miner alone', () => {
    const anyMiner = fc
      .record({
        retired: fc.boolean(),
        dataTopic: fc.boolean(),
        lane: fc.constantFrom<Lane>('realtime', 'money', 'bulk'),
      })
      .map((changes) => sampleMiner(changes));
    fc.assert(
      fc.property(fc.array(anyMiner, { maxLength: 6 }), (list) => {
        const named = list.map((miner, at) => ({ ...miner, name: `kind-${at}` }));
        const plan = planOf('prod', named);
        for (const miner of named) {
          const trace = traceOf(plan, miner.name);
          expect(trace.timers).toBe(miner.retired === true ? 0 : 1);
          expect(trace).toMatchObject({ functions: 1, alerts: 2 });
          const own = plan.entities.filter(({ entity }) => entity.name === routeOf(miner).miningQueue);
          expect(own.map(({ isProtected }) => isProtected)).toEqual([miner.retired !== true]);
        }
      }),
      { numRuns: 30 },
    );
  });
});

describe('roles', () => {
  const withDeveloper = planStack(
    sampleConfig('dev', { 'adit:developers': '["01234567-89ab-cdef-0123-456789abcdef"]' }),
  );

  test('have unique names, a GUID and a reason', () => {
    const { roles } = withDeveloper;
    expect(new Set(roles.map(({ name }) => name)).size).toBe(roles.length);
    for (const { name, roleId, reason, role } of roles) {
      expect(name).toMatch(/^[a-z]+(-[a-z]+)+$/);
      expect(roleId, role).toMatch(GUID);
      expect(reason).toMatch(/^[A-Z].*\.$/);
    }
  });

  test('of the functions are the least that they work with', () => {
    expect(planOf('prod').roles.map(({ holder, scope, role }) => `${holder} ${scope}: ${role}`)).toEqual([
      'functions serviceBus: Azure Service Bus Data Owner',
      'functions dataAccount: Storage Blob Data Contributor',
      'functions dataAccount: Storage Table Data Contributor',
      'functions vault: Key Vault Secrets User',
      'functions hostAccount: Storage Blob Data Owner',
      'functions hostAccount: Storage Queue Data Contributor',
      'functions hostAccount: Storage Table Data Contributor',
      'functions insights: Monitoring Metrics Publisher',
    ]);
  });

  test('of a developer reach the data, and neither the host nor its telemetry', () => {
    const theirs = withDeveloper.roles.filter(({ holder }) => holder === 'developer');
    expect(theirs.map(({ scope }) => scope)).toEqual(['serviceBus', 'dataAccount', 'dataAccount', 'vault']);
    expect(withDeveloper.developers).toEqual(['01234567-89ab-cdef-0123-456789abcdef']);
  });

  test('of developers are not there without one', () => {
    expect(planOf('dev').roles.filter(({ holder }) => holder === 'developer')).toEqual([]);
  });
});
