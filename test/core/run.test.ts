import { describe, expect, it } from 'vitest';
import { FRESH_GUARD, guardMarker } from '../../runtime/core/marker.ts';
import {
  advancePage,
  decideFiring,
  decideRevival,
  decideSlice,
  endRun,
  type Firing,
  nextSlice,
  restartRun,
  REVIVALS_LIMIT,
  type Run,
  type RunState,
  silentUntilMs,
} from '../../runtime/core/run.ts';

const firing: Firing = {
  runId: 'new',
  userId: 'u1',
  minerName: 'chats',
  pageLimit: 100,
  tokenHash: 'token 1',
  nowMs: 10_000,
  reviveAfterMs: 1000,
};

function startedRun(): Run {
  const { run } = decideFiring(undefined, { ...firing, runId: 'r1', nowMs: 5000 });
  return run;
}

describe('decideFiring', () => {
  it('starts a run where there was none: head of the list, slice 0, nothing counted', () => {
    const verdict = decideFiring(undefined, firing);
    expect(verdict).toEqual({
      kind: 'start',
      run: {
        ...{ runId: 'new', userId: 'u1', minerName: 'chats', state: 'live', slice: 0, marker: null },
        ...{ guard: FRESH_GUARD, pages: 0, pageLimit: 100, failures: 0, restarts: 0, revivals: 0 },
        ...{ startedAtMs: 10_000, progressAtMs: 10_000, observedAtMs: 0, notBeforeMs: 0 },
      },
    });
  });

  it.each<RunState>(['done', 'failed'])('starts a new run after one that is %s, and takes nothing over', (state) => {
    const before = { ...endRun(startedRun(), 'done', 'why', 6000), state, marker: 'm', pages: 7, pageLimit: 3 };
    expect(decideFiring(before, firing)).toEqual(decideFiring(undefined, firing));
  });

  it('leaves a quarantined run alone, also after a new token', () => {
    const run = endRun(startedRun(), 'quarantined', 'stuck', 6000);
    expect(decideFiring(run, firing)).toEqual({ kind: 'set-aside', run });
    expect(decideFiring(run, { ...firing, tokenHash: 'token 2' })).toEqual({ kind: 'set-aside', run });
  });

  it('leaves a paused run alone until the token changes, then starts a new run', () => {
    const run = { ...endRun(startedRun(), 'paused', 'token', 6000), tokenHash: 'token 1' };
    expect(decideFiring(run, firing)).toEqual({ kind: 'set-aside', run });
    expect(decideFiring(run, { ...firing, tokenHash: 'token 2' })).toMatchObject({
      kind: 'start',
      run: { runId: 'new' },
    });
  });

  const live: readonly [name: string, progressAtMs: number, notBeforeMs: number, kind: string][] = [
    ['joins a live run that moved a moment ago', 9999, 0, 'coalesce'],
    ['joins a live run up to the last millisecond', 9001, 0, 'coalesce'],
    ['revives a live run that has not moved for as long as the setting says', 9000, 0, 'revive'],
    ['joins a live run that waits for a time in the future', 1, 10_001, 'coalesce'],
    ['joins a live run whose wait is over but not for long', 1, 9001, 'coalesce'],
    ['revives a live run whose wait has been over for as long as the setting says', 1, 9000, 'revive'],
  ];
  it.each(live)('%s', (_, progressAtMs, notBeforeMs, kind) => {
    expect(decideFiring({ ...startedRun(), progressAtMs, notBeforeMs }, firing).kind).toBe(kind);
  });
});

describe('silentUntilMs', () => {
  it('doubles the patience with each revival, so that a message in a long queue is not sent many times over', () => {
    const run = { ...startedRun(), progressAtMs: 10, notBeforeMs: 20 };
    const waits = [0, 1, 2, 3, 4, 5].map((revivals) => silentUntilMs({ ...run, revivals }, 1000) - 20);
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000]);
  });
});

describe('decideRevival', () => {
  it('sends the same slice again at once, and counts it', () => {
    const run = { ...startedRun(), slice: 3, notBeforeMs: 7000, revivals: 1 };
    expect(decideRevival(run, 9000)).toEqual({
      kind: 'revive',
      run: { ...run, revivals: 2, progressAtMs: 9000, notBeforeMs: 0 },
    });
  });

  it(`sets the run aside after ${REVIVALS_LIMIT} revivals without a page`, () => {
    let run = startedRun();
    for (let at = 0; at < REVIVALS_LIMIT; at += 1) {
      const verdict = decideRevival(run, 9000);
      expect(verdict.kind).toBe('revive');
      run = verdict.run;
    }
    expect(decideRevival(run, 9000)).toMatchObject({
      kind: 'quarantine',
      run: { state: 'quarantined', reason: 'no progress after 5 revivals' },
    });
  });

  it('starts to count anew after a page', () => {
    const run = { ...startedRun(), revivals: REVIVALS_LIMIT };
    const moved = advancePage(run, { marker: 'm', guard: FRESH_GUARD, observedAtMs: 1 }, 9000);
    expect(moved.revivals).toBe(0);
  });
});

describe('decideSlice', () => {
  const run = { ...startedRun(), slice: 5 };
  type Row = readonly [name: string, run: Run | undefined, runId: string, slice: number, verdict: string];
  const table: readonly Row[] = [
    ['works on the slice that the row waits for', run, 'r1', 5, 'work'],
    ['sends the next marker message again when the row is just ahead', run, 'r1', 4, 'resend'],
    ['settles when the row is further ahead', run, 'r1', 3, 'settle'],
    ['settles a slice that the row has not reached', run, 'r1', 6, 'settle'],
    ['settles the message of another run', run, 'r0', 5, 'settle'],
    ['settles when there is no row', undefined, 'r1', 5, 'settle'],
    ...(['done', 'failed', 'paused', 'quarantined'] as const).map((state): Row => [
      `settles when the run is ${state}`,
      { ...run, state },
      'r1',
      5,
      'settle',
    ]),
    ['settles when the run ended in the slice before', { ...run, state: 'done' }, 'r1', 4, 'settle'],
  ];
  it.each(table)('%s', (_, row, runId, slice, verdict) => {
    expect(decideSlice(row, { runId, slice })).toBe(verdict);
  });
});

describe('a run on its way', () => {
  const run: Run = { ...startedRun(), failures: 2, revivals: 3, notBeforeMs: 9, pages: 4, slice: 1, pageLimit: 25 };

  it('moves its page checkpoint with a page, and forgets failures, revivals and waits', () => {
    const guard = guardMarker(FRESH_GUARD, 'm').state;
    expect(advancePage(run, { marker: 'm', guard, observedAtMs: 77 }, 8000)).toEqual({
      ...{ ...run, marker: 'm', guard, observedAtMs: 77, pages: 5 },
      ...{ failures: 0, revivals: 0, progressAtMs: 8000, notBeforeMs: 0 },
    });
  });

  it('goes on in the next slice, now or later, with what it has counted', () => {
    expect(nextSlice(run, 8000)).toEqual({ ...run, slice: 2, progressAtMs: 8000, notBeforeMs: 0 });
    expect(nextSlice(run, 8000, 8500)).toEqual({ ...run, slice: 2, progressAtMs: 8000, notBeforeMs: 8500 });
  });

  it('ends with a reason, or without one', () => {
    expect(endRun(run, 'failed', 'why', 8000)).toEqual({
      ...{ ...run, state: 'failed', reason: 'why', progressAtMs: 8000, notBeforeMs: 0 },
    });
    expect(Object.hasOwn(endRun(run, 'done', undefined, 8000), 'reason')).toBe(false);
  });

  it('is read again from its head with a fresh guard; pages and page limit stay', () => {
    const moved = { ...run, marker: 'm', guard: guardMarker(FRESH_GUARD, 'm').state };
    expect(restartRun(moved, 8000)).toEqual({
      ...{ ...run, marker: null, guard: FRESH_GUARD, restarts: 1, progressAtMs: 8000 },
    });
  });
});
