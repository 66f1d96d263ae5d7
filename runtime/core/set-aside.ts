import { FRESH_CONTENT } from './content-guard.ts';
import { FRESH_GUARD } from './marker.ts';
import { endRun, moverOf, type Run, type RunState } from './run.ts';

/** What a person can do about a run that is set aside. */
export const STEERS = ['resume', 'skip'] as const;

/** `resume` go on from its marker · `skip` give it up, so that the next firing starts from the head of the list. */
export type Steer = (typeof STEERS)[number];

/** What becomes of a run, or why nothing does. */
export type SteerVerdict =
  | { readonly kind: 'write'; readonly run: Run }
  /** The state does not allow it; `why` says so and what happens anyway, for people. */
  | { readonly kind: 'refused'; readonly why: string };

const NOT_ASIDE: Readonly<Record<Steer, Partial<Record<RunState, string>>>> = {
  resume: {
    live: 'it is live already: it is being mined, or its marker message waits',
    done: 'it is done: its list was read to the end, and the next firing reads it again',
  },
  skip: {
    live: 'it is live: it is being mined, or its marker message waits',
    done: 'it is done: its list was read to the end, and the next firing starts from the head anyway',
    failed: 'it is given up already: the next firing starts from the head',
  },
};

/**
 * What a person's command does to a run. A resumed run keeps its marker, its counters and its page limit and forgets what stopped
 * it: guards, failures, restarts, revivals. It begins a new slice, so that messages of the one before are settled, and its own
 * message is not sent yet.
 */
export function decideSteer(run: Run, steer: Steer, nowMs: number): SteerVerdict {
  const why = NOT_ASIDE[steer][run.state];
  if (why !== undefined) return { kind: 'refused', why };
  if (steer === 'skip') {
    const where = run.marker === null ? 'the head of its list' : `page ${run.pages}`;
    const reason = `skipped by command: what lies behind ${where} was not read`;
    return { kind: 'write', run: endRun(run, { state: 'failed', code: 'skipped', reason }, nowMs) };
  }
  const { code: _code, reason: _reason, tokenHash: _tokenHash, ...rest } = run;
  const next: Run = {
    ...{ ...rest, state: 'live', slice: run.slice + 1, guard: FRESH_GUARD, content: FRESH_CONTENT },
    ...{ failures: 0, restarts: 0, revivals: 0, copies: 0, progressAtMs: nowMs, notBeforeMs: 0, isUnsent: true },
  };
  return { kind: 'write', run: { ...next, movedBy: moverOf(next, 'resume') } };
}
