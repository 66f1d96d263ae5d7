import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { isRedisHere } from '../../fakes/servers.ts';
import { ITEMS, Rig, startedRedis } from './rig.ts';

vi.setConfig({ testTimeout: 180_000 });

/** What a trouble works with: a connection to Redis that no gate spoils. */
interface Scene {
  readonly rig: Rig;
  readonly admin: Redis;
  /** Another, empty Redis; its address. */
  other(): Promise<string>;
}

interface Trouble {
  readonly name: string;
  begin(scene: Scene): Promise<unknown>;
  end(scene: Scene): Promise<unknown>;
  /** How long it lasts, in ms. Default 1,200. */
  readonly holdMs?: number;
  /** What the pipeline's log must tell of it. Default: anything, or nothing. */
  readonly log?: RegExp;
}

const portOf = (url: string): number => Number(new URL(url).port);

const gateOf = ({ rig }: Scene): NonNullable<Rig['redis']>['gate'] => {
  if (rig.redis === undefined) throw new Error('the rig has no Redis');
  return rig.redis.gate;
};

/** Calls over the gate are on sockets of their own: killing all other clients cuts the pipeline and not the admin. */
const cutClients = ({ admin }: Scene): Promise<unknown> =>
  admin.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');

/** Does something again and again while a trouble lasts. */
function again(work: (scene: Scene) => Promise<unknown>, everyMs: number): Pick<Trouble, 'begin' | 'end'> {
  let ended = new AbortController();
  let loop: Promise<void> | undefined;
  return {
    begin: async (scene) => {
      ended = new AbortController();
      const { signal } = ended;
      loop = (async () => {
        while (!signal.aborted) {
          await work(scene);
          await delay(everyMs);
        }
      })();
    },
    end: async () => {
      ended.abort();
      await loop;
    },
  };
}

const TROUBLES: readonly Trouble[] = [
  {
    name: 'is gone and comes back empty',
    begin: async (scene) => gateOf(scene).turn('cut'),
    end: async (scene) => gateOf(scene).turn(portOf(await scene.other())),
    log: /redis down/,
  },
  { name: 'is flushed again and again', ...again(({ admin }) => admin.flushall(), 30) },
  {
    name: 'answers later than anybody waits',
    begin: async (scene) => gateOf(scene).slowDown(300),
    end: async (scene) => gateOf(scene).slowDown(0),
    log: /timed out/,
  },
  { name: 'pauses its clients', ...again(({ admin }) => admin.client('PAUSE', 250, 'WRITE'), 400), log: /timed out/ },
  {
    name: 'accepts and never answers, then the connections are cut',
    begin: async (scene) => gateOf(scene).turn('silent'),
    end: async (scene) => gateOf(scene).turn(portOf(scene.rig.redis?.url ?? '')),
    log: /timed out/,
  },
  {
    name: 'wants a password that nobody gave us',
    begin: async (scene) => {
      await scene.admin.config('SET', 'requirepass', 'changed');
      await cutClients(scene);
    },
    end: ({ admin }) => admin.config('SET', 'requirepass', ''),
    log: /NOAUTH/,
  },
  {
    name: 'takes the right to write away',
    begin: ({ admin }) => admin.acl('SETUSER', 'default', '-set'),
    end: ({ admin }) => admin.acl('SETUSER', 'default', '+@all'),
    // A script is let in, and its write is refused.
    log: /NOPERM|can't run this command|ACL failure/,
  },
  {
    name: 'is made a replica that only reads, and promoted again',
    begin: ({ admin }) => admin.replicaof('127.0.0.1', 1),
    end: ({ admin }) => admin.replicaof('NO', 'ONE'),
    log: /READONLY/,
  },
  {
    name: 'is full and refuses every write',
    begin: async ({ admin }) => {
      await admin.config('SET', 'maxmemory-policy', 'noeviction');
      await admin.config('SET', 'maxmemory', '1');
    },
    end: ({ admin }) => admin.config('SET', 'maxmemory', '0'),
    log: /OOM/,
  },
  {
    name: 'is full and evicts',
    begin: async ({ admin }) => {
      const used = Number(/used_memory:(\d+)/.exec(await admin.info('memory'))?.[1]);
      await admin.config('SET', 'maxmemory', String(used + 2000));
    },
    end: async ({ admin }) => {
      expect(Number(/evicted_keys:(\d+)/.exec(await admin.info('stats'))?.[1])).toBeGreaterThan(0);
      await admin.config('SET', 'maxmemory', '0');
    },
  },
  {
    name: 'has no connection left for us',
    begin: async (scene) => {
      await scene.admin.config('SET', 'maxclients', '1');
      await cutClients(scene);
    },
    end: ({ admin }) => admin.config('SET', 'maxclients', '1000'),
    log: /max number of clients|redis down/,
  },
];

describe.runIf(isRedisHere())('a pipeline whose Redis', () => {
  it.each(TROUBLES)('$name is right all the while, and uses it again afterwards', async (trouble) => {
    const rig = await Rig.start();
    const admin = new Redis(rig.redis?.url ?? '');
    onTestFinished(() => admin.disconnect());
    const dir = await mkdtemp(join(tmpdir(), 'adit-other-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    let other: Promise<string> | undefined;
    const scene: Scene = { rig, admin, other: () => (other ??= startedRedis(dir)) };
    const pipeline = rig.open();
    await rig.begin(pipeline);

    await rig.fire(pipeline, 'A');
    await rig.fire(pipeline, 'B', async () => {
      await trouble.begin(scene);
      await delay(trouble.holdMs ?? 1200);
      await trouble.end(scene);
    });
    // What the cache could not be told, or has lost, must not make it answer that A is still the newest.
    await rig.fire(pipeline, 'A');
    await vi.waitFor(
      () => expect(rig.logged.filter((line) => line.startsWith('redis ')).at(-1)).toMatch(/^redis up/),
      20_000,
    );
    await rig.fire(pipeline, 'A');

    await rig.expectVersions('ABA');
    await rig.expectComplete(pipeline);
    if (trouble.log !== undefined) expect(rig.logged.join('\n')).toMatch(trouble.log);
    await expectHits(new Redis(other === undefined ? (rig.redis?.url ?? '') : await other), rig, pipeline);
  });

  it('knows no such password as we have is done without, and used once it does', async () => {
    const rig = await Rig.start();
    const admin = new Redis(rig.redis?.url ?? '');
    onTestFinished(() => admin.disconnect());
    await admin.acl('SETUSER', 'miner', 'on', '>right', '~*', '+@all');
    const pipeline = rig.open({ redisUrl: `redis://miner:later@127.0.0.1:${rig.redis?.gate.port}` });
    await rig.begin(pipeline);
    await rig.fire(pipeline, 'A');
    expect(rig.logged.join('\n')).toMatch(/WRONGPASS/);
    expect(rig.logged.join('\n')).not.toMatch(/redis up|later/);
    await admin.acl('SETUSER', 'miner', '>later');
    await vi.waitFor(() => expect(rig.logged.join('\n')).toMatch(/redis up/), 20_000);
    await rig.fire(pipeline, 'B');
    await rig.expectVersions('AB');
    await rig.expectComplete(pipeline);
    await expectHits(new Redis(rig.redis?.url ?? ''), rig, pipeline, 'B');
  });

  it('fails over to a replica that had not got the newest writes is not believed', async () => {
    // Nothing times out here: a write that fails would raise the fence by itself.
    const rig = await Rig.start({ settings: { cacheTimeoutMs: 10_000 } });
    const pipeline = rig.open();
    await rig.begin(pipeline);
    await rig.fire(pipeline, 'A');
    const dir = await mkdtemp(join(tmpdir(), 'adit-other-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const address = await startedRedis(dir);
    const replica = new Redis(address);
    onTestFinished(() => replica.disconnect());
    await replica.replicaof('127.0.0.1', portOf(rig.redis?.url ?? ''));
    await vi.waitFor(async () => expect(await replica.info('replication')).toContain('master_link_status:up'), 10_000);
    await replica.replicaof('NO', 'ONE');
    const stored = await replica.dbsize();
    // Every write of this firing is acknowledged by a primary that nobody will hear of again.
    await rig.fire(pipeline, 'B');
    rig.redis?.gate.turn(portOf(address));
    const comings = (): number => rig.logged.filter((line) => line.startsWith('redis up')).length;
    await vi.waitFor(() => expect(comings()).toBe(2), 20_000);
    await rig.fire(pipeline, 'A');
    await rig.expectVersions('ABA');
    expect(stored).toBeGreaterThanOrEqual(ITEMS);
  });
});

/** A firing over unchanged lists is answered by Redis alone, and every key of it ends by itself. */
async function expectHits(redis: Redis, rig: Rig, pipeline: ReturnType<Rig['open']>, version = 'A'): Promise<void> {
  try {
    const hits = async (): Promise<number> => Number(/keyspace_hits:(\d+)/.exec(await redis.info('stats'))?.[1]);
    const before = await hits();
    await rig.fire(pipeline, version);
    expect((await hits()) - before).toBeGreaterThanOrEqual(ITEMS);
    const keys = await redis.keys('*');
    const ttls = await Promise.all(keys.map((key) => redis.pttl(key)));
    expect(keys.length).toBeGreaterThan(0);
    expect(ttls.filter((ttl) => ttl < 0)).toEqual([]);
  } finally {
    redis.disconnect();
  }
}
