// Our gate (one GCRA script for user, upstream, proxy, stops and breaker) beside rate-limiter-flexible (fixed windows, a round trip
// for each limit), on one redis-server: round trips a second, CPU, calls over the limit in any window, share of the limit used.
// npm run bench:limiter
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import { openRedisBudgets } from '../../runtime/adapters/redis-budgets.ts';
import { RedisLink } from '../../runtime/adapters/redis-link.ts';
import { rateOf } from '../../runtime/core/budget.ts';
import { startRedis } from '../../runtime/local/redis.ts';
import { densest } from '../fakes/densest.ts';

const CALLERS = 16;
const USERS = 200;
const WARM_UP_MS = 500;
const RUN_MS = 5000;

/** Whoever says whether a call may go: the wait before asking again, or when the call has its place (epoch in ms). */
type Limiter = (userId: string) => Promise<{ readonly waitMs: number } | { readonly atMs: number }>;

interface Contender {
  readonly name: string;
  /** Round trips of one question that is answered with yes. */
  readonly roundTrips: number;
  readonly make: (limits: { readonly upstream: number; readonly user: number }) => Limiter;
}

interface Figures {
  readonly asks: number;
  readonly places: readonly number[];
  readonly ms: number;
  readonly cpuMs: number;
  readonly redisCpuMs: number;
}

const dir = await mkdtemp(join(tmpdir(), 'adit-bench-limiter-'));
const server = await startRedis({ dir });
if (server === undefined) throw new Error('redis-server is not on the PATH. Next: install it');
const link = new RedisLink({ url: server.url, commandTimeoutMs: 10_000 });
const redis = new Redis(server.url);
let run = 0;

const contenders: readonly Contender[] = [
  {
    name: 'adit: one GCRA script',
    roundTrips: 1,
    make: (limits) => {
      run += 1;
      const budgets = openRedisBudgets({
        ...{ link, processId: 'bench', breakerOpenMs: 15_000, prefix: `bench${run}:` },
        rates: { upstream: rateOf(limits.upstream), user: rateOf(limits.user), proxy: rateOf(1_000_000) },
      });
      const ask = { reserveMs: 1000, leaseMs: 35_000, answered: 1, isReturning: false, coldReserveMs: 0 };
      return async (userId) => {
        const { verdict, nowMs } = await budgets.take({ upstream: 'graph', userId, proxyUrl: null }, ask);
        return verdict.kind === 'wait' ? { waitMs: verdict.waitMs } : { atMs: nowMs + verdict.waitMs };
      };
    },
  },
  {
    name: 'rate-limiter-flexible 11.4.0: two fixed windows',
    roundTrips: 2,
    make: (limits) => {
      run += 1;
      const common = { storeClient: redis, duration: 1 };
      const user = new RateLimiterRedis({ ...common, keyPrefix: `user${run}`, points: limits.user });
      const upstream = new RateLimiterRedis({ ...common, keyPrefix: `upstream${run}`, points: limits.upstream });
      return async (userId) => {
        try {
          await upstream.consume('graph');
          await user.consume(userId);
          return { atMs: Date.now() };
        } catch (refused) {
          if (!(refused instanceof RateLimiterRes)) throw refused;
          return { waitMs: refused.msBeforeNext };
        }
      };
    },
  },
];

try {
  process.stdout.write(
    `limiter bench, ${new Date().toISOString()}, ${cpus().length} x ${cpus()[0]?.model}, ${CALLERS} callers\n`,
  );
  for (const { name, roundTrips, make } of contenders) {
    const free = await measure(make({ upstream: 1_000_000, user: 1_000_000 }), false);
    const asksPerSecond = free.asks / (free.ms / 1000);
    process.stdout.write(
      `${name}: ${Math.round(asksPerSecond)} questions/s (${Math.round(asksPerSecond * roundTrips)} round trips/s), ` +
        `client CPU ${((free.cpuMs / free.asks) * 1000).toFixed(0)} us, Redis CPU ${((free.redisCpuMs / free.asks) * 1000).toFixed(0)} us a question\n`,
    );
    for (const limit of [10, 100, 1000]) {
      const { places, ms, asks } = await measure(make({ upstream: limit, user: limit }), true);
      const over = Math.max(0, densest(places, 1000) - limit);
      process.stdout.write(
        `  limit ${limit}/s: ${over} calls over it in the fullest second, ${((places.length / (limit * (ms / 1000))) * 100).toFixed(1)}% of it used, ` +
          `${(asks / places.length).toFixed(1)} questions a call\n`,
      );
    }
  }
} finally {
  redis.disconnect();
  await link.close();
  await server.stop();
  await rm(dir, { recursive: true });
}

/** All callers ask as often as they may. The first moments, in which a budget that nobody has used is full, do not count. */
async function measure(limiter: Limiter, isBursty: boolean): Promise<Figures> {
  const startMs = Date.now();
  const fromMs = startMs + WARM_UP_MS;
  const untilMs = fromMs + RUN_MS;
  const places: number[] = [];
  let asks = 0;
  let cpu = process.cpuUsage();
  let redisCpuMs = 0;
  const warm = wait(WARM_UP_MS).then(async () => {
    cpu = process.cpuUsage();
    redisCpuMs = await redisCpu();
    asks = 0;
  });
  const work = async (caller: number): Promise<void> => {
    for (let turn = caller; Date.now() < untilMs; turn += CALLERS) {
      asks += 1;
      const answer = await limiter(`u${turn % USERS}`);
      if ('waitMs' in answer) await wait(answer.waitMs);
      else {
        if (answer.atMs >= fromMs && answer.atMs < untilMs) places.push(answer.atMs);
        await wait(Math.max(0, answer.atMs - Date.now())).catch(() => undefined);
      }
      // Callers that pause now and then arrive in bursts, which is where windows that are fixed let too many through.
      if (isBursty && turn % 97 === 0) await wait(Math.random() * 300);
    }
  };
  await Promise.all([warm, ...Array.from({ length: CALLERS }, (_, caller) => work(caller))]);
  const { user, system } = process.cpuUsage(cpu);
  places.sort((a, b) => a - b);
  return { asks, places, ms: RUN_MS, cpuMs: (user + system) / 1000, redisCpuMs: (await redisCpu()) - redisCpuMs };
}

async function redisCpu(): Promise<number> {
  const info = await redis.info('cpu');
  const of = (name: string): number => Number(new RegExp(`${name}:([0-9.]+)`).exec(info)?.[1]);
  return (of('used_cpu_user') + of('used_cpu_sys')) * 1000;
}
