import { beforeEach, describe, expect, it } from 'vitest';
import type { CallOutcome, GatedCall, GateVerdict } from '../../runtime/core/gate.ts';
import { FleetBudgets } from '../../runtime/engine/fleet-budgets.ts';
import { LocalBudgets } from '../../runtime/engine/local-budgets.ts';
import type { SharedAsk, SharedBudgets } from '../../runtime/ports.ts';
import { TestClock } from '../fakes/test-clock.ts';

const CALL: GatedCall = { upstream: 'graph', userId: 'u1', proxyUrl: null };
const LIMITS = {
  ...{ userCallsPerSecond: 10, upstreamCallsPerSecond: 100, proxyCallsPerSecond: 100, instances: 2 },
  ...{ callTimeoutMs: 4000, breakerOpenMs: 2000 },
};
/** Calls of one user in a second on the own share. */
const OWN_SHARE = 5;
const ANSWERED: CallOutcome = { result: 'answered', stops: [] };

/** Shared budgets that do as a test says. */
class ScriptedBudgets implements SharedBudgets {
  readonly asks: SharedAsk[] = [];
  readonly notes: { readonly outcome: CallOutcome; readonly answered: number }[] = [];
  verdict: GateVerdict = { kind: 'go', waitMs: 0 };
  isAway = false;
  /** How old their memory is, in ms. */
  ageMs = 3_600_000;
  sharesForMs = 0;
  readonly #clock: TestClock;

  constructor(clock: TestClock) {
    this.#clock = clock;
  }

  async take(_: GatedCall, ask: SharedAsk): ReturnType<SharedBudgets['take']> {
    if (this.isAway) throw new Error('away');
    this.asks.push(ask);
    const nowMs = this.#clock.now();
    const sharesUntilMs = nowMs + this.sharesForMs;
    return { verdict: this.verdict, nowMs, sharesUntilMs, bornAtMs: nowMs - this.ageMs };
  }

  async note(_: GatedCall, outcome: CallOutcome, answered: number): Promise<void> {
    if (this.isAway) throw new Error('away');
    this.notes.push({ outcome, answered });
  }

  seat(): Promise<number | undefined> {
    return Promise.resolve(0);
  }
}

let clock: TestClock;
let shared: ScriptedBudgets;
let states: string[];
let budgets: FleetBudgets;

beforeEach(() => {
  clock = new TestClock();
  shared = new ScriptedBudgets(clock);
  states = [];
  const local = new LocalBudgets({ clock, seat: 0 }, LIMITS);
  const onState = (state: string, upstream: string, reason = ''): void =>
    void states.push(`${state} ${upstream} ${reason}`.trim());
  budgets = new FleetBudgets({ clock, shared, local, onState }, LIMITS);
});

/** Asks every 10 ms. How many calls may go. */
async function callsIn(ms: number): Promise<number> {
  let calls = 0;
  for (let passedMs = 0; passedMs < ms; passedMs += 10) {
    const verdict = await budgets.take(CALL, 0);
    if (verdict.kind === 'go') calls += 1;
    await clock.advance(10);
  }
  return calls;
}

describe('budgets of a fleet', () => {
  it('are what all share, while they are there', async () => {
    expect(await callsIn(1000)).toBe(100);
    shared.verdict = { kind: 'wait', waitMs: 7, why: 'budget', scope: 'user' };
    expect(await budgets.take(CALL, 0)).toEqual(shared.verdict);
    expect(states).toEqual([]);
  });

  it('are silent for a window when nobody answers, and then the own share, while one call a second asks again', async () => {
    await callsIn(100);
    shared.isAway = true;
    // A second for places that were given, and a window of a second.
    expect(await callsIn(2000)).toBe(0);
    const calls = await callsIn(10_000);
    expect(calls).toBeGreaterThan(OWN_SHARE * 9);
    expect(calls).toBeLessThanOrEqual(OWN_SHARE * 10);
    expect(states).toEqual(['own share graph away']);
  });

  it('say when this process comes back from calling alone, and keep to the share as long as they are told', async () => {
    await callsIn(100);
    shared.isAway = true;
    await callsIn(5000);
    shared.isAway = false;
    shared.sharesForMs = 6000;
    shared.asks.length = 0;
    const calls = await callsIn(5000);
    expect(states).toEqual(['own share graph away', 'shared graph']);
    expect(shared.asks[0]?.isReturning).toBe(true);
    expect(shared.asks.slice(1).some(({ isReturning }) => isReturning)).toBe(false);
    expect(calls).toBeGreaterThan(0);
    expect(calls).toBeLessThanOrEqual(OWN_SHARE * 5 + 1);
  });

  it('are the own share as well when the others forget all the time, as long as they do', async () => {
    await callsIn(100);
    shared.ageMs = 0;
    shared.verdict = { kind: 'wait', waitMs: 2000, why: 'budget', scope: 'user' };
    expect(await callsIn(12_000)).toBe(0);
    expect(states).toEqual(['own share graph they forget faster than they are asked']);
    const calls = await callsIn(10_000);
    expect(calls).toBeGreaterThan(OWN_SHARE * 9);
    expect(calls).toBeLessThanOrEqual(OWN_SHARE * 10);
    // Whoever has called alone says so, so that nobody who still counts on what is remembered goes beyond his share.
    shared.asks.length = 0;
    await callsIn(5000);
    expect(shared.asks.length).toBeGreaterThanOrEqual(4);
    expect(shared.asks.every(({ isReturning }) => isReturning)).toBe(true);
    shared.ageMs = 6000;
    shared.verdict = { kind: 'go', waitMs: 0 };
    // For six seconds it keeps to its share by itself, as the others may.
    expect(await callsIn(6500)).toBeLessThanOrEqual(OWN_SHARE * 7 + 50);
    expect(states.at(-1)).toBe('shared graph');
    expect(await callsIn(1000)).toBe(100);
  });

  it('stay what all share when they were forgotten once', async () => {
    await callsIn(100);
    shared.ageMs = 0;
    for (let passedMs = 0; passedMs < 12_000; passedMs += 100) {
      await callsIn(100);
      shared.ageMs += 100;
    }
    expect(states).toEqual([]);
  });

  it('give a probe back that came from a memory which does not last', async () => {
    shared.ageMs = 0;
    shared.verdict = { kind: 'wait', waitMs: 1000, why: 'budget', scope: 'user' };
    await callsIn(9500);
    shared.verdict = { kind: 'go', waitMs: 0, probe: { breaker: 5, scopes: [] } };
    await clock.advance(1000);
    expect((await budgets.take(CALL, 0)).kind).toBe('wait');
    expect(shared.notes).toEqual([
      { outcome: { result: 'abandoned', stops: [], probe: { breaker: 5, scopes: [] } }, answered: 0 },
    ]);
  });

  it('tell successes with the next call, and faults at once', async () => {
    for (let call = 0; call < 3; call += 1) await budgets.note(CALL, ANSWERED);
    expect(shared.notes).toEqual([]);
    await budgets.take(CALL, 0);
    expect(shared.asks.at(-1)?.answered).toBe(3);
    await budgets.note(CALL, ANSWERED);
    await budgets.note(CALL, { result: 'fault', stops: [] });
    expect(shared.notes).toEqual([{ outcome: { result: 'fault', stops: [] }, answered: 1 }]);
  });
});
