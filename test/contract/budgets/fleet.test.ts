import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { RedisLink } from '../../../runtime/adapters/redis-link.ts';
import { startRedis } from '../../../runtime/local/redis.ts';
import { isRedisHere } from '../../fakes/servers.ts';
import { TcpGate } from '../storage/tcp-gate.ts';
import type { Grant } from './fleet-member.ts';
import { callsOver, Fleet } from './fleet.ts';

// The fleets live for as long as their windows take, and sixteen processes start slowly on a busy machine.
vi.setConfig({ testTimeout: 240_000, hookTimeout: 90_000 });

const SIZE = 16;
const LIMITS = { upstream: 100, user: 2 };
const COMMON = {
  ...{ userCallsPerSecond: LIMITS.user, upstreamCallsPerSecond: LIMITS.upstream, workers: 12, users: 400 },
  ...{ failForMs: 0, breakerOpenMs: 15_000, callMs: 500 },
};

let dir: string;
const releases: (() => unknown)[] = [];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'adit-fleet-'));
});
afterEach(async () => {
  for (const release of releases.splice(0).toReversed()) await release();
  await rm(dir, { recursive: true });
});

async function redisServer(): Promise<{ readonly url: string; readonly port: number; readonly kill: () => void }> {
  const server = await startRedis({ dir });
  if (server === undefined) throw new Error('redis-server is not on the PATH');
  releases.push(() => server.stop());
  return { url: server.url, port: Number(new URL(server.url).port), kill: () => process.kill(server.pid, 'SIGKILL') };
}

async function client(url: string): Promise<Redis> {
  const link = new RedisLink({ url, commandTimeoutMs: 10_000 });
  releases.push(() => link.close());
  return link.usable();
}

async function fleetOn(
  url: string,
  durationMs: number,
  options: Partial<ConstructorParameters<typeof Fleet>[2]> = {},
): Promise<Fleet> {
  const fleet = new Fleet(dir, SIZE, { ...COMMON, url, ...options });
  releases.push(() => fleet.kill());
  await fleet.begin(durationMs);
  return fleet;
}

/** Places between two times after the start, in ms: how many, and which share of what is allowed. */
function within(
  grants: readonly Grant[],
  fleet: Fleet,
  fromMs: number,
  untilMs: number,
): { readonly calls: number; readonly share: number } {
  const calls = grants.filter(
    ({ atMs }) => atMs >= fleet.startedAtMs + fromMs && atMs < fleet.startedAtMs + untilMs,
  ).length;
  return { calls, share: calls / ((LIMITS.upstream * (untilMs - fromMs)) / 1000) };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}

describe.runIf(isRedisHere())('16 processes with clocks up to 5 s wrong', () => {
  it('pass no limit in any window while Redis is flushed, cut off, killed and started anew, and use what they may', async () => {
    const first = await redisServer();
    const gate = await TcpGate.open(first.port);
    releases.push(() => gate.close());
    const fleet = await fleetOn(`redis://127.0.0.1:${gate.port}`, 70_000);
    const redis = await client(first.url);
    await fleet.at(20_000);
    await redis.flushall();
    await fleet.at(30_000);
    gate.turn('cut');
    await fleet.at(39_000);
    gate.turn(first.port);
    await fleet.at(50_000);
    first.kill();
    const second = await redisServer();
    await fleet.at(55_000);
    gate.turn(second.port);
    const grants = await fleet.grants();
    const over = callsOver(grants, LIMITS);
    const steady = within(grants, fleet, 10_000, 20_000);
    const cut = within(grants, fleet, 33_000, 39_000);
    const back = within(grants, fleet, 65_500, 69_500);
    const alone = grants.filter(({ isShared }) => !isShared).length;
    const late = grants.map(({ lateMs }) => lateMs).toSorted((a, b) => a - b);
    process.stdout.write(
      `limiter, ${SIZE} processes, clocks +-5 s, ${grants.length} calls (${alone} on own shares): ` +
        `over the limit in any window of 1, 2, 10 s: ${over.upstream} (upstream, fullest second ${over.fullest} of ${LIMITS.upstream}), ${over.user} (any user); ` +
        `used of the allowed rate: ${percent(steady.share)} in peace, ${percent(cut.share)} without Redis, ${percent(back.share)} after its return; ` +
        `calls later than their place: p50 ${late[Math.floor(late.length / 2)]?.toFixed(0)} ms, p99 ${late[Math.floor(late.length * 0.99)]?.toFixed(0)} ms\n`,
    );
    expect(over).toMatchObject({ upstream: 0, user: 0 });
    expect(steady.share).toBeGreaterThanOrEqual(0.95);
    expect(back.share).toBeGreaterThanOrEqual(0.95);
    expect(cut.calls).toBeGreaterThan(0);
    expect(alone).toBeGreaterThan(0);
  });

  it('pass no limit while the memory of Redis is full: with evictions, and with refusals', async () => {
    const server = await redisServer();
    const redis = await client(server.url);
    const fleet = await fleetOn(server.url, 54_000);
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

  it('send one probe when the breaker is half-open, and go on when it is answered', async () => {
    const server = await redisServer();
    const openMs = 2000;
    const failForMs = 20_000;
    const fleet = await fleetOn(server.url, 48_000, { failForMs, breakerOpenMs: openMs });
    const failUntilMs = fleet.startedAtMs + failForMs;
    const grants = await fleet.grants();
    const probes = grants.filter(({ isProbe }) => isProbe);
    const failing = grants.filter(({ atMs }) => atMs < failUntilMs);
    const before = failing.filter(({ isProbe }) => !isProbe);
    const gaps = probes.slice(1).map(({ atMs }, at) => Math.round(atMs - probes[at]!.atMs));
    const after = grants.filter(({ atMs }) => atMs > failUntilMs && atMs > probes.at(-1)!.atMs);
    process.stdout.write(
      `fleet probe, ${SIZE} processes: ${probes.length} probes in ${new Set(probes.map(({ member }) => member)).size} processes, ` +
        `${gaps.join(', ')} ms apart; ${before.length} other calls before it opened; ${after.length} calls after the answer\n`,
    );
    expect(probes.length).toBeGreaterThanOrEqual(3);
    // Each one comes no sooner than the breaker is open after the one before has failed, doubling: never two at once.
    for (const [at, gapMs] of gaps.entries()) expect(gapMs).toBeGreaterThanOrEqual(openMs * 2 ** (at + 1));
    // What was in flight, or had its place, when it opened: not more than the workers of a second.
    expect(before.every(({ atMs }) => atMs < probes[0]!.atMs)).toBe(true);
    expect(after.length).toBeGreaterThan(20);
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
