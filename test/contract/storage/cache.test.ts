import { Redis } from 'ioredis';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { openRedisCache } from '../../../runtime/adapters/redis-cache.ts';
import { type LocalRedis, startRedis } from '../../../runtime/local/redis.ts';
import type { Cache } from '../../../runtime/ports.ts';
import { MemoryCache } from '../../fakes/memory-cache.ts';
import { isRedisHere } from '../../fakes/servers.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { describeCache } from './cache-contract.ts';
import { TcpGate } from './tcp-gate.ts';

// Child processes and servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

/** Far beyond a test's own limit: a call that waits for it fails the test. */
const NEVER_MS = 60_000;

describeCache('memory', async () => {
  const clock = new TestClock();
  const cache = new MemoryCache(clock);
  return { cache, pass: (ms) => clock.advance(ms), close: () => cache.close() };
});

describe.runIf(isRedisHere())('Redis', () => {
  let dir: string;
  let redis: LocalRedis;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-cache-'));
    redis = await start(dir);
  });
  afterAll(async () => {
    await redis.stop();
    await rm(dir, { recursive: true });
  });
  describeCache('Redis', async () => {
    const real = openRedisCache({ url: redis.url, commandTimeoutMs: 10_000 });
    // The time passes in the server, not here, and its clock has a resolution of 1 ms.
    return { cache: real, pass: (ms) => wait(ms + 5), close: () => real.close() };
  });

  describe('Redis cache', () => {
    let gate: TcpGate;
    let cache: Cache;
    let states: string[];
    beforeEach(async () => {
      gate = await TcpGate.open(portOf(redis));
      states = [];
    });
    afterEach(async () => {
      await cache.close();
      await gate.close();
    });
    const open = (commandTimeoutMs: number): Cache => {
      const onState = (state: string): unknown => states.push(state);
      cache = openRedisCache({ url: `redis://127.0.0.1:${gate.port}`, commandTimeoutMs, onState });
      return cache;
    };

    it('sets a time to live on every key', async () => {
      const entries = Array.from({ length: 50 }, (_, index) => [`ttl:${index}`, 'x'] as const);
      await open(10_000).setMany(entries, 123_456.7);
      const raw = new Redis(redis.url);
      try {
        const ttls = await Promise.all(entries.map(([key]) => raw.pttl(key)));
        expect(ttls.every((ttl) => ttl > 100_000 && ttl <= 123_457)).toBe(true);
      } finally {
        raw.disconnect();
      }
    });

    it('rejects at once when there is no server, and says so once', async () => {
      gate.turn('cut');
      open(NEVER_MS);
      for (let attempt = 0; attempt < 3; attempt += 1) {
        await expect(cache.getMany(['a'])).rejects.toThrow('Redis is down');
        await expect(cache.setMany([['a', '1']], 1_000)).rejects.toThrow('Redis is down');
        await expect(cache.deleteMany(['a'])).rejects.toThrow('Redis is down');
      }
      expect(states).toEqual(['down']);
    });

    it('rejects while the server is away and works again by itself when it is back', async () => {
      await open(10_000).setMany([['back', '1']], NEVER_MS);
      const other = await start(dir);
      try {
        gate.turn('cut');
        await vi.waitFor(() => expect(states).toEqual(['up', 'down']));
        await expect(cache.getMany(['back'])).rejects.toThrow('Redis is down');
        gate.turn(portOf(other));
        await vi.waitFor(() => expect(states).toEqual(['up', 'down', 'up']), { timeout: 10_000 });
        expect(await cache.getMany(['back'])).toEqual([undefined]);
        await cache.setMany([['back', '2']], NEVER_MS);
        expect(await cache.getMany(['back'])).toEqual(['2']);
      } finally {
        await other.stop();
      }
    });

    it('rejects the calls in flight when the connection breaks, and sends none of them again', async () => {
      await open(NEVER_MS).setMany([['flight', '1']], NEVER_MS);
      gate.turn('silent');
      const calls = [
        cache.getMany(['flight']),
        cache.setMany([['flight', '2']], NEVER_MS),
        cache.deleteMany(['flight']),
      ];
      const ended = Promise.allSettled(calls);
      gate.turn('cut');
      expect((await ended).map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
      gate.turn(portOf(redis));
      await vi.waitFor(() => expect(states).toEqual(['up', 'down', 'up']), { timeout: 10_000 });
      expect(await cache.getMany(['flight'])).toEqual(['1']);
    });

    it('rejects when the server does not answer in time', async () => {
      await open(100).getMany(['a']);
      gate.turn('silent');
      await expect(cache.getMany(['a'])).rejects.toThrow('timed out');
      await expect(cache.setMany([['a', '1']], 1_000)).rejects.toThrow('timed out');
    });

    it('rejects when a server accepts the connection and never speaks', async () => {
      gate.turn('silent');
      await expect(open(100).getMany(['a'])).rejects.toThrow('Redis is down');
    });

    it.each(['up', 'silent', 'cut'] as const)(
      'closes when the server is %s, and leaves no connection',
      async (state) => {
        if (state !== 'up') gate.turn(state);
        await open(100)
          .getMany(['a'])
          .catch(() => undefined);
        await cache.close();
        await vi.waitFor(() => expect(gate.sockets).toBe(0));
        expect(states.length).toBeLessThanOrEqual(1);
      },
    );

    it.each([0, -1, 60_001, Number.NaN])('refuses a command timeout of %d ms', (commandTimeoutMs) => {
      expect(() => openRedisCache({ url: redis.url, commandTimeoutMs })).toThrow(RangeError);
    });
  });
});

async function start(dir: string): Promise<LocalRedis> {
  const redis = await startRedis({ dir });
  if (redis === undefined) throw new Error('redis-server is not on the PATH');
  return redis;
}

function portOf(redis: LocalRedis): number {
  return Number(new URL(redis.url).port);
}
