import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterEach, beforeEach, vi } from 'vitest';
import { RedisLink } from '../../../runtime/adapters/redis-link.ts';
import { startRedis } from '../../../runtime/local/redis.ts';
import { densest } from '../../fakes/densest.ts';
import type { Grant } from './fleet-member.ts';
import { Fleet } from './fleet.ts';

/** Processes of the fleet. */
export const SIZE = 16;

/** Calls a second. */
export const LIMITS = { upstream: 100, user: 2 };

const COMMON = {
  ...{ userCallsPerSecond: LIMITS.user, upstreamCallsPerSecond: LIMITS.upstream, workers: 12, users: 400 },
  ...{ failForMs: 0, breakerOpenMs: 15_000, callMs: 500 },
};

/** Length of the windows in which the share of the rate is measured, in s. */
const STRETCH_SECONDS = 3;

/** Processes and servers of the test that runs; they end with it. */
export class FleetRig {
  readonly #releases: (() => unknown)[] = [];
  #dir = '';

  /** Call it where the tests are described. */
  constructor() {
    // The fleets live for as long as their windows take, and sixteen processes start slowly on a busy machine.
    vi.setConfig({ testTimeout: 240_000, hookTimeout: 90_000 });
    beforeEach(async () => {
      this.#dir = await mkdtemp(join(tmpdir(), 'adit-fleet-'));
    });
    afterEach(async () => {
      for (const release of this.#releases.splice(0).toReversed()) await release();
      await rm(this.#dir, { recursive: true });
    });
  }

  /** `release` is called when the test has ended, the newest first. */
  onEnd(release: () => unknown): void {
    this.#releases.push(release);
  }

  async redisServer(): Promise<{ readonly url: string; readonly port: number; readonly kill: () => void }> {
    const server = await startRedis({ dir: this.#dir });
    if (server === undefined) throw new Error('redis-server is not on the PATH');
    this.onEnd(() => server.stop());
    return { url: server.url, port: Number(new URL(server.url).port), kill: () => process.kill(server.pid, 'SIGKILL') };
  }

  async client(url: string): Promise<Redis> {
    const link = new RedisLink({ url, commandTimeoutMs: 10_000 });
    this.onEnd(() => link.close());
    return link.usable();
  }

  /** A fleet that has begun. */
  async fleetOn(
    url: string,
    durationMs: number,
    options: Partial<ConstructorParameters<typeof Fleet>[2]> = {},
  ): Promise<Fleet> {
    const fleet = new Fleet(this.#dir, SIZE, { ...COMMON, url, ...options });
    this.onEnd(() => fleet.kill());
    await fleet.begin(durationMs);
    return fleet;
  }
}

/**
 * Places between two times after the start, in ms: how many; which share of what is allowed they are; and the same of the fullest
 * stretch of 3 s, because others use this machine too.
 */
export function within(
  grants: readonly Grant[],
  fleet: Fleet,
  fromMs: number,
  untilMs: number,
): { readonly calls: number; readonly share: number; readonly best: number } {
  const times = grants.map(({ atMs }) => atMs - fleet.startedAtMs).filter((atMs) => atMs >= fromMs && atMs < untilMs);
  const shareOf = (calls: number, seconds: number): number => calls / (LIMITS.upstream * seconds);
  return {
    calls: times.length,
    share: shareOf(times.length, (untilMs - fromMs) / 1000),
    best: shareOf(densest(times, STRETCH_SECONDS * 1000), STRETCH_SECONDS),
  };
}

/** A share as people read it. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`;
}
