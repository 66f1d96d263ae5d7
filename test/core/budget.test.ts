import { describe, expect, it } from 'vitest';
import { blockCalls, type BudgetState, FRESH_BUDGET, type Rate, takeCall } from '../../runtime/core/budget.ts';
import { seededRandom } from '../fakes/seeded-random.ts';

/** Asks at every time given: the times at which a call was allowed. */
function allowedAt(rate: Rate, times: Iterable<number>, start = FRESH_BUDGET): readonly number[] {
  let state: BudgetState = start;
  const allowed: number[] = [];
  for (const nowMs of times) {
    const decision = takeCall(state, rate, nowMs);
    state = decision.state;
    if (decision.verdict.kind === 'go') allowed.push(nowMs);
  }
  return allowed;
}

function* every(stepMs: number, fromMs: number, untilMs: number): Generator<number> {
  for (let nowMs = fromMs; nowMs < untilMs; nowMs += stepMs) yield nowMs;
}

/** Most calls in any window of `windowMs`. */
function densest(allowed: readonly number[], windowMs: number): number {
  let most = 0;
  for (let from = 0, to = 0; to < allowed.length; to += 1) {
    while (allowed[to]! - allowed[from]! >= windowMs) from += 1;
    most = Math.max(most, to - from + 1);
  }
  return most;
}

describe('takeCall', () => {
  it.each([
    { callsPerSecond: 1, burst: 1 },
    { callsPerSecond: 3, burst: 1 },
    { callsPerSecond: 7, burst: 5 },
    { callsPerSecond: 100, burst: 100 },
    { callsPerSecond: 0.5, burst: 1 },
    { callsPerSecond: 1000, burst: 1 },
  ])('never allows more than the burst and the rate in any window: %j', (rate) => {
    const random = seededRandom(11);
    const times: number[] = [];
    for (let nowMs = 1_700_000_000_000; times.length < 20_000; nowMs += Math.floor(random.next() ** 4 * 300))
      times.push(nowMs);
    const allowed = allowedAt(rate, times);
    for (const windowMs of [1, 10, 100, 1000, 10_000, 60_000]) {
      const limit = Math.floor(rate.burst + (rate.callsPerSecond * windowMs) / 1000 + 1e-6);
      expect(densest(allowed, windowMs), `window of ${windowMs} ms`).toBeLessThanOrEqual(limit);
    }
  });

  it('allows the whole rate to one who asks all the time', () => {
    expect(allowedAt({ callsPerSecond: 10, burst: 1 }, every(1, 0, 10_000))).toHaveLength(100);
    expect(allowedAt({ callsPerSecond: 10, burst: 5 }, every(1, 0, 10_000))).toHaveLength(104);
  });

  it('allows a burst after a pause, once', () => {
    const rate = { callsPerSecond: 1, burst: 3 };
    expect(allowedAt(rate, [0, 0, 0, 0, 0])).toHaveLength(3);
    expect(allowedAt(rate, [0, 0, 0, 60_000, 60_000, 60_000, 60_000])).toHaveLength(6);
  });

  it('allows a call after exactly the wait that it named, and not a millisecond before', () => {
    for (const callsPerSecond of [0.001, 0.3, 1, 3, 7, 333, 999]) {
      const rate = { callsPerSecond, burst: 1 };
      const { state } = takeCall(FRESH_BUDGET, rate, 1000);
      const { verdict } = takeCall(state, rate, 1000);
      const waitMs = verdict.kind === 'wait' ? verdict.waitMs : 0;
      expect(waitMs).toBeGreaterThan(0);
      expect(takeCall(state, rate, 1000 + waitMs).verdict.kind, `${callsPerSecond}`).toBe('go');
      expect(takeCall(state, rate, 1000 + waitMs - 1).verdict.kind, `${callsPerSecond}`).toBe('wait');
    }
  });

  it('takes nothing when it says wait', () => {
    const rate = { callsPerSecond: 1, burst: 1 };
    const { state } = takeCall(FRESH_BUDGET, rate, 0);
    expect(takeCall(state, rate, 1).state).toEqual(state);
  });

  it('allows more than one call in a millisecond when the rate does', () => {
    const rate = { callsPerSecond: 100_000, burst: 100_000 };
    const times = Array.from({ length: 200_000 }, () => 5);
    expect(allowedAt(rate, times)).toHaveLength(100_000);
  });

  it('survives a clock that goes back', () => {
    const rate = { callsPerSecond: 1, burst: 1 };
    const { state } = takeCall(FRESH_BUDGET, rate, 100_000);
    expect(takeCall(state, rate, 50_000).verdict).toEqual({ kind: 'wait', waitMs: 51_000 });
  });
});

describe('blockCalls', () => {
  const rate = { callsPerSecond: 1000, burst: 10 };

  it('stops every call until its end, whatever the burst', () => {
    const state = blockCalls(FRESH_BUDGET, 500, 1000);
    expect(takeCall(state, rate, 1000).verdict).toEqual({ kind: 'wait', waitMs: 500 });
    expect(takeCall(state, rate, 1499).verdict).toEqual({ kind: 'wait', waitMs: 1 });
    expect(takeCall(state, rate, 1500).verdict).toEqual({ kind: 'go' });
  });

  it('never shortens a stop that is there', () => {
    const long = blockCalls(FRESH_BUDGET, 500, 1000);
    expect(blockCalls(long, 10, 1000)).toEqual(long);
    expect(blockCalls(long, 900, 1000).blockedUntilMs).toBe(1900);
  });

  it('keeps what the budget had counted', () => {
    const { state } = takeCall(FRESH_BUDGET, { callsPerSecond: 1, burst: 1 }, 1000);
    expect(blockCalls(state, 10, 1000).dueAtMs).toBe(2000);
  });
});
