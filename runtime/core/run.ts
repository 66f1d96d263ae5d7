import { FRESH_GUARD, type GuardState } from './marker.ts';

/**
 * `live` being mined or waiting for its next slice · `done` the list was read to its end · `quarantined` set aside with a
 * reason, resumable by command · `paused` waits for a new token · `failed` given up until the next firing.
 */
export type RunState = 'live' | 'done' | 'quarantined' | 'paused' | 'failed';

/** All pages of one miner for one user from one firing. One row per (user, miner). */
export interface Run {
  readonly runId: string;
  readonly userId: string;
  readonly minerName: string;
  readonly state: RunState;
  /** Why the run is not live any more; for people. */
  readonly reason?: string;
  /** Grows by one with every slice that ends; a marker message belongs to exactly one slice. */
  readonly slice: number;
  /** Page checkpoint: position of the first page whose items are not all delivered. Null = head of the list. */
  readonly marker: string | null;
  readonly guard: GuardState;
  /** Pages delivered. */
  readonly pages: number;
  /** Items asked for per page; halved when a page was too large. */
  readonly pageLimit: number;
  /** Slices in a row that ended in a transient fault without a page. */
  readonly failures: number;
  /** Times the list was read again from its head because its marker had died. */
  readonly restarts: number;
  /** Times a firing or the monitor had to send the marker message again. */
  readonly revivals: number;
  readonly startedAtMs: number;
  /** Last time the run moved. */
  readonly progressAtMs: number;
  /** Observation time of the newest page: the next page is later, even when the clock is not. */
  readonly observedAtMs: number;
  /** Earliest time of the next slice when the run waits, else 0. */
  readonly notBeforeMs: number;
  /** Hash of the token that was refused, for a paused run. */
  readonly tokenHash?: string;
}

/** One firing of a miner, as it meets one user. Times in ms. */
export interface Firing {
  readonly runId: string;
  readonly userId: string;
  readonly minerName: string;
  readonly pageLimit: number;
  readonly tokenHash: string;
  readonly nowMs: number;
  /** A live run that has not moved for this long is sent again. */
  readonly reviveAfterMs: number;
}

/** Revivals of one run before it is set aside. */
export const REVIVALS_LIMIT = 5;

/** Slices in a row without a page before a run is given up until the next firing. */
export const FAILURES_LIMIT = 10;

/** Reads from the head in one run before a dying marker sets the run aside. */
export const RESTARTS_LIMIT = 1;

/** What a firing does for one user. */
export type FiringVerdict =
  /** A new or resumed run: write the row, then send its marker message. */
  | { readonly kind: 'start' | 'revive'; readonly run: Run }
  /** The run before is still live: this firing joins it. */
  | { readonly kind: 'coalesce'; readonly run: Run }
  /** Set aside before, and nothing has changed. */
  | { readonly kind: 'set-aside'; readonly run: Run }
  /** A dead run that was revived too often: write the row, send nothing. */
  | { readonly kind: 'quarantine'; readonly run: Run };

/** What one firing does for one user. A firing never waits on a dead run. */
export function decideFiring(run: Run | undefined, firing: Firing): FiringVerdict {
  if (run === undefined || run.state === 'done' || run.state === 'failed')
    return { kind: 'start', run: newRun(firing) };
  if (run.state === 'quarantined') return { kind: 'set-aside', run };
  if (run.state === 'paused') {
    if (run.tokenHash === firing.tokenHash) return { kind: 'set-aside', run };
    return { kind: 'start', run: newRun(firing) };
  }
  if (firing.nowMs < silentUntilMs(run, firing.reviveAfterMs)) return { kind: 'coalesce', run };
  return decideRevival(run, firing.nowMs);
}

/**
 * Until when a live run may be silent before it is sent again, epoch in ms. Each revival doubles the patience of `afterMs`: a
 * message that merely waits in a long queue is not sent many times over, and its run not set aside within minutes.
 */
export function silentUntilMs(run: Run, afterMs: number): number {
  return Math.max(run.progressAtMs, run.notBeforeMs) + afterMs * 2 ** run.revivals;
}

/** Sends the marker message of a silent live run again, or sets the run aside when that was tried too often. */
export function decideRevival(run: Run, nowMs: number): FiringVerdict {
  if (run.revivals >= REVIVALS_LIMIT) {
    return { kind: 'quarantine', run: endRun(run, 'quarantined', `no progress after ${run.revivals} revivals`, nowMs) };
  }
  return { kind: 'revive', run: { ...run, revivals: run.revivals + 1, progressAtMs: nowMs, notBeforeMs: 0 } };
}

function newRun(firing: Firing): Run {
  return {
    runId: firing.runId,
    userId: firing.userId,
    minerName: firing.minerName,
    state: 'live',
    slice: 0,
    marker: null,
    guard: FRESH_GUARD,
    pages: 0,
    pageLimit: firing.pageLimit,
    failures: 0,
    restarts: 0,
    revivals: 0,
    startedAtMs: firing.nowMs,
    progressAtMs: firing.nowMs,
    observedAtMs: 0,
    notBeforeMs: 0,
  };
}

/** `work` mine it · `resend` the slice ended but its next marker message may be lost · `settle` nothing is left to do. */
export type SliceVerdict = 'work' | 'resend' | 'settle';

/** What a (re)delivered marker message means for the run row. */
export function decideSlice(
  run: Run | undefined,
  message: { readonly runId: string; readonly slice: number },
): SliceVerdict {
  if (run === undefined || run.runId !== message.runId || run.state !== 'live') return 'settle';
  if (run.slice === message.slice) return 'work';
  return run.slice === message.slice + 1 ? 'resend' : 'settle';
}

/** A page whose items are all delivered moves the page checkpoint. */
export function advancePage(
  run: Run,
  page: { readonly marker: string | null; readonly guard: GuardState; readonly observedAtMs: number },
  nowMs: number,
): Run {
  return { ...run, ...page, pages: run.pages + 1, failures: 0, revivals: 0, progressAtMs: nowMs, notBeforeMs: 0 };
}

/** The slice ends here and the run goes on in another, now or at `notBeforeMs`. */
export function nextSlice(run: Run, nowMs: number, notBeforeMs = 0): Run {
  return { ...run, slice: run.slice + 1, progressAtMs: nowMs, notBeforeMs };
}

/** The run is over. */
export function endRun(run: Run, state: Exclude<RunState, 'live'>, reason: string | undefined, nowMs: number): Run {
  return { ...run, state, ...(reason === undefined ? {} : { reason }), progressAtMs: nowMs, notBeforeMs: 0 };
}

/** The list is read again from its head; what is in the lake already is dropped as seen. */
export function restartRun(run: Run, nowMs: number): Run {
  return { ...run, marker: null, guard: FRESH_GUARD, restarts: run.restarts + 1, progressAtMs: nowMs };
}
