import { describe, expect, it } from 'vitest';
import { type BudgetOptions, LocalBudgets } from '../../runtime/engine/local-budgets.ts';
import { densest } from '../fakes/densest.ts';
import { seededRandom } from '../fakes/seeded-random.ts';

const START_MS = 1_700_000_000_000;

const LIMITS: Omit<BudgetOptions, 'instances'> = {
  ...{ userCallsPerSecond: 1, proxyCallsPerSecond: 5, upstreamCallsPerSecond: 8 },
  ...{ breakerOpenMs: 15_000, callTimeoutMs: 10_000 },
};

/** Users 0, 3, .. call directly, the others through two proxies. */
const USERS = Array.from({ length: 9 }, (_, at) => ({
  upstream: 'graph',
  userId: `u${at}`,
  proxyUrl: at % 3 === 0 ? null : `http://proxy${at % 3}`,
}));

const FLEETS = [
  { processes: 24, limits: LIMITS },
  { processes: 20, limits: { ...LIMITS, upstreamCallsPerSecond: 10, proxyCallsPerSecond: 1000 } },
  { processes: 9, limits: { ...LIMITS, userCallsPerSecond: 0.5, proxyCallsPerSecond: 1000 } },
  { processes: 7, limits: { ...LIMITS, userCallsPerSecond: 1000, proxyCallsPerSecond: 2 } },
];

describe('processes that take turns', () => {
  // The turns of an upstream and of a user never met for every other user, who was not mined for as long as Redis was away.
  it.each(FLEETS)('have a turn for every user, whatever his proxy ($processes processes)', ({ processes, limits }) => {
    for (let seat = 0; seat < processes; seat += 1) {
      for (const user of USERS) {
        let nowMs = START_MS;
        const clock = { now: () => nowMs, sleep: () => Promise.resolve() };
        const budgets = new LocalBudgets({ clock, seat }, { ...limits, instances: processes });
        const first = budgets.takeNow(user, 0);
        if (first.kind === 'wait') nowMs += first.waitMs;
        expect(nowMs - START_MS).toBeLessThan(2 * processes * 1500 * Math.max(1, 1 / limits.userCallsPerSecond));
        if (first.kind === 'wait') expect(budgets.takeNow(user, 0).kind).toBe('go');
      }
    }
  });

  it.each(FLEETS)('stay within all limits together ($processes processes)', ({ processes, limits }) => {
    const random = seededRandom(processes);
    let nowMs = START_MS;
    const clock = { now: () => nowMs, sleep: () => Promise.resolve() };
    const all = Array.from(
      { length: processes },
      (_, seat) => new LocalBudgets({ clock, seat }, { ...limits, instances: processes }),
    );
    const times = new Map<string, number[]>();
    const most = (name: string, windowMs: number): number => densest(times.get(name) ?? [], windowMs);
    for (; nowMs < START_MS + 60_000; nowMs += 50) {
      const first = Math.floor(random.next() * USERS.length);
      for (const user of [...USERS.slice(first), ...USERS.slice(0, first)]) {
        for (const budgets of all) {
          if (budgets.takeNow(user, 1000).kind === 'wait') continue;
          for (const name of ['upstream', user.userId, user.proxyUrl ?? 'direct']) {
            times.set(name, [...(times.get(name) ?? []), nowMs]);
          }
        }
      }
    }
    expect(times.get('upstream')?.length).toBeGreaterThan(20);
    expect(most('upstream', 1000)).toBeLessThanOrEqual(limits.upstreamCallsPerSecond);
    expect(most('http://proxy1', 1000)).toBeLessThanOrEqual(limits.proxyCallsPerSecond);
    const userWindowMs = Math.max(1000, 1000 / limits.userCallsPerSecond);
    for (const { userId } of USERS) {
      expect(most(userId, userWindowMs)).toBeLessThanOrEqual(Math.max(1, limits.userCallsPerSecond));
    }
  });
});
