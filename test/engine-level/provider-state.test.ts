import { describe, expect, it } from 'vitest';
import { FakeAzure } from './provider/azure.ts';
import type { Inputs } from './provider/resource-kind.ts';
import { azureBefore, lifecycle, SAMPLES } from './provider/sample-resources.ts';

const token = (kind: string): string => `azure-native:${kind}`;
const sample = (kind: string): Inputs => SAMPLES[kind] ?? {};
const idOf = (azure: FakeAzure, kind: string): string => azure.idsOf(token(kind))[0] ?? '';

describe('what is refused for what is there', () => {
  it('an identity whose grant says that it is a user, as the SDK does where nobody says anything', () => {
    const azure = azureBefore('authorization:RoleAssignment');
    const principalId = azure.find(idOf(azure, 'managedidentity:UserAssignedIdentity'))?.outputs['principalId'];
    const grant = { ...sample('authorization:RoleAssignment'), principalId };
    const create = (principalType: string | undefined) => () =>
      azure.create(token('authorization:RoleAssignment'), { ...grant, principalType });
    expect(create('User')).toThrow(/UnmatchedPrincipalType/);
    expect(create(undefined)).toThrow(/UnmatchedPrincipalType/);
    expect(create('ServicePrincipal')).not.toThrow();
  });

  it('the same grant twice', () => {
    const azure = azureBefore();
    const twin = {
      ...sample('authorization:RoleAssignment'),
      roleAssignmentName: '88888888-8888-4888-8888-888888888888',
    };
    expect(() => azure.create(token('authorization:RoleAssignment'), twin)).toThrow(/RoleAssignmentExists/);
  });

  it('a Standard C3 in a tenant that never had one', () => {
    const azure = azureBefore('redis:Redis');
    azure.isRedisBlocked = true;
    expect(() => azure.create(token('redis:Redis'), sample('redis:Redis'))).toThrow(
      /no longer available to new customers/,
    );
  });

  it('a blob that needs the key of an account without keys', () => {
    const inputs = {
      resourceGroupName: 'sample',
      accountName: 'samplestore',
      containerName: 'packages',
      blobName: 'a',
    };
    expect(() => azureBefore().create(token('storage:Blob'), inputs)).toThrow(/KeyBasedAuthenticationNotPermitted/);
  });

  it('the archive tier in a zone-redundant account, and versions in a hierarchical one', () => {
    const withAccount = (changes: Inputs): FakeAzure => {
      const azure = azureBefore('storage:StorageAccount');
      azure.create(token('storage:StorageAccount'), { ...sample('storage:StorageAccount'), ...changes });
      return azure;
    };
    const policy = { ...sample('storage:ManagementPolicy'), policy: lifecycle(30, 180) };
    const redundant = withAccount({ sku: { name: 'Standard_ZRS' } });
    expect(() => redundant.create(token('storage:ManagementPolicy'), policy)).toThrow(
      /'tierToArchive' is not supported/,
    );
    const hierarchical = withAccount({ isHnsEnabled: true });
    const service = sample('storage:BlobServiceProperties');
    expect(() => hierarchical.create(token('storage:BlobServiceProperties'), service)).toThrow(
      /versioning is not supported/,
    );
  });

  it('sessions and topics in the Basic tier', () => {
    const azure = azureBefore('servicebus:Namespace');
    azure.create(token('servicebus:Namespace'), { ...sample('servicebus:Namespace'), sku: { name: 'Basic' } });
    const queue = { ...sample('servicebus:Queue'), requiresSession: true };
    expect(() => azure.create(token('servicebus:Queue'), queue)).toThrow(/'Basic' tier/);
    expect(() => azure.create(token('servicebus:Topic'), sample('servicebus:Topic'))).toThrow(/'Basic' tier/);
  });

  it('a second app on a Flex Consumption plan', () => {
    const second = { ...sample('web:WebApp'), name: 'second-app' };
    expect(() => azureBefore().create(token('web:WebApp'), second)).toThrow(/can hold one app only/);
  });

  it('a reference to the vault by an app that names no identity for it', () => {
    const azure = azureBefore('web:WebApp');
    azure.create(token('web:WebApp'), { ...sample('web:WebApp'), keyVaultReferenceIdentity: undefined });
    const settings = sample('web:WebAppApplicationSettings');
    expect(() => azure.create(token('web:WebAppApplicationSettings'), settings)).toThrow(/keyVaultReferenceIdentity/);
  });

  it('what exists, what has no parent, what has no group, and a name that somebody has', () => {
    const azure = azureBefore();
    expect(() => azure.create(token('servicebus:Queue'), sample('servicebus:Queue'))).toThrow(
      /already existing resource/,
    );
    const orphan = { ...sample('servicebus:Queue'), namespaceName: 'other-bus' };
    expect(() => azure.create(token('servicebus:Queue'), orphan)).toThrow(/ParentResourceNotFound/);
    const homeless = { ...sample('servicebus:Namespace'), resourceGroupName: 'other' };
    expect(() => azure.create(token('servicebus:Namespace'), homeless)).toThrow(/ResourceGroupNotFound/);
    azure.create(token('resources:ResourceGroup'), { resourceGroupName: 'other', location: 'eastus' });
    expect(() => azure.create(token('servicebus:Namespace'), homeless)).toThrow(/NameUnavailable/);
  });

  it('the name of a deleted vault until it is purged', () => {
    const azure = azureBefore();
    azure.delete(token('keyvault:Vault'), idOf(azure, 'keyvault:Vault'));
    const again = (): unknown => azure.create(token('keyvault:Vault'), sample('keyvault:Vault'));
    expect(again).toThrow(/already exists in deleted state/);
    azure.purgeVaults();
    expect(again).not.toThrow();
  });

  it('a change of what Azure fixes at creation, and less protection of a vault than it had', () => {
    const azure = azureBefore();
    const queue = { ...sample('servicebus:Queue'), requiresSession: true };
    expect(() => azure.update(token('servicebus:Queue'), idOf(azure, 'servicebus:Queue'), queue)).toThrow(
      /'requiresSession' cannot be changed/,
    );
    const { enablePurgeProtection: _, ...properties } = sample('keyvault:Vault')['properties'] as Record<
      string,
      unknown
    >;
    const vault = { ...sample('keyvault:Vault'), properties };
    expect(() => azure.update(token('keyvault:Vault'), idOf(azure, 'keyvault:Vault'), vault)).toThrow(/irreversible/);
  });

  it('a type that it was not taught, and one that the SDK does not have', () => {
    const azure = new FakeAzure();
    expect(() => azure.check(token('cache:Redis'), 'a', {}, {})).toThrow(/does not know azure-native:cache:Redis/);
    expect(() => azure.invoke(token('web:listSomething'))).toThrow(/unrecognized function/);
  });
});

describe('what the provider answers', () => {
  it('names what has no name, and keeps the name that it gave', () => {
    const azure = azureBefore();
    const { queueName: _, ...unnamed } = sample('servicebus:Queue') as Record<string, unknown>;
    const first = azure.check(token('servicebus:Queue'), 'mine', unnamed, {}).inputs;
    expect(first['queueName']).toMatch(/^mine[0-9a-f]{8}$/);
    expect(azure.check(token('servicebus:Queue'), 'mine', unnamed, first).inputs).toEqual(first);
    const { roleAssignmentName: __, ...grant } = sample('authorization:RoleAssignment') as Record<string, unknown>;
    const { misfits } = azure.check(token('authorization:RoleAssignment'), 'mine', grant, {});
    expect(misfits).toEqual([]);
  });

  it('replaces where the address or the place changes, and updates elsewhere', () => {
    const azure = new FakeAzure();
    const before = sample('servicebus:Namespace');
    const diff = (changes: Inputs) => azure.diff(token('servicebus:Namespace'), before, { ...before, ...changes });
    expect(diff({})).toEqual({ changed: [], replaces: [] });
    expect(diff({ tags: { a: 'b' } })).toEqual({ changed: ['tags'], replaces: [] });
    expect(diff({ namespaceName: 'other-bus' })).toEqual({ changed: ['namespaceName'], replaces: ['namespaceName'] });
    expect(diff({ location: 'westus' }).replaces).toEqual(['location']);
  });

  it('knows in a preview only what the program said, also inside objects', () => {
    const azure = azureBefore('keyvault:Vault');
    const isUnknown = expect.stringMatching(/^04da6b54-/) as string;
    expect(azure.preview(token('keyvault:Vault'), sample('keyvault:Vault'))).toMatchObject({
      name: isUnknown,
      location: 'eastus',
      properties: { vaultUri: isUnknown, softDeleteRetentionInDays: 7 },
    });
    expect(azure.all().some(({ token: held }) => held === token('keyvault:Vault'))).toBe(false);
  });

  it('knows endpoints and principals once something is there', () => {
    const azure = azureBefore();
    const outputs = (kind: string): Inputs => azure.find(idOf(azure, kind))?.outputs ?? {};
    expect(outputs('servicebus:Namespace')['serviceBusEndpoint']).toBe(
      'https://sample-bus.servicebus.windows.net:443/',
    );
    expect(outputs('redisenterprise:RedisEnterprise')['hostName']).toBe('sample-managed.eastus.redis.azure.net');
    expect(outputs('storage:StorageAccount')['primaryEndpoints']).toMatchObject({
      table: 'https://samplestore.table.core.windows.net/',
    });
    expect(outputs('managedidentity:UserAssignedIdentity')['principalId']).toMatch(/^[0-9a-f-]{36}$/);
    expect(outputs('keyvault:Secret')).not.toHaveProperty('properties.value');
  });

  it('deletes a group with everything in it, and nothing that is gone', () => {
    const azure = azureBefore();
    azure.delete(token('resources:ResourceGroup'), idOf(azure, 'resources:ResourceGroup'));
    expect(azure.all()).toEqual([]);
    expect(() => azure.delete(token('servicebus:Queue'), '/gone')).not.toThrow();
  });

  it('keeps the containers when the settings of their service go', () => {
    const azure = azureBefore();
    azure.delete(token('storage:BlobServiceProperties'), idOf(azure, 'storage:BlobServiceProperties'));
    expect(azure.idsOf(token('storage:BlobContainer'))).toHaveLength(1);
  });

  it('fails as often as it is told to, and then no more', () => {
    const azure = azureBefore('servicebus:Queue');
    azure.fail({
      token: token('servicebus:Queue'),
      name: 'a-queue',
      refusal: { status: 500, code: 'Busy', message: 'later' },
    });
    const create = (queueName: string) => () =>
      azure.create(token('servicebus:Queue'), { ...sample('servicebus:Queue'), queueName });
    expect(create('another')).not.toThrow();
    expect(create('a-queue')).toThrow(/RESPONSE 500\nERROR CODE: Busy[^]*later/);
    expect(create('a-queue')).not.toThrow();
  });

  it('says who deploys', () => {
    const azure = new FakeAzure();
    expect(azure.invoke(token('authorization:getClientConfig'))).toMatchObject({
      subscriptionId: azure.subscriptionId,
      tenantId: azure.tenantId,
    });
  });
});
