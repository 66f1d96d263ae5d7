import { beforeAll, describe, expect, it } from 'vitest';
import { planStack } from '../../infra/plan.ts';
import type { ProgramRun } from '../../infra/preview/run-program.ts';
import { type Json, UNKNOWN } from '../../infra/preview/wire-value.ts';
import { miners } from '../../runtime/catalog.ts';
import { entitiesOf, routeOf } from '../../runtime/core/route.ts';
import { CONNECTIONS, type ConnectionSpec } from '../../runtime/connections.ts';
import type { StackOutputs } from '../../runtime/settings.ts';
import type { StackStage } from '../../infra/stack-config.ts';
import { sampleConfig } from './sample-config.ts';
import { at, ofType, only, runStackProgram, text } from './stack-program.ts';

const RUN_LIMIT_MS = 120_000;
const STAGES = ['dev', 'prod'] as const;

const infraConnections = Object.values(CONNECTIONS).filter(
  ({ writtenBy }: ConnectionSpec) => writtenBy === 'infra',
) as readonly ConnectionSpec[];

/** Leaving an output out does not compile. */
const OUTPUTS = {
  schemaVersion: true,
  stage: true,
  settings: true,
  resourceGroup: true,
  functionApp: true,
  dashboardUrl: true,
} satisfies Record<keyof StackOutputs, true>;

/** Of each stage twice, because equal inputs must give equal resources. */
const runs = new Map<string, readonly ProgramRun[]>();

beforeAll(async () => {
  for (const stage of STAGES) runs.set(stage, await Promise.all([runStackProgram(stage), runStackProgram(stage)]));
}, RUN_LIMIT_MS);

function previewOf(stage: StackStage, at = 0): ProgramRun {
  const run = runs.get(stage)?.[at];
  if (run === undefined) throw new Error(`the program of ${stage} did not run`);
  return run;
}

describe.each(STAGES)('the program of %s', (stage) => {
  let run: ProgramRun;
  const plan = planStack(sampleConfig(stage));
  beforeAll(() => {
    run = previewOf(stage);
  });

  it('registers exactly these resources and no other', async () => {
    const lines = run.resources.map(({ type, name }) => `${type.replace('azure-native:', '')} ${name}`);
    await expect(`${lines.toSorted().join('\n')}\n`).toMatchFileSnapshot(`snapshots/${stage}.resources.txt`);
  });

  it('has a queue, functions, an alert and a grant for every entry of the catalog', () => {
    for (const { name, lane } of miners) {
      const { miningQueue } = routeOf({ name });
      expect(only(run, 'servicebus:Queue', miningQueue).inputs).toMatchObject({ queueName: miningQueue });
      const starters = plan.functions.filter(
        (declared) => 'task' in declared && 'minerName' in declared.task && declared.task.minerName === name,
      );
      expect(starters.map(({ kind }) => kind).toSorted()).toEqual(['queue', 'timer']);
      const criteria = ofType(run, 'monitor:MetricAlert').map(({ inputs }) => JSON.stringify(inputs['criteria']));
      const depths = criteria.filter((text) => text.includes('ActiveMessages'));
      expect(
        depths.some((text) => text.includes(`"${miningQueue}"`)),
        `depth of ${lane}`,
      ).toBe(true);
    }
    expect(ofType(run, 'authorization:RoleAssignment').map(({ name }) => name)).toContain('functions-bus');
  });

  it('has no entity of the bus that the catalog does not ask for', () => {
    const asked = entitiesOf(miners).map((entity) => `${entity.kind} ${entity.name}`);
    const registered = ['Queue', 'Topic', 'Subscription'].flatMap((type) =>
      ofType(run, `servicebus:${type}`).map(
        ({ inputs }) => `${type.toLowerCase()} ${text(inputs[`${type.toLowerCase()}Name`])}`,
      ),
    );
    expect(registered.toSorted()).toEqual(asked.toSorted());
  });

  it('forwards every data topic to the ingestion queue, after both exist', () => {
    for (const { inputs, options } of ofType(run, 'servicebus:Subscription')) {
      const forwardTo = text(inputs['forwardTo']);
      const waitsFor = [
        only(run, 'servicebus:Queue', forwardTo),
        only(run, 'servicebus:Topic', text(inputs['topicName'])),
      ];
      for (const { urn } of waitsFor) expect(options.dependsOn).toContain(urn);
      expect(inputs).toMatchObject({
        lockDuration: 'PT5M',
        requiresSession: false,
        deadLetteringOnMessageExpiration: true,
      });
    }
  });

  it('turns keys off wherever there are keys', () => {
    expect(only(run, 'servicebus:Namespace').inputs).toMatchObject({
      sku: { name: 'Standard', tier: 'Standard' },
      disableLocalAuth: true,
      minimumTlsVersion: '1.2',
    });
    for (const { inputs } of ofType(run, 'storage:StorageAccount')) {
      expect(inputs).toMatchObject({
        allowSharedKeyAccess: false,
        allowBlobPublicAccess: false,
        defaultToOAuthAuthentication: true,
        enableHttpsTrafficOnly: true,
        minimumTlsVersion: 'TLS1_2',
      });
    }
    expect(only(run, 'applicationinsights:Component').inputs).toMatchObject({ disableLocalAuth: true });
    expect(at(only(run, 'operationalinsights:Workspace').inputs, 'features.disableLocalAuth')).toBe(true);
    expect(at(only(run, 'keyvault:Vault').inputs, 'properties.enableRbacAuthorization')).toBe(true);
  });

  it('runs the functions on Flex Consumption, without what Flex refuses', () => {
    expect(only(run, 'web:AppServicePlan').inputs).toMatchObject({
      sku: { name: 'FC1', tier: 'FlexConsumption' },
      reserved: true,
    });
    const { inputs } = only(run, 'web:WebApp');
    expect(inputs).not.toHaveProperty('siteConfig');
    expect(inputs).toMatchObject({
      kind: 'functionapp,linux',
      httpsOnly: true,
      identity: { type: 'UserAssigned' },
      functionAppConfig: {
        deployment: { storage: { type: 'blobContainer', authentication: { type: 'UserAssignedIdentity' } } },
        runtime: { name: 'node', version: plan.compute.nodeVersion },
        scaleAndConcurrency: {
          instanceMemoryMB: plan.compute.instanceMemoryMb,
          maximumInstanceCount: plan.compute.instanceLimit,
        },
      },
    });
  });

  it('writes every connection and every setting into the settings of the app, under names that Flex takes', () => {
    const written = only(run, 'web:WebAppApplicationSettings').inputs['properties'] as Record<string, unknown>;
    for (const { variable } of infraConnections) expect(written).toHaveProperty([variable]);
    expect(written).toMatchObject(plan.settings);
    expect(Object.keys(written).filter((name) => name.includes(':'))).toEqual([]);
    expect(written).not.toHaveProperty('FUNCTIONS_WORKER_RUNTIME');
    expect(written).toMatchObject({
      FUNCTIONS_EXTENSION_VERSION: '~4',
      AzureWebJobsStorage__accountName: plan.names.hostAccount,
      AzureWebJobsStorage__credential: 'managedidentity',
      ServiceBus__credential: 'managedidentity',
    });
    const expected = [...infraConnections.map(({ variable }) => variable), ...Object.keys(plan.settings)];
    expect(
      Object.keys(written)
        .filter((name) => name.startsWith('ADIT_'))
        .toSorted(),
    ).toEqual(expected.toSorted());
  });

  it('holds no secret in a setting, only where the vault has it, and only after it is there', () => {
    const { inputs, options } = only(run, 'web:WebAppApplicationSettings');
    for (const { variable } of infraConnections.filter(({ isSecret }) => isSecret)) {
      expect(at(inputs, `properties.${variable}`)).toMatch(/^@Microsoft\.KeyVault\(/);
    }
    expect(options.dependsOn).toContain(only(run, 'keyvault:Secret').urn);
  });

  it('deploys the code after its settings, its grants and everything that it reads', () => {
    const { options } = only(run, 'pulumi-nodejs:dynamic:Resource', 'code');
    const needed = [
      'web:WebAppApplicationSettings',
      'servicebus:Queue',
      'storage:Table',
      'authorization:RoleAssignment',
    ];
    for (const { urn } of needed.flatMap((type) => ofType(run, type))) expect(options.dependsOn).toContain(urn);
    expect(options.dependsOn).toContain(only(run, 'keyvault:Secret').urn);
  });

  it('says of every holder of a role what it is, and names the assignment the same in every run', () => {
    const grants = ofType(run, 'authorization:RoleAssignment');
    expect(grants).toHaveLength(plan.roles.length);
    for (const { inputs, name } of grants) {
      expect(inputs['principalType'], name).toBe('ServicePrincipal');
      expect(inputs['principalId'], name).toBe(UNKNOWN);
      expect(inputs['roleDefinitionId']).toMatch(
        /^\/subscriptions\/[0-9a-f-]{36}\/providers\/Microsoft\.Authorization\/roleDefinitions\/[0-9a-f-]{36}$/,
      );
    }
    expect(new Set(grants.map(({ inputs }) => inputs['roleAssignmentName'])).size).toBe(grants.length);
  });

  it('protects and retains what holds data where data is kept, and nothing where it is not', () => {
    const kept = run.resources.filter(({ options }) => options.retainOnDelete);
    const expected = [
      'keyvault:Secret sealing-keys',
      'keyvault:Vault vault',
      // With the group, Azure would delete everything in it.
      'resources:ResourceGroup group',
      'storage:BlobContainer lake',
      'storage:StorageAccount data',
      ...plan.storage.tables.map((table) => `storage:Table ${table}`),
    ];
    const lines = kept.map(({ type, name }) => `${type.replace('azure-native:', '')} ${name}`).toSorted();
    expect(lines).toEqual(plan.keepsData ? expected.toSorted() : []);
    const isProtected = (urn: string) => run.resources.find((resource) => resource.urn === urn)?.options.protect;
    for (const { urn } of kept) expect(isProtected(urn)).toBe(true);
    for (const { entity, isProtected: isKept } of plan.entities) {
      const name = entity.kind === 'subscription' ? `${entity.topic}-${entity.name}` : entity.name;
      const resource = run.resources.find((candidate) => candidate.name === name);
      expect(resource?.options, name).toMatchObject({ protect: isKept, retainOnDelete: false });
    }
  });

  it('makes the sealing key at the first deployment only, and never writes over a newer one', () => {
    const key = only(run, 'pulumi-nodejs:dynamic/adit:SealingKey');
    expect(key.options.ignoreChanges).toEqual(['__provider']);
    expect(Object.keys(key.inputs)).toEqual(['__provider']);
    const secret = only(run, 'keyvault:Secret');
    expect(secret.options.ignoreChanges).toEqual(['properties', 'tags']);
    expect(at(secret.inputs, 'properties.value')).toBe(UNKNOWN);
    const vault = only(run, 'keyvault:Vault').inputs['properties'];
    // Azure takes true or nothing.
    if (plan.keepsData) expect(vault).toMatchObject({ enablePurgeProtection: true, softDeleteRetentionInDays: 90 });
    else expect(vault).not.toHaveProperty('enablePurgeProtection');
  });

  it('moves the lake to colder tiers that its redundancy has', () => {
    const { sku } = only(run, 'storage:StorageAccount', 'data').inputs as { sku: { name: string } };
    const policy = JSON.stringify(only(run, 'storage:ManagementPolicy').inputs['policy']);
    expect(policy).toContain('"tierToCool"');
    // Zone-redundant accounts have no archive tier.
    expect(policy.includes('"tierToArchive"')).toBe(sku.name === 'Standard_LRS');
    expect(policy.includes('"tierToCold"')).toBe(sku.name === 'Standard_ZRS');
    expect(policy).toContain('"prefixMatch":["lake/"]');
  });

  it('tells the operators of every alert, with the section of the playbook', () => {
    const alerts = ofType(run, 'monitor:MetricAlert');
    expect(alerts.map(({ name }) => name).toSorted()).toEqual(plan.alerts.map(({ name }) => name).toSorted());
    const group = only(run, 'monitor:ActionGroup');
    for (const { inputs, name, options } of alerts) {
      expect(inputs['description']).toContain(`runtime/ops/PLAYBOOK.md#${name}`);
      expect(inputs).toMatchObject({ enabled: true, location: 'global', autoMitigate: true });
      expect(options.propertyDependencies['actions']).toEqual([group.urn]);
    }
    expect(group.inputs['emailReceivers']).toMatchObject([{ emailAddress: 'oncall@example.com' }]);
  });

  it('has a budget of the resource group with every threshold, from the first of this month', () => {
    const { inputs, options } = only(run, 'consumption:Budget');
    expect(inputs).toMatchObject({ category: 'Cost', timeGrain: 'Monthly', amount: plan.budget.amountUsd });
    expect(at(inputs, 'timePeriod.startDate')).toMatch(/^\d{4}-\d{2}-01T00:00:00Z$/);
    expect(options.ignoreChanges).toEqual(['timePeriod']);
    const notifications = Object.values(inputs['notifications'] as Record<string, Record<string, Json>>);
    const told = notifications.map(({ threshold, thresholdType }) => `${text(thresholdType)} ${Number(threshold)}`);
    expect(new Set(told)).toEqual(new Set(plan.budget.thresholds.map(({ percent, kind }) => `${kind} ${percent}`)));
  });

  it('tags everything that takes tags', () => {
    // Children of another resource and records without a region take none.
    const untagged = new Set([
      'authorization:RoleAssignment',
      'consumption:Budget',
      'pulumi-nodejs:dynamic/adit:SealingKey',
      'pulumi-nodejs:dynamic:Resource',
      'redis:AccessPolicyAssignment',
      'redisenterprise:AccessPolicyAssignment',
      'redisenterprise:Database',
      'servicebus:Queue',
      'servicebus:Subscription',
      'servicebus:Topic',
      'storage:BlobContainer',
      'storage:BlobServiceProperties',
      'storage:ManagementPolicy',
      'storage:Table',
      'web:WebAppApplicationSettings',
    ]);
    for (const { type, name, inputs, isCustom } of run.resources) {
      if (!isCustom || untagged.has(type.replace('azure-native:', ''))) continue;
      expect(inputs['tags'], `${type} ${name}`).toEqual(plan.tags);
    }
  });

  it('gives out every output of the contract and no other', () => {
    expect(Object.keys(run.outputs).toSorted()).toEqual(Object.keys(OUTPUTS).toSorted());
    expect(run.outputs).toMatchObject({ schemaVersion: 1, stage, resourceGroup: plan.names.resourceGroup });
  });

  it('registers the same inputs in every run', () => {
    const byUrn = ({ resources }: ProgramRun) => JSON.stringify(resources.toSorted((a, b) => (a.urn < b.urn ? -1 : 1)));
    expect(byUrn(previewOf(stage, 1))).toBe(byUrn(run));
  });
});

describe('the cache of prod', () => {
  it('is the retired one with two nodes and Entra only, as prod says', () => {
    const run = previewOf('prod');
    expect(only(run, 'redis:Redis').inputs).toMatchObject({
      sku: { name: 'Standard', family: 'C', capacity: 3 },
      disableAccessKeyAuthentication: true,
      enableNonSslPort: false,
      minimumTlsVersion: '1.2',
      redisConfiguration: { aadEnabled: 'true', maxmemoryPolicy: 'volatile-lru' },
    });
    expect(only(run, 'redis:AccessPolicyAssignment').inputs).toMatchObject({ accessPolicyName: 'Data Contributor' });
    expect(ofType(run, 'redisenterprise:RedisEnterprise')).toEqual([]);
  });
});
