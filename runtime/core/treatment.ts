import { backoffMs, type Backoff, withJitter } from './backoff.ts';
import type { Fault } from './faults.ts';
import { endRun, FAILURES_LIMIT, nextSlice, restartRun, RESTARTS_LIMIT, type Run, type RunEnd } from './run.ts';

/** Waits and limits of the treatments. */
export interface TreatmentSettings {
  /** Wait after a limit that does not say how long, in ms. */
  readonly rateLimitWaitMs: number;
  /** Longest wait inside a slice, in ms; a longer one becomes a scheduled message. */
  readonly inlineWaitMs: number;
  /** Waits between attempts inside a slice. */
  readonly retry: Backoff;
  /** Attempts inside a slice after the first. */
  readonly retriesLimit: number;
  /** Waits between slices that ended in a transient fault. */
  readonly later: Backoff;
  /** Wait of a run whose lane is stopped before it looks again, in ms. */
  readonly brakeLookMs: number;
}

/** What happens to the run after a fault. */
export type TreatmentVerdict =
  /** Ask for the same page again after `waitMs`, in this slice. */
  | { readonly kind: 'again'; readonly waitMs: number; readonly run: Run }
  /** End the slice; the run goes on at `run.notBeforeMs`. */
  | { readonly kind: 'later'; readonly run: Run }
  /** The run is over or set aside. */
  | { readonly kind: 'end'; readonly run: Run };

/** Jitter added to the waits that an upstream asks for. */
const WAIT_JITTER = 0.2;

/** What is done about `fault` on attempt `attempt` (0 = the first) of one page. Never sleeps. */
export function treatFault(
  run: Run,
  fault: Fault,
  attempt: number,
  settings: TreatmentSettings,
  now: { readonly nowMs: number; readonly random: number; readonly tokenHash: string },
): TreatmentVerdict {
  const { nowMs, random } = now;
  switch (fault.treatment) {
    case 'wait': {
      // "Retry-After: 0" again and again must not become a storm of calls.
      const askedMs = fault.waitMs ?? settings.rateLimitWaitMs;
      const floorMs = backoffMs(settings.retry, attempt + 1, random);
      const waitMs = Math.max(withJitter(askedMs, WAIT_JITTER, random), floorMs);
      return waitOrLater(run, waitMs, settings, nowMs);
    }
    case 'retry':
      return retry(run, fault, attempt, settings, now);
    case 'pause':
      return { kind: 'end', run: { ...endOf(run, 'paused', fault, nowMs), tokenHash: now.tokenHash } };
    case 'skip':
    case 'deactivate':
      return { kind: 'end', run: endOf(run, 'failed', fault, nowMs) };
    case 'stop':
      return { kind: 'later', run: nextSlice(run, nowMs, nowMs + settings.brakeLookMs) };
    case 'restart':
      if (run.restarts >= RESTARTS_LIMIT || run.marker === null) return quarantine(run, fault, nowMs);
      return { kind: 'again', waitMs: 0, run: restartRun(run, nowMs) };
    case 'shrink':
      if (run.pageLimit <= 1) return quarantine(run, fault, nowMs);
      return { kind: 'again', waitMs: 0, run: { ...run, pageLimit: Math.floor(run.pageLimit / 2) } };
    case 'quarantine':
      return quarantine(run, fault, nowMs);
  }
}

/** Again inside the slice a few times, then in a later one; never sooner than the upstream asks, as a 503 with `Retry-After` does. */
function retry(
  run: Run,
  fault: Fault,
  attempt: number,
  settings: TreatmentSettings,
  { nowMs, random }: { readonly nowMs: number; readonly random: number },
): TreatmentVerdict {
  const askedMs = withJitter(fault.waitMs ?? 0, WAIT_JITTER, random);
  const isLast = attempt >= settings.retriesLimit;
  if (!isLast && askedMs <= settings.inlineWaitMs) {
    return { kind: 'again', waitMs: Math.max(askedMs, backoffMs(settings.retry, attempt + 1, random)), run };
  }
  const failures = run.failures + 1;
  if (failures > FAILURES_LIMIT) return { kind: 'end', run: endOf(run, 'failed', fault, nowMs) };
  const laterMs = Math.max(askedMs, backoffMs(settings.later, failures, random));
  return { kind: 'later', run: nextSlice({ ...run, failures }, nowMs, nowMs + laterMs) };
}

/** A wait inside the slice when it is short, else a scheduled message: no paid instance sleeps out a limit. */
function waitOrLater(
  run: Run,
  waitMs: number,
  settings: Pick<TreatmentSettings, 'inlineWaitMs'>,
  nowMs: number,
): TreatmentVerdict {
  if (waitMs <= settings.inlineWaitMs) return { kind: 'again', waitMs, run };
  return { kind: 'later', run: nextSlice(run, nowMs, nowMs + waitMs) };
}

function quarantine(run: Run, fault: Fault, nowMs: number): TreatmentVerdict {
  return { kind: 'end', run: endOf(run, 'quarantined', fault, nowMs) };
}

function endOf(run: Run, state: RunEnd['state'], { code, message }: Fault, nowMs: number): Run {
  return endRun(run, { state, code, reason: `${code}: ${message}` }, nowMs);
}
