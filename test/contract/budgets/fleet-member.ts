import { appendFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { openRedisBudgets } from '../../../runtime/adapters/redis-budgets.ts';
import { RedisLink } from '../../../runtime/adapters/redis-link.ts';
import { systemClock, systemRandom } from '../../../runtime/adapters/system.ts';
import { rateOf } from '../../../runtime/core/budget.ts';
import type { CallOutcome, GatedCall, GateVerdict } from '../../../runtime/core/gate.ts';
import { FleetBudgets } from '../../../runtime/engine/fleet-budgets.ts';
import { LocalBudgets } from '../../../runtime/engine/local-budgets.ts';
import type { Clock, SharedBudgets } from '../../../runtime/ports.ts';

/**
 * One process of a fleet: workers that ask for calls as fast as they may and write down each place that they were given, in the
 * time of the machine, which is that of its Redis. Its own clock is wrong by `skewMs`.
 */
export interface MemberOptions {
  readonly url: string;
  readonly file: string;
  readonly member: number;
  readonly instances: number;
  readonly skewMs: number;
  readonly workers: number;
  readonly users: number;
  readonly userCallsPerSecond: number;
  readonly upstreamCallsPerSecond: number;
  /** Every call made in the first so many ms is an upstream-scoped fault, later ones are answered. */
  readonly failForMs: number;
  readonly breakerOpenMs: number;
  /** How long a probe holds its call, in ms. */
  readonly callMs: number;
}

/** One place that was given. */
export interface Grant {
  readonly atMs: number;
  readonly userId: string;
  readonly member: number;
  readonly isProbe: boolean;
  readonly isShared: boolean;
  /** By how much later than its place the call was made, in ms. */
  readonly lateMs: number;
}

const options = JSON.parse(process.argv[2] ?? '') as MemberOptions;
const clock: Clock = { now: () => systemClock.now() + options.skewMs, sleep: systemClock.sleep };
const up = Promise.withResolvers<void>();
const link = new RedisLink({
  url: options.url,
  commandTimeoutMs: 5000,
  onState: (state) => state === 'up' && up.resolve(),
});
const local = new LocalBudgets({ clock, seat: Math.floor(Math.random() * options.instances) }, limits());
const redis = openRedisBudgets({
  link,
  processId: systemRandom.uuid(),
  breakerOpenMs: options.breakerOpenMs,
  rates: {
    upstream: rateOf(options.upstreamCallsPerSecond),
    user: rateOf(options.userCallsPerSecond),
    proxy: rateOf(1000),
  },
});
/** The place of a call in the time of Redis, which only its answer knows exactly. */
const places = new WeakMap<GateVerdict, number>();
const shared: SharedBudgets = {
  ...redis,
  take: async (call, ask) => {
    const answer = await redis.take(call, ask);
    places.set(answer.verdict, answer.nowMs + answer.verdict.waitMs);
    return answer;
  },
};
const budgets = new FleetBudgets({ clock, shared, local, onState: () => undefined }, limits());
const lines: string[] = [];

await up.promise;
process.stdout.write('ready\n');
/** Begins when it is told until when (epoch in ms), so that all begin together. */
let startMs = 0;
let untilMs = 0;
for await (const line of createInterface({ input: process.stdin })) {
  startMs = systemClock.now();
  untilMs = Number(line);
  break;
}
await Promise.all(Array.from({ length: options.workers }, (_, worker) => work(worker)));
flush();
await link.close();
process.stdin.destroy();

async function work(worker: number): Promise<void> {
  for (let turn = worker + options.member; systemClock.now() < untilMs; turn += 1) {
    const userId = `u${turn % options.users}`;
    const call: GatedCall = { upstream: 'graph', userId, proxyUrl: null };
    const verdict = await budgets.take(call, 1000);
    if (verdict.kind === 'wait') {
      await wait(
        Math.min(1000, verdict.waitMs) *
          (verdict.why === 'budget' && verdict.scope === 'upstream' ? 0.5 + Math.random() / 2 : 1),
      );
      continue;
    }
    const placeMs = places.get(verdict);
    const atMs = placeMs ?? Date.now();
    if (verdict.waitMs > 0) await wait(verdict.waitMs);
    const nowMs = Date.now();
    const isProbe = verdict.probe !== undefined;
    const isShared = placeMs !== undefined;
    const grant: Grant = { atMs, userId, member: options.member, isProbe, isShared, lateMs: nowMs - atMs };
    lines.push(JSON.stringify(grant));
    if (lines.length >= 50) flush();
    if (isProbe) await wait(options.callMs);
    const outcome: CallOutcome = { result: nowMs < startMs + options.failForMs ? 'fault' : 'answered', stops: [] };
    await budgets.note(call, verdict.probe === undefined ? outcome : { ...outcome, probe: verdict.probe });
  }
}

function flush(): void {
  if (lines.length > 0) appendFileSync(options.file, `${lines.splice(0).join('\n')}\n`);
}

function limits(): ConstructorParameters<typeof LocalBudgets>[1] {
  const { instances, userCallsPerSecond, upstreamCallsPerSecond, breakerOpenMs, callMs } = options;
  return {
    ...{ instances, userCallsPerSecond, upstreamCallsPerSecond, breakerOpenMs },
    ...{ proxyCallsPerSecond: 1000, callTimeoutMs: callMs },
  };
}
