import { decodeMarkerMessage } from '../core/marker-message.ts';
import { decideSlice, endRun } from '../core/run.ts';
import type { Clock, IncomingMessage } from '../ports.ts';
import { originOf } from './postpone.ts';
import type { Progress } from './progress.ts';
import type { Runs } from './runs.ts';

/** What setting a run aside needs. */
export interface SetAsideDeps {
  readonly clock: Clock;
  readonly runs: Runs;
  readonly progress: Progress;
}

/**
 * Quarantines the run of a marker message that nobody can handle, so that it is seen, is not revived for nothing, and can be
 * resumed. Does nothing when the run has gone on without this message.
 */
export async function setAsidePoisoned(deps: SetAsideDeps, message: IncomingMessage, reason: string): Promise<void> {
  const decoded = decodeMarkerMessage(new TextDecoder().decode(message.body));
  if (decoded.kind !== 'message') return;
  const { minerName, userId } = decoded.message;
  const [stored] = await deps.runs.read(minerName, [userId]);
  const delivered = { ...decoded.message, messageId: originOf(message) };
  if (stored === undefined || decideSlice(stored.run, delivered) !== 'work') return;
  const run = endRun(stored.run, { state: 'quarantined', code: 'poison-message', reason }, deps.clock.now());
  const [etag] = await deps.runs.write([{ run, etag: stored.etag }]);
  if (etag !== undefined) deps.progress.ended(run);
}
