import { getClientConfigOutput } from '@pulumi/azure-native/authorization/getClientConfig.js';
import { ResourceGroup } from '@pulumi/azure-native/resources/resourceGroup.js';
import * as pulumi from '@pulumi/pulumi';
import { miners } from '../runtime/catalog.ts';
import { STACK_OUTPUTS_VERSION, type StackOutputs } from '../runtime/settings.ts';
import { Alerts } from './alerts.ts';
import { Budget } from './budget.ts';
import { type Bundle, bundleFunctions } from './bundle.ts';
import { Cache } from './cache.ts';
import { readStackConfig } from './config.ts';
import { Dashboard } from './dashboard.ts';
import { type InfraConnections, personEnvironment } from './environment.ts';
import { Functions } from './functions.ts';
import { Grants, HostIdentity } from './identity.ts';
import { Messaging } from './messaging.ts';
import { keptOptions, type Place } from './place.ts';
import { planStack } from './plan.ts';
import type { StackConfig } from './stack-config.ts';
import type { StackPlan } from './stack-plan.ts';
import { Storage } from './storage.ts';
import { Telemetry } from './telemetry.ts';
import { Vault } from './vault.ts';

/** Outputs before the deployment. Whoever reads them later finds `StackOutputs`. */
type Outputs = { readonly [Name in keyof StackOutputs]: pulumi.Output<StackOutputs[Name]> };

/** The configuration, or the end of the program with every mistake in it, before anything is registered. */
function configOrEnd(): StackConfig {
  const reading = readStackConfig(pulumi.getStack(), pulumi.runtime.allConfig());
  if (reading.ok) return reading.config;
  const { length } = reading.errors;
  const heading = `the configuration of ${pulumi.getStack()} has ${length} mistake${length === 1 ? '' : 's'}:`;
  throw new pulumi.RunError([heading, ...reading.errors.map((error) => `  - ${error}`)].join('\n'));
}

/** Everything that a stack is, from its plan. */
function buildStack(plan: StackPlan, bundle: Bundle): Outputs {
  const { names, location, tags } = plan;
  // The group goes with its content, so where data is kept the group is.
  const group = new ResourceGroup(
    'group',
    { resourceGroupName: names.resourceGroup, location, tags },
    keptOptions(plan),
  );
  const place: Place = { plan, resourceGroupName: group.name };
  const data = buildData(place);
  const { telemetry, messaging, cache, connections } = data;
  const functions = buildFunctions(place, data, bundle);
  const scopes = {
    serviceBus: messaging.namespaceId,
    redis: cache.id,
    functionApp: functions.id,
    insights: telemetry.insightsId,
  };
  new Alerts('alerts', { ...place, scopes });
  const dashboard = new Dashboard('dashboard', { ...place, scopes });
  new Budget('budget', { plan, scope: group.id });
  return {
    schemaVersion: pulumi.output(STACK_OUTPUTS_VERSION),
    stage: pulumi.output<string>(plan.stage),
    settings: pulumi.output(personEnvironment(plan.settings, connections)),
    resourceGroup: group.name,
    functionApp: pulumi.output({ name: functions.appName, hostname: functions.hostname, version: functions.version }),
    dashboardUrl: dashboard.url,
  };
}

/** What holds and moves data, who may enter it, and how it is reached. */
function buildData(place: Place) {
  // The login that deploys: asked, not derived from a resource, so that a preview knows it.
  const { tenantId, subscriptionId } = getClientConfigOutput();
  const identity = new HostIdentity('identity', place);
  const functionsPrincipalId = identity.principalId;
  const messaging = new Messaging('messaging', place);
  const storage = new Storage('storage', place);
  const telemetry = new Telemetry('telemetry', place);
  const vault = new Vault('vault', { ...place, tenantId });
  const cache = new Cache('cache', { ...place, functionsPrincipalId });
  const scopes = {
    serviceBus: messaging.namespaceId,
    dataAccount: storage.data.id,
    hostAccount: storage.host.id,
    insights: telemetry.insightsId,
    vault: vault.id,
  };
  const grants = new Grants('grants', { ...place, scopes, functionsPrincipalId, subscriptionId });
  const connections: InfraConnections = {
    redisAddress: cache.address,
    busNamespace: messaging.host,
    tablesUrl: storage.tablesUrl,
    lakeUrl: storage.lakeUrl,
    identityClientId: identity.clientId,
    upstreamUrls: JSON.stringify(place.plan.upstreamUrls),
    sealingKeys: vault.sealingKeysReference,
    sealingKeysUrl: vault.sealingKeysUrl,
  };
  return { identity, messaging, storage, telemetry, vault, cache, grants, connections };
}

function buildFunctions(place: Place, data: ReturnType<typeof buildData>, bundle: Bundle): Functions {
  const { identity, messaging, storage, telemetry, vault, cache, grants, connections } = data;
  return new Functions('functions', {
    ...place,
    identity,
    hostAccountName: storage.host.name,
    deploymentUrl: storage.deploymentUrl,
    busHost: messaging.host,
    insightsConnectionString: telemetry.connectionString,
    connections,
    bundle,
    grants,
    dataPlane: [messaging, storage, vault, cache],
  });
}

const plan = planStack(configOrEnd(), miners);
const outputs = buildStack(plan, await bundleFunctions());

export const { schemaVersion, stage, settings, resourceGroup, functionApp, dashboardUrl } = outputs;
