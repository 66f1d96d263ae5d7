import { FakeAzure } from './azure.ts';
import type { Inputs } from './resource-kind.ts';

const SUBSCRIPTION = '/subscriptions/11111111-1111-4111-8111-111111111111';
const GROUP = `${SUBSCRIPTION}/resourceGroups/sample`;
const IDENTITY = `${GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/sample-identity`;
const NAMESPACE = `${GROUP}/providers/Microsoft.ServiceBus/namespaces/sample-bus`;
const inGroup = { resourceGroupName: 'sample' };
const inEast = { ...inGroup, location: 'eastus' };

/** The next month begins after now, whenever the test runs. */
const NEXT_MONTH = new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth() + 1, 1)).toISOString();

/** One good resource of each kind, by its type without `azure-native:`, in an order in which they can be created. */
export const SAMPLES: Readonly<Record<string, Inputs>> = {
  'resources:ResourceGroup': { resourceGroupName: 'sample', location: 'eastus' },
  'managedidentity:UserAssignedIdentity': { ...inEast, resourceName: 'sample-identity' },
  'servicebus:Namespace': {
    ...inEast,
    namespaceName: 'sample-bus',
    sku: { name: 'Standard', tier: 'Standard' },
    minimumTlsVersion: '1.2',
  },
  'servicebus:Queue': {
    ...inGroup,
    namespaceName: 'sample-bus',
    queueName: 'a-queue',
    lockDuration: 'PT5M',
    maxDeliveryCount: 10,
  },
  'servicebus:Topic': { ...inGroup, namespaceName: 'sample-bus', topicName: 'a-topic' },
  'servicebus:Subscription': {
    ...inGroup,
    namespaceName: 'sample-bus',
    topicName: 'a-topic',
    subscriptionName: 'lake',
    forwardTo: 'a-queue',
  },
  'storage:StorageAccount': {
    ...inEast,
    accountName: 'samplestore',
    kind: 'StorageV2',
    sku: { name: 'Standard_LRS' },
    allowSharedKeyAccess: false,
    minimumTlsVersion: 'TLS1_2',
  },
  'storage:BlobServiceProperties': {
    ...inGroup,
    accountName: 'samplestore',
    blobServicesName: 'default',
    isVersioningEnabled: true,
  },
  'storage:BlobContainer': { ...inGroup, accountName: 'samplestore', containerName: 'packages', publicAccess: 'None' },
  'storage:Table': { ...inGroup, accountName: 'samplestore', tableName: 'items' },
  'storage:ManagementPolicy': {
    ...inGroup,
    accountName: 'samplestore',
    managementPolicyName: 'default',
    policy: lifecycle(30, 180),
  },
  'redis:Redis': { ...inEast, name: 'sample-redis', sku: { name: 'Standard', family: 'C', capacity: 3 } },
  'redis:AccessPolicyAssignment': {
    ...inGroup,
    cacheName: 'sample-redis',
    accessPolicyAssignmentName: 'functions',
    accessPolicyName: 'Data Contributor',
    objectId: '44444444-4444-4444-8444-444444444444',
    objectIdAlias: 'functions',
  },
  'redisenterprise:RedisEnterprise': {
    ...inEast,
    clusterName: 'sample-managed',
    sku: { name: 'Balanced_B5' },
    minimumTlsVersion: '1.2',
    publicNetworkAccess: 'Enabled',
  },
  'redisenterprise:Database': { ...inGroup, clusterName: 'sample-managed', databaseName: 'default', port: 10_000 },
  'redisenterprise:AccessPolicyAssignment': {
    ...inGroup,
    clusterName: 'sample-managed',
    databaseName: 'default',
    accessPolicyAssignmentName: 'functions',
    accessPolicyName: 'default',
    user: { objectId: '44444444-4444-4444-8444-444444444444' },
  },
  'keyvault:Vault': {
    ...inEast,
    vaultName: 'sample-vault',
    properties: {
      tenantId: '22222222-2222-4222-8222-222222222222',
      sku: { family: 'A', name: 'standard' },
      softDeleteRetentionInDays: 7,
      enablePurgeProtection: true,
    },
  },
  'keyvault:Secret': {
    ...inGroup,
    vaultName: 'sample-vault',
    secretName: 'sealing-keys',
    properties: { value: 'k1:…' },
  },
  'operationalinsights:Workspace': {
    ...inEast,
    workspaceName: 'sample-logs',
    retentionInDays: 30,
    workspaceCapping: { dailyQuotaGb: 1 },
  },
  'applicationinsights:Component': {
    ...inEast,
    resourceName: 'sample-insights',
    kind: 'web',
    applicationType: 'web',
    workspaceResourceId: `${GROUP}/providers/Microsoft.OperationalInsights/workspaces/sample-logs`,
    retentionInDays: 30,
  },
  'applicationinsights:Workbook': {
    ...inEast,
    resourceName: '55555555-5555-4555-8555-555555555555',
    category: 'workbook',
    displayName: 'sample',
    serializedData: '{}',
  },
  'web:AppServicePlan': {
    ...inEast,
    name: 'sample-plan',
    sku: { name: 'FC1', tier: 'FlexConsumption' },
    reserved: true,
  },
  'web:WebApp': {
    ...inEast,
    name: 'sample-app',
    kind: 'functionapp,linux',
    serverFarmId: `${GROUP}/providers/Microsoft.Web/serverfarms/sample-plan`,
    identity: { type: 'UserAssigned', userAssignedIdentities: [IDENTITY] },
    keyVaultReferenceIdentity: IDENTITY,
    functionAppConfig: functionApp(),
  },
  'web:WebAppApplicationSettings': {
    ...inGroup,
    name: 'sample-app',
    properties: { A__B: '1', KEYS: '@Microsoft.KeyVault(VaultName=sample-vault;SecretName=sealing-keys)' },
  },
  'monitor:ActionGroup': {
    ...inGroup,
    location: 'global',
    actionGroupName: 'operators',
    groupShortName: 'sample',
    enabled: true,
  },
  'monitor:MetricAlert': {
    ...inGroup,
    location: 'global',
    ruleName: 'depth',
    enabled: true,
    severity: 1,
    scopes: [NAMESPACE],
    evaluationFrequency: 'PT1M',
    windowSize: 'PT5M',
    criteria: criteria({}),
    actions: [{ actionGroupId: `${GROUP}/providers/Microsoft.Insights/actionGroups/operators` }],
  },
  'consumption:Budget': {
    scope: GROUP,
    budgetName: 'monthly',
    category: 'Cost',
    timeGrain: 'Monthly',
    amount: 100,
    timePeriod: { startDate: NEXT_MONTH },
    notifications: {
      half: { enabled: true, operator: 'GreaterThan', threshold: 50, contactEmails: ['a@example.com'] },
    },
  },
  'authorization:RoleAssignment': {
    scope: NAMESPACE,
    roleAssignmentName: '66666666-6666-4666-8666-666666666666',
    roleDefinitionId: '/providers/Microsoft.Authorization/roleDefinitions/090c5cfd-751d-490a-894a-3ce6f1109419',
    // A person; the identity's own id is known only once it is there.
    principalId: '77777777-7777-4777-8777-777777777777',
    principalType: 'User',
  },
};

/** A policy that moves blobs to the cool and the archive tier after so many days. */
export function lifecycle(coolDays: number, archiveDays: number): Inputs {
  const days = (daysAfterModificationGreaterThan: number): Inputs => ({ daysAfterModificationGreaterThan });
  const baseBlob = { tierToCool: days(coolDays), tierToArchive: days(archiveDays) };
  const definition = { actions: { baseBlob }, filters: { blobTypes: ['blockBlob'] } };
  return { rules: [{ name: 'lake', type: 'Lifecycle', enabled: true, definition }] };
}

/** A good configuration of a function app, with changes in one part. */
export function functionApp(changes: { storage?: Inputs; runtime?: Inputs; scale?: Inputs } = {}): Inputs {
  const authentication = { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: IDENTITY };
  const value = 'https://samplestore.blob.core.windows.net/packages';
  return {
    deployment: { storage: { type: 'blobContainer', value, authentication, ...changes.storage } },
    runtime: { name: 'node', version: '24', ...changes.runtime },
    scaleAndConcurrency: { instanceMemoryMB: 2048, maximumInstanceCount: 40, ...changes.scale },
  };
}

/** A good criterion of an alert, with changes. */
export function criteria(changes: Inputs): Inputs {
  const criterion = {
    criterionType: 'StaticThresholdCriterion',
    name: 'depth',
    metricNamespace: 'Microsoft.ServiceBus/namespaces',
    metricName: 'ActiveMessages',
    timeAggregation: 'Average',
    operator: 'GreaterThan',
    threshold: 1000,
    ...changes,
  };
  return { odataType: 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria', allOf: [criterion] };
}

/** Creates the samples that come before a kind; without one, all of them. */
export function azureBefore(kind?: string): FakeAzure {
  const azure = new FakeAzure();
  for (const [name, inputs] of Object.entries(SAMPLES)) {
    if (name === kind) break;
    azure.create(`azure-native:${name}`, inputs);
  }
  return azure;
}
