import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Digest, systemClock } from '../../runtime/adapters/system.ts';
import { miners } from '../../runtime/catalog.ts';
import { entitiesOf } from '../../runtime/core/route.ts';
import { beat } from '../../runtime/engine/heartbeat.ts';
import { openAzureStorage } from '../../runtime/host/azure-storage.ts';
import { type Child, startChild } from '../../runtime/host/child.ts';
import { compareWithTruth } from '../../runtime/host/truth.ts';
import { type LocalRedis, startRedis } from '../../runtime/local/redis.ts';
import type { StackOutputs } from '../../runtime/settings.ts';
import { type Azurite, startAzurite } from '../azurite/start.ts';
import { isAzuriteHere, isRedisHere } from '../fakes/servers.ts';
import { adit, type Ended, lastJson } from './adit.ts';
import { type FakePulumi, fakePulumi, type PulumiAnswer } from './fake-pulumi.ts';
import { stackOutputs } from './stack-outputs.ts';

const SEALING_KEYS = `k1:${Buffer.alloc(32, 7).toString('base64')}`;

/** As many users as a run of some seconds can mine. */
const USERS = 5;

describe.runIf(isAzuriteHere() && isRedisHere())('ADIT_STACK=dev npm start', () => {
  let dir: string;
  let azurite: Azurite | undefined;
  let redis: LocalRedis | undefined;
  let broker: Child;
  let simulator: Child;
  let pulumi: FakePulumi;
  let outputs: StackOutputs;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-stack-'));
    const usersFile = join(dir, 'users.ndjson');
    azurite = await startAzurite();
    redis = await startRedis({ dir });
    broker = await startChild('broker', 'local/broker/main.ts', {
      stateDir: dir,
      port: 0,
      entities: entitiesOf(miners),
    });
    const upstream = { port: 0, seed: 5, users: USERS, scenario: 'calm', usersFile };
    simulator = await startChild('simulator', 'local/upstream/main.ts', upstream);
    pulumi = await fakePulumi(dir);
    outputs = stackOutputs({
      ADIT_SERVICE_BUS_CONNECTION_STRING: String(broker.ready['connectionString']),
      ADIT_STORAGE_CONNECTION_STRING: azurite?.connectionString ?? '',
      REDIS_URL: redis?.url ?? '',
      ADIT_UPSTREAM_URLS: JSON.stringify({ graph: simulator.ready['url'] }),
    });
    await pulumi.answer({ stdout: JSON.stringify(outputs) });
  });

  afterAll(async () => {
    await simulator.stop();
    await broker.stop();
    await redis?.stop();
    await azurite?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Ended> =>
    adit('start', ['--state', join(dir, 'state'), ...args], {
      env: { ADIT_STACK: 'dev', PATH: pulumi.path, ADIT_SEALING_KEYS: SEALING_KEYS, ...env },
    });
  const storage = (): ReturnType<typeof openAzureStorage> => openAzureStorage(azurite?.connectionString ?? '');

  it('mines here what the stack says into the stack: complete, by its outputs alone, and nothing of it stays on this machine', async () => {
    const ended = await start(['--once', '--json', '--users-file', String(simulator.ready['usersFile'])]);
    expect(ended.code, ended.stderr).toBe(0);
    const counts = lastJson(ended);
    expect(counts['lake']).toBeGreaterThan(1000);
    expect(counts).toMatchObject({ fetched: counts['new'], seen: 0, known: 0, failed: 0, quarantined: 0 });
    expect(counts).toMatchObject({ sent: counts['new'], settled: counts['new'], lake: counts['new'] });
    const { lake } = await storage();
    expect(await compareWithTruth(String(simulator.ready['url']), lake, sha256Digest)).toEqual({
      lost: 0,
      duplicate: 0,
    });
    expect(await pulumi.calls()).toEqual([['stack', 'output', '--json', '--non-interactive', '--stack=dev']]);
    expect(ended.stderr).toContain(`Adit mines ${USERS} users of the upstreams of the stack dev, into that stack`);
    expect(ended.stderr).toContain(outputs.dashboardUrl);
    const files = await readdir(join(dir, 'state'), { recursive: true });
    expect(files.filter((file) => /ledger|broker|lake|sealing/.test(file))).toEqual([]);
  });

  it('mines the users that the stack has when no file names any, and shares its checkpoints', async () => {
    const ended = await start(['--once', '--json']);
    expect(ended.code, ended.stderr).toBe(0);
    const counts = lastJson(ended);
    expect(counts).toMatchObject({ new: 0, lake: 0, seen: counts['fetched'] });
    expect(counts['fetched']).toBeGreaterThan(1000);
  });

  it('exports the lake of the stack', async () => {
    const env = { PATH: pulumi.path };
    const ended = await adit('adit', ['export', '--stack', 'dev', '--miner', 'chats'], { env });
    expect(ended.code, ended.stderr).toBe(0);
    const rows = ended.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { miner: string; seq: number });
    expect(rows.length).toBeGreaterThan(100);
    expect(rows.every(({ miner, seq }) => miner === 'chats' && seq >= 1)).toBe(true);
    const both = await adit('adit', ['export', '--stack', 'dev', '--state', dir], { env });
    expect(both.stderr).toContain('--state and --stack name two places');
    expect(both.code).toBe(2);
  });

  it('refuses while the functions of the stack live, unless it is told to mine beside them', async () => {
    const { ledger } = await storage();
    await beat({ control: ledger.control, clock: systemClock }, 'host-1', { kind: 'functions', version: '1' });
    const refused = await start(['--once']);
    expect(refused.stderr).toMatch(/functions of the stack dev are at work[^]*Next: [^]*--beside/);
    expect(refused.code).toBe(2);
    const beside = await start(['--once', '--json', '--beside', '--miner', 'chats', '--set', 'lingerMs=20']);
    expect(beside.code, beside.stderr).toBe(0);
    expect(lastJson(beside)).toMatchObject({ new: 0 });
  });

  it.each([
    [
      { ADIT_USER_CALLS_PER_SECOND: '3' },
      [],
      /ADIT_USER_CALLS_PER_SECOND is set beside ADIT_STACK[^]*--set userCallsPerSecond/,
    ],
    [{ ADIT_STORAGE_CONNECTION_STRING: 'x' }, [], /ADIT_STORAGE_CONNECTION_STRING is set beside ADIT_STACK/],
    [
      {},
      ['--seed', '3', '--upstream', 'http://127.0.0.1:1'],
      /--seed is for this machine[^]*--upstream is for this machine/,
    ],
    [{}, ['--set', 'lingerMs=-1'], /lingerMs must be a whole number/],
    [{ ADIT_STACK: '-x' }, [], /ADIT_STACK must be the name of a stack, got "-x"/],
    [{ ADIT_STACK: '' }, ['--beside'], /--beside is for a deployed stack/],
  ] as const)('says what does not go with a stack: %j %j', async (env, args, message) => {
    const before = (await pulumi.calls()).length;
    const ended = await start(['--once', ...args], env);
    expect(ended.stderr).toMatch(message);
    expect(ended.code).toBe(2);
    expect(await pulumi.calls()).toHaveLength(before);
  });

  it.each<[string, (good: StackOutputs) => unknown, RegExp]>([
    [
      'a newer version',
      (good) => ({ ...good, schemaVersion: 99, settings: 'new' }),
      /deployed by a newer version[^]*Next: git pull/,
    ],
    ['no outputs', () => ({}), /not deployed[^]*Next: pulumi up -s dev/],
    ['another shape', (good) => ({ ...good, settings: 3 }), /settings: [^]*Next: pulumi up -s dev/],
    [
      'missing settings',
      (good) => ({ ...good, settings: { ...good.settings, ADIT_LINGER_MS: undefined, ADIT_UPSTREAM_URLS: undefined } }),
      /ADIT_LINGER_MS is missing[^]*ADIT_UPSTREAM_URLS is missing[^]*Next: pulumi up -s dev/,
    ],
    [
      'an unknown setting',
      (good) => ({ ...good, settings: { ...good.settings, ADIT_NEW_ONE: '1' } }),
      /ADIT_NEW_ONE: there is no such setting[^]*git pull/,
    ],
  ])('refuses the outputs of a stack with %s', async (_, change, message) => {
    await pulumi.answer({ stdout: JSON.stringify(change(outputs)) });
    const ended = await start(['--once']);
    await pulumi.answer({ stdout: JSON.stringify(outputs) });
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toMatch(/\n +at |AccountKey/);
    expect(ended.code).toBe(2);
  });
});

describe('ADIT_STACK without outputs', () => {
  const start = async (
    answer: PulumiAnswer | undefined,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Ended> => {
    const dir = await mkdtemp(join(tmpdir(), 'adit-stack-'));
    try {
      const pulumi = await fakePulumi(dir);
      if (answer !== undefined) await pulumi.answer(answer);
      await mkdir(join(dir, 'empty'));
      const env = { ADIT_STACK: 'dev', PATH: answer === undefined ? join(dir, 'empty') : pulumi.path, ...more };
      return await adit('start', ['--once', '--state', join(dir, 'state')], { env });
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  };

  it('says how to install Pulumi when it is not there', async () => {
    const ended = await start(undefined);
    expect(ended.stderr).toMatch(/^ADIT_STACK needs pulumi, which is not on the PATH\. Next: install it[^\n]*\n$/);
    expect(ended.code).toBe(2);
  });

  it.each([
    [
      `\u001b[31merror: \u001b[0mno stack named 'dev' found\n`,
      /: error: no stack named 'dev' found\nNext: .*pulumi stack init dev/,
    ],
    [
      'warning: old\nerror: PULUMI_ACCESS_TOKEN must be set for login during non-interactive CLI sessions\n',
      /: error: PULUMI_ACCESS_TOKEN [^\n]*\nNext: pulumi login/,
    ],
    [
      'error: get stack secrets manager: passphrase must be set with PULUMI_CONFIG_PASSPHRASE\n',
      /Next: set PULUMI_CONFIG_PASSPHRASE/,
    ],
    ['', /ended with code 255/],
  ])('says what Pulumi said last, and what helps: %j', async (stderr, message) => {
    const ended = await start({ stderr, code: 255 });
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toMatch(/\n +at /);
    expect(ended.code).toBe(2);
  });

  it('says that there is no login when the stack is entered with one', async () => {
    const outputs = stackOutputs({
      ADIT_SERVICE_BUS_NAMESPACE: 'adit-dev.servicebus.windows.net',
      ADIT_TABLES_URL: 'https://aditdev.table.core.windows.net',
      ADIT_LAKE_URL: 'https://aditdev.blob.core.windows.net/lake',
      ADIT_REDIS_ADDRESS: 'adit-dev.eastus.redis.azure.net:10000',
      ADIT_SEALING_KEYS_URL: 'https://adit-dev.vault.azure.net/secrets/sealing-keys',
      ADIT_UPSTREAM_URLS: '{"graph":"https://graph.example.com"}',
    });
    // Only the command line of Azure is asked, and there is none on the PATH.
    const ended = await start({ stdout: JSON.stringify(outputs) }, { AZURE_TOKEN_CREDENTIALS: 'AzureCliCredential' });
    expect(ended.stderr).toMatch(/^there is no Azure login that works: .*Azure CLI[^\n]*\nNext: az login\n$/);
    expect(ended.code).toBe(2);
  });
});
