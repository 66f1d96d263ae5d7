import { describe, expect, it } from 'vitest';
import {
  furthestMs,
  type Rate,
  rateOf,
  RESERVE_LIMIT_MS,
  shareOf,
  takeCall,
  turnWaitMs,
} from '../../runtime/core/budget.ts';
import { densest } from '../fakes/densest.ts';
import { seededRandom } from '../fakes/seeded-random.ts';

const START_MS = 1_700_000_000_000;

/** Asks one budget at every time given: the places that were given. */
function placesOf(rate: Rate, times: Iterable<number>, reserveMs = 0): readonly number[] {
  let dueAtMs = 0;
  const places: number[] = [];
  for (const nowMs of times) {
    const taken = takeCall([{ dueAtMs, rate }], nowMs, reserveMs);
    if (taken.kind === 'wait') continue;
    dueAtMs = taken.duesMs[0]!;
    places.push(taken.atMs);
  }
  return places;
}

function* every(stepMs: number, untilMs: number): Generator<number> {
  for (let ms = 0; ms < untilMs; ms += stepMs) yield START_MS + ms;
}

describe('a rate', () => {
  it.each([0.001, 0.5, 1, 2, 7, 10, 49, 50, 100, 1000, 98_765])(
    'of %d calls a second is never passed in any window, in places or without',
    (callsPerSecond) => {
      const random = seededRandom(11);
      const rate = rateOf(callsPerSecond);
      const calls = Math.max(1, callsPerSecond);
      const times: number[] = [];
      // Bursts and pauses on the scale of the window.
      for (let nowMs = START_MS; times.length < 20_000; nowMs += random.next() ** 6 * rate.windowMs * 0.3)
        times.push(nowMs);
      for (const reserveMs of [0, RESERVE_LIMIT_MS]) {
        const places = placesOf(rate, times, reserveMs);
        expect(places.length).toBeGreaterThan(10);
        for (const windows of [1, 2, 10])
          expect(densest(places, windows * rate.windowMs)).toBeLessThanOrEqual(windows * calls);
      }
    },
  );

  it.each([1, 2, 10, 100, 1000])(
    'of %d calls a second gives 98 per cent of it to one who asks all the time',
    (callsPerSecond) => {
      const places = placesOf(rateOf(callsPerSecond), every(1, 60_000));
      expect(places.length / 60 / callsPerSecond).toBeGreaterThan(0.978);
    },
  );

  it('loses nothing when callers wake up a fiftieth of a window late', () => {
    const rate = rateOf(10);
    let dueAtMs = 0;
    let nowMs = START_MS;
    for (let call = 0; call < 600; call += 1) {
      const taken = takeCall([{ dueAtMs, rate }], nowMs, 0);
      if (taken.kind === 'go') dueAtMs = taken.duesMs[0]!;
      nowMs = Math.max(nowMs, dueAtMs - rate.toleranceMs) + 20;
    }
    expect(600 / ((nowMs - START_MS) / 1000)).toBeGreaterThan(9.8 * 0.999);
  });

  it('allows a call after exactly the wait that it named, and not before', () => {
    for (const callsPerSecond of [0.001, 0.3, 1, 3, 7, 333, 999]) {
      const rate = rateOf(callsPerSecond);
      const first = takeCall([{ dueAtMs: 0, rate }], START_MS, 0);
      let dueAtMs = first.kind === 'go' ? first.duesMs[0]! : 0;
      while (takeCall([{ dueAtMs, rate }], START_MS, 0).kind === 'go') dueAtMs += rate.intervalMs;
      const second = takeCall([{ dueAtMs, rate }], START_MS, 0);
      const waitMs = second.kind === 'wait' ? second.waitMs : 0;
      expect(waitMs).toBeGreaterThan(0);
      expect(takeCall([{ dueAtMs, rate }], START_MS + waitMs + 0.01, 0).kind).toBe('go');
      expect(takeCall([{ dueAtMs, rate }], START_MS + waitMs - 0.01, 0).kind).toBe('wait');
    }
  });

  it('survives a clock that goes back: nobody waits longer than for a window and a place', () => {
    const rate = rateOf(1);
    const taken = takeCall([{ dueAtMs: START_MS, rate }], START_MS - 3_600_000, 0);
    expect(taken.kind === 'wait' && taken.waitMs).toBeLessThanOrEqual(furthestMs(rate));
  });
});

describe('several budgets', () => {
  it('are taken from together, or not at all: the first one keeps its call when another one is used up', () => {
    const shared = { dueAtMs: 0, rate: rateOf(100) };
    const user = { dueAtMs: START_MS + 500, rate: rateOf(1) };
    expect(takeCall([shared, user], START_MS, 0)).toMatchObject({ kind: 'wait', of: 1, waitMs: 480 });
    const taken = takeCall([shared, { ...user, dueAtMs: 0 }], START_MS, 0);
    expect(taken).toMatchObject({
      kind: 'go',
      atMs: START_MS,
      duesMs: [expect.closeTo(START_MS + 10.2, 2), expect.closeTo(START_MS + 1020, 0)],
    });
  });

  it('are asked about the place of the call, so that each one sees its calls in the order of their times', () => {
    const random = seededRandom(5);
    const rates = [rateOf(50), rateOf(5)];
    const dues = new Map<string, number>();
    const places: { readonly atMs: number; readonly user: string }[] = [];
    for (let call = 0, nowMs = START_MS; call < 20_000; call += 1, nowMs += random.next() * 15) {
      const user = `u${Math.floor(random.next() * 12)}`;
      const budgets = ['shared', user].map((name, at) => ({ dueAtMs: dues.get(name) ?? 0, rate: rates[at]! }));
      const taken = takeCall(budgets, nowMs, RESERVE_LIMIT_MS);
      if (taken.kind === 'wait') continue;
      dues.set('shared', taken.duesMs[0]!).set(user, taken.duesMs[1]!);
      places.push({ atMs: taken.atMs, user });
    }
    const times = places.map(({ atMs }) => atMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(densest(times, 1000)).toBe(50);
    for (let user = 0; user < 12; user += 1) {
      const own = places.filter((place) => place.user === `u${user}`).map(({ atMs }) => atMs);
      expect(densest(own, 1000)).toBeLessThanOrEqual(5);
    }
  });
});

describe('a share', () => {
  it.each([
    [100, 16],
    [100, 3],
    [16, 16],
    [15, 16],
    [1, 16],
    [1, 501],
    [0.01, 7],
    [100, 501],
    [3.5, 2],
  ])(
    'of %d calls a second keeps any %d processes together within it, also with clocks an eighth of a window apart',
    (limit, processes) => {
      const random = seededRandom(limit * 1000 + processes);
      const share = shareOf(limit, processes);
      const { windowMs } = share.rate;
      const calls: number[] = [];
      for (let seat = 0; seat < processes; seat += 1) {
        const skewMs = (random.next() - 0.5) * (windowMs / 8) * 1.98;
        const stepMs = windowMs / 50;
        let dueAtMs = 0;
        for (let nowMs = START_MS; nowMs < START_MS + 40 * windowMs; nowMs += stepMs * random.next() * 2) {
          const isTurn = share.kind === 'rate' || turnWaitMs(share.turns, seat, 77, nowMs + skewMs) === 0;
          const taken = takeCall([{ dueAtMs, rate: share.rate }], nowMs, 0);
          if (!isTurn || taken.kind === 'wait') continue;
          dueAtMs = taken.duesMs[0]!;
          calls.push(nowMs);
        }
      }
      calls.sort((a, b) => a - b);
      expect(densest(calls, windowMs)).toBeLessThanOrEqual(Math.max(1, limit));
      if (processes <= 16) expect(calls.length).toBeGreaterThan(20);
    },
  );

  it('of one process is the whole', () => {
    expect(shareOf(7, 1)).toEqual({ kind: 'rate', rate: rateOf(7) });
  });

  it('comes to everybody: the wait for a turn ends in the open part of one', () => {
    const share = shareOf(1, 16);
    if (share.kind !== 'turns') throw new Error('16 processes take turns at one call a second');
    for (let seat = 0; seat < 16; seat += 1) {
      for (const nowMs of [START_MS, START_MS + 300, START_MS + 1499]) {
        const waitMs = turnWaitMs(share.turns, seat, 3, nowMs);
        expect(waitMs).toBeLessThanOrEqual(16 * 1500);
        expect(turnWaitMs(share.turns, seat, 3, nowMs + waitMs)).toBe(0);
      }
    }
  });
});
