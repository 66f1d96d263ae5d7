import { beforeAll, describe, expect, it } from 'vitest';
import { planStack } from '../../infra/plan.ts';
import { ProgramFault } from '../../infra/preview/program-fault.ts';
import type { ProgramRun } from '../../infra/preview/run-program.ts';
import { sampleConfig } from './sample-config.ts';
import { at, ofType, only, runStackProgram } from './stack-program.ts';

const RUN_LIMIT_MS = 120_000;

describe('the kind of cache', { timeout: RUN_LIMIT_MS }, () => {
  it('is the managed one after one changed line', async () => {
    const run = await runStackProgram('prod', { changes: { 'adit:redis': 'managed-b5' } });
    expect(only(run, 'redisenterprise:RedisEnterprise').inputs).toMatchObject({
      sku: { name: 'Balanced_B5' },
      highAvailability: 'Enabled',
      minimumTlsVersion: '1.2',
      publicNetworkAccess: 'Enabled',
    });
    expect(only(run, 'redisenterprise:Database').inputs).toMatchObject({
      databaseName: 'default',
      port: 10000,
      clientProtocol: 'Encrypted',
      clusteringPolicy: 'EnterpriseCluster',
      evictionPolicy: 'VolatileLRU',
      accessKeysAuthentication: 'Disabled',
    });
    expect(ofType(run, 'redis:Redis')).toEqual([]);
  });
});

const DEVELOPERS = ['11111111-2222-3333-4444-555555555555', '66666666-7777-8888-9999-000000000000'] as const;

describe('a deployed stack with developers', { timeout: RUN_LIMIT_MS }, () => {
  let run: ProgramRun;
  const changes = { 'adit:developers': JSON.stringify(DEVELOPERS) };
  const plan = planStack(sampleConfig('dev', changes));
  beforeAll(async () => {
    run = await runStackProgram('dev', { isPreview: false, changes });
  }, RUN_LIMIT_MS);

  it('gives them the roles of mining, as users', () => {
    const grants = ofType(run, 'authorization:RoleAssignment').filter(
      ({ inputs }) => inputs['principalType'] === 'User',
    );
    const roles = plan.roles.filter(({ holder }) => holder === 'developer');
    expect(grants).toHaveLength(roles.length * DEVELOPERS.length);
    expect(new Set(grants.map(({ inputs }) => inputs['principalId']))).toEqual(new Set(DEVELOPERS));
  });

  it('lets everybody into the cache, one after the other', () => {
    const names = ['functions', ...DEVELOPERS.map((id) => `developer${id.replaceAll('-', '')}`)];
    const entries = names.map((name) => only(run, 'redisenterprise:AccessPolicyAssignment', name));
    expect(ofType(run, 'redisenterprise:AccessPolicyAssignment')).toHaveLength(names.length);
    expect(entries[0]?.inputs).toMatchObject({ accessPolicyName: 'default', user: { objectId: 'the-principal' } });
    expect(entries[1]?.options.dependsOn).toContain(entries[0]?.urn);
    expect(entries[2]?.options.dependsOn).toContain(entries[1]?.urn);
  });

  it('gives a person what mining into it takes, without a secret and without the identity of the app', () => {
    const { outputs } = run;
    expect(outputs['settings']).toEqual({
      ...plan.settings,
      ADIT_REDIS_ADDRESS: 'adit7-dev.eastus.redis.azure.net:10000',
      ADIT_SERVICE_BUS_NAMESPACE: 'adit7-dev-bus.servicebus.windows.net',
      ADIT_TABLES_URL: 'https://adit7devdata.table.core.windows.net',
      ADIT_LAKE_URL: 'https://adit7devdata.blob.core.windows.net/lake',
      ADIT_UPSTREAM_URLS: '{"graph":"https://graph.example.com"}',
      ADIT_SEALING_KEYS_URL: 'https://adit7-dev.vault.azure.net/secrets/sealing-keys',
    });
    expect(outputs['functionApp']).toMatchObject({ name: 'adit7-dev', hostname: 'adit7-dev.azurewebsites.net' });
    expect(outputs['dashboardUrl']).toMatch(/^https:\/\/portal\.azure\.com\/#resource\/subscriptions\/.*\/workbook$/);
  });

  it('gives the app its secrets as references to the vault, and its identity in every connection', () => {
    expect(only(run, 'web:WebAppApplicationSettings').inputs['properties']).toMatchObject({
      ADIT_SEALING_KEYS: '@Microsoft.KeyVault(VaultName=adit7-dev;SecretName=sealing-keys)',
      ADIT_IDENTITY_CLIENT_ID: 'the-client',
      AzureWebJobsStorage__clientId: 'the-client',
      ServiceBus__clientId: 'the-client',
      ServiceBus__fullyQualifiedNamespace: 'adit7-dev-bus.servicebus.windows.net',
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=the-client',
    });
    const app = only(run, 'web:WebApp').inputs;
    expect(at(app, 'functionAppConfig.deployment.storage.value')).toBe(
      'https://adit7devhost.blob.core.windows.net/packages',
    );
    expect(only(run, 'pulumi-nodejs:dynamic:Resource').inputs).toMatchObject({
      appName: 'adit7-dev',
      hostname: 'adit7-dev.azurewebsites.net',
      scmHostname: 'adit7-dev.scm.azurewebsites.net',
      archivePath: '.adit/build/functions/functions.zip',
    });
  });
});

describe('a wrong configuration', { timeout: RUN_LIMIT_MS }, () => {
  it('ends the program before the first resource, with every mistake at once and no stack trace', async () => {
    const changes = { 'adit:stage': 'test', 'adit:monthlyBudgetUsd': '-1', 'adit:redsi': 'managed-b5' };
    const fault: unknown = await runStackProgram('dev', { changes }).catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(ProgramFault);
    const { message } = fault as ProgramFault;
    for (const key of Object.keys(changes)) expect(message).toContain(key);
    expect(message).toContain('the configuration of dev has 3 mistakes:');
    expect(message).not.toContain('    at ');
  });
});
