import type { Value } from '../../policies/inputs.ts';
import type { Stage } from '../../policies/stack.ts';

/** A resource of the real program with one wrong input, and the rules that must say so. */
export interface Mutation {
  /** Rules; ` (advisory)` marks those that only say it. */
  readonly fires: readonly string[];
  /** Without `azure-native:`. */
  readonly type: string;
  /** Default: the first of the type. */
  readonly name?: string;
  readonly path: string;
  /** Undefined: the input is taken out. */
  readonly to: Value | undefined;
  /** Default: both. */
  readonly stage?: Stage;
}

const SCALE = 'functionAppConfig.scaleAndConcurrency';
const QUEUE = 'servicebus:Queue';
const SUBSCRIPTION = 'servicebus:Subscription';
const REDIS = 'redis:Redis';
const MANAGED = 'redisenterprise:RedisEnterprise';
const DATABASE = 'redisenterprise:Database';
const APP = 'web:WebApp';
const SETTINGS = 'web:WebAppApplicationSettings';
const ACCOUNT = 'storage:StorageAccount';
const ALERT = 'monitor:MetricAlert';
const ROLE = 'authorization:RoleAssignment';
const BUS = 'servicebus:Namespace';
const ROLES = '/subscriptions/00000000-0000-0000-0000-000000000000/providers/Microsoft.Authorization/roleDefinitions/';

function flip(
  fires: string | readonly string[],
  type: string,
  path: string,
  to: Value | undefined,
  more: Partial<Mutation> = {},
): Mutation {
  return { fires: typeof fires === 'string' ? [fires] : fires, type, path, to, ...more };
}

const TAGGED = [
  'resources:ResourceGroup',
  BUS,
  ACCOUNT,
  'web:AppServicePlan',
  APP,
  'keyvault:Vault',
  'operationalinsights:Workspace',
  'applicationinsights:Component',
  'applicationinsights:Workbook',
  'managedidentity:UserAssignedIdentity',
  'monitor:ActionGroup',
  ALERT,
];

/** Every input that a rule guards, flipped. */
export const MUTATIONS: readonly Mutation[] = [
  // Cost.
  flip(['approved-bus-sku', 'sku-fits-workload (advisory)'], BUS, 'sku.name', 'Premium'),
  flip(['approved-bus-sku', 'sku-fits-workload (advisory)'], BUS, 'sku.name', 'Basic'),
  flip(['approved-cache-sku', 'everything-is-priced'], REDIS, 'sku.family', 'P', { stage: 'prod' }),
  // The committed prod stack has a recorded reason for the size of its cache.
  flip(['approved-cache-sku', 'sku-fits-workload (advisory)'], REDIS, 'sku.capacity', 4, { stage: 'prod' }),
  flip(
    ['approved-cache-sku', 'dev-sizes', 'everything-is-priced', 'sku-fits-workload'],
    MANAGED,
    'sku.name',
    'Balanced_B10',
    { stage: 'dev' },
  ),
  flip(['dev-sizes', 'sku-fits-workload'], MANAGED, 'sku.name', 'Balanced_B3', { stage: 'dev' }),
  flip('dev-sizes', MANAGED, 'highAvailability', 'Enabled', { stage: 'dev' }),
  // A zone-redundant account has no archive tier, so its archive has no price.
  flip(['dev-sizes', 'everything-is-priced'], ACCOUNT, 'sku.name', 'Standard_ZRS', { stage: 'dev', name: 'data' }),
  flip('approved-plan-sku', 'web:AppServicePlan', 'sku.name', 'P1v3'),
  flip('no-retired-service (advisory)', 'web:AppServicePlan', 'sku.name', 'Y1'),
  flip(['instance-memory', 'sku-fits-workload (advisory)'], APP, `${SCALE}.instanceMemoryMB`, 4096),
  flip('instance-limit', APP, `${SCALE}.maximumInstanceCount`, 1000),
  flip('instance-limit', APP, `${SCALE}.maximumInstanceCount`, undefined),
  flip('no-always-ready', APP, `${SCALE}.alwaysReady`, [{ name: 'http', instanceCount: 1 }]),
  flip('no-always-ready', APP, `${SCALE}.alwaysReady`, [{ name: 'function:mineFans', instanceCount: 1 }]),
  flip('budget-exists', 'consumption:Budget', 'amount', 1),
  flip('budget-exists', 'consumption:Budget', 'timeGrain', 'Annually'),
  flip('budget-exists', 'consumption:Budget', 'notifications.Forecasted-100.enabled', false),
  flip('budget-exists', 'consumption:Budget', 'notifications.Forecasted-100.contactEmails', []),
  flip('log-cap', 'operationalinsights:Workspace', 'workspaceCapping.dailyQuotaGb', -1),
  flip('log-cap', 'operationalinsights:Workspace', 'workspaceCapping', undefined),
  flip('log-retention', 'operationalinsights:Workspace', 'retentionInDays', 365),
  flip('log-retention', 'applicationinsights:Component', 'retentionInDays', 365),
  ...TAGGED.map((type) => flip('cost-tags', type, 'tags.owner', undefined)),
  flip('cost-tags', REDIS, 'tags.costCenter', 'cc-none', { stage: 'prod' }),
  flip('cost-tags', MANAGED, 'tags.stage', 'prod', { stage: 'dev' }),
  flip('lake-lifecycle', 'storage:ManagementPolicy', 'policy.rules.0.enabled', false),
  flip('lake-lifecycle', 'storage:ManagementPolicy', 'policy.rules.0.definition.filters.prefixMatch', ['other/']),
  flip(
    'lake-lifecycle',
    'storage:ManagementPolicy',
    'policy.rules.0.definition.actions.baseBlob.tierToCool',
    undefined,
  ),
  // Security.
  flip('no-local-auth', BUS, 'disableLocalAuth', false),
  flip('no-local-auth', 'applicationinsights:Component', 'disableLocalAuth', false),
  flip('no-local-auth', 'operationalinsights:Workspace', 'features.disableLocalAuth', false),
  flip('no-shared-keys', ACCOUNT, 'allowSharedKeyAccess', true),
  flip('no-shared-keys', ACCOUNT, 'allowSharedKeyAccess', undefined, { name: 'host' }),
  flip('no-shared-keys', REDIS, 'disableAccessKeyAuthentication', false, { stage: 'prod' }),
  flip('no-shared-keys', REDIS, 'redisConfiguration.aadEnabled', 'false', { stage: 'prod' }),
  flip('no-shared-keys', DATABASE, 'accessKeysAuthentication', 'Enabled', { stage: 'dev' }),
  flip('tls-minimum', BUS, 'minimumTlsVersion', '1.0'),
  flip('tls-minimum', ACCOUNT, 'minimumTlsVersion', 'TLS1_0'),
  flip('tls-minimum', REDIS, 'minimumTlsVersion', '1.1', { stage: 'prod' }),
  flip('tls-minimum', MANAGED, 'minimumTlsVersion', undefined, { stage: 'dev' }),
  flip('no-public-blobs', ACCOUNT, 'allowBlobPublicAccess', true),
  flip('no-public-blobs', 'storage:BlobContainer', 'publicAccess', 'Blob', { name: 'lake' }),
  flip('https-only', APP, 'httpsOnly', false),
  flip('https-only', ACCOUNT, 'enableHttpsTrafficOnly', false),
  flip('https-only', DATABASE, 'clientProtocol', 'Plaintext', { stage: 'dev' }),
  flip('no-plain-redis-port', REDIS, 'enableNonSslPort', true, { stage: 'prod' }),
  flip('vault-by-role', 'keyvault:Vault', 'properties.enableRbacAuthorization', false),
  flip('identity-not-connection-string', APP, 'identity.type', 'None'),
  flip(
    'identity-not-connection-string',
    APP,
    'functionAppConfig.deployment.storage.authentication.type',
    'StorageAccountConnectionString',
  ),
  flip(
    'identity-not-connection-string',
    SETTINGS,
    'properties.AzureWebJobsStorage',
    'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=x',
  ),
  flip(
    'identity-not-connection-string',
    SETTINGS,
    'properties.ServiceBus',
    'Endpoint=sb://a/;SharedAccessKeyName=k;SharedAccessKey=s',
  ),
  flip('identity-not-connection-string', APP, 'siteConfig.appSettings', [{ name: 'AzureWebJobsStorage', value: 'x' }]),
  flip('no-plain-secret', SETTINGS, 'properties.ADIT_SEALING_KEYS', 'k1:AAAA'),
  flip('no-plain-secret', SETTINGS, 'properties.UPSTREAM_API_KEY', 'abc'),
  flip(['least-roles', 'needed-roles'], ROLE, 'roleDefinitionId', `${ROLES}8e3af657-a8ff-443c-a75c-2fe8c4bcb635`),
  flip(['least-roles', 'needed-roles'], ROLE, 'roleDefinitionId', `${ROLES}b24988ac-6180-42a0-ab88-20f7382dd24c`),
  flip(['least-roles', 'needed-roles'], ROLE, 'roleDefinitionId', `${ROLES}18d7d88d-d35e-4fb5-a5c3-7773c20a72d9`),
  flip(['least-roles', 'needed-roles'], ROLE, 'roleDefinitionId', `${ROLES}11111111-2222-3333-4444-555555555555`),
  // A role of the vault on the bus.
  flip(['least-roles', 'needed-roles'], ROLE, 'roleDefinitionId', `${ROLES}4633458b-17de-408a-b874-0445c86b69e6`, {
    name: 'functions-bus',
  }),
  flip('least-roles', ROLE, 'scope', '/subscriptions/00000000-0000-0000-0000-000000000000'),
  flip(['needed-roles', 'no-people-in-prod'], ROLE, 'principalType', 'User', { stage: 'prod' }),
  // Reliability.
  flip('queue-dead-letters', QUEUE, 'deadLetteringOnMessageExpiration', false),
  flip('queue-dead-letters', SUBSCRIPTION, 'deadLetteringOnMessageExpiration', undefined),
  flip('queue-delivery-count', QUEUE, 'maxDeliveryCount', 1),
  flip('queue-delivery-count', SUBSCRIPTION, 'maxDeliveryCount', 500),
  flip('queue-lock-duration', QUEUE, 'lockDuration', 'PT30S'),
  flip('queue-sessions', QUEUE, 'requiresSession', true),
  flip('queue-duplicate-detection', QUEUE, 'requiresDuplicateDetection', true),
  flip('queue-duplicate-detection', 'servicebus:Topic', 'requiresDuplicateDetection', true),
  flip('queue-forwarding', SUBSCRIPTION, 'forwardTo', 'somewhere'),
  flip('queue-forwarding', QUEUE, 'forwardTo', 'somewhere'),
  flip('queue-has-alert', ALERT, 'criteria.allOf.0.dimensions.0.values', ['other'], { name: 'dead-letters' }),
  flip('queue-has-alert', ALERT, 'criteria.allOf.0.dimensions.0.values', ['fans-mining-queue'], { name: 'depth-bulk' }),
  flip(['alert-reaches-somebody', 'queue-has-alert'], ALERT, 'enabled', false, { name: 'depth-ingestion' }),
  flip('alert-reaches-somebody', ALERT, 'enabled', false, { name: 'redis-load' }),
  flip('alert-reaches-somebody', ALERT, 'severity', 4),
  flip('alert-reaches-somebody', ALERT, 'actions', []),
  flip('alert-reaches-somebody', 'monitor:ActionGroup', 'enabled', false),
  flip('alert-reaches-somebody', 'monitor:ActionGroup', 'emailReceivers', []),
  flip(['alert-has-playbook', 'playbook-alerts'], ALERT, 'description', 'Something is wrong.'),
  flip(['alert-has-playbook', 'playbook-alerts'], ALERT, 'description', 'See runtime/ops/PLAYBOOK.md#nowhere'),
  flip('function-timeout', SETTINGS, 'properties.AzureFunctionsJobHost__functionTimeout', '-1'),
  flip('function-timeout', SETTINGS, 'properties.AzureFunctionsJobHost__functionTimeout', '00:00:30'),
  flip('lake-soft-delete', 'storage:BlobServiceProperties', 'deleteRetentionPolicy.enabled', false),
  flip('lake-soft-delete', 'storage:BlobServiceProperties', 'containerDeleteRetentionPolicy.days', 1),
  flip('free-zone-redundancy', BUS, 'zoneRedundant', false),
  flip('free-zone-redundancy', REDIS, 'zonalAllocationPolicy', 'NoZones', { stage: 'prod' }),
  flip('lake-survives-a-zone', ACCOUNT, 'sku.name', 'Standard_LRS', { stage: 'prod', name: 'data' }),
  flip('cache-has-replica', REDIS, 'sku.name', 'Basic', { stage: 'prod' }),
  flip('cache-evicts-old-checkpoints', REDIS, 'redisConfiguration.maxmemoryPolicy', 'allkeys-lru', { stage: 'prod' }),
  flip('cache-evicts-old-checkpoints', DATABASE, 'evictionPolicy', 'NoEviction', { stage: 'dev' }),
  flip('vault-can-be-brought-back', 'keyvault:Vault', 'properties.enableSoftDelete', false),
  flip('vault-can-be-brought-back', 'keyvault:Vault', 'properties.softDeleteRetentionInDays', 1),
  flip('vault-can-be-brought-back', 'keyvault:Vault', 'properties.enablePurgeProtection', undefined, { stage: 'prod' }),
  // Completeness.
  flip('catalog-entities', QUEUE, 'queueName', 'other-queue'),
  flip('ledger-and-lake', 'storage:Table', 'tableName', 'aditother'),
  flip('ledger-and-lake', 'storage:BlobContainer', 'containerName', 'other', { name: 'packages' }),
  flip('app-settings', SETTINGS, 'properties.ADIT_LAKE_URL', undefined),
  flip('app-settings', SETTINGS, 'properties.ADIT_NO_SUCH_SETTING', '1'),
  flip('app-settings', SETTINGS, 'properties.FUNCTIONS_WORKER_RUNTIME', 'node'),
];
