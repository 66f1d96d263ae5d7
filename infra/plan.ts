import { miners as catalogMiners } from '../runtime/catalog.ts';
import { functionsOf } from '../runtime/core/functions.ts';
import type { Miner } from '../runtime/core/miner.ts';
import type { Entity } from '../runtime/core/route.ts';
import { entitiesOf } from '../runtime/core/route.ts';
import { LAKE_CONTAINER, LEDGER_TABLES, tableName } from '../runtime/core/storage-names.ts';
import type { SettingSpec, Settings } from '../runtime/settings.ts';
import { SETTINGS, variableOf } from '../runtime/settings.ts';
import { namesOf } from './names.ts';
import { FUNCTIONS_NODE } from './node-version.ts';
import { alertsOf, tilesOf } from './plan-alerts.ts';
import { rolesOf } from './plan-roles.ts';
import type { RedisKind, StackConfig, StackStage } from './stack-config.ts';
import type { BudgetPlan, PlannedEntity, RedisPlan, StackPlan, StoragePlan } from './stack-plan.ts';

/** Everything that a stack is, from its configuration and the catalog alone. Equal inputs give an equal plan. */
export function planStack(config: StackConfig, miners: readonly Miner[] = catalogMiners): StackPlan {
  const { stage } = config;
  const entities = plannedEntities(stage, miners);
  const redis = redisOf(config.redis, stage);
  const alerts = alertsOf({
    miners,
    entities: entities.map(({ entity }) => entity),
    redis,
    monthlyBudgetUsd: config.monthlyBudgetUsd,
  });
  return {
    stage,
    location: config.location,
    names: namesOf(config.prefix, config.stack),
    tags: { project: 'adit', stack: config.stack, stage, owner: config.owner, costCenter: config.costCenter },
    keepsData: stage === 'prod',
    entities,
    functions: functionsOf(miners),
    compute: {
      nodeVersion: FUNCTIONS_NODE,
      instanceMemoryMb: config.instanceMemoryMb,
      instanceLimit: config.instanceLimit,
    },
    redis,
    storage: storageOf(stage),
    roles: rolesOf(config.developers.length > 0),
    developers: config.developers,
    alerts,
    alertEmails: config.alertEmails,
    dashboard: tilesOf(alerts),
    budget: { amountUsd: config.monthlyBudgetUsd, thresholds: BUDGET_THRESHOLDS },
    telemetry: {
      dailyCapGb: config.logDailyCapGb,
      retentionDays: config.logRetentionDays,
      samplingPercent: SAMPLING_PERCENT[stage],
    },
    upstreamUrls: config.upstreamUrls,
    settings: settingVariables({ ...config.settings, instances: instancesOf(config, miners) }),
  };
}

/** In prod a queue is protected until its miner retires, so that a slip of the keyboard cannot drop what waits in it. */
function plannedEntities(stage: StackStage, miners: readonly Miner[]): readonly PlannedEntity[] {
  const leaving = new Set(miners.filter((miner) => miner.retired === true).map((miner) => miner.name));
  const owned = miners.flatMap((miner) => ownEntities(miner).map((entity) => [keyOf(entity), miner.name] as const));
  const ownerOf = new Map(owned);
  return entitiesOf(miners).map((entity) => {
    const owner = ownerOf.get(keyOf(entity));
    return { entity, isProtected: stage === 'prod' && (owner === undefined || !leaving.has(owner)) };
  });
}

/** What a miner adds to the entities that are there without any. */
function ownEntities(miner: Miner): readonly Entity[] {
  const shared = new Set(entitiesOf([]).map(keyOf));
  return entitiesOf([miner]).filter((entity) => !shared.has(keyOf(entity)));
}

function keyOf(entity: Entity): string {
  return entity.kind === 'subscription' ? `${entity.topic}/${entity.name}` : entity.name;
}

function redisOf(kind: RedisKind, stage: StackStage): RedisPlan {
  if (kind === 'standard-c3') return { kind: 'cache', family: 'C', capacity: 3, port: 6380 };
  const sku = kind.replace('managed-b', 'Balanced_B');
  return { kind: 'managed', sku, isHighlyAvailable: stage === 'prod', port: 10000 };
}

/**
 * Prod survives the loss of a zone without losing a claim: zone-redundant, written in all zones before it answers. Such
 * accounts have no archive tier (Microsoft, "Access tiers for blob data", 2026), so prod ends in the cold tier, which
 * costs little more and can be read at once. What dev has archived must be rehydrated before it can be read.
 */
function storageOf(stage: StackStage): StoragePlan {
  const isProd = stage === 'prod';
  return {
    dataSku: isProd ? 'Standard_ZRS' : 'Standard_LRS',
    tables: LEDGER_TABLES.map(tableName),
    lakeContainer: LAKE_CONTAINER,
    deploymentContainer: 'packages',
    coolAfterDays: 30,
    archiveAfterDays: 180,
    coldestTier: isProd ? 'cold' : 'archive',
    softDeleteDays: isProd ? 14 : 7,
  };
}

const BUDGET_THRESHOLDS: BudgetPlan['thresholds'] = [
  { percent: 50, kind: 'Actual' },
  { percent: 80, kind: 'Actual' },
  { percent: 100, kind: 'Actual' },
  { percent: 100, kind: 'Forecasted' },
];

/**
 * Share of requests, traces and exceptions that is kept on arrival. Telemetry has a budget: at the 23 calls a second of
 * the article, about 2 million records of 1 KB a day would fill a cap of 1 GB by noon, and the rest of the day would be
 * dark; a fifth of them fits, evenly over the day. The alerts stay exact, because Azure aggregates their metrics before
 * it samples on arrival. Dev keeps everything, because a person is looking for one failure there.
 */
const SAMPLING_PERCENT: Readonly<Record<StackStage, number>> = { dev: 100, prod: 20 };

/** Each miner's function scales by itself; one more for a person who mines into the stack beside it. */
function instancesOf({ instanceLimit }: StackConfig, miners: readonly Miner[]): number {
  return instanceLimit * miners.length + 1;
}

/** Every setting that means something in the cloud, also those with their default: what runs is what the stack shows. */
function settingVariables(settings: Settings): Readonly<Record<string, string>> {
  const specs = Object.entries(SETTINGS) as [keyof Settings, SettingSpec][];
  const inCloud = specs.filter(([, spec]) => spec.homeOnly !== true);
  return Object.fromEntries(inCloud.map(([name]) => [variableOf(name), String(settings[name])]));
}
