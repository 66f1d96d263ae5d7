import { describe, expect, it } from 'vitest';
import { FRESH_CONTENT, guardContent } from '../../runtime/core/content-guard.ts';
import { FRESH_GUARD, guardMarker } from '../../runtime/core/marker.ts';
import { decideFiring, decideSlice, endRun, type Run, type RunState } from '../../runtime/core/run.ts';
import { decideSteer, STEERS } from '../../runtime/core/set-aside.ts';

const firing = {
  ...{ runId: 'r1', userId: 'u1', minerName: 'chats', pageLimit: 100 },
  ...{ tokenHash: 't', nowMs: 1_000, reviveAfterMs: 60_000 },
};

function aside(state: Exclude<RunState, 'live'>): Run {
  const { run } = decideFiring(undefined, firing);
  const worn: Run = {
    ...{ ...run, marker: 'm7', pages: 7, slice: 3, pageLimit: 25, itemsNew: 9, movedBy: '3:x', tokenHash: 'old' },
    ...{ guard: guardMarker(FRESH_GUARD, 'm7').state, content: guardContent(FRESH_CONTENT, ['a']).state },
    ...{ failures: 3, restarts: 1, revivals: 2, copies: 4 },
  };
  return endRun(worn, { state, code: 'no-progress', reason: 'why' }, 2_000);
}

describe('decideSteer', () => {
  it.each(['quarantined', 'paused', 'failed'] as const)(
    'resumes a run that is %s from its marker, with everything that stopped it forgotten',
    (state) => {
      const before = aside(state);
      const verdict = decideSteer(before, 'resume', 5_000);
      const { code: _c, reason: _r, tokenHash: _t, ...rest } = before;
      expect(verdict).toEqual({
        kind: 'write',
        run: {
          ...{ ...rest, state: 'live', slice: 4, guard: FRESH_GUARD, content: FRESH_CONTENT, movedBy: '4:resume' },
          ...{ failures: 0, restarts: 0, revivals: 0, copies: 0, progressAtMs: 5_000, notBeforeMs: 0, isUnsent: true },
        },
      });
    },
  );

  it('makes the next firing send the message of a resumed run at once, and messages from before settle', () => {
    const verdict = decideSteer(aside('quarantined'), 'resume', 5_000);
    const run = verdict.kind === 'write' ? verdict.run : undefined;
    const fired = decideFiring(run, { ...firing, nowMs: 5_001 });
    expect(fired).toMatchObject({
      kind: 'revive',
      run: { runId: 'r1', slice: 4, marker: 'm7', revivals: 0, copies: 0 },
    });
    expect(decideSlice(fired.run, { runId: 'r1', slice: 3, messageId: 'x' })).toBe('settle');
    expect(decideSlice(fired.run, { runId: 'r1', slice: 4, messageId: 'y' })).toBe('work');
  });

  it.each(['quarantined', 'paused'] as const)(
    'skips a run that is %s: the next firing starts a new one from the head',
    (state) => {
      const verdict = decideSteer(aside(state), 'skip', 5_000);
      expect(verdict).toMatchObject({
        kind: 'write',
        run: { state: 'failed', code: 'skipped', marker: 'm7', pages: 7 },
      });
      const run = verdict.kind === 'write' ? verdict.run : undefined;
      expect(decideFiring(run, { ...firing, runId: 'r2' })).toMatchObject({
        kind: 'start',
        run: { runId: 'r2', marker: null },
      });
    },
  );

  it('refuses what has no sense, and says what happens anyway', () => {
    const { run: live } = decideFiring(undefined, firing);
    for (const steer of STEERS) {
      expect(decideSteer(live, steer, 1)).toMatchObject({
        kind: 'refused',
        why: expect.stringMatching(/live/) as string,
      });
      expect(decideSteer(aside('done'), steer, 1)).toMatchObject({
        kind: 'refused',
        why: expect.stringMatching(/next firing/) as string,
      });
    }
    expect(decideSteer(aside('failed'), 'skip', 1)).toMatchObject({ kind: 'refused' });
  });
});
