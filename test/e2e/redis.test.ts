import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { isRedisHere } from '../fakes/servers.ts';
import { adit, emptyFolder, lastJson, startAdit, until } from './adit.ts';
import { exportRows, mineArgs, mineOnce } from './lake-rows.ts';
import { listOf, page, plainItems, startUpstream } from './scripted-upstream.ts';

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => server.close(() => resolve()));
  return port;
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => socket.destroy());
    socket.once('connect', () => socket.destroy());
  });
}

async function startRedis(port: number, dir: string): Promise<ChildProcess> {
  const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', dir];
  const child = spawn('redis-server', [...place, '--save', '', '--appendonly', 'no'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  await until(() => answers(port), 10_000, 'redis-server to answer');
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

const USERS = Array.from({ length: 6 }, (_, index) => `u${index}`);
const ITEMS = plainItems('i', 120);

describe.runIf(isRedisHere())('a Redis that is killed and started again, empty, while users are mined', () => {
  it('loses nothing, doubles nothing, and the run ends', async () => {
    const dir = await emptyFolder();
    const port = await freePort();
    const env = { REDIS_URL: `redis://127.0.0.1:${port}` };
    let redis = await startRedis(port, dir);
    const upstream = await startUpstream(listOf(ITEMS, 10));
    const state = join(dir, 'state');
    // Without the memory tier every page asks Redis; ten calls a second per user leave time to kill it between pages.
    const args = ['--set', 'memoryTierEntries=0', '--set', 'userCallsPerSecond=10', '--strict'];
    for (const fresh of [USERS.length * ITEMS.length, 0]) {
      const running = startAdit('start', await mineArgs({ upstream, state, users: USERS, args }), { env });
      onTestFinished(() => void running.child.kill('SIGKILL'));
      const before = upstream.calls.length;
      await until(() => upstream.calls.length > before + 15, 20_000, 'some pages');
      await kill(redis);
      await until(() => upstream.calls.length > before + 30, 20_000, 'pages without Redis');
      redis = await startRedis(port, dir);
      const ended = await running.ended;
      expect(ended.code, ended.stderr).toBe(0);
      expect(lastJson(ended)).toMatchObject({ new: fresh, lake: fresh, known: 0 });
    }
    const rows = await exportRows(state);
    expect(rows).toHaveLength(USERS.length * ITEMS.length);
    expect(new Set(rows.map((row) => `${row.userId} ${row.dataText}`)).size).toBe(rows.length);
  });

  it('that hangs instead, accepting and never answering, costs time and nothing else', async () => {
    const server = createServer(() => undefined);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    const upstream = await startUpstream(listOf(ITEMS, 40));
    const state = join(await emptyFolder(), 'state');
    const running = startAdit(
      'start',
      await mineArgs({ upstream, state, users: USERS, args: ['--set', 'cacheTimeoutMs=100'] }),
      { env: { REDIS_URL: `redis://:hush-hush@127.0.0.1:${port}` } },
    );
    onTestFinished(() => void running.child.kill('SIGKILL'));
    const ended = await running.ended;
    expect(ended.code, ended.stderr).toBe(0);
    expect(lastJson(ended)).toMatchObject({ new: USERS.length * ITEMS.length, known: 0 });
    expect(ended.stderr).not.toContain('hush-hush');
  });
});

describe.runIf(isRedisHere())('a Redis that others use too', () => {
  it('says nothing about what is in another lake', async () => {
    const dir = await emptyFolder();
    const port = await freePort();
    const env = { REDIS_URL: `redis://127.0.0.1:${port}` };
    await startRedis(port, dir);
    const upstream = await startUpstream(listOf(ITEMS, 40));
    for (const name of ['one', 'two']) {
      const mining = { upstream, state: join(dir, name), users: USERS, args: ['--set', 'memoryTierEntries=0'], env };
      const ended = await mineOnce(mining);
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.counts).toMatchObject({ new: USERS.length * ITEMS.length, lake: USERS.length * ITEMS.length });
      const again = await mineOnce(mining);
      expect(again.counts).toMatchObject({ new: 0, seen: USERS.length * ITEMS.length });
    }
  });
});

describe.runIf(isRedisHere())('a Redis that is out of reach while an item changes', () => {
  it('does not later answer that the version before is still the newest', async () => {
    const dir = await emptyFolder();
    const port = await freePort();
    await startRedis(port, dir);
    const served = { value: '' };
    const upstream = await startUpstream(() => page([`{"id":"x","v":"${served.value}"}`]));
    for (const [value, redisPort] of [
      ['A', port],
      ['B', 1],
      ['A', port],
    ] as const) {
      served.value = value;
      const env = { REDIS_URL: `redis://127.0.0.1:${redisPort}` };
      const ended = await mineOnce({ upstream, state: join(dir, 'state'), users: ['u1'], env });
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.counts).toMatchObject({ new: 1, lake: 1 });
    }
  });
});

describe.runIf(isRedisHere())('a Redis that a person has set up', () => {
  const mineWith = async (url: string, state: string) => {
    const upstream = await startUpstream(listOf(ITEMS, 40));
    const ended = await mineOnce({ upstream, state, users: USERS, env: { REDIS_URL: url } });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ new: USERS.length * ITEMS.length, lake: USERS.length * ITEMS.length });
    const log = await readFile(join(state, 'adit.log'), 'utf8');
    return log.split('\n').filter((line) => line.includes('maxmemory-policy'));
  };

  it('with another eviction policy is named once in the log, with what to do; every key that we leave ends by itself', async () => {
    const dir = await emptyFolder();
    const port = await freePort();
    await startRedis(port, dir);
    const advice = await mineWith(`redis://127.0.0.1:${port}`, join(dir, 'state'));
    expect(advice).toHaveLength(1);
    expect(JSON.parse(advice[0] ?? '')).toMatchObject({
      policy: 'noeviction',
      next: expect.stringContaining('CONFIG SET') as string,
    });

    const redis = new Redis(port, '127.0.0.1');
    onTestFinished(() => redis.disconnect());
    const ttls: number[] = [];
    for await (const keys of redis.scanStream({ count: 500 })) {
      ttls.push(...(await Promise.all((keys as string[]).map((key) => redis.pttl(key)))));
    }
    expect(ttls.length).toBeGreaterThanOrEqual(USERS.length * ITEMS.length);
    expect(ttls.filter((ttl) => ttl < 0)).toEqual([]);

    await redis.config('SET', 'maxmemory-policy', 'volatile-lru');
    expect(await mineWith(`redis://127.0.0.1:${port}`, join(dir, 'other'))).toEqual([]);
  });

  it('that forbids INFO and CONFIG is used all the same', async () => {
    const dir = await emptyFolder();
    const port = await freePort();
    await startRedis(port, dir);
    const admin = new Redis(port, '127.0.0.1');
    onTestFinished(() => admin.disconnect());
    await admin.acl('SETUSER', 'miner', 'on', '>hush', '~*', '+@all', '-info', '-config');
    expect(await mineWith(`redis://miner:hush@127.0.0.1:${port}`, join(dir, 'state'))).toEqual([]);
    expect(await admin.dbsize()).toBeGreaterThanOrEqual(USERS.length * ITEMS.length);
  });
});

describe('a REDIS_URL that is none', () => {
  it.each(['nonsense', 'http://127.0.0.1:6379', 'redis://127.0.0.1:99999', ':hush-hush@127.0.0.1:6379'])(
    '%s is one message without the address, and nothing stays behind',
    async (url) => {
      const state = join(await emptyFolder(), 'state');
      const ended = await adit('start', ['--once', '--users', '1', '--state', state], { env: { REDIS_URL: url } });
      expect(ended.stderr).toMatch(/^REDIS_URL must be a redis:\/\/ or rediss:\/\/ URL[^\n]*Next: [^\n]*\n$/);
      expect(ended.stderr).not.toContain('hush');
      expect(ended.code).toBe(2);
    },
  );
});
