import {
  at,
  GUID,
  IN_GROUP,
  type Inputs,
  number,
  objects,
  outside,
  type Around,
  type Refusal,
  type ResourceKind,
  text,
  when,
} from './resource-kind.ts';

const ACCOUNT = `${IN_GROUP}/Microsoft.Storage/storageAccounts/{accountName}`;
const CLUSTER = `${IN_GROUP}/Microsoft.Cache/redisEnterprise/{clusterName}`;
const CACHE = `${IN_GROUP}/Microsoft.Cache/redis/{name}`;
const VAULT = `${IN_GROUP}/Microsoft.KeyVault/vaults/{vaultName}`;

/** What Azure answers to a tenant that never had a cache of this service (new customers are refused since 2026-04-01). */
export const REDIS_BLOCKED: Refusal = {
  status: 403,
  code: 'NewCacheCreationBlocked',
  message:
    'Azure Cache for Redis is being retired and is no longer available to new customers. ' +
    'Create an Azure Managed Redis instance instead. See https://aka.ms/acrRetirement.',
};

const accountOf = (inputs: Inputs, around: Around): Inputs | undefined =>
  around.find(
    `/subscriptions/${around.subscriptionId}/resourceGroups/${text(inputs, 'resourceGroupName')}` +
      `/providers/Microsoft.Storage/storageAccounts/${text(inputs, 'accountName')}`,
  )?.inputs;

const STORAGE: Readonly<Record<string, ResourceKind>> = {
  'azure-native:storage:StorageAccount': {
    path: ACCOUNT,
    type: 'Microsoft.Storage/storageAccounts',
    name: { pattern: /^[a-z0-9]{3,24}$/, rule: '3 to 24 lower-case letters and digits' },
    isGlobal: true,
    replaceOn: ['isHnsEnabled'],
    refuse: (inputs) => [
      when(
        ['TLS1_0', 'TLS1_1'].includes(text(inputs, 'minimumTlsVersion') ?? ''),
        'InvalidRequestPropertyValue',
        "The value of property 'minimumTlsVersion' must be TLS1_2 or higher.",
      ),
    ],
    outputs: (inputs) => ({ primaryEndpoints: endpointsOf(text(inputs, 'accountName') ?? '') }),
  },
  'azure-native:storage:BlobServiceProperties': {
    path: `${ACCOUNT}/blobServices/{blobServicesName}`,
    type: 'Microsoft.Storage/storageAccounts/blobServices',
    name: { pattern: /^default$/, rule: "'default'" },
    isPartOfParent: true,
    refuse: (inputs, around) => [
      outside(number(inputs, 'deleteRetentionPolicy', 'days'), [1, 365], 'deleteRetentionPolicy.days'),
      outside(
        number(inputs, 'containerDeleteRetentionPolicy', 'days'),
        [1, 365],
        'containerDeleteRetentionPolicy.days',
      ),
      when(
        inputs['isVersioningEnabled'] === true && accountOf(inputs, around)?.['isHnsEnabled'] === true,
        'FeatureNotSupportedForAccount',
        'Blob versioning is not supported for accounts with a hierarchical namespace.',
      ),
    ],
  },
  'azure-native:storage:BlobContainer': {
    path: `${ACCOUNT}/blobServices/default/containers/{containerName}`,
    type: 'Microsoft.Storage/storageAccounts/blobServices/containers',
    name: {
      pattern: /^(?=.{3,63}$)[a-z0-9](-?[a-z0-9])+$/,
      rule: '3 to 63 lower-case letters, digits and single hyphens',
    },
    refuse: (inputs, around) => [
      when(
        !['None', undefined].includes(text(inputs, 'publicAccess')) &&
          accountOf(inputs, around)?.['allowBlobPublicAccess'] !== true,
        'PublicAccessNotPermitted',
        'Public access is not permitted on this storage account.',
      ),
    ],
  },
  'azure-native:storage:Blob': {
    path: `${ACCOUNT}/blobServices/default/containers/{containerName}/blobs/{blobName}`,
    type: 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs',
    refuse: (inputs, around) => [
      when(
        accountOf(inputs, around)?.['allowSharedKeyAccess'] === false,
        'KeyBasedAuthenticationNotPermitted',
        'Key based authentication is not permitted on this storage account.',
      ),
    ],
  },
  'azure-native:storage:TableServiceProperties': {
    path: `${ACCOUNT}/tableServices/{tableServiceName}`,
    type: 'Microsoft.Storage/storageAccounts/tableServices',
    name: { pattern: /^default$/, rule: "'default'" },
    isPartOfParent: true,
  },
  'azure-native:storage:Table': {
    path: `${ACCOUNT}/tableServices/default/tables/{tableName}`,
    type: 'Microsoft.Storage/storageAccounts/tableServices/tables',
    name: {
      pattern: /^(?!tables$)[A-Za-z][A-Za-z0-9]{2,62}$/i,
      rule: '3 to 63 letters and digits, beginning with a letter',
    },
  },
  'azure-native:storage:ManagementPolicy': {
    path: `${ACCOUNT}/managementPolicies/{managementPolicyName}`,
    type: 'Microsoft.Storage/storageAccounts/managementPolicies',
    name: { pattern: /^default$/, rule: "'default'" },
    refuse: (inputs, around) =>
      objects(inputs, 'policy', 'rules').flatMap((rule) => lifecycleRefusals(rule, inputs, around)),
  },
};

function lifecycleRefusals(rule: Inputs, inputs: Inputs, around: Around): readonly (Refusal | undefined)[] {
  const sku = text(accountOf(inputs, around), 'sku', 'name') ?? '';
  const cool = number(rule, 'definition', 'actions', 'baseBlob', 'tierToCool', 'daysAfterModificationGreaterThan');
  const archive = number(
    rule,
    'definition',
    'actions',
    'baseBlob',
    'tierToArchive',
    'daysAfterModificationGreaterThan',
  );
  return [
    when(
      archive !== undefined && sku.includes('ZRS'),
      'InvalidRequestPropertyValue',
      `The action 'tierToArchive' is not supported for accounts with ${sku}.`,
    ),
    when(
      cool !== undefined && archive !== undefined && archive <= cool,
      'InvalidRequestPropertyValue',
      "The days of 'tierToArchive' must be more than those of 'tierToCool'.",
    ),
  ];
}

function endpointsOf(account: string): Readonly<Record<string, string>> {
  const services = ['blob', 'dfs', 'file', 'queue', 'table'];
  return Object.fromEntries(services.map((service) => [service, `https://${account}.${service}.core.windows.net/`]));
}

const REDIS: Readonly<Record<string, ResourceKind>> = {
  'azure-native:redis:Redis': {
    path: CACHE,
    type: 'Microsoft.Cache/Redis',
    name: { pattern: /^(?=.{1,63}$)[A-Za-z0-9](-?[A-Za-z0-9])*$/, rule: '1 to 63 letters, digits and single hyphens' },
    isGlobal: true,
    refuse: (inputs, around) => {
      const isPremium = text(inputs, 'sku', 'name') === 'Premium';
      const isFamilyRight = text(inputs, 'sku', 'family') === (isPremium ? 'P' : 'C');
      return [
        around.isRedisBlocked ? REDIS_BLOCKED : undefined,
        when(!isFamilyRight, 'BadRequest', 'The SKU family must be C for Basic and Standard and P for Premium.'),
        outside(number(inputs, 'sku', 'capacity'), isPremium ? [1, 5] : [0, 6], 'sku.capacity'),
      ];
    },
    outputs: (inputs) => ({ hostName: `${text(inputs, 'name')}.redis.cache.windows.net`, port: 6379, sslPort: 6380 }),
  },
  'azure-native:redis:AccessPolicyAssignment': {
    path: `${IN_GROUP}/Microsoft.Cache/redis/{cacheName}/accessPolicyAssignments/{accessPolicyAssignmentName}`,
    type: 'Microsoft.Cache/Redis/accessPolicyAssignments',
    name: {
      pattern: /^([a-zA-Z0-9][a-zA-Z0-9- ]{0,62}[a-zA-Z0-9]|[a-zA-Z0-9])$/,
      rule: '1 to 64 letters, digits, spaces and hyphens',
    },
    refuse: (inputs) => [
      objectIdRefusal(text(inputs, 'objectId')),
      when(
        !['Data Owner', 'Data Contributor', 'Data Reader'].includes(text(inputs, 'accessPolicyName') ?? ''),
        'BadRequest',
        `The access policy '${text(inputs, 'accessPolicyName')}' does not exist.`,
      ),
    ],
  },
  'azure-native:redisenterprise:RedisEnterprise': {
    path: CLUSTER,
    type: 'Microsoft.Cache/redisEnterprise',
    name: { pattern: /^(?=.{1,60}$)[A-Za-z0-9](-?[A-Za-z0-9])*$/, rule: '1 to 60 letters, digits and single hyphens' },
    isGlobal: true,
    refuse: (inputs) => [
      when(
        (text(inputs, 'sku', 'name') ?? '').startsWith('Enterprise'),
        'BadRequest',
        `The SKU '${text(inputs, 'sku', 'name')}' is no longer supported. Use an Azure Managed Redis SKU.`,
      ),
      when(text(inputs, 'minimumTlsVersion') !== '1.2', 'BadRequest', 'The minimum TLS version must be 1.2.'),
    ],
    outputs: (inputs) => ({ hostName: `${text(inputs, 'clusterName')}.${text(inputs, 'location')}.redis.azure.net` }),
  },
  'azure-native:redisenterprise:Database': {
    path: `${CLUSTER}/databases/{databaseName}`,
    type: 'Microsoft.Cache/redisEnterprise/databases',
    name: { pattern: /^default$/, rule: "'default'" },
    fixed: ['port', 'clusteringPolicy', 'modules'],
    refuse: (inputs) => [
      when((number(inputs, 'port') ?? 10_000) !== 10_000, 'BadRequest', 'The port of a database must be 10000.'),
    ],
  },
  'azure-native:redisenterprise:AccessPolicyAssignment': {
    path: `${CLUSTER}/databases/{databaseName}/accessPolicyAssignments/{accessPolicyAssignmentName}`,
    type: 'Microsoft.Cache/redisEnterprise/databases/accessPolicyAssignments',
    name: { pattern: /^[A-Za-z0-9]{1,60}$/, rule: '1 to 60 letters and digits' },
    refuse: (inputs) => [
      objectIdRefusal(text(inputs, 'user', 'objectId')),
      when(
        text(inputs, 'accessPolicyName') !== 'default',
        'BadRequest',
        `The access policy '${text(inputs, 'accessPolicyName')}' does not exist: only 'default' does.`,
      ),
    ],
  },
};

function objectIdRefusal(objectId: string | undefined): Refusal | undefined {
  const isWrong = objectId !== undefined && !GUID.test(objectId);
  return when(isWrong, 'BadRequest', `'${objectId}' is no object id of Microsoft Entra.`);
}

const VAULTS: Readonly<Record<string, ResourceKind>> = {
  'azure-native:keyvault:Vault': {
    path: VAULT,
    type: 'Microsoft.KeyVault/vaults',
    name: {
      pattern: /^(?=.{3,24}$)[A-Za-z](-?[A-Za-z0-9])*$/,
      rule: '3 to 24 letters, digits and single hyphens, beginning with a letter and ending with a letter or digit',
    },
    isGlobal: true,
    refuse: (inputs, around, id) => {
      const days = number(inputs, 'properties', 'softDeleteRetentionInDays');
      const isProtected = at(around.find(id)?.inputs, 'properties', 'enablePurgeProtection') === true;
      const purgeProtection = at(inputs, 'properties', 'enablePurgeProtection');
      return [
        outside(days, [7, 90], 'softDeleteRetentionInDays'),
        when(
          text(inputs, 'properties', 'tenantId') !== around.tenantId,
          'BadRequest',
          'The tenant of the vault is not the tenant of the subscription.',
        ),
        when(
          purgeProtection === false || (isProtected && purgeProtection !== true),
          'BadRequest',
          'The property "enablePurgeProtection" cannot be set to false. Enabling the purge protection for a vault is an irreversible action.',
        ),
      ];
    },
    outputs: (inputs) => ({
      properties: {
        ...(at(inputs, 'properties') as Inputs),
        vaultUri: `https://${text(inputs, 'vaultName')}.vault.azure.net/`,
        provisioningState: 'Succeeded',
      },
    }),
  },
  'azure-native:keyvault:Secret': {
    path: `${VAULT}/secrets/{secretName}`,
    type: 'Microsoft.KeyVault/vaults/secrets',
    name: { pattern: /^[A-Za-z0-9-]{1,127}$/, rule: '1 to 127 letters, digits and hyphens' },
    outputs: (inputs) => {
      const secretUri = `https://${text(inputs, 'vaultName')}.vault.azure.net/secrets/${text(inputs, 'secretName')}`;
      // Azure never gives the value back.
      const { value: _, ...properties } = at(inputs, 'properties') as Inputs;
      return {
        properties: { ...properties, secretUri, secretUriWithVersion: `${secretUri}/0123456789abcdef0123456789abcdef` },
      };
    },
  },
};

/** Storage, Redis and Key Vault. */
export const DATA: Readonly<Record<string, ResourceKind>> = { ...STORAGE, ...REDIS, ...VAULTS };
