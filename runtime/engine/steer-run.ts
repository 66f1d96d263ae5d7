import type { Run } from '../core/run.ts';
import { decideSteer, type Steer } from '../core/set-aside.ts';
import type { Clock } from '../ports.ts';
import { type MarkerSenderDeps, sendMarkers } from './marker-sender.ts';
import type { Runs } from './runs.ts';

/** What steering works with. */
export interface SteerDeps {
  readonly runs: Runs;
  readonly clock: Clock;
}

/** Whose run. */
export interface SteerTarget {
  readonly minerName: string;
  readonly userId: string;
}

/** What became of a command. */
export type SteerOutcome =
  | { readonly kind: 'written'; readonly before: Run; readonly run: Run; readonly etag: string | undefined }
  | { readonly kind: 'refused'; readonly before: Run; readonly why: string }
  | { readonly kind: 'no-run' }
  /** Others moved the row again and again. */
  | { readonly kind: 'contended' };

/** Rounds of read, decide, write while a fleet moves the row. */
const ROUNDS_LIMIT = 5;

/**
 * Resumes or skips a run by compare-and-set: whatever a racing fleet does to the row, the decision is about what it holds.
 * @param isDryRun - decide, and write nothing.
 */
export async function steerRun(
  deps: SteerDeps,
  target: SteerTarget,
  { steer, isDryRun }: { readonly steer: Steer; readonly isDryRun: boolean },
): Promise<SteerOutcome> {
  for (let round = 0; round < ROUNDS_LIMIT; round += 1) {
    const [stored] = await deps.runs.read(target.minerName, [target.userId]);
    if (stored === undefined) return { kind: 'no-run' };
    const { run: before } = stored;
    const verdict = decideSteer(before, steer, deps.clock.now());
    if (verdict.kind === 'refused') return { ...verdict, before };
    const written = { kind: 'written', before, run: verdict.run } as const;
    if (isDryRun) return { ...written, etag: undefined };
    const [etag] = await deps.runs.write([{ run: verdict.run, etag: stored.etag }]);
    if (etag !== undefined) return { ...written, etag };
  }
  return { kind: 'contended' };
}

/**
 * Sends the message of a resumed run at once, and marks it as sent. Marked first, as a firing writes its rows before it sends: a
 * crash in between leaves a live run without a message, which a later firing or look of the monitor revives.
 * @throws what the bus throws; the run is marked as unsent again then, so that the next firing sends it at once.
 */
export async function sendResumed(
  deps: SteerDeps & MarkerSenderDeps,
  { run, etag }: { readonly run: Run; readonly etag: string | undefined },
): Promise<void> {
  const { isUnsent: _, ...sent } = run;
  const [sentEtag] = await deps.runs.write([{ run: sent, etag }]);
  // A firing was faster, and has sent it.
  if (sentEtag === undefined) return;
  try {
    await sendMarkers(deps, run.minerName, [sent]);
  } catch (error) {
    await deps.runs.write([{ run, etag: sentEtag }]);
    throw error;
  }
}
