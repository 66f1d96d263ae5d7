import {
  at,
  IN_GROUP,
  type Inputs,
  number,
  outside,
  type Around,
  type Held,
  type Refusal,
  type ResourceKind,
  text,
  when,
} from './resource-kind.ts';

const SITE = `${IN_GROUP}/Microsoft.Web/sites/{name}`;

/** Versions of Node that Flex Consumption offers. */
const NODE_VERSIONS = ['20', '22', '24'];

/** Settings that Flex Consumption refuses, because they are properties of the app there (or meaningless). */
const REFUSED_SETTINGS = [
  'FUNCTIONS_WORKER_RUNTIME',
  'FUNCTIONS_WORKER_RUNTIME_VERSION',
  'WEBSITE_RUN_FROM_PACKAGE',
  'WEBSITE_NODE_DEFAULT_VERSION',
  'WEBSITE_CONTENTAZUREFILECONNECTIONSTRING',
  'WEBSITE_CONTENTSHARE',
  'WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT',
];

/** Plans, apps and what belongs to an app. */
export const COMPUTE: Readonly<Record<string, ResourceKind>> = {
  'azure-native:web:AppServicePlan': {
    path: `${IN_GROUP}/Microsoft.Web/serverfarms/{name}`,
    type: 'Microsoft.Web/serverfarms',
    name: { pattern: /^[A-Za-z0-9-]{1,60}$/, rule: '1 to 60 letters, digits and hyphens' },
    fixed: ['reserved'],
    refuse: (inputs) => {
      const sku = text(inputs, 'sku', 'name');
      const isFlex = sku === 'FC1';
      return [
        when(
          isFlex && text(inputs, 'sku', 'tier') !== 'FlexConsumption',
          'BadRequest',
          "The tier of FC1 is 'FlexConsumption'.",
        ),
        when(
          isFlex && inputs['reserved'] !== true,
          'BadRequest',
          'Flex Consumption plans are Linux only: reserved must be true.',
        ),
      ];
    },
    outputs: () => ({ status: 'Ready', numberOfSites: 0 }),
  },
  'azure-native:web:WebApp': {
    path: SITE,
    type: 'Microsoft.Web/sites',
    name: {
      pattern: /^(?=.{2,60}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$/,
      rule: '2 to 60 letters, digits and hyphens, with a letter or digit at both ends',
    },
    isGlobal: true,
    refuse: siteRefusals,
    outputs: (inputs, _id, around) => {
      const name = text(inputs, 'name') ?? '';
      const host = around.siteUrl ?? `${name}.azurewebsites.net`;
      const repository = around.siteUrl ?? `${name}.scm.azurewebsites.net`;
      return {
        defaultHostName: host,
        hostNames: [host],
        enabledHostNames: [host, repository],
        hostNameSslStates: [
          { name: host, hostType: 'Standard', sslState: 'Disabled' },
          { name: repository, hostType: 'Repository', sslState: 'Disabled' },
        ],
        state: 'Running',
        outboundIpAddresses: '203.0.113.10',
      };
    },
  },
  'azure-native:web:WebAppApplicationSettings': {
    path: `${SITE}/config/appsettings`,
    type: 'Microsoft.Web/sites/config',
    isPartOfParent: true,
    refuse: settingsRefusals,
  },
  'azure-native:web:WebAppScmAllowed': {
    path: `${SITE}/basicPublishingCredentialsPolicies/scm`,
    type: 'Microsoft.Web/sites/basicPublishingCredentialsPolicies',
    isPartOfParent: true,
  },
  'azure-native:web:WebAppFtpAllowed': {
    path: `${SITE}/basicPublishingCredentialsPolicies/ftp`,
    type: 'Microsoft.Web/sites/basicPublishingCredentialsPolicies',
    isPartOfParent: true,
  },
};

const isFlex = (plan: Held | undefined): boolean => text(plan?.inputs, 'sku', 'name') === 'FC1';

function siteRefusals(inputs: Inputs, around: Around, id: string): readonly (Refusal | undefined)[] {
  const plan = around.find(inputs['serverFarmId']);
  const others = around
    .all()
    .filter((held) => held.token.endsWith(':WebApp') && held.id.toLowerCase() !== id.toLowerCase())
    .filter((held) => around.find(held.inputs['serverFarmId']) === plan);
  if (plan === undefined) {
    return [{ status: 404, code: 'NotFound', message: `Cannot find the server farm ${text(inputs, 'serverFarmId')}.` }];
  }
  if (!isFlex(plan)) return [];
  return [
    when(others.length > 0, 'Conflict', 'A Flex Consumption plan can hold one app only.'),
    when(
      inputs['siteConfig'] !== undefined,
      'BadRequest',
      'Site.SiteConfig.NetFrameworkVersion is invalid. For Flex Consumption sites, use FunctionAppConfig instead of SiteConfig.',
    ),
    when(
      text(inputs, 'kind') !== 'functionapp,linux',
      'BadRequest',
      "The kind of a Flex Consumption app is 'functionapp,linux'.",
    ),
    ...functionAppRefusals(inputs, around),
  ];
}

function functionAppRefusals(inputs: Inputs, around: Around): readonly (Refusal | undefined)[] {
  const config = at(inputs, 'functionAppConfig');
  if (config === undefined) {
    return [{ code: 'BadRequest', message: 'Site.FunctionAppConfig is required for Flex Consumption sites.' }];
  }
  const runtime = text(config, 'runtime', 'name');
  const version = text(config, 'runtime', 'version') ?? '';
  const memory = number(config, 'scaleAndConcurrency', 'instanceMemoryMB') ?? 0;
  return [
    when(
      runtime !== 'node' || !NODE_VERSIONS.includes(version),
      'BadRequest',
      `Site.FunctionAppConfig.Runtime: '${runtime} ${version}' is not offered on Flex Consumption.`,
    ),
    when(
      ![512, 2048, 4096].includes(memory),
      'BadRequest',
      `Site.FunctionAppConfig.ScaleAndConcurrency.InstanceMemoryMB: the value ${memory} is none of 512, 2048, 4096.`,
    ),
    outside(
      number(config, 'scaleAndConcurrency', 'maximumInstanceCount'),
      [1, 1000],
      'Site.FunctionAppConfig.ScaleAndConcurrency.MaximumInstanceCount',
    ),
    ...deploymentRefusals(at(config, 'deployment', 'storage'), inputs, around),
  ];
}

function deploymentRefusals(storage: unknown, inputs: Inputs, around: Around): readonly (Refusal | undefined)[] {
  const what = 'Site.FunctionAppConfig.Deployment.Storage';
  const url = text(storage, 'value') ?? '';
  const container = around.all().find((held) => held.token.endsWith(':BlobContainer') && urlOf(held.inputs) === url);
  const identity = text(storage, 'authentication', 'userAssignedIdentityResourceId');
  const isByIdentity = text(storage, 'authentication', 'type') === 'UserAssignedIdentity';
  return [
    when(text(storage, 'type') !== 'blobContainer', 'BadRequest', `${what}.Type must be 'blobContainer'.`),
    when(container === undefined, 'BadRequest', `${what}.Value: the container '${url}' does not exist.`),
    when(
      isByIdentity && !identitiesOf(inputs).includes((identity ?? '').toLowerCase()),
      'BadRequest',
      `${what}.Authentication: the identity '${identity}' is not assigned to the app.`,
    ),
    when(
      !isByIdentity && text(storage, 'authentication', 'type') !== 'SystemAssignedIdentity',
      'BadRequest',
      `${what}.Authentication: the deployment container is entered with an identity in this stack.`,
    ),
  ];
}

const urlOf = (container: Inputs): string =>
  `https://${text(container, 'accountName')}.blob.core.windows.net/${text(container, 'containerName')}`;

/** Ids of the identities of an app, in small letters; the SDK takes a list of ids. */
function identitiesOf(inputs: Inputs): readonly string[] {
  const list = at(inputs, 'identity', 'userAssignedIdentities');
  const ids = Array.isArray(list) ? list : Object.keys(list ?? {});
  return ids.map((id) => String(id).toLowerCase());
}

function settingsRefusals(inputs: Inputs, around: Around): readonly (Refusal | undefined)[] {
  const app = around
    .all()
    .find((held) => held.token.endsWith(':WebApp') && text(held.inputs, 'name') === text(inputs, 'name'));
  const plan = around.find(app?.inputs['serverFarmId']);
  const names = Object.keys(inputs['properties'] ?? {});
  const refused = names.filter((name) => isFlex(plan) && REFUSED_SETTINGS.includes(name));
  const withColon = names.filter((name) => name.includes(':'));
  return [
    when(
      refused.length > 0,
      'BadRequest',
      `The following app setting (Site.SiteConfig.AppSettings.${refused[0]}) for Flex Consumption sites is invalid. Please remove or rename it before retrying.`,
    ),
    // The host's own words for this name a setting that has nothing to do with it (azure-functions-host #11908).
    when(
      withColon.length > 0,
      'BadRequest',
      `The app setting '${withColon[0]}' is invalid: names have letters, digits, periods and underscores. Use '__' instead of ':'.`,
    ),
    referenceRefusal(inputs, around, app),
  ];
}

/** A reference to a secret is resolved by the identity that the app names for it. */
function referenceRefusal(inputs: Inputs, around: Around, app: Held | undefined): Refusal | undefined {
  const values = Object.entries((inputs['properties'] ?? {}) as Inputs);
  const identity = (text(app?.inputs, 'keyVaultReferenceIdentity') ?? '').toLowerCase();
  for (const [name, value] of values) {
    if (!String(value).startsWith('@Microsoft.KeyVault(')) continue;
    const uri = secretUriIn(String(value));
    const isThere = around.all().some(({ outputs }) => text(outputs, 'properties', 'secretUri') === uri);
    const refusal =
      when(
        !isThere,
        'BadRequest',
        `The app setting '${name}' refers to a secret that does not exist: ${String(value)}`,
      ) ??
      when(
        !identitiesOf(app?.inputs ?? {}).includes(identity),
        'BadRequest',
        `The app setting '${name}' is a Key Vault reference, but keyVaultReferenceIdentity is no identity of the app.`,
      );
    if (refusal !== undefined) return refusal;
  }
  return undefined;
}

/** Both forms of a reference, without a version: that is the newest one. */
function secretUriIn(reference: string): string | undefined {
  const [, uri] = /^@Microsoft\.KeyVault\(SecretUri=(https:.+?)\/?\)$/.exec(reference) ?? [];
  const [, vault, secret] = /^@Microsoft\.KeyVault\(VaultName=([^;]+);SecretName=([^;]+)\)$/.exec(reference) ?? [];
  return uri ?? (vault === undefined ? undefined : `https://${vault}.vault.azure.net/secrets/${secret}`);
}
