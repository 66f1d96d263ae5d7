import { entitiesOf } from '../runtime/core/route.ts';
import { LAKE_CONTAINER } from '../runtime/core/storage-names.ts';
import { SETTINGS, variableOf } from '../runtime/settings.ts';
import { appliesTo, type Expectation, exactly, oneOf, shortType, unmet, within } from './expectation.ts';
import { type Inputs, isInputs, look, shown, UNKNOWN } from './inputs.ts';
import { lakeAccount } from './lake.ts';
import { ALWAYS, type Finding, type Resource, type Rule, unseen } from './rule.ts';
import type { Stack } from './stack.ts';

/** Only prod must survive what dev may die of. */
function onlyProd({ stage }: Stack): string | undefined {
  return stage === 'prod' ? undefined : 'a dev stack may be lost';
}

/** What a service gives without a price: nothing may turn it off. */
const FREE_ZONES: readonly Expectation[] = [
  { type: 'servicebus:Namespace', path: 'zoneRedundant', isFine: (value) => value !== false, must: 'absent or true' },
  {
    type: 'redis:Redis',
    path: 'zonalAllocationPolicy',
    isFine: (value) => value !== 'NoZones',
    must: 'absent or Automatic',
  },
];

const REPLICAS: readonly Expectation[] = [
  oneOf('redis:Redis', 'sku.name', ['Standard', 'Premium']),
  exactly('redisenterprise:RedisEnterprise', 'highAvailability', 'Enabled'),
  {
    type: 'redisenterprise:RedisEnterprise',
    path: 'sku.name',
    isFine: (value) => value !== 'Balanced_B0' && value !== 'Balanced_B1',
    must: 'no burstable size',
  },
];

const EVICTION: readonly Expectation[] = [
  oneOf('redis:Redis', 'redisConfiguration.maxmemoryPolicy', ['volatile-lru', 'volatile-lfu', 'volatile-ttl']),
  oneOf('redisenterprise:Database', 'evictionPolicy', ['VolatileLRU', 'VolatileTTL']),
];

const VAULT_DAYS_MIN = 7;
const VAULT: readonly Expectation[] = [
  {
    type: 'keyvault:Vault',
    path: 'properties.enableSoftDelete',
    isFine: (value) => value !== false,
    must: 'absent or true',
  },
  within('keyvault:Vault', 'properties.softDeleteRetentionInDays', VAULT_DAYS_MIN, 90),
];
const PROD_VAULT: readonly Expectation[] = [
  ...VAULT,
  exactly('keyvault:Vault', 'properties.enablePurgeProtection', true),
];

/** Types that hold data wherever they stand. */
const HOLDERS = new Set(['resources:ResourceGroup', 'keyvault:Vault', 'keyvault:Secret', 'storage:Table']);
const BUS_NAMES: Readonly<Record<string, string>> = {
  'servicebus:Queue': 'queueName',
  'servicebus:Topic': 'topicName',
  'servicebus:Subscription': 'topicName',
};

/** What would be lost with it: data, or messages that wait. Entities of a miner that retires may go. */
function holdsData(resource: Resource, lake: Resource | undefined, keptNames: ReadonlySet<string>): boolean {
  const type = shortType(resource.type);
  if (HOLDERS.has(type) || resource.urn === lake?.urn) return true;
  if (type === 'storage:BlobContainer') return look(resource.inputs, 'containerName') === LAKE_CONTAINER;
  const name = look(resource.inputs, BUS_NAMES[type] ?? '');
  return typeof name === 'string' && keptNames.has(name);
}

function unprotected(resources: readonly Resource[], { miners }: Stack): readonly Finding[] {
  const lake = lakeAccount(resources);
  const kept = new Set(entitiesOf(miners.filter(({ retired }) => retired !== true)).map(({ name }) => name));
  return resources
    .filter((resource) => !resource.isProtected && holdsData(resource, lake, kept))
    .map(({ urn }) => ({ urn, message: 'it holds data and is not protected' }));
}

function lakeZones(resources: readonly Resource[]): readonly Finding[] {
  const account = lakeAccount(resources);
  return account === undefined
    ? []
    : unmet(
        [oneOf('storage:StorageAccount', 'sku.name', ['Standard_ZRS', 'Standard_GZRS', 'Standard_RAGZRS'])],
        account,
      );
}

const TIMEOUT_SETTING = 'AzureFunctionsJobHost__functionTimeout';
const TIMEOUT_MAX_MS = 1_800_000;

/** `hh:mm:ss` in ms; undefined for anything else, such as -1 for no limit. */
function clockMs(text: unknown): number | undefined {
  const parts = typeof text === 'string' ? /^(\d{2}):(\d{2}):(\d{2})$/.exec(text) : null;
  if (parts === null) return undefined;
  const [hours = 0, minutes = 0, seconds = 0] = parts.slice(1).map(Number);
  return ((hours * 60 + minutes) * 60 + seconds) * 1000;
}

/** The setting of the app counts before host.json of the package that is deployed. */
function timeouts(resources: readonly Resource[], { hostJson }: Stack): readonly Finding[] {
  const settings = resources.find(({ type }) => shortType(type) === 'web:WebAppApplicationSettings');
  const code = resources.find(
    ({ inputs }) => inputs['archivePath'] !== undefined && inputs['archiveHash'] !== undefined,
  );
  if (code === undefined) return [{ urn: undefined, message: 'no package of functions is deployed' }];
  const values = settings === undefined ? {} : (look(settings.inputs, 'properties') ?? {});
  const variables: Inputs = isInputs(values) ? values : {};
  const override = variables[TIMEOUT_SETTING];
  if (override === UNKNOWN) return [unseen(settings ?? code, TIMEOUT_SETTING)];
  const path = look(code.inputs, 'archivePath');
  const packed = override === undefined && typeof path === 'string' ? hostJson(path) : undefined;
  if (override === undefined && packed === undefined) return [unseenPackage(code)];
  const text = override ?? (packed as Readonly<Record<string, unknown>>)['functionTimeout'];
  const limitMs = clockMs(text);
  const sliceMs = Number(variables[variableOf('sliceMs')] ?? SETTINGS.sliceMs.cloud);
  if (limitMs !== undefined && limitMs > sliceMs && limitMs <= TIMEOUT_MAX_MS) return [];
  const message = `functionTimeout must be longer than a slice (${sliceMs} ms) and at most 30 minutes, is ${shown(typeof text === 'string' ? text : undefined)}`;
  return [{ urn: override === undefined ? code.urn : settings?.urn, message }];
}

function unseenPackage({ urn }: Resource): Finding {
  return { urn, message: 'could not see host.json in the package of the functions', level: 'advisory' };
}

/** What must survive a restart, a zone or a slip of the hand. */
export const RELIABILITY_RULES: readonly Rule[] = [
  {
    kind: 'stack',
    name: 'function-timeout',
    area: 'reliability',
    level: ALWAYS,
    what: 'A function has a timeout that is longer than a slice and at most 30 minutes.',
    reason:
      'Article ch. 5, "Performance Tuning Cheat Sheet": 10 minutes; a function that hangs is paid until somebody looks.',
    change: 'Set functionTimeout in infra/host-json.ts.',
    check: timeouts,
  },
  {
    kind: 'resource',
    name: 'free-zone-redundancy',
    area: 'reliability',
    level: ALWAYS,
    what: 'Zone redundancy that costs nothing is not turned off.',
    reason: 'Microsoft, "Reliability in Azure Service Bus", 2026: it is on and free in every tier.',
    change: 'Take zoneRedundant: false or zonalAllocationPolicy: NoZones out.',
    applies: appliesTo(FREE_ZONES),
    check: (resource) => unmet(FREE_ZONES, resource),
  },
  {
    kind: 'stack',
    name: 'lake-survives-a-zone',
    area: 'reliability',
    level: ALWAYS,
    what: 'In prod, ledger and lake are written in three zones.',
    reason: 'A claim that is lost is an item that is mined twice.',
    change: 'Use Standard_ZRS for the account of the lake.',
    notApplicable: onlyProd,
    check: lakeZones,
  },
  {
    kind: 'resource',
    name: 'cache-has-replica',
    area: 'reliability',
    level: ALWAYS,
    what: 'In prod, the cache has two nodes and does not run on credits.',
    reason: 'Article ch. 3, "The Redis Memory Crisis"; without the cache every checkpoint is a read of the ledger.',
    change: 'Use Standard, or Managed Redis from B3 with highAvailability Enabled.',
    notApplicable: onlyProd,
    applies: appliesTo(REPLICAS),
    check: (resource) => unmet(REPLICAS, resource),
  },
  {
    kind: 'resource',
    name: 'cache-evicts-old-checkpoints',
    area: 'reliability',
    level: ALWAYS,
    what: 'A full cache drops what nobody has used for longest: old checkpoints, long before budgets and breakers.',
    reason: 'Article ch. 3, "The Redis Memory Crisis": a full cache was "evicting critical checkpoint data".',
    change: 'Set maxmemoryPolicy to volatile-lru, evictionPolicy to VolatileLRU.',
    applies: appliesTo(EVICTION),
    check: (resource) => unmet(EVICTION, resource),
  },
  {
    kind: 'resource',
    name: 'vault-can-be-brought-back',
    area: 'reliability',
    level: ALWAYS,
    what: 'A deleted vault can be brought back for a week at least; in prod nobody can purge it.',
    reason: "Without the sealing keys every user's token is lost.",
    change: 'Keep enableSoftDelete, 7 to 90 days, and enablePurgeProtection in prod.',
    applies: appliesTo(VAULT),
    check: (resource, { stage }) => unmet(stage === 'prod' ? PROD_VAULT : VAULT, resource),
  },
  {
    kind: 'stack',
    name: 'data-is-protected',
    area: 'reliability',
    level: ALWAYS,
    what: 'In prod, whatever holds data or messages cannot be deleted.',
    reason: 'A slip of the keyboard must not cost what took months to mine.',
    change: 'Give it the option protect; adit:stage prod does so.',
    notApplicable: onlyProd,
    check: unprotected,
  },
];
