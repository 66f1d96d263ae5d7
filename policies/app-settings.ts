import { CONNECTIONS } from '../runtime/connections.ts';
import { shortType } from './expectation.ts';
import { type Inputs, isInputs, look, lookList, shown, UNKNOWN, type Value } from './inputs.ts';
import { ALWAYS, type Finding, type Resource, type ResourceRule, unseen } from './rule.ts';

/** A reference to a secret of a vault, which App Service resolves with the identity of the app. */
const VAULT_REFERENCE = /^@Microsoft\.KeyVault\(.+\)$/;

/** Text that opens a service: keys and signatures as they stand in connection strings and URLs. */
const KEYED = /(AccountKey|SharedAccessKey|SharedAccessSignature|Password|AccessKey)\s*=|[?&]sig=/i;

/** A name that promises a secret. Names that end in where something is are none. */
const SECRET_NAME = /(secret|password|passwd|token|api_?key|access_?key|sealing_?keys?|connection_?string)$/i;

/** The SDK's name for where telemetry goes; with local authentication off it lets nobody in. */
const HARMLESS = new Set(['APPLICATIONINSIGHTS_CONNECTION_STRING']);

const SECRET_VARIABLES: ReadonlySet<string> = new Set(
  Object.values(CONNECTIONS).flatMap(({ variable, isSecret }) => (isSecret ? [variable] : [])),
);

/** Settings whose mere presence means a key instead of an identity. */
const KEYED_NAMES = new Set([
  'AzureWebJobsStorage',
  'AzureWebJobsDashboard',
  'WEBSITE_CONTENTAZUREFILECONNECTIONSTRING',
]);

/** A setting of an app, wherever it is written. */
interface Setting {
  readonly name: string;
  readonly path: string;
  readonly value: Value;
}

function settingsOf({ type, inputs }: Resource): readonly Setting[] {
  if (shortType(type) === 'web:WebAppApplicationSettings') return fieldsOf(inputs, 'properties');
  return [...pairsOf(inputs, 'siteConfig.appSettings'), ...pairsOf(inputs, 'siteConfig.connectionStrings')];
}

function fieldsOf(inputs: Inputs, path: string): readonly Setting[] {
  const fields = look(inputs, path);
  if (!isInputs(fields)) return [];
  return Object.entries(fields).map(([name, value]) => ({ name, path: `${path}.${name}`, value }));
}

function pairsOf(inputs: Inputs, path: string): readonly Setting[] {
  const list = lookList(inputs, path);
  if (list === UNKNOWN) return [];
  return list.flatMap((item, at) => {
    if (!isInputs(item)) return [];
    const { name, value, connectionString } = item;
    return typeof name === 'string' ? [{ name, path: `${path}.${at}`, value: value ?? connectionString ?? null }] : [];
  });
}

function isSecretName(name: string): boolean {
  return SECRET_VARIABLES.has(name) || (SECRET_NAME.test(name) && !HARMLESS.has(name));
}

/** The value is never shown: it may be the secret itself. */
function plainSecrets(resource: Resource): readonly Finding[] {
  return settingsOf(resource).flatMap(({ name, path, value }) => {
    if (!isSecretName(name)) return [];
    if (value === UNKNOWN) return [unseen(resource, path)];
    if (typeof value === 'string' && VAULT_REFERENCE.test(value)) return [];
    return [{ urn: resource.urn, message: `${name} must be a reference to the vault` }];
  });
}

function connectionStrings(resource: Resource): readonly Finding[] {
  return settingsOf(resource).flatMap(({ name, value }) => {
    const isKeyed = KEYED_NAMES.has(name) || (typeof value === 'string' && KEYED.test(value));
    return isKeyed ? [{ urn: resource.urn, message: `${name} must name an account or a host, not hold a key` }] : [];
  });
}

const DEPLOYMENT_AUTHENTICATION = 'functionAppConfig.deployment.storage.authentication.type';

function identityOfApp(resource: Resource): readonly Finding[] {
  if (shortType(resource.type) !== 'web:WebApp') return [];
  const kind = look(resource.inputs, 'identity.type');
  const deployment = look(resource.inputs, DEPLOYMENT_AUTHENTICATION);
  return [
    ...judged(resource, 'identity.type', kind, (text) => /UserAssigned|SystemAssigned/.test(text), 'an identity'),
    ...judged(resource, DEPLOYMENT_AUTHENTICATION, deployment, (text) => text.endsWith('Identity'), 'an identity'),
  ];
}

function judged(
  resource: Resource,
  path: string,
  value: Value | undefined,
  isFine: (text: string) => boolean,
  must: string,
): readonly Finding[] {
  if (value === UNKNOWN) return [unseen(resource, path)];
  if (typeof value === 'string' && isFine(value)) return [];
  return [{ urn: resource.urn, message: `${path} must be ${must}, is ${shown(value)}` }];
}

const isApp = (type: string): boolean => ['web:WebApp', 'web:WebAppApplicationSettings'].includes(shortType(type));

/** What the app is told, and who it is. */
export const SETTING_RULES: readonly ResourceRule[] = [
  {
    kind: 'resource',
    name: 'identity-not-connection-string',
    area: 'security',
    level: ALWAYS,
    what: 'The app enters everything with its identity; no setting holds a key.',
    reason: 'Article ch. 7, "The Authentication Token Leak"; a key in a setting is in every log that prints settings.',
    change: 'Use the settings "<name>__accountName", "<name>__fullyQualifiedNamespace" and "<name>__credential".',
    applies: isApp,
    check: (resource) => [...connectionStrings(resource), ...identityOfApp(resource)],
  },
  {
    kind: 'resource',
    name: 'no-plain-secret',
    area: 'security',
    level: ALWAYS,
    what: 'A setting that is a secret is a reference to the vault.',
    reason:
      'Article ch. 7, "The Authentication Token Leak"; whoever may read the settings of an app may read its secrets.',
    change: 'Put the value into the vault and write @Microsoft.KeyVault(VaultName=...;SecretName=...).',
    applies: isApp,
    check: plainSecrets,
  },
];
