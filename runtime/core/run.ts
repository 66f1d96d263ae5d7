import { canonicalText } from './canonical-json.ts';
import { type ContentState, FRESH_CONTENT } from './content-guard.ts';
import type { FaultCode } from './faults.ts';
import { FRESH_GUARD, type GuardState } from './marker.ts';

/**
 * `live` being mined or waiting for its next slice · `done` the list was read to its end · `quarantined` set aside with a
 * reason, resumable by command · `paused` waits for a new token · `failed` given up until the next firing.
 */
export type RunState = 'live' | 'done' | 'quarantined' | 'paused' | 'failed';

/**
 * Why a run is not live any more: a fault, or `end-of-list` it was read to its end · `user-inactive` nobody to mine for ·
 * `silent` its marker messages were lost too often · `skipped` a person gave it up. Programs read this, never the text beside it.
 */
export type EndCode = FaultCode | 'end-of-list' | 'user-inactive' | 'silent' | 'skipped';

/** How a run ends, or is set aside. */
export interface RunEnd {
  readonly state: Exclude<RunState, 'live'>;
  readonly code: EndCode;
  /** For people; cut at `REASON_LIMIT_BYTES`. */
  readonly reason: string;
}

/** All pages of one miner for one user from one firing. One row per (user, miner). */
export interface Run {
  readonly runId: string;
  readonly userId: string;
  readonly minerName: string;
  readonly state: RunState;
  /** Why the run is not live any more; absent for a live one, and in rows of code before there were codes. */
  readonly code?: EndCode;
  /** The same for people. */
  readonly reason?: string;
  /** Grows by one with every slice that ends; a marker message belongs to exactly one slice. */
  readonly slice: number;
  /** Page checkpoint: position of the first page whose items are not all delivered. Null = head of the list. */
  readonly marker: string | null;
  readonly guard: GuardState;
  /** What this run has met of its items. */
  readonly content: ContentState;
  /** Pages delivered. */
  readonly pages: number;
  /** Items of those pages: delivered as new, known already, and without a usable id. */
  readonly itemsNew: number;
  readonly itemsSeen: number;
  readonly itemsRejected: number;
  /** Items asked for per page; halved when a page was too large. */
  readonly pageLimit: number;
  /** Slices in a row that ended in a transient fault without a page. */
  readonly failures: number;
  /** Times the list was read again from its head because its marker had died. */
  readonly restarts: number;
  /** Times in a row that a firing or the monitor had to send the marker message again, without a page in between. */
  readonly revivals: number;
  /** Marker messages that were sent again for this slice, with pages in between or without. */
  readonly copies: number;
  /** `<slice>:<message id>` of the marker message whose worker began this slice: it alone may send the next one again. */
  readonly movedBy?: string;
  /** The marker message of this slice was not sent: the next firing or look of the monitor does it at once. */
  readonly isUnsent?: true;
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

/** Marker messages that are sent again for one slice before the run is set aside. */
export const COPIES_LIMIT = 7;

/**
 * Marker messages of one user and miner that can wait at once, in a queue that delivers in order: a slice has one and at most
 * `COPIES_LIMIT` copies, and those of the slice before may still be ahead of them. Older ones are settled and send nothing.
 */
export const WAITING_LIMIT = 2 * (1 + COPIES_LIMIT);

/** Longest reason in a run row, in bytes of JSON: the whole row stays within `RUN_ROW_LIMIT_BYTES`. */
export const REASON_LIMIT_BYTES = 300;

/** Largest run row, in bytes. */
export const RUN_ROW_LIMIT_BYTES = 4096;

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
    return { kind: 'start', run: newRun(firing, run) };
  if (run.state === 'quarantined') return { kind: 'set-aside', run };
  if (run.state === 'paused') {
    if (run.tokenHash === firing.tokenHash) return { kind: 'set-aside', run };
    return { kind: 'start', run: newRun(firing, run) };
  }
  if (firing.nowMs < silentUntilMs(run, firing.reviveAfterMs)) return { kind: 'coalesce', run };
  return decideRevival(run, firing.nowMs);
}

/**
 * Until when a live run may be silent before it is sent again, epoch in ms. Each revival doubles the patience of `afterMs`: a
 * message that merely waits in a long queue is not sent many times over, and its run not set aside within minutes.
 */
export function silentUntilMs(run: Run, afterMs: number): number {
  if (run.isUnsent === true) return 0;
  return Math.max(run.progressAtMs, run.notBeforeMs) + afterMs * 2 ** run.revivals;
}

/** Sends the marker message of a silent live run again, or sets the run aside when that was tried too often. */
export function decideRevival(run: Run, nowMs: number): FiringVerdict {
  const silent = (reason: string): FiringVerdict => ({
    kind: 'quarantine',
    run: endRun(run, { state: 'quarantined', code: 'silent', reason }, nowMs),
  });
  if (run.revivals >= REVIVALS_LIMIT) return silent(`no progress after ${run.revivals} revivals`);
  if (run.copies >= COPIES_LIMIT) return silent(`its slice did not end after ${run.copies} copies of its message`);
  const { isUnsent, ...rest } = run;
  // What was never sent is no copy.
  const again = isUnsent === true ? 0 : 1;
  const revivals = run.revivals + again;
  return {
    kind: 'revive',
    run: { ...rest, revivals, copies: run.copies + again, progressAtMs: nowMs, notBeforeMs: 0 },
  };
}

/** Fields that rows of the version before lack. */
const NOTHING_COUNTED = { itemsNew: 0, itemsSeen: 0, itemsRejected: 0, copies: 0 } as const;

/**
 * A run row as it was stored. A guard of the version before (a list of longer hashes) is forgotten: its list is guarded from here.
 * @throws SyntaxError when the text is not JSON.
 */
export function readRun(text: string): Run {
  const row = JSON.parse(text) as Omit<Run, keyof typeof NOTHING_COUNTED | 'content'> & Partial<Run>;
  const guard = typeof row.guard.recent === 'string' ? row.guard : FRESH_GUARD;
  return { ...NOTHING_COUNTED, content: FRESH_CONTENT, ...row, guard };
}

/**
 * A run observes after the run before it, whoever mined that one: clocks of processes differ, and may be set back, but the newest
 * observation of an item must be the one that was made last.
 */
function newRun(firing: Firing, before: Run | undefined): Run {
  return {
    runId: firing.runId,
    userId: firing.userId,
    minerName: firing.minerName,
    state: 'live',
    slice: 0,
    marker: null,
    guard: FRESH_GUARD,
    content: FRESH_CONTENT,
    pages: 0,
    ...NOTHING_COUNTED,
    pageLimit: firing.pageLimit,
    failures: 0,
    restarts: 0,
    revivals: 0,
    startedAtMs: firing.nowMs,
    progressAtMs: firing.nowMs,
    observedAtMs: before?.observedAtMs ?? 0,
    notBeforeMs: 0,
  };
}

/** `work` mine it · `resend` the slice ended but its next marker message may be lost · `settle` nothing is left to do. */
export type SliceVerdict = 'work' | 'resend' | 'settle';

/** A marker message as it was delivered. */
export interface DeliveredMarker {
  readonly runId: string;
  readonly slice: number;
  readonly messageId: string;
}

/**
 * What a (re)delivered marker message means for the run row. The next message may be lost only when the worker that moved the row
 * died before it had sent it, and then its own message comes again: any other copy is settled, or every copy would live on as a
 * copy of the next message for the rest of the run.
 */
export function decideSlice(run: Run | undefined, message: DeliveredMarker): SliceVerdict {
  if (run === undefined || run.runId !== message.runId || run.state !== 'live') return 'settle';
  if (run.slice === message.slice) return 'work';
  if (run.slice !== message.slice + 1) return 'settle';
  // Code before this one wrote nobody, or left the one of an earlier slice.
  const isKnown = run.movedBy?.startsWith(`${run.slice}:`) === true;
  return !isKnown || run.movedBy === moverOf(run, message.messageId) ? 'resend' : 'settle';
}

/** What `movedBy` is after the worker of `messageId` has begun the slice of `run`. */
export function moverOf(run: Run, messageId: string): string {
  return `${run.slice}:${messageId}`;
}

/** Whether a live row differs from a known state of it at most in that the message of its slice was sent again. */
export function isSameWork(stored: Run, known: Run): boolean {
  return stored.state === 'live' && workText(stored) === workText(known);
}

/** A run without what a revival changes. */
function workText({ isUnsent: _, ...run }: Run): string {
  return canonicalText({ ...run, revivals: 0, copies: 0, progressAtMs: 0, notBeforeMs: 0 });
}

/** What a page whose items are all delivered has changed. */
export interface DeliveredPage {
  readonly marker: string | null;
  readonly guard: GuardState;
  readonly content: ContentState;
  readonly observedAtMs: number;
  /** Items: delivered as new, known already, without a usable id. */
  readonly fresh: number;
  readonly seen: number;
  readonly rejected: number;
}

/** A page whose items are all delivered moves the page checkpoint. */
export function advancePage(run: Run, page: DeliveredPage, nowMs: number): Run {
  const { isUnsent: _, ...rest } = run;
  const { marker, guard, content, observedAtMs, fresh, seen, rejected } = page;
  return {
    ...{ ...rest, marker, guard, content, observedAtMs, pages: run.pages + 1 },
    itemsNew: run.itemsNew + fresh,
    itemsSeen: run.itemsSeen + seen,
    itemsRejected: run.itemsRejected + rejected,
    ...{ failures: 0, revivals: 0, progressAtMs: nowMs, notBeforeMs: 0 },
  };
}

/** The slice ends here and the run goes on in another, now or at `notBeforeMs`. */
export function nextSlice(run: Run, nowMs: number, notBeforeMs = 0): Run {
  const { isUnsent: _, ...rest } = run;
  return { ...rest, slice: run.slice + 1, copies: 0, progressAtMs: nowMs, notBeforeMs };
}

/** The run is over, or set aside: never without a reason. */
export function endRun(run: Run, { state, code, reason }: RunEnd, nowMs: number): Run {
  const { isUnsent: _, ...rest } = run;
  return { ...rest, state, code, reason: cutReason(reason), progressAtMs: nowMs, notBeforeMs: 0 };
}

/** The list is read again from its head: what it shows again is in the lake already, is dropped as seen, and is no lack of progress. */
export function restartRun(run: Run, nowMs: number): Run {
  return {
    ...{ ...run, marker: null, guard: FRESH_GUARD, content: FRESH_CONTENT },
    ...{ restarts: run.restarts + 1, progressAtMs: nowMs },
  };
}

/** A text that takes at most `REASON_LIMIT_BYTES` as JSON. */
function cutReason(reason: string): string {
  const encoder = new TextEncoder();
  let cut = reason.slice(0, REASON_LIMIT_BYTES);
  while (encoder.encode(JSON.stringify(cut)).byteLength > REASON_LIMIT_BYTES) cut = cut.slice(0, -8);
  return cut.toWellFormed();
}
