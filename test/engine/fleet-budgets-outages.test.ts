import { beforeEach, describe, expect, it } from 'vitest';
import { rateOf } from '../../runtime/core/budget.ts';
import type { GatedCall } from '../../runtime/core/gate.ts';
import { FleetBudgets } from '../../runtime/engine/fleet-budgets.ts';
import { type BudgetOptions, LocalBudgets } from '../../runtime/engine/local-budgets.ts';
import type { SharedBudgets } from '../../runtime/ports.ts';
import { MemorySharedBudgets } from '../fakes/memory-shared-budgets.ts';
import { TestClock } from '../fakes/test-clock.ts';

const OPTIONS: BudgetOptions = {
  ...{ userCallsPerSecond: 10, proxyCallsPerSecond: 10, upstreamCallsPerSecond: 10, instances: 2 },
  ...{ breakerOpenMs: 15_000, callTimeoutMs: 10_000 },
};
const CALL: GatedCall = { upstream: 'graph', userId: 'u1', proxyUrl: null };

let clock: TestClock;
let server: MemorySharedBudgets;
/** What is asked of the server, in order, and how long it takes to answer or to fail, in ms. */
let asked: string[];
let isAway: boolean;
let waitMs: Record<string, number>;
/** The last answer about a seat by process. */
let seats: Record<string, number | undefined>;

function member(processId: string): FleetBudgets {
  const shared = server.of(processId);
  const through = async <T>(operation: string, effect: () => Promise<T>): Promise<T> => {
    asked.push(operation);
    await clock.sleep(waitMs[operation] ?? 0);
    if (isAway) throw new Error('Redis is away');
    return effect();
  };
  const wired: SharedBudgets = {
    take: (call, ask) => through('take', () => shared.take(call, ask)),
    note: (call, outcome, answered) => through('note', () => shared.note(call, outcome, answered)),
    seat: async (upstream, ask) => {
      seats[processId] = await through('seat', () => shared.seat(upstream, ask));
      return seats[processId];
    },
  };
  const local = new LocalBudgets({ clock, seat: 0 }, OPTIONS);
  return new FleetBudgets({ clock, shared: wired, local, onState: () => undefined }, OPTIONS);
}

/** What comes of a promise while the time moves on. */
async function after<T>(ms: number, promise: Promise<T>): Promise<T> {
  await clock.advance(ms);
  return promise;
}

beforeEach(() => {
  clock = new TestClock();
  const rate = rateOf(10);
  const rates = { upstream: rate, user: rate, proxy: rate };
  server = new MemorySharedBudgets({ now: () => clock.now(), rates, breakerOpenMs: OPTIONS.breakerOpenMs });
  asked = [];
  isAway = false;
  waitMs = {};
  seats = {};
});

describe('the budgets of a fleet', () => {
  it('keep to a stop that this process was told, also when the shared budgets have forgotten it', async () => {
    const budgets = member('a');
    const stop = { scope: 'user', waitMs: 60_000, isDoubted: false } as const;
    await after(1, budgets.note(CALL, { result: 'answered', stops: [stop] }));
    server.clear();
    await clock.advance(20_000);
    expect(await budgets.take(CALL, 0)).toMatchObject({ kind: 'wait', why: 'stop', scope: 'user', waitMs: 39_999 });
  });

  it('ask for the seat before the place, so that a slow answer makes no call late', async () => {
    const budgets = member('a');
    waitMs = { seat: 800 };
    const taking = budgets.take(CALL, 0);
    await clock.advance(799);
    expect(asked).toEqual(['seat']);
    await after(2, taking);
    expect(asked).toEqual(['seat', 'take']);
  });

  it('let nobody call alone while a call looks whether the others are back, because they may be', async () => {
    const budgets = member('a');
    isAway = true;
    expect(await after(1, budgets.take(CALL, 0))).toMatchObject({ kind: 'wait', why: 'budget' });
    await clock.advance(30_000);
    // Away for half a minute, in which this process had nothing to ask for.
    isAway = false;
    waitMs = { seat: 5 };
    const verdicts = Promise.all([budgets.take(CALL, 0), budgets.take({ ...CALL, userId: 'u2' }, 0)]);
    const [first, second] = await after(20, verdicts);
    expect([first?.kind, second?.kind]).toEqual(['wait', 'wait']);
    expect(asked.slice(-3)).toEqual(['seat', 'take', 'take']);
  });

  it('let all who wait for a look call alone when it finds nobody', async () => {
    const budgets = member('a');
    isAway = true;
    await after(1, budgets.take(CALL, 0));
    await clock.advance(30_000);
    waitMs = { seat: 2000 };
    const verdicts = Promise.all([budgets.take(CALL, 0), budgets.take({ ...CALL, userId: 'u2' }, 0)]);
    const [first, second] = await after(2001, verdicts);
    expect(first?.kind).toBe('go');
    // Its share of the upstream was taken by the first.
    expect(second).toMatchObject({ kind: 'wait', why: 'budget', scope: 'upstream' });
  });

  it('ask for the seat again at once when the shared budgets are back', async () => {
    const budgets = member('a');
    await after(1, budgets.take(CALL, 0));
    isAway = true;
    await after(1, budgets.take(CALL, 0));
    isAway = false;
    await clock.advance(5000);
    asked = [];
    await after(1, budgets.take(CALL, 0));
    expect(asked).toEqual(['seat', 'take']);
  });

  it('leave the seat of a killed process to its successor after some minutes, and every other seat to its holder', async () => {
    const [a, b, c] = ['a', 'b', 'c'].map(member);
    await after(1, Promise.all([a!.take(CALL, 0), b!.take(CALL, 0)]));
    expect(seats).toEqual({ a: 0, b: 1 });
    for (let minute = 0; minute < 6; minute += 1) {
      await clock.advance(60_001);
      await after(1, Promise.all([b!.take(CALL, 0), c!.take(CALL, 0)]));
      expect(seats['b']).toBe(1);
    }
    expect(seats['c']).toBe(0);
  });
});
