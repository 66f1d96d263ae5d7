import { describe, expect, it } from 'vitest';
import type { FakeAzure } from './provider/azure.ts';
import type { Inputs } from './provider/resource-kind.ts';
import { azureBefore, criteria, functionApp, lifecycle, SAMPLES } from './provider/sample-resources.ts';

/** Everything that check and create say against a sample with changes, in an Azure where all that it needs exists. */
function complaintAbout(kind: string, changes: Inputs, prepare?: (azure: FakeAzure) => void): string {
  const azure = azureBefore(kind);
  prepare?.(azure);
  const token = `azure-native:${kind}`;
  const wanted = Object.fromEntries(
    Object.entries({ ...SAMPLES[kind], ...changes }).filter(([, value]) => value !== undefined),
  );
  const { inputs, misfits } = azure.check(token, 'sample', wanted, {});
  if (misfits.length > 0) return misfits.map(({ reason }) => reason).join('\n');
  try {
    azure.create(token, inputs);
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

const long = (length: number): string => 'x'.repeat(length);

describe('the fake Azure takes', () => {
  it.each(Object.keys(SAMPLES))('a good %s', (kind) => {
    expect(complaintAbout(kind, {})).toBe('');
  });

  it('values that are not known yet, whatever the rule', () => {
    const unknown = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
    const azure = azureBefore();
    const inputs = { ...SAMPLES['servicebus:Queue'], namespaceName: unknown, maxDeliveryCount: unknown };
    expect(azure.check('azure-native:servicebus:Queue', 'a', inputs, {}).misfits).toEqual([]);
  });
});

/** Kind, changes, what is said. */
type Refused = readonly [kind: string, changes: Inputs, complaint: RegExp];

const BY_TYPES: readonly Refused[] = [
  ['servicebus:Queue', { lockDurations: 'PT5M' }, /unknown property 'lockDurations'/],
  ['servicebus:Queue', { namespaceName: undefined }, /missing required property 'namespaceName'/],
  ['servicebus:Queue', { maxDeliveryCount: '10' }, /'maxDeliveryCount' must be a number/],
  ['servicebus:Namespace', { sku: { tier: 'Standard' } }, /missing required property 'sku.name'/],
  ['servicebus:Namespace', { sku: { name: 'Standard', tear: 'x' } }, /unknown property 'sku.tear'/],
  ['servicebus:Namespace', { sku: { name: 'Huge' } }, /'sku.name' must be one of Basic, Standard, Premium/],
  ['redisenterprise:RedisEnterprise', { publicNetworkAccess: undefined }, /missing required .*publicNetworkAccess/],
  ['redisenterprise:RedisEnterprise', { sku: { name: 'Balanced_B4' } }, /'sku.name' must be one of/],
  ['monitor:MetricAlert', { criteria: { allOf: [] } }, /missing required property 'criteria.odataType'/],
  ['web:WebAppApplicationSettings', { properties: { A: 1 } }, /'properties.A' must be a string/],
];

const BY_NAMES: readonly Refused[] = [
  ['resources:ResourceGroup', { resourceGroupName: 'ends.with.' }, /1 to 90/],
  ['servicebus:Namespace', { namespaceName: 'short' }, /6 to 50/],
  ['servicebus:Namespace', { namespaceName: 'sample-mgmt' }, /6 to 50/],
  ['servicebus:Queue', { queueName: long(261) }, /1 to 260/],
  ['servicebus:Subscription', { subscriptionName: long(51) }, /1 to 50/],
  ['storage:StorageAccount', { accountName: 'sample-store' }, /3 to 24 lower-case/],
  ['storage:BlobContainer', { containerName: 'Packages' }, /3 to 63 lower-case/],
  ['storage:Table', { tableName: '1items' }, /beginning with a letter/],
  ['redis:Redis', { name: 'a--b' }, /single hyphens/],
  ['redisenterprise:Database', { databaseName: 'mine' }, /'default'/],
  ['redisenterprise:AccessPolicyAssignment', { accessPolicyAssignmentName: 'my-app' }, /1 to 60 letters and digits/],
  ['keyvault:Vault', { vaultName: long(25) }, /3 to 24/],
  ['managedidentity:UserAssignedIdentity', { resourceName: 'ab' }, /3 to 128/],
  ['authorization:RoleAssignment', { roleAssignmentName: 'mine' }, /a GUID/],
  ['operationalinsights:Workspace', { workspaceName: 'abc' }, /4 to 63/],
  ['applicationinsights:Component', { resourceName: 'a/b' }, /1 to 260/],
  ['applicationinsights:Workbook', { resourceName: 'mine' }, /a GUID/],
  ['web:AppServicePlan', { name: 'a_b' }, /1 to 60/],
  ['web:WebApp', { name: 'a' }, /2 to 60/],
  ['monitor:ActionGroup', { actionGroupName: 'a:b' }, /1 to 260/],
  ['monitor:MetricAlert', { ruleName: 'depth?' }, /1 to 260/],
  ['consumption:Budget', { budgetName: 'a b' }, /1 to 63/],
];

const BY_SERVICE: readonly Refused[] = [
  ['servicebus:Namespace', { minimumTlsVersion: '1.1' }, /TLS 1.0 and 1.1 are retired/],
  ['servicebus:Namespace', { premiumMessagingPartitions: 1 }, /Premium tier only/],
  ['servicebus:Queue', { lockDuration: 'PT6M' }, /LockDuration|lockDuration/],
  ['servicebus:Queue', { lockDuration: '5 minutes' }, /no ISO 8601 duration/],
  ['servicebus:Queue', { duplicateDetectionHistoryTimeWindow: 'P8D' }, /20\.\.604800 seconds/],
  ['servicebus:Queue', { autoDeleteOnIdle: 'PT1M' }, /300 or more/],
  ['servicebus:Queue', { maxDeliveryCount: 0 }, /1\.\.2000/],
  ['servicebus:Queue', { forwardTo: 'nowhere' }, /'nowhere' does not exist/],
  ['servicebus:Subscription', { requiresSession: true }, /Auto-forwarding is not supported/],
  ['storage:StorageAccount', { minimumTlsVersion: 'TLS1_0' }, /TLS1_2 or higher/],
  ['storage:BlobServiceProperties', { deleteRetentionPolicy: { enabled: true, days: 400 } }, /1\.\.365/],
  ['storage:BlobContainer', { publicAccess: 'Blob' }, /PublicAccessNotPermitted/],
  ['storage:ManagementPolicy', { policy: lifecycle(90, 30) }, /more than those of 'tierToCool'/],
  ['redis:Redis', { sku: { name: 'Standard', family: 'P', capacity: 1 } }, /family must be C/],
  ['redis:Redis', { sku: { name: 'Standard', family: 'C', capacity: 7 } }, /0\.\.6/],
  ['redis:AccessPolicyAssignment', { accessPolicyName: 'default' }, /does not exist/],
  ['redisenterprise:RedisEnterprise', { sku: { name: 'Enterprise_E10' } }, /no longer supported/],
  ['redisenterprise:Database', { port: 6380 }, /must be 10000/],
  ['redisenterprise:AccessPolicyAssignment', { accessPolicyName: 'owner' }, /only 'default' does/],
  ['redisenterprise:AccessPolicyAssignment', { user: { objectId: 'me' } }, /no object id/],
  [
    'keyvault:Vault',
    { properties: { tenantId: 'other', sku: { family: 'A', name: 'standard' } } },
    /tenant of the vault is not/,
  ],
  [
    'keyvault:Vault',
    { properties: { ...(SAMPLES['keyvault:Vault']?.['properties'] as Inputs), softDeleteRetentionInDays: 6 } },
    /7\.\.90/,
  ],
  [
    'keyvault:Vault',
    { properties: { ...(SAMPLES['keyvault:Vault']?.['properties'] as Inputs), enablePurgeProtection: false } },
    /cannot be set to false/,
  ],
  ['operationalinsights:Workspace', { retentionInDays: 7 }, /30\.\.730/],
  ['operationalinsights:Workspace', { workspaceCapping: { dailyQuotaGb: 0.01 } }, /at least 0.023/],
  ['applicationinsights:Component', { workspaceResourceId: undefined }, /classic Application Insights is retired/],
  ['applicationinsights:Component', { retentionInDays: 31 }, /must be one of 30, 60/],
  ['applicationinsights:Workbook', { serializedData: '{' }, /must be JSON/],
  ['authorization:RoleAssignment', { principalId: 'me' }, /no principal id/],
  ['authorization:RoleAssignment', { principalType: 'ServicePrincipal' }, /PrincipalNotFound/],
  ['authorization:RoleAssignment', { roleDefinitionId: 'Owner' }, /RoleDefinitionDoesNotExist/],
];

const BY_APPS: readonly Refused[] = [
  ['web:AppServicePlan', { reserved: false }, /reserved must be true/],
  ['web:AppServicePlan', { sku: { name: 'FC1', tier: 'Dynamic' } }, /tier of FC1/],
  ['web:WebApp', { serverFarmId: '/nowhere' }, /Cannot find the server farm/],
  [
    'web:WebApp',
    { siteConfig: { http20Enabled: true, netFrameworkVersion: 'v4.6' } },
    /SiteConfig.NetFrameworkVersion is invalid/,
  ],
  ['web:WebApp', { kind: 'functionapp' }, /'functionapp,linux'/],
  ['web:WebApp', { functionAppConfig: undefined }, /FunctionAppConfig is required/],
  ['web:WebApp', { functionAppConfig: functionApp({ runtime: { version: '18' } }) }, /'node 18' is not offered/],
  ['web:WebApp', { functionAppConfig: functionApp({ scale: { instanceMemoryMB: 1024 } }) }, /none of 512, 2048, 4096/],
  ['web:WebApp', { functionAppConfig: functionApp({ scale: { maximumInstanceCount: 1001 } }) }, /1\.\.1000/],
  [
    'web:WebApp',
    { functionAppConfig: functionApp({ storage: { value: 'https://x/y' } }) },
    /'https:\/\/x\/y' does not exist/,
  ],
  [
    'web:WebApp',
    { functionAppConfig: functionApp({ storage: { type: 'share' } }) },
    /must be one of|must be 'blobContainer'/,
  ],
  [
    'web:WebApp',
    { functionAppConfig: functionApp({ storage: { authentication: { type: 'StorageAccountConnectionString' } } }) },
    /entered with an identity/,
  ],
  ['web:WebApp', { identity: { type: 'None' } }, /is not assigned to the app/],
  [
    'web:WebAppApplicationSettings',
    { properties: { FUNCTIONS_WORKER_RUNTIME: 'node' } },
    /FUNCTIONS_WORKER_RUNTIME.* is invalid/,
  ],
  [
    'web:WebAppApplicationSettings',
    { properties: { WEBSITE_RUN_FROM_PACKAGE: '1' } },
    /WEBSITE_RUN_FROM_PACKAGE.* is invalid/,
  ],
  ['web:WebAppApplicationSettings', { properties: { 'A:B': '1' } }, /Use '__' instead of ':'/],
  [
    'web:WebAppApplicationSettings',
    { properties: { A: '@Microsoft.KeyVault(VaultName=sample-vault;SecretName=other)' } },
    /refers to a secret that does not exist/,
  ],
];

const BY_WATCHING: readonly Refused[] = [
  ['monitor:ActionGroup', { groupShortName: long(13) }, /1 to 12 characters/],
  [
    'monitor:ActionGroup',
    { emailReceivers: [1, 2].map((at) => ({ name: 'me', emailAddress: `${at}@example.com` })) },
    /'me' occurs twice/,
  ],
  ['monitor:MetricAlert', { location: 'eastus' }, /use 'global'/],
  ['monitor:MetricAlert', { severity: 5 }, /0\.\.4/],
  ['monitor:MetricAlert', { evaluationFrequency: 'PT2M' }, /'PT2M' is none of/],
  ['monitor:MetricAlert', { windowSize: 'PT1M', evaluationFrequency: 'PT5M' }, /not be shorter/],
  ['monitor:MetricAlert', { scopes: ['/nowhere'] }, /'\/nowhere' was not found/],
  ['monitor:MetricAlert', { actions: [{ actionGroupId: '/nowhere' }] }, /action group '\/nowhere'/],
  [
    'monitor:MetricAlert',
    { criteria: criteria({ metricName: 'OldestMessageAge' }) },
    /'OldestMessageAge' does not exist/,
  ],
  [
    'monitor:MetricAlert',
    { criteria: criteria({ metricNamespace: 'Microsoft.Nothing' }) },
    /'Microsoft.Nothing' does not exist/,
  ],
  ['monitor:MetricAlert', { criteria: criteria({ timeAggregation: 'Total' }) }, /aggregation 'Total'/],
  [
    'monitor:MetricAlert',
    { criteria: criteria({ dimensions: [{ name: 'Queue', operator: 'Include', values: ['a'] }] }) },
    /no dimension 'Queue'/,
  ],
  [
    'monitor:MetricAlert',
    { criteria: criteria({ metricNamespace: 'Microsoft.Cache/redis', metricName: 'allserverLoad' }) },
    /metric is one of|but the metric/,
  ],
  [
    'monitor:MetricAlert',
    { criteria: criteria({ metricNamespace: 'Microsoft.Cache/redisEnterprise', metricName: 'serverLoad' }) },
    /grain of PT5M/,
  ],
  ['consumption:Budget', { timePeriod: { startDate: '2020-01-01T00:00:00Z' } }, /before the current month/],
  ['consumption:Budget', { timePeriod: { startDate: '2099-01-02T00:00:00Z' } }, /first day of a month/],
  ['consumption:Budget', { amount: 0 }, /more than 0/],
  [
    'consumption:Budget',
    { notifications: { half: { enabled: true, operator: 'GreaterThan', threshold: 50, contactEmails: [] } } },
    /tells nobody/,
  ],
];

describe('the fake Azure refuses', () => {
  it.each([...BY_TYPES, ...BY_NAMES, ...BY_SERVICE, ...BY_APPS, ...BY_WATCHING])(
    '%s with %j',
    (kind, changes, complaint) => {
      expect(complaintAbout(kind, changes)).toMatch(complaint);
    },
  );
});
