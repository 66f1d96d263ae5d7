import type { RegisteredResource } from '../../infra/preview/registered-resource.ts';
import type { Json, JsonObject } from '../../infra/preview/wire-value.ts';
import type { Stage } from '../../policies/stack.ts';

/** A change that nobody should be able to merge. */
export interface BadChange {
  readonly what: string;
  readonly stage: Stage;
  /** The rule that must refuse it. */
  readonly rule: string;
  /** In `Pulumi.<stack>.yaml`. */
  readonly config?: Readonly<Record<string, string>>;
  /** In the program: what it would register instead. */
  readonly program?: (resources: readonly RegisteredResource[]) => readonly RegisteredResource[];
}

type Edit = NonNullable<BadChange['program']>;

/** Other inputs of the resources of a type, or of one of them. */
function edited(type: string, edit: (inputs: JsonObject) => JsonObject, name?: string): Edit {
  return (resources) =>
    resources.map((one) =>
      one.type === `azure-native:${type}` && (name ?? one.name) === one.name
        ? { ...one, inputs: edit(one.inputs) }
        : one,
    );
}

function set(type: string, path: string, value: Json, name?: string): Edit {
  return edited(type, (inputs) => withValue(inputs, path.split('.'), value), name);
}

function withValue(inputs: JsonObject, [key = '', ...rest]: readonly string[], value: Json): JsonObject {
  return { ...inputs, [key]: rest.length === 0 ? value : withValue(inputs[key] as JsonObject, rest, value) };
}

function without(type: string, name?: string): Edit {
  return (resources) =>
    resources.filter((one) => one.type !== `azure-native:${type}` || (name ?? one.name) !== one.name);
}

function added(type: string, inputs: JsonObject): Edit {
  return (resources) => {
    const [first] = resources;
    if (first === undefined) throw new Error('the program registers nothing');
    const token = `azure-native:${type}`;
    const options = { ...first.options, protect: true, propertyDependencies: {}, dependsOn: [] };
    return [
      ...resources,
      { ...first, type: token, name: 'added', urn: `urn:pulumi:s::adit::${token}::added`, inputs, options },
    ];
  };
}

const OWNER_ROLE = '/providers/Microsoft.Authorization/roleDefinitions/8e3af657-a8ff-443c-a75c-2fe8c4bcb635';
const MEMORY = 'functionAppConfig.scaleAndConcurrency.instanceMemoryMB';

/** Each is refused by the rule beside it. */
export const BAD_CHANGES: readonly BadChange[] = [
  {
    what: 'a Premium Service Bus',
    stage: 'prod',
    rule: 'approved-bus-sku',
    program: set('servicebus:Namespace', 'sku', { name: 'Premium', tier: 'Premium', capacity: 1 }),
  },
  {
    what: 'a Premium P1 Redis, as the article began with',
    stage: 'prod',
    rule: 'approved-cache-sku',
    program: set('redis:Redis', 'sku', { name: 'Premium', family: 'P', capacity: 1 }),
  },
  {
    what: 'a dev stack with the cache of prod',
    stage: 'dev',
    rule: 'dev-sizes',
    config: { 'adit:redis': 'managed-b5' },
  },
  { what: 'instances of 4 GB', stage: 'prod', rule: 'instance-memory', config: { 'adit:instanceMemoryMb': '4096' } },
  {
    what: 'instances of 4 GB, in the program',
    stage: 'dev',
    rule: 'instance-memory',
    program: set('web:WebApp', MEMORY, 4096),
  },
  {
    what: 'a thousand instances',
    stage: 'prod',
    rule: 'instance-limit',
    program: set('web:WebApp', 'functionAppConfig.scaleAndConcurrency.maximumInstanceCount', 1000),
  },
  {
    what: 'an instance that is always ready for nobody',
    stage: 'prod',
    rule: 'no-always-ready',
    program: set('web:WebApp', 'functionAppConfig.scaleAndConcurrency.alwaysReady', [
      { name: 'http', instanceCount: 2 },
    ]),
  },
  {
    what: 'a workload that the budget does not carry',
    stage: 'prod',
    rule: 'stack-within-budget',
    config: { 'adit:workload': '{"users":5000,"callsPerDay":20000000}' },
  },
  {
    what: 'a budget below the bill',
    stage: 'prod',
    rule: 'stack-within-budget',
    config: { 'adit:monthlyBudgetUsd': '400' },
  },
  { what: 'no budget', stage: 'dev', rule: 'budget-exists', program: without('consumption:Budget') },
  {
    what: 'a virtual machine that nobody has priced',
    stage: 'dev',
    rule: 'everything-is-priced',
    program: added('compute:VirtualMachine', {}),
  },
  {
    what: 'a cap of 50 GB of logs a day',
    stage: 'prod',
    rule: 'log-cap',
    program: set('operationalinsights:Workspace', 'workspaceCapping.dailyQuotaGb', 50),
  },
  {
    what: 'logs that are kept for two years',
    stage: 'prod',
    rule: 'log-retention',
    program: set('operationalinsights:Workspace', 'retentionInDays', 730),
  },
  {
    what: 'a bus without an owner',
    stage: 'prod',
    rule: 'cost-tags',
    program: set('servicebus:Namespace', 'tags', {}),
  },
  {
    what: 'a public blob container',
    stage: 'prod',
    rule: 'no-public-blobs',
    program: set('storage:BlobContainer', 'publicAccess', 'Blob', 'lake'),
  },
  {
    what: 'keys of the storage account',
    stage: 'prod',
    rule: 'no-shared-keys',
    program: set('storage:StorageAccount', 'allowSharedKeyAccess', true),
  },
  {
    what: 'a connection string in a setting',
    stage: 'prod',
    rule: 'identity-not-connection-string',
    program: set('web:WebAppApplicationSettings', 'properties.AzureWebJobsStorage', 'AccountName=a;AccountKey=b'),
  },
  {
    what: 'the sealing keys in plain text',
    stage: 'prod',
    rule: 'no-plain-secret',
    program: set('web:WebAppApplicationSettings', 'properties.ADIT_SEALING_KEYS', 'k1:AAAA'),
  },
  {
    what: 'TLS 1.0',
    stage: 'dev',
    rule: 'tls-minimum',
    program: set('storage:StorageAccount', 'minimumTlsVersion', 'TLS1_0'),
  },
  {
    what: "Redis's port without TLS",
    stage: 'prod',
    rule: 'no-plain-redis-port',
    program: set('redis:Redis', 'enableNonSslPort', true),
  },
  {
    what: 'the role Owner',
    stage: 'prod',
    rule: 'least-roles',
    program: set('authorization:RoleAssignment', 'roleDefinitionId', OWNER_ROLE, 'functions-bus'),
  },
  {
    what: 'a queue without dead-lettering',
    stage: 'prod',
    rule: 'queue-dead-letters',
    program: set('servicebus:Queue', 'deadLetteringOnMessageExpiration', false, 'chats-mining-queue'),
  },
  {
    what: 'a queue whose depth nobody watches',
    stage: 'prod',
    rule: 'queue-has-alert',
    program: without('monitor:MetricAlert', 'depth-realtime'),
  },
  {
    what: 'an alert without a playbook',
    stage: 'dev',
    rule: 'alert-has-playbook',
    program: set('monitor:MetricAlert', 'description', 'Look at it.', 'redis-load'),
  },
  {
    what: 'a data type without its queue',
    stage: 'prod',
    rule: 'catalog-entities',
    program: without('servicebus:Queue', 'fans-mining-queue'),
  },
  {
    what: 'a queue that is in no catalog',
    stage: 'dev',
    rule: 'catalog-entities',
    program: added('servicebus:Queue', { queueName: 'left-over', namespaceName: 'adit7-dev-bus' }),
  },
  {
    what: 'a lake without a lifecycle',
    stage: 'prod',
    rule: 'lake-lifecycle',
    program: without('storage:ManagementPolicy'),
  },
  {
    what: 'a ledger that can be deleted',
    stage: 'prod',
    rule: 'data-is-protected',
    program: (all) =>
      all.map((one) => ({
        ...one,
        options: { ...one.options, protect: one.options.protect && one.name !== 'adititems' },
      })),
  },
  {
    what: 'an exception that expired',
    stage: 'dev',
    rule: 'exceptions-count',
    config: { 'adit:exceptions': '[{"policy":"log-cap","owner":"ada","reason":"a backfill","expires":"2026-01-31"}]' },
  },
];
