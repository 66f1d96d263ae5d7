import { setTimeout as wait } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { isRedisHere } from '../../fakes/servers.ts';
import { callsOver, type Fleet } from './fleet.ts';
import { FleetRig, LIMITS, percent, SIZE, within } from './fleet-rig.ts';

const rig = new FleetRig();

describe.runIf(isRedisHere())('16 processes with clocks up to 5 s wrong', () => {
  it('pass no limit while the memory of Redis is full: with evictions, and with refusals', async () => {
    const server = await rig.redisServer();
    const redis = await rig.client(server.url);
    const fleet = await rig.fleetOn(server.url, 54_000);
    await fleet.at(10_000);
    const evictedBefore = await evictions(redis);
    const used = Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
    await redis.config('SET', 'maxmemory', String(used + 2_000_000));
    await churn(redis, fleet, 40_000);
    const evicted = (await evictions(redis)) - evictedBefore;
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    await redis.config('SET', 'maxmemory', '1mb');
    const refused = await redis.set('churn', 'x').then(
      () => '',
      (error: unknown) => String(error),
    );
    const grants = await fleet.grants();
    const over = callsOver(grants, LIMITS);
    const evicting = within(grants, fleet, 25_000, 40_000);
    const refusing = within(grants, fleet, 41_000, 53_000);
    process.stdout.write(
      `limiter, memory full, ${SIZE} processes, ${grants.length} calls, ${evicted} evictions: over the limit in any window: ${over.upstream} (upstream), ${over.user} (any user); ` +
        `used of the allowed rate: ${percent(evicting.share)} while keys are evicted, ${percent(refusing.share)} while writes are refused\n`,
    );
    expect(evicted).toBeGreaterThan(1000);
    expect(refused).toContain('OOM');
    expect(over).toMatchObject({ upstream: 0, user: 0 });
    expect(evicting.calls).toBeGreaterThan(0);
    expect(refusing.calls).toBeGreaterThan(0);
    for (const key of await redis.keys('*')) expect(await redis.pttl(key), key).toBeGreaterThan(0);
  });
});

async function evictions(redis: Redis): Promise<number> {
  return Number(/evicted_keys:(\d+)/.exec(await redis.info('stats'))?.[1]);
}

/** Writes checkpoints, as the cache does, faster than the memory takes them. */
async function churn(redis: Redis, fleet: Fleet, untilMs: number): Promise<void> {
  const value = 'x'.repeat(500);
  for (let key = 0; Date.now() < fleet.startedAtMs + untilMs;) {
    const pipeline = redis.pipeline();
    for (const endKey = key + 200; key < endKey; key += 1) pipeline.set(`churn:${key}`, value, 'PX', 3_600_000);
    await pipeline.exec();
    await wait(10);
  }
}
