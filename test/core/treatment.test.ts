import { describe, expect, it } from 'vitest';
import { Fault, type FaultCode, FAULTS, type PageFaultCode } from '../../runtime/core/faults.ts';
import { decideFiring, FAILURES_LIMIT, RESTARTS_LIMIT, type Run } from '../../runtime/core/run.ts';
import { treatFault, type TreatmentSettings } from '../../runtime/core/treatment.ts';

const settings: TreatmentSettings = {
  rateLimitWaitMs: 5000,
  inlineWaitMs: 300,
  retry: { firstMs: 100, maxMs: 1000, jitter: 0 },
  retriesLimit: 2,
  later: { firstMs: 10_000, maxMs: 60_000, jitter: 0 },
  brakeLookMs: 7000,
};

const now = { nowMs: 1_000_000, random: 0, tokenHash: 'hash of the token' };

const base: Run = {
  ...decideFiring(undefined, {
    ...{ runId: 'r1', userId: 'u1', minerName: 'chats', pageLimit: 100 },
    ...{ tokenHash: 't', nowMs: 1, reviveAfterMs: 1 },
  }).run,
  marker: 'm',
  slice: 4,
};

/** Every code that a page can have. */
const PAGE_CODES = (Object.keys(FAULTS) as FaultCode[]).filter(
  (code): code is PageFaultCode => FAULTS[code].scope !== 'message',
);

const treat = (code: PageFaultCode, run: Partial<Run> = {}, attempt = 0, waitMs?: number) =>
  treatFault(
    { ...base, ...run },
    new Fault(code, 'why', waitMs === undefined ? {} : { waitMs }),
    attempt,
    settings,
    now,
  );

describe('treatFault', () => {
  const ends: readonly [code: PageFaultCode, run: Partial<Run>, state: string][] = [
    ['token', {}, 'paused'],
    ['permission', {}, 'failed'],
    ['user-gone', {}, 'failed'],
    ['wrong-address', {}, 'quarantined'],
    ['refused', {}, 'quarantined'],
    ['page-shape', {}, 'quarantined'],
    ['marker-stuck', {}, 'quarantined'],
    ['marker-missing', {}, 'quarantined'],
    ['no-progress', {}, 'quarantined'],
    ['dead-marker', { restarts: RESTARTS_LIMIT }, 'quarantined'],
    ['dead-marker', { marker: null }, 'quarantined'],
    ['page-too-large', { pageLimit: 1 }, 'quarantined'],
  ];
  it.each(ends)('%s on %j ends the run as %s, with its code in the reason', (code, run, state) => {
    const verdict = treat(code, run);
    expect(verdict.kind).toBe('end');
    expect(verdict.run).toMatchObject({ state, reason: `${code}: why`, slice: 4, progressAtMs: now.nowMs });
  });

  it.each(['mass-gone', 'mass-token'] as const)('%s keeps the run alive until the lane is released', (code) => {
    const { kind, run } = treat(code);
    expect(kind).toBe('later');
    expect(run).toMatchObject({ state: 'live', slice: 5, marker: 'm', notBeforeMs: now.nowMs + 7000 });
  });

  it('remembers the hash of the token that was refused', () => {
    expect(treat('token').run.tokenHash).toBe('hash of the token');
    expect(treat('permission').run.tokenHash).toBeUndefined();
  });

  it.each(['rate-limit-user', 'rate-limit-upstream'] as const)(
    '%s waits inside the slice when the wait is short',
    (code) => {
      expect(treat(code, {}, 0, 300)).toEqual({ kind: 'again', waitMs: 300, run: base });
    },
  );

  it("waits longer and longer when the upstream keeps asking for no wait at all: a storm of calls is nobody's wish", () => {
    const waits = [0, 1, 2, 3, 9].map((attempt) => {
      const verdict = treat('rate-limit-user', {}, attempt, 0);
      return verdict.kind === 'again' ? verdict.waitMs : verdict.run.notBeforeMs - now.nowMs;
    });
    expect(waits).toEqual([100, 200, 400, 800, 1000]);
  });

  it.each(['rate-limit-user', 'rate-limit-upstream'] as const)(
    '%s becomes a scheduled message when the wait is longer',
    (code) => {
      const verdict = treat(code, {}, 0, 301);
      expect(verdict.kind).toBe('later');
      expect(verdict.run).toMatchObject({ state: 'live', slice: 5, notBeforeMs: now.nowMs + 301, failures: 0 });
    },
  );

  it('waits as long as the setting says after a rate limit that does not say', () => {
    expect(treat('rate-limit-user').run.notBeforeMs).toBe(now.nowMs + 5000);
  });

  it('lengthens the wait of a rate limit by up to a fifth, never shortens it', () => {
    const wait = (random: number): number =>
      treatFault(base, new Fault('rate-limit-user', '', { waitMs: 1000 }), 0, settings, { ...now, random }).run
        .notBeforeMs - now.nowMs;
    expect([0, 0.5, 0.999].map(wait)).toEqual([1000, 1100, 1200]);
  });

  it('tries a transient fault again inside the slice, with growing waits', () => {
    expect(treat('transient', {}, 0)).toEqual({ kind: 'again', waitMs: 100, run: base });
    expect(treat('transient', {}, 1)).toEqual({ kind: 'again', waitMs: 200, run: base });
  });

  it('comes back no sooner than a transient fault asks, in the slice when that is soon', () => {
    expect(treat('transient', {}, 0, 250)).toEqual({ kind: 'again', waitMs: 250, run: base });
    expect(treat('transient', {}, 0, 20)).toEqual({ kind: 'again', waitMs: 100, run: base });
    const later = treat('transient', {}, 0, 40_000);
    expect(later).toMatchObject({ kind: 'later', run: { failures: 1, notBeforeMs: now.nowMs + 40_000 } });
    expect(treat('transient', { failures: FAILURES_LIMIT }, 0, 40_000)).toMatchObject({ kind: 'end' });
  });

  it('waits inside the slice up to and including the inline limit', () => {
    expect(treat('rate-limit-user', {}, 0, settings.inlineWaitMs)).toMatchObject({ kind: 'again', waitMs: 300 });
    expect(treat('rate-limit-user', {}, 0, settings.inlineWaitMs + 1)).toMatchObject({
      kind: 'later',
      run: { notBeforeMs: now.nowMs + 301 },
    });
  });

  it('leaves a transient fault that outlives its retries to a later slice, with growing waits', () => {
    const waits = [0, 1, 2, 3, 8].map((failures) => {
      const verdict = treat('transient', { failures }, settings.retriesLimit);
      expect(verdict.kind).toBe('later');
      expect(verdict.run).toMatchObject({ slice: 5, failures: failures + 1 });
      return verdict.run.notBeforeMs - now.nowMs;
    });
    expect(waits).toEqual([10_000, 20_000, 40_000, 60_000, 60_000]);
  });

  it(`gives the run up after ${FAILURES_LIMIT} such slices without a page`, () => {
    expect(treat('transient', { failures: FAILURES_LIMIT - 1 }, 2).kind).toBe('later');
    expect(treat('transient', { failures: FAILURES_LIMIT }, 2)).toMatchObject({
      kind: 'end',
      run: { state: 'failed' },
    });
  });

  it('reads a list whose marker died once more from its head', () => {
    const verdict = treat('dead-marker');
    expect(verdict).toMatchObject({ kind: 'again', waitMs: 0, run: { marker: null, restarts: 1, slice: 4 } });
  });

  it('halves the limit of a page that is too large, down to one', () => {
    const limits: number[] = [];
    let run: Partial<Run> = {};
    for (let verdict = treat('page-too-large'); verdict.kind === 'again'; verdict = treat('page-too-large', run)) {
      run = verdict.run;
      limits.push(verdict.run.pageLimit);
    }
    expect(limits).toEqual([50, 25, 12, 6, 3, 1]);
  });

  it('knows what to do about every code', () => {
    for (const code of PAGE_CODES) {
      expect(['again', 'later', 'end']).toContain(treat(code).kind);
    }
  });

  it('never changes the run it was given', () => {
    const before = structuredClone(base);
    for (const code of PAGE_CODES) treat(code, {}, 5);
    expect(base).toEqual(before);
  });
});
