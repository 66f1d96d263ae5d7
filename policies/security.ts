import { appliesTo, type Expectation, exactly, oneOf, shortType, unmet } from './expectation.ts';
import { ALWAYS, type Resource, type ResourceRule } from './rule.ts';

/** A rule that is a list of inputs with the values that they must have. */
function expecting(
  expectations: readonly Expectation[],
  rule: Omit<ResourceRule, 'kind' | 'area' | 'level' | 'applies' | 'check'>,
): ResourceRule {
  return {
    kind: 'resource',
    area: 'security',
    level: ALWAYS,
    applies: appliesTo(expectations),
    check: (resource) => unmet(expectations, resource),
    ...rule,
  };
}

/** Version of TLS that is safe, as each service writes it. */
const TLS: Readonly<Record<string, readonly string[]>> = {
  'servicebus:Namespace': ['1.2', '1.3'],
  'storage:StorageAccount': ['TLS1_2', 'TLS1_3'],
  'redis:Redis': ['1.2', '1.3'],
  'redisenterprise:RedisEnterprise': ['1.2', '1.3'],
};

function safeTls({ type }: Resource): Readonly<Record<string, unknown>> {
  const [version] = TLS[shortType(type)] ?? [];
  return version === undefined ? {} : { minimumTlsVersion: version };
}

/** Doors that stay shut: keys, plain text, the public. */
export const SECURITY_RULES: readonly ResourceRule[] = [
  expecting(
    [
      exactly('servicebus:Namespace', 'disableLocalAuth', true),
      exactly('applicationinsights:Component', 'disableLocalAuth', true),
      exactly('operationalinsights:Workspace', 'features.disableLocalAuth', true),
    ],
    {
      name: 'no-local-auth',
      what: 'Message bus, traces and logs are entered with an Entra token only.',
      reason:
        'Article ch. 7, "The Authentication Token Leak"; a key that leaks opens everything until somebody changes it.',
      change: 'Set disableLocalAuth to true.',
    },
  ),
  expecting(
    [
      exactly('storage:StorageAccount', 'allowSharedKeyAccess', false),
      exactly('redis:Redis', 'disableAccessKeyAuthentication', true),
      exactly('redis:Redis', 'redisConfiguration.aadEnabled', 'true'),
      exactly('redisenterprise:Database', 'accessKeysAuthentication', 'Disabled'),
    ],
    {
      name: 'no-shared-keys',
      what: 'Storage accounts and caches have no keys that let somebody in.',
      reason: 'Microsoft, "Prevent Shared Key authorization", 2026: a key opens everything and says nobody\'s name.',
      change: 'Turn the keys off and give the identity a data role or an access policy.',
    },
  ),
  expecting(
    Object.entries(TLS).map(([type, versions]) => oneOf(type, 'minimumTlsVersion', versions)),
    {
      name: 'tls-minimum',
      what: 'TLS is 1.2 or newer.',
      reason: 'Microsoft, "TLS 1.0 and 1.1 retirement", 2025: the older versions are broken.',
      change: 'Set minimumTlsVersion to 1.2, which the pack does by itself at the level "remediate".',
      remedy: safeTls,
    },
  ),
  expecting(
    [
      exactly('storage:StorageAccount', 'allowBlobPublicAccess', false),
      exactly('storage:BlobContainer', 'publicAccess', 'None'),
    ],
    {
      name: 'no-public-blobs',
      what: 'Nobody reads a blob without a name.',
      reason: "The lake is other people's data.",
      change: 'Set allowBlobPublicAccess to false and publicAccess to None.',
    },
  ),
  expecting(
    [
      exactly('web:WebApp', 'httpsOnly', true),
      exactly('storage:StorageAccount', 'enableHttpsTrafficOnly', true),
      exactly('redisenterprise:Database', 'clientProtocol', 'Encrypted'),
    ],
    {
      name: 'https-only',
      what: 'Nothing answers in plain text.',
      reason: 'Article ch. 7, "The Authentication Token Leak"; tokens of users travel here.',
      change: 'Set httpsOnly and enableHttpsTrafficOnly to true, clientProtocol to Encrypted.',
    },
  ),
  expecting([exactly('redis:Redis', 'enableNonSslPort', false)], {
    name: 'no-plain-redis-port',
    what: "Redis's port without TLS is shut.",
    reason: 'Microsoft, "Azure Cache for Redis, TLS", 2026: port 6379 carries tokens in the clear.',
    change: 'Set enableNonSslPort to false.',
  }),
  expecting([exactly('keyvault:Vault', 'properties.enableRbacAuthorization', true)], {
    name: 'vault-by-role',
    what: 'The vault is entered by role, not by its own access policies.',
    reason:
      'Microsoft, "Azure RBAC or access policies", 2026: whoever may write an access policy may read every secret.',
    change: 'Set enableRbacAuthorization to true.',
  }),
];
