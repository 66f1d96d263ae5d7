import { describe, expect, it } from 'vitest';
import { FRESH_CONTENT, guardContent } from '../../runtime/core/content-guard.ts';
import { markerMessageOf } from '../../runtime/core/marker-message.ts';
import { FRESH_GUARD, guardMarker, MARKER_LIMIT_BYTES, markerBytes } from '../../runtime/core/marker.ts';
import {
  advancePage,
  COPIES_LIMIT,
  decideFiring,
  decideRevival,
  decideSlice,
  type DeliveredPage,
  endRun,
  type Firing,
  isSameWork,
  nextSlice,
  readRun,
  REASON_LIMIT_BYTES,
  restartRun,
  REVIVALS_LIMIT,
  RUN_ROW_LIMIT_BYTES,
  type Run,
  type RunEnd,
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

const END: RunEnd = { state: 'done', code: 'end-of-list', reason: 'why' };

const DELIVERED: DeliveredPage = {
  ...{ marker: 'm', guard: FRESH_GUARD, content: FRESH_CONTENT, observedAtMs: 1 },
  ...{ fresh: 0, seen: 0, rejected: 0 },
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
        ...{ content: FRESH_CONTENT, itemsNew: 0, itemsSeen: 0, itemsRejected: 0, copies: 0 },
        ...{ guard: FRESH_GUARD, pages: 0, pageLimit: 100, failures: 0, restarts: 0, revivals: 0 },
        ...{ startedAtMs: 10_000, progressAtMs: 10_000, observedAtMs: 0, notBeforeMs: 0 },
      },
    });
  });

  it.each<RunState>(['done', 'failed'])('starts a new run after one that is %s, and takes nothing over', (state) => {
    const before = { ...endRun(startedRun(), END, 6000), state, marker: 'm', pages: 7, pageLimit: 3 };
    expect(decideFiring(before, firing)).toEqual(decideFiring(undefined, firing));
  });

  it('leaves a quarantined run alone, also after a new token', () => {
    const run = endRun(startedRun(), { ...END, state: 'quarantined' }, 6000);
    expect(decideFiring(run, firing)).toEqual({ kind: 'set-aside', run });
    expect(decideFiring(run, { ...firing, tokenHash: 'token 2' })).toEqual({ kind: 'set-aside', run });
  });

  it('leaves a paused run alone until the token changes, then starts a new run', () => {
    const run = { ...endRun(startedRun(), { ...END, state: 'paused' }, 6000), tokenHash: 'token 1' };
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
      run: { ...run, revivals: 2, copies: 1, progressAtMs: 9000, notBeforeMs: 0 },
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
      run: { state: 'quarantined', code: 'silent', reason: 'no progress after 5 revivals' },
    });
  });

  it('starts to count anew after a page', () => {
    const run = { ...startedRun(), revivals: REVIVALS_LIMIT };
    const moved = advancePage(run, DELIVERED, 9000);
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
    expect(decideSlice(row, { runId, slice, messageId: 'x' })).toBe(verdict);
  });
});

describe('a run on its way', () => {
  const run: Run = { ...startedRun(), failures: 2, revivals: 3, notBeforeMs: 9, pages: 4, slice: 1, pageLimit: 25 };

  it('moves its page checkpoint with a page, and forgets failures, revivals and waits', () => {
    const guard = guardMarker(FRESH_GUARD, 'm').state;
    const { state: content } = guardContent(FRESH_CONTENT, ['a']);
    const page = { marker: 'm', guard, content, observedAtMs: 77, fresh: 1, seen: 2, rejected: 3 };
    expect(advancePage({ ...run, isUnsent: true }, page, 8000)).toEqual({
      ...{ ...run, marker: 'm', guard, content, observedAtMs: 77, pages: 5 },
      ...{ itemsNew: 1, itemsSeen: 2, itemsRejected: 3 },
      ...{ failures: 0, revivals: 0, progressAtMs: 8000, notBeforeMs: 0 },
    });
  });

  it('goes on in the next slice, now or later, with what it has counted', () => {
    expect(nextSlice({ ...run, copies: 3, isUnsent: true }, 8000)).toEqual({
      ...run,
      slice: 2,
      progressAtMs: 8000,
      notBeforeMs: 0,
    });
    expect(nextSlice(run, 8000, 8500)).toEqual({ ...run, slice: 2, progressAtMs: 8000, notBeforeMs: 8500 });
  });

  it('ends with a code and a reason, always, and the reason is cut where it would burst the row', () => {
    expect(endRun({ ...run, isUnsent: true }, { state: 'failed', code: 'token', reason: 'why' }, 8000)).toEqual({
      ...{ ...run, state: 'failed', code: 'token', reason: 'why', progressAtMs: 8000, notBeforeMs: 0 },
    });
    for (const long of ['x'.repeat(9999), '\u0001'.repeat(9999), '漢'.repeat(9999), '😀'.repeat(9999)]) {
      const { reason = '' } = endRun(run, { ...END, reason: long }, 8000);
      expect(Buffer.byteLength(JSON.stringify(reason))).toBeLessThanOrEqual(REASON_LIMIT_BYTES);
      expect(Buffer.byteLength(JSON.stringify(reason))).toBeGreaterThan(REASON_LIMIT_BYTES - 60);
      expect(reason.isWellFormed()).toBe(true);
    }
  });

  it('is read again from its head with fresh guards; what it has counted and its page limit stay', () => {
    const content = guardContent(FRESH_CONTENT, ['a']).state;
    const moved = { ...run, marker: 'm', guard: guardMarker(FRESH_GUARD, 'm').state, content, itemsNew: 9 };
    expect(restartRun(moved, 8000)).toEqual({
      ...{ ...moved, marker: null, guard: FRESH_GUARD, content: FRESH_CONTENT, restarts: 1, progressAtMs: 8000 },
    });
  });
});

describe('the copies of a marker message', () => {
  const run = { ...startedRun(), slice: 5, movedBy: '5:mover' };

  it('of which only the one whose worker moved the row may send the next one again', () => {
    expect(decideSlice(run, { runId: 'r1', slice: 4, messageId: 'mover' })).toBe('resend');
    expect(decideSlice(run, { runId: 'r1', slice: 4, messageId: 'copy' })).toBe('settle');
    expect(decideSlice(run, { runId: 'r1', slice: 5, messageId: 'copy' })).toBe('work');
  });

  it('all may while nobody knows who moved the row: code of the version before left an older one there', () => {
    expect(decideSlice({ ...run, movedBy: '4:mover' }, { runId: 'r1', slice: 4, messageId: 'copy' })).toBe('resend');
    expect(decideSlice({ ...run, movedBy: '55:mover' }, { runId: 'r1', slice: 4, messageId: 'copy' })).toBe('resend');
  });

  it(`are at most ${COPIES_LIMIT} for one slice, also when pages come in between; then the run is set aside`, () => {
    let live: Run = run;
    for (let copy = 1; copy <= COPIES_LIMIT; copy += 1) {
      const verdict = decideRevival(live, 9000);
      expect(verdict).toMatchObject({ kind: 'revive', run: { copies: copy } });
      live = advancePage(verdict.run, DELIVERED, 9000);
    }
    expect(decideRevival(live, 9000)).toMatchObject({ kind: 'quarantine', run: { code: 'silent' } });
    expect(decideRevival(nextSlice(live, 9000), 9000)).toMatchObject({ kind: 'revive', run: { copies: 1 } });
  });

  it('do not count the one that was never sent, and that one is sent at once', () => {
    const unsent: Run = { ...run, isUnsent: true };
    expect(silentUntilMs(unsent, 60_000)).toBe(0);
    const verdict = decideRevival(unsent, 9000);
    expect(verdict).toMatchObject({ kind: 'revive', run: { copies: 0, revivals: 0 } });
    expect(Object.hasOwn(verdict.run, 'isUnsent')).toBe(false);
  });
});

describe('isSameWork', () => {
  const run: Run = { ...startedRun(), slice: 5, movedBy: '5:mover' };

  it('holds for a row that was only sent again', () => {
    expect(isSameWork(decideRevival(run, 9000).run, run)).toBe(true);
    expect(isSameWork({ ...run, isUnsent: true }, run)).toBe(true);
  });

  it('does not hold for a row that another worker moved, or that is over', () => {
    expect(isSameWork(advancePage(run, DELIVERED, 9000), run)).toBe(false);
    expect(isSameWork({ ...run, pageLimit: 50 }, run)).toBe(false);
    expect(isSameWork(endRun(run, END, 9000), run)).toBe(false);
  });
});

describe('a run row', () => {
  it('is read as it was written', () => {
    const run = decideRevival({ ...startedRun(), movedBy: '0:x', isUnsent: true }, 9000).run;
    expect(readRun(JSON.stringify(run))).toEqual(run);
  });

  it('of the version before has counted nothing, and is guarded from here', () => {
    const { content: _, itemsNew: _n, itemsSeen: _s, itemsRejected: _r, copies: _c, ...old } = startedRun();
    const row = { ...old, marker: 'm', guard: { recent: ['0a1b2c3d', '11111111'], repeats: 1 } };
    expect(readRun(JSON.stringify(row))).toEqual({ ...startedRun(), marker: 'm' });
  });

  it(`is at most ${RUN_ROW_LIMIT_BYTES} bytes, and so is its marker message, whatever the user, the marker and the reason`, () => {
    const full = (value: string, times: number): string => value.repeat(times);
    let guard = FRESH_GUARD;
    let content = FRESH_CONTENT;
    for (let page = 0; page < 400; page += 1) {
      guard = guardMarker(guard, `m${page}`).state;
      content = guardContent(
        content,
        Array.from({ length: 3 }, (_, at) => `i${page}-${at}`),
      ).state;
    }
    const most = Number.MAX_SAFE_INTEGER;
    for (const [userId, marker] of [
      [full('漢', 256), full('m', MARKER_LIMIT_BYTES - 2)],
      [full('"', 256), full('"', MARKER_LIMIT_BYTES / 2 - 1)],
    ] as const) {
      expect(markerBytes(marker)).toBe(MARKER_LIMIT_BYTES);
      const run: Run = {
        ...{ ...startedRun(), runId: full('r', 36), userId, minerName: full('m', 32), marker, guard, content },
        ...{ slice: 999_999, pages: 9_999_999, pageLimit: 1000, failures: 10, restarts: 1, revivals: 5, copies: 7 },
        ...{ itemsNew: 1e9, itemsSeen: 1e9, itemsRejected: 1e9, tokenHash: full('f', 32), notBeforeMs: most / 1000 },
        movedBy: `999999:${full('m', 36)}`,
      };
      const row = JSON.stringify(
        endRun(run, { ...END, state: 'quarantined', reason: full('漢', 300) }, 1_800_000_000_000),
      );
      process.stdout.write(`largest run row: ${Buffer.byteLength(row)} bytes of ${RUN_ROW_LIMIT_BYTES}\n`);
      expect(Buffer.byteLength(row)).toBeLessThanOrEqual(RUN_ROW_LIMIT_BYTES);
      expect(Buffer.byteLength(JSON.stringify(markerMessageOf(run)))).toBeLessThanOrEqual(RUN_ROW_LIMIT_BYTES);
    }
  });
});
