import type { PageFaultCode } from './faults.ts';
import { nextSlice, type Run } from './run.ts';

/** Users that may fall to one fault in one firing before none does (upstream-api.md, "Errors"). */
export const MASS_LIMIT_MIN = 5;

/** The same as a share of the users of the firing; the larger of both counts. */
export const MASS_LIMIT_SHARE = 0.02;

/** Page faults that end a user's mining, and what many of them in one firing are. */
export const MASS_OF = { 'user-gone': 'mass-gone', token: 'mass-token' } as const satisfies Partial<
  Record<PageFaultCode, PageFaultCode>
>;

/** A page fault that is counted. */
export type CountedCode = keyof typeof MASS_OF;

/** Whether a fault is counted. */
export function isCounted(code: PageFaultCode): code is CountedCode {
  return Object.hasOwn(MASS_OF, code);
}

/** Users of one upstream that one firing reaches, and since when they are counted. Times: epoch in ms. */
export interface FiringSize {
  readonly countId: string;
  readonly startedAtMs: number;
  readonly users: number;
  /** False while the fan-out runs: `users` then is that of the firing before. */
  readonly isComplete: boolean;
}

/** Miners of one upstream that fire within this time are one firing, in ms: they all meet the same users. */
export const ONE_FIRING_MS = 600_000;

/** The count that a firing belongs to: a new one, or that of miners which fired a moment ago. */
export function beginCount(
  before: FiringSize | undefined,
  firing: {
    readonly countId: string;
    readonly nowMs: number;
    readonly users: number | undefined;
    readonly isWhole: boolean;
  },
): FiringSize {
  const { countId, nowMs, users, isWhole } = firing;
  const isRecent = before !== undefined && nowMs - before.startedAtMs < ONE_FIRING_MS;
  if (isRecent && !isWhole) return before;
  return { countId, startedAtMs: nowMs, users: users ?? before?.users ?? 0, isComplete: users !== undefined };
}

/** The same count once a fan-out knows how many users it has reached. */
export function completeCount(size: FiringSize, users: number): FiringSize {
  return { ...size, users: size.isComplete ? Math.max(size.users, users) : users, isComplete: true };
}

/** Users that may fall before none does: max(5, 2 %). */
export function massLimit(users: number): number {
  return Math.max(MASS_LIMIT_MIN, Math.floor(users * MASS_LIMIT_SHARE));
}

/** Whether a run ended because of `code`, and nothing has happened to it since. */
export function hasEndedBy(run: Run, code: CountedCode): boolean {
  const state = code === 'token' ? 'paused' : 'failed';
  // Rows of code before there were codes have the code in their reason.
  return run.state === state && (run.code ?? run.reason?.split(':')[0]) === code;
}

/** The run as if its fault had not ended it: it goes on at `notBeforeMs`, from its page checkpoint. */
export function reopenRun(run: Run, nowMs: number, notBeforeMs: number): Run {
  const { code: _, reason: __, tokenHash: ___, ...rest } = run;
  return nextSlice({ ...rest, state: 'live' }, nowMs, notBeforeMs);
}
