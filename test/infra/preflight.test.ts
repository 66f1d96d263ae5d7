import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readConfigFile } from '../../infra/config-file.ts';
import { readStackConfig } from '../../infra/config.ts';
import { planStack } from '../../infra/plan.ts';
import { openAzureApi } from '../../infra/preflight/azure-api.ts';
import type { Finding } from '../../infra/preflight/checks.ts';
import { preflight } from '../../infra/preflight/preflight.ts';
import type { StackConfig } from '../../infra/stack-config.ts';
import { type FakeArm, startFakeArm, SUBSCRIPTION } from './fake-arm.ts';

let arm: FakeArm;

beforeEach(async () => {
  arm = await startFakeArm();
});

afterEach(() => arm.close());

function configOf(stack: 'dev' | 'prod'): StackConfig {
  const read = readStackConfig(stack, readConfigFile(process.cwd(), stack).values);
  if (!read.ok) throw new Error(read.errors.join('\n'));
  return read.config;
}

async function findingsOf(stack: 'dev' | 'prod'): Promise<Finding[]> {
  return findingsIn(SUBSCRIPTION, stack);
}

async function findingsIn(subscriptionId: string | undefined, stack: 'dev' | 'prod' = 'dev'): Promise<Finding[]> {
  const config = configOf(stack);
  const api = openAzureApi({ baseUrl: arm.url, token: 'the-token' });
  return Array.fromAsync(preflight({ api, config, plan: planStack(config), subscriptionId }));
}

const missesOf = (findings: readonly Finding[]): string[] =>
  findings
    .filter(({ verdict }) => verdict !== 'ok')
    .map(({ check, verdict, next }) => `${verdict} ${check} -> ${next ?? ''}`);

describe('preflight', () => {
  it.each(['dev', 'prod'] as const)('finds nothing missing for %s when Azure has everything', async (stack) => {
    const findings = await findingsOf(stack);
    expect(missesOf(findings)).toEqual([]);
    expect(findings).toHaveLength(7);
    expect(arm.requests.every(({ authorization }) => authorization === 'Bearer the-token')).toBe(true);
  });

  it('asks and validates only: it never puts, patches or deletes', async () => {
    await findingsOf('prod');
    const changes = arm.requests.filter(({ line }) => !/^GET |^POST .*(\/validate|checknameavailability)$/i.test(line));
    expect(changes).toEqual([]);
  });

  it('names every provider that is not registered, with the command for each', async () => {
    arm.facts.registered = arm.facts.registered.filter((name) => !['Microsoft.Cache', 'Microsoft.Web'].includes(name));
    expect(missesOf(await findingsOf('dev'))).toEqual([
      'miss providers registered -> az provider register --wait -n Microsoft.Cache && az provider register --wait -n Microsoft.Web',
    ]);
  });

  it.each([
    ['Contributor, who may not grant roles', ['*'], ['Microsoft.Authorization/*/Write']],
    ['a reader', ['*/read'], []],
  ])('says that %s lacks a right', async (_, actions, notActions) => {
    arm.facts.permissions = [{ actions, notActions }];
    const [miss] = (await findingsOf('dev')).filter(({ verdict }) => verdict === 'miss');
    expect(miss?.text).toContain('Microsoft.Authorization/roleAssignments/write');
    expect(miss?.next).toContain('Role Based Access Control Administrator');
  });

  it('accepts a right that one grant takes back and another gives', async () => {
    arm.facts.permissions = [
      { actions: ['*'], notActions: ['Microsoft.Authorization/*/Write'] },
      { actions: ['Microsoft.Authorization/roleAssignments/*'], notActions: [] },
    ];
    expect(missesOf(await findingsOf('dev'))).toEqual([]);
  });

  it('names the regions that have Flex when this one has not', async () => {
    arm.facts.flexRegions = ['West Europe', 'North Europe'];
    const [miss] = (await findingsOf('dev')).filter(({ verdict }) => verdict === 'miss');
    expect(miss?.text).toContain('northeurope, westeurope');
    expect(miss?.next).toContain('pulumi config set azure-native:location');
  });

  it('names the versions of Node when the wanted one is not in the catalogue of the region', async () => {
    arm.facts.nodeVersions = ['18', '20'];
    const [miss] = (await findingsOf('dev')).filter(({ verdict }) => verdict === 'miss');
    expect(miss?.text).toContain('18, 20');
    expect(miss?.next).toContain('infra/node-version.ts');
  });

  it('names every taken name, and the prefix to change', async () => {
    const { names } = planStack(configOf('prod'));
    arm.facts.taken = [names.vault, names.dataAccount, names.redis];
    const [miss] = (await findingsOf('prod')).filter(({ verdict }) => verdict === 'miss');
    for (const name of arm.facts.taken) expect(miss?.text).toContain(name);
    expect(miss?.next).toBe(
      `choose another adit:prefix in Pulumi.prod.yaml, or, when it is your own deleted vault, az keyvault purge -n ${names.vault}`,
    );
  });

  it('does not mind names that the stack has itself', async () => {
    const { names } = planStack(configOf('prod'));
    arm.facts.taken = [names.vault, names.dataAccount];
    arm.facts.existing = arm.facts.taken;
    const findings = await findingsOf('prod');
    expect(missesOf(findings)).toEqual([]);
    const own = [names.serviceBusNamespace, names.vault, names.functionApp, names.redis, names.dataAccount].filter(
      (name) => arm.facts.taken.includes(name),
    );
    expect(findings.find(({ check }) => check === 'names free')?.text).toBe(`6, ${own.length} are this stack's own`);
  });

  it('says how to switch when the tenant gets no new Standard C3', async () => {
    arm.facts.refusal = { code: 'NewCacheCreationBlocked', message: 'Azure Cache for Redis takes no new caches here' };
    const [miss] = (await findingsOf('prod')).filter(({ verdict }) => verdict === 'miss');
    expect(miss?.text).toBe('NewCacheCreationBlocked: Azure Cache for Redis takes no new caches here');
    expect(miss?.next).toContain('pulumi config set adit:redis managed-b5 -s prod');
    const validation = arm.requests.find(({ line }) => line.endsWith('/validate'));
    expect(JSON.stringify(validation?.body)).toContain('"sku":{"name":"Standard","family":"C","capacity":3}');
  });

  it('tells "could not ask" from "no"', async () => {
    arm.facts.permissions = [];
    const api = openAzureApi({ baseUrl: arm.url, token: 'the-token' });
    const config = configOf('dev');
    const broken = {
      ...api,
      get: async (path: string) =>
        path.includes('geoRegions')
          ? { status: 403, body: { error: { code: 'Forbidden', message: 'not you' } } }
          : api.get(path),
    };
    const findings = await Array.fromAsync(
      preflight({ api: broken, config, plan: planStack(config), subscriptionId: SUBSCRIPTION }),
    );
    expect(findings.find(({ check }) => check.startsWith('Flex'))).toMatchObject({
      verdict: 'unknown',
      text: 'Azure did not say: Forbidden: not you',
    });
    expect(findings.find(({ check }) => check.startsWith('right'))).toMatchObject({ verdict: 'miss' });
  });

  it('asks again when Azure is busy', async () => {
    arm.facts.statuses = [429, 503];
    expect(missesOf(await findingsOf('dev'))).toEqual([]);
  });

  it('takes the only subscription of a login, and asks for one when there are several or none', async () => {
    expect((await findingsIn(undefined))[0]?.verdict).toBe('ok');
    arm.facts.subscriptions.push({ subscriptionId: 'other', displayName: 'Other' });
    const several = await findingsIn(undefined);
    expect(several).toHaveLength(1);
    expect(several[0]?.text).toContain('2: Mining');
    expect(several[0]?.next).toContain('pulumi config set azure-native:subscriptionId');
    arm.facts.subscriptions = [];
    expect((await findingsIn(undefined))[0]?.next).toContain('az login');
  });

  it('stops at a subscription that this login does not see', async () => {
    const findings = await findingsIn('not-mine');
    expect(findings).toHaveLength(1);
    expect(findings[0]?.verdict).toBe('miss');
    expect(findings[0]?.text).toContain('SubscriptionNotFound');
  });
});
