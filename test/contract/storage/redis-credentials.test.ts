import { Redis } from 'ioredis';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openRedisCache } from '../../../runtime/adapters/redis-cache.ts';
import type { RedisCredentials } from '../../../runtime/adapters/redis-credentials.ts';
import { type LocalRedis, startRedis } from '../../../runtime/local/redis.ts';
import type { Cache } from '../../../runtime/ports.ts';
import { isRedisHere } from '../../fakes/servers.ts';
import { TcpGate } from './tcp-gate.ts';

// Child processes and servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const USER = '7d2c3f5e-0000-4000-8000-000000000001';

/** Credentials that outlive a test. */
const LONG_MS = 3_600_000;

/** Gives a new password to a Redis user; from then on the one before is refused. */
class Issuer {
  readonly issued: { readonly password: string; readonly atMs: number; readonly expiresAtMs: number }[] = [];
  lifetimeMs = LONG_MS;
  /** What the next questions are answered with instead, one each. */
  readonly next: (() => Promise<RedisCredentials>)[] = [];
  readonly #admin: Redis;

  constructor(admin: Redis) {
    this.#admin = admin;
  }

  readonly credentials = async (): Promise<RedisCredentials> => {
    const instead = this.next.shift();
    if (instead !== undefined) return instead();
    const atMs = Date.now();
    const password = `hush-${this.issued.length}`;
    await this.change(password);
    this.issued.push({ password, atMs, expiresAtMs: atMs + this.lifetimeMs });
    return { username: USER, password, expiresAtMs: atMs + this.lifetimeMs };
  };

  async change(password: string): Promise<void> {
    await this.#admin.acl('SETUSER', USER, 'on', 'resetpass', `>${password}`, '~*', '+@all');
  }
}

describe.runIf(isRedisHere())('a Redis that is entered with credentials that expire', () => {
  let dir: string;
  let redis: LocalRedis;
  let admin: Redis;
  let gate: TcpGate;
  let issuer: Issuer;
  let cache: Cache;
  let states: string[];
  let failures: string[];

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-credentials-'));
    const started = await startRedis({ dir });
    if (started === undefined) throw new Error('redis-server is not on the PATH');
    redis = started;
    admin = new Redis(redis.url);
  });
  afterAll(async () => {
    admin.disconnect();
    await redis.stop();
    await rm(dir, { recursive: true });
  });
  beforeEach(async () => {
    await admin.config('RESETSTAT');
    gate = await TcpGate.open(Number(new URL(redis.url).port));
    issuer = new Issuer(admin);
    states = [];
    failures = [];
  });
  afterEach(async () => {
    await cache.close();
    await gate.close();
    for (const text of [...states, ...failures]) expect(text).not.toContain('hush');
  });

  const open = (): Cache => {
    cache = openRedisCache({
      login: {
        host: '127.0.0.1',
        port: gate.port,
        isTls: false,
        credentials: issuer.credentials,
        onRenewalFailed: (reason) => failures.push(reason),
      },
      commandTimeoutMs: 5000,
      onState: (state, reason = '') => states.push(`${state} ${reason}`.trim()),
    });
    return cache;
  };
  /** Connections of the user, by id: a connection that was made again has another one. */
  const connections = async (): Promise<readonly string[]> => {
    const list = String(await admin.client('LIST')).split('\n');
    return list.filter((line) => line.includes(`user=${USER}`)).map((line) => /id=(\d+)/.exec(line)?.[1] ?? '');
  };
  /** AUTH commands since the test began; the login of a new connection is a part of HELLO and does not count. */
  const logins = async (): Promise<number> =>
    Number(/cmdstat_auth:calls=(\d+)/.exec(await admin.info('commandstats'))?.[1] ?? 0);

  it('renews them on the live connection, before they are over', async () => {
    issuer.lifetimeMs = 2500;
    await open().setMany([['a', '1']], LONG_MS);
    const [first] = await connections();
    await vi.waitFor(async () => expect(await logins()).toBeGreaterThan(0), { timeout: 10_000 });
    expect(await cache.getMany(['a'])).toEqual(['1']);
    expect(await connections()).toEqual([first]);
    expect(issuer.issued[1]?.atMs).toBeLessThan(issuer.issued[0]?.expiresAtMs ?? 0);
    expect(states).toEqual(['up']);
  });

  it('renews a password of 20 s twice, on one connection, while commands are under way: not one fails', async () => {
    issuer.lifetimeMs = 20_000;
    open();
    await cache.getMany(['a']);
    const [first] = await connections();
    const failed: unknown[] = [];
    let commands = 0;
    const worker = async (name: string): Promise<void> => {
      for (; issuer.issued.length < 4; commands += 2) {
        await cache.setMany([[name, '1']], LONG_MS).catch((error: unknown) => failed.push(error));
        await cache.getMany([name]).catch((error: unknown) => failed.push(error));
        await wait(2);
      }
    };
    await Promise.all(Array.from({ length: 8 }, (_, index) => worker(`w${index}`)));
    expect(failed).toEqual([]);
    expect(await logins()).toBeGreaterThanOrEqual(2);
    expect(await connections()).toEqual([first]);
    expect(states).toEqual(['up']);
    expect(commands).toBeGreaterThan(1000);
  });

  it('begins every new connection with the newest ones', async () => {
    issuer.lifetimeMs = 1000;
    await open().getMany(['a']);
    await vi.waitFor(async () => expect(await logins()).toBeGreaterThan(0), { timeout: 10_000 });
    const stale = new Redis(redis.url, { username: USER, password: 'hush-0', lazyConnect: true, retryStrategy: null });
    stale.on('error', () => undefined);
    await expect(stale.connect()).rejects.toThrow();
    issuer.lifetimeMs = LONG_MS;
    gate.turn('cut');
    await vi.waitFor(() => expect(states.some((state) => state.startsWith('down'))).toBe(true));
    gate.turn(Number(new URL(redis.url).port));
    await vi.waitFor(() => expect(states.at(-1)).toBe('up'), { timeout: 10_000 });
    expect(await cache.getMany(['a'])).toHaveLength(1);
  });

  it('asks for new ones at once when a new connection is refused', async () => {
    await open().getMany(['a']);
    await issuer.change('hush-changed-by-somebody');
    gate.turn('cut');
    await vi.waitFor(() => expect(states).toHaveLength(2));
    gate.turn(Number(new URL(redis.url).port));
    await vi.waitFor(() => expect(states.at(-1)).toBe('up'), { timeout: 10_000 });
    expect(issuer.issued.length).toBeGreaterThan(1);
    expect(await cache.getMany(['a'])).toHaveLength(1);
  });

  it('tells of a renewal that fails and tries again; the connection lives on', async () => {
    issuer.lifetimeMs = 500;
    await open().getMany(['a']);
    const before = await connections();
    issuer.next.push(
      async () => Promise.reject(new Error('no token today')),
      async () => ({ username: USER, password: 'hush-wrong', expiresAtMs: Date.now() + LONG_MS }),
      async () => ({ username: USER, password: 'hush-late', expiresAtMs: Date.now() - 1 }),
    );
    await vi.waitFor(() => expect(failures).toHaveLength(3), { timeout: 10_000 });
    expect(failures).toEqual([
      'no token today',
      expect.stringMatching(/^WRONGPASS/),
      expect.stringContaining('expired'),
    ]);
    const issued = issuer.issued.length;
    await vi.waitFor(() => expect(issuer.issued.length).toBeGreaterThan(issued), { timeout: 10_000 });
    expect(await cache.getMany(['a'])).toHaveLength(1);
    expect(await connections()).toEqual(before);
    expect(states).toEqual(['up']);
  });

  it('is down, and says why, until there are credentials for the first time', async () => {
    issuer.next.push(async () => Promise.reject(new Error('no login')));
    await expect(open().getMany(['a'])).rejects.toThrow('Redis is down: no login');
    expect(states).toEqual(['down no login']);
    await vi.waitFor(() => expect(states).toEqual(['down no login', 'up']), { timeout: 10_000 });
    expect(await cache.getMany(['a'])).toHaveLength(1);
  });

  it('asks for nothing any more once it is closed', async () => {
    issuer.lifetimeMs = 200;
    await open().getMany(['a']);
    await cache.close();
    const asked = issuer.issued.length;
    await wait(500);
    expect(issuer.issued).toHaveLength(asked);
  });
});
