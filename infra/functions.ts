import { AppServicePlan } from '@pulumi/azure-native/web/appServicePlan.js';
import { WebApp, type WebAppArgs } from '@pulumi/azure-native/web/webApp.js';
import { WebAppApplicationSettings } from '@pulumi/azure-native/web/webAppApplicationSettings.js';
import * as pulumi from '@pulumi/pulumi';
import { variableOf } from '../runtime/settings.ts';
import type { Bundle } from './bundle.ts';
import { CodeDeployment } from './code-deployment.ts';
import { appEnvironment, type Environment, type InfraConnections } from './environment.ts';
import type { Place } from './place.ts';

/** What the function app stands on. */
export interface FunctionsArgs extends Place {
  readonly identity: { readonly id: pulumi.Input<string>; readonly clientId: pulumi.Input<string> };
  readonly hostAccountName: pulumi.Input<string>;
  /** Container of the deployed packages. */
  readonly deploymentUrl: pulumi.Input<string>;
  /** Host of the Service Bus namespace, for the triggers. */
  readonly busHost: pulumi.Input<string>;
  readonly insightsConnectionString: pulumi.Input<string>;
  readonly connections: InfraConnections;
  readonly bundle: Pick<Bundle, 'archivePath' | 'archiveHash' | 'version'>;
  /** Grants of the identity: the app reads packages, keys and secrets from its first second on. */
  readonly grants: pulumi.Resource;
  /** What the settings and the code refer to, beside the grants. */
  readonly dataPlane: readonly pulumi.Resource[];
}

/** The function app on Flex Consumption, its settings and its code. */
export class Functions extends pulumi.ComponentResource {
  readonly id: pulumi.Output<string>;
  readonly appName: pulumi.Output<string>;
  readonly hostname: pulumi.Output<string>;
  /** Version of the code that the app answered with. */
  readonly version: pulumi.Output<string>;

  constructor(name: string, args: FunctionsArgs, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:Functions', name, {}, options);
    const app = this.#app(args);
    const settings = new WebAppApplicationSettings(
      'settings',
      { resourceGroupName: args.resourceGroupName, name: app.name, properties: appSettings(args) },
      // A reference to a secret that is not there yet would stay unresolved for hours.
      { parent: this, dependsOn: [args.grants, ...args.dataPlane] },
    );
    const { archivePath, archiveHash, version } = args.bundle;
    const code = new CodeDeployment(
      'code',
      {
        appName: app.name,
        hostname: app.defaultHostName,
        scmHostname: pulumi.all([app.hostNameSslStates, app.defaultHostName]).apply(scmHostnameOf),
        archivePath,
        archiveHash,
        version,
      },
      { parent: this, dependsOn: [settings, args.grants, ...args.dataPlane] },
    );
    this.id = app.id;
    this.appName = app.name;
    this.hostname = app.defaultHostName;
    // Known once the app has answered with it.
    this.version = code.id.apply(() => version);
    this.registerOutputs({ hostname: this.hostname });
  }

  #app(args: FunctionsArgs): WebApp {
    const { plan, resourceGroupName, identity } = args;
    const common = { resourceGroupName, location: plan.location, tags: plan.tags };
    const host = new AppServicePlan(
      'plan',
      {
        ...common,
        name: plan.names.functionPlan,
        kind: 'functionapp',
        sku: { name: 'FC1', tier: 'FlexConsumption' },
        reserved: true,
      },
      { parent: this },
    );
    return new WebApp(
      'app',
      {
        ...common,
        name: plan.names.functionApp,
        kind: 'functionapp,linux',
        serverFarmId: host.id,
        httpsOnly: true,
        identity: { type: 'UserAssigned', userAssignedIdentities: [identity.id] },
        // Without it the references to the vault are resolved with an identity that the app does not have.
        keyVaultReferenceIdentity: identity.id,
        // No siteConfig: the SDK fills it with properties that Flex Consumption refuses.
        functionAppConfig: functionAppConfig(args),
      },
      { parent: this, dependsOn: [args.grants] },
    );
  }
}

function functionAppConfig({
  plan,
  identity,
  deploymentUrl,
}: FunctionsArgs): NonNullable<WebAppArgs['functionAppConfig']> {
  const { nodeVersion, instanceMemoryMb, instanceLimit } = plan.compute;
  return {
    deployment: {
      storage: {
        type: 'blobContainer',
        value: deploymentUrl,
        authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identity.id },
      },
    },
    runtime: { name: 'node', version: nodeVersion },
    scaleAndConcurrency: { instanceMemoryMB: instanceMemoryMb, maximumInstanceCount: instanceLimit },
  };
}

/**
 * All application settings. Names have `__` and never `:`, and FUNCTIONS_WORKER_RUNTIME is not among them: Flex Consumption refuses
 * both.
 */
function appSettings(args: FunctionsArgs): Environment {
  const { plan, connections, identity, hostAccountName, busHost, insightsConnectionString } = args;
  const asIdentity = (connection: string): Environment => ({
    [`${connection}__credential`]: 'managedidentity',
    [`${connection}__clientId`]: identity.clientId,
  });
  return {
    FUNCTIONS_EXTENSION_VERSION: '~4',
    AzureWebJobsStorage__accountName: hostAccountName,
    ...asIdentity('AzureWebJobsStorage'),
    [`${BUS_CONNECTION}__fullyQualifiedNamespace`]: busHost,
    ...asIdentity(BUS_CONNECTION),
    APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnectionString,
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: pulumi.interpolate`Authorization=AAD;ClientId=${identity.clientId}`,
    // host.json is the same in every stack and has the default; the setting of this stack counts.
    AzureFunctionsJobHost__extensions__serviceBus__maxConcurrentCalls:
      plan.settings[variableOf('miningConcurrency')] ?? '',
    ...appEnvironment(plan.settings, connections),
  };
}

/** Name of the connection that the triggers of the queues name. */
const BUS_CONNECTION = 'ServiceBus';

/** Host of the deployment endpoint: as Azure tells it, or as it is derived from the host of the app. */
export function scmHostnameOf([states, hostname]: readonly [
  readonly { readonly name?: string | undefined; readonly hostType?: string | undefined }[] | undefined,
  string,
]): string {
  const told = states?.find(({ hostType }) => hostType === 'Repository')?.name;
  return told ?? hostname.replace('.', '.scm.');
}
