import { functionsOf } from '../runtime/core/functions.ts';
import { appliesTo, type Expectation, exactly, oneOf, shortType, unmet, within } from './expectation.ts';
import { isInputs, look, lookList, shown, UNKNOWN, type Value } from './inputs.ts';
import { ALWAYS, type Finding, type Resource, type ResourceRule, unseen } from './rule.ts';
import type { Stack, Stage } from './stack.ts';

const NAMESPACE = 'servicebus:Namespace';
const REDIS = 'redis:Redis';
const MANAGED_REDIS = 'redisenterprise:RedisEnterprise';
const PLAN = 'web:AppServicePlan';
const APP = 'web:WebApp';
const SCALE = 'functionAppConfig.scaleAndConcurrency';

const CACHE_CAPACITY_MAX = 3;
const INSTANCE_MEMORY_MAX_MB = 2048;

/** Instances of one function at most: what a wrong loop can cost in an hour grows with it. */
const INSTANCES_MAX: Readonly<Record<Stage, number>> = { dev: 40, prod: 100 };

/** Instances that wait for work, per function of the realtime lane. */
const ALWAYS_READY_MAX = 1;

const MANAGED_SIZES = ['Balanced_B0', 'Balanced_B1', 'Balanced_B3', 'Balanced_B5'];

/** FC1 and Y1 cost nothing while nothing happens; F1 to B1 are what a host of sockets may stand on. */
const PLANS = ['FC1', 'Y1', 'F1', 'B1'];

const CACHES: readonly Expectation[] = [
  oneOf(REDIS, 'sku.name', ['Basic', 'Standard']),
  exactly(REDIS, 'sku.family', 'C'),
  within(REDIS, 'sku.capacity', 0, CACHE_CAPACITY_MAX),
  oneOf(MANAGED_REDIS, 'sku.name', MANAGED_SIZES),
];

const DEV_SIZES: readonly Expectation[] = [
  within(REDIS, 'sku.capacity', 0, 1),
  oneOf(MANAGED_REDIS, 'sku.name', ['Balanced_B0', 'Balanced_B1']),
  exactly(MANAGED_REDIS, 'highAvailability', 'Disabled'),
  exactly('storage:StorageAccount', 'sku.name', 'Standard_LRS'),
];

function instancesWithin({ stage }: Stack): readonly Expectation[] {
  return [within(APP, `${SCALE}.maximumInstanceCount`, 1, INSTANCES_MAX[stage])];
}

const MEMORY = [within(APP, `${SCALE}.instanceMemoryMB`, 0, INSTANCE_MEMORY_MAX_MB)];

function busFindings(resource: Resource, { skuReasons }: Stack): readonly Finding[] {
  const sku = look(resource.inputs, 'sku.name');
  if (sku === UNKNOWN) return [unseen(resource, 'sku.name')];
  if (sku === 'Standard') return [];
  if (sku === 'Premium' && skuReasons['serviceBus'] !== undefined) return [];
  const why =
    sku === 'Premium'
      ? 'Premium is $677.08 a month and unit; it needs its reason in adit:skuReasons: { serviceBus: ... }'
      : `sku.name must be Standard, is ${shown(sku)}; Basic has no topics`;
  return [{ urn: resource.urn, message: why }];
}

/** Instances that are paid while they wait are for functions that people wait for. */
function alwaysReady(resource: Resource, { miners }: Stack): readonly Finding[] {
  const path = `${SCALE}.alwaysReady`;
  const entries = lookList(resource.inputs, path);
  if (entries === UNKNOWN) return [unseen(resource, path)];
  const allowed = functionsOf(miners).flatMap((declared) =>
    declared.kind === 'queue' && declared.task.kind === 'mine' && declared.task.lane === 'realtime'
      ? [`function:${declared.name}`]
      : [],
  );
  return entries.flatMap((entry): readonly Finding[] => {
    const name: Value | undefined = isInputs(entry) ? entry['name'] : entry;
    const count: Value | undefined = isInputs(entry) ? entry['instanceCount'] : undefined;
    if (name === UNKNOWN || count === UNKNOWN) return [unseen(resource, path)];
    if (count === 0) return [];
    const isAllowed =
      typeof name === 'string' && allowed.includes(name) && typeof count === 'number' && count <= ALWAYS_READY_MAX;
    if (isAllowed) return [];
    const message = `${shown(count)} instances of ${shown(name)} are always ready; at most ${ALWAYS_READY_MAX} of ${allowed.join(' or ')} may be`;
    return [{ urn: resource.urn, message }];
  });
}

/** Which sizes may be paid for. */
export const SKU_RULES: readonly ResourceRule[] = [
  {
    kind: 'resource',
    name: 'approved-bus-sku',
    area: 'cost',
    level: ALWAYS,
    what: 'Service Bus is Standard; Premium needs a recorded reason.',
    reason:
      'Article ch. 6, "Service Bus Tier Analysis" (its prices corrected): one Premium unit costs what 1,295 million operations on Standard do.',
    change: 'Use Standard, or record in adit:skuReasons why serviceBus must be Premium.',
    applies: (type) => shortType(type) === NAMESPACE,
    check: busFindings,
  },
  {
    kind: 'resource',
    name: 'approved-cache-sku',
    area: 'cost',
    level: ALWAYS,
    what: 'The cache is at most Standard C3 or Balanced B5.',
    reason:
      'Article ch. 6, "Redis Cache Optimization": Premium made no difference to it; what a cache does not hold, the ledger answers.',
    change: 'Choose adit:redis: standard-c3 or managed-b5 at most.',
    applies: appliesTo(CACHES),
    check: (resource) => unmet(CACHES, resource),
  },
  {
    kind: 'resource',
    name: 'approved-plan-sku',
    area: 'cost',
    level: ALWAYS,
    what: 'Plans are Flex Consumption or Consumption; a host of sockets is at most B1.',
    reason: 'Article ch. 6, "Function App Optimization"; an instance that waits is paid like one that works.',
    change: 'Use sku FC1 for functions, B1 at most for a listener.',
    applies: (type) => shortType(type) === PLAN,
    check: (resource) => unmet([oneOf(PLAN, 'sku.name', PLANS)], resource),
  },
  {
    kind: 'resource',
    name: 'instance-memory',
    area: 'cost',
    level: ALWAYS,
    what: `An instance has at most ${INSTANCE_MEMORY_MAX_MB} MB.`,
    reason:
      'Article ch. 6, "Memory optimization"; execution is paid by memory times time, and this work waits for an API.',
    change: 'Set adit:instanceMemoryMb to 512 or 2048.',
    applies: (type) => shortType(type) === APP,
    check: (resource) => unmet(MEMORY, resource),
  },
  {
    kind: 'resource',
    name: 'no-always-ready',
    area: 'cost',
    level: ALWAYS,
    what: 'No instance is paid while it waits, but one for each miner of the realtime lane.',
    reason:
      'Microsoft, "Flex Consumption plan, billing", 2026: an always ready 2 GB instance is $21.02 a month without work.',
    change: 'Take alwaysReady out, or put the miner into the realtime lane.',
    applies: (type) => shortType(type) === APP,
    check: alwaysReady,
  },
  {
    kind: 'resource',
    name: 'instance-limit',
    area: 'cost',
    level: ALWAYS,
    what: `A function scales to at most ${INSTANCES_MAX.dev} instances in dev, ${INSTANCES_MAX.prod} in prod.`,
    reason: 'Article ch. 1, "The Marker Message Infinite Loop"; a loop scales until a limit stops it.',
    change: 'Set adit:instanceLimit.',
    applies: (type) => shortType(type) === APP,
    check: (resource, stack) => unmet(instancesWithin(stack), resource),
  },
  {
    kind: 'resource',
    name: 'dev-sizes',
    area: 'cost',
    level: ALWAYS,
    what: 'A dev stack has dev sizes: the smallest caches, one node, storage in one zone.',
    reason: 'Article ch. 6, "Infrastructure Right-Sizing"; nobody notices the bill of a stack that nobody uses.',
    change: 'Take the size out of Pulumi.dev.yaml, so that the default of dev counts.',
    notApplicable: ({ stage }) => (stage === 'dev' ? undefined : 'it is no dev stack'),
    applies: appliesTo(DEV_SIZES),
    check: (resource) => unmet(DEV_SIZES, resource),
  },
];
