import { decideFailure, failureKindOf } from '../core/failure.ts';
import { deadLetterOf } from '../core/faults.ts';
import type { Handled, Handler, IncomingMessage, Log } from '../ports.ts';
import type { PortErrors } from './port-errors.ts';
import { postpone, type Postpone, timesPostponed } from './postpone.ts';

/** What pacing a handler needs. */
export interface PacedDeps extends Postpone {
  readonly log: Log;
  readonly portErrors: PortErrors;
  /** Told about an error that waiting does not cure. */
  readonly onDiskFull: (error: Error) => void;
  /** Told about a message that nobody can handle, before it becomes a dead letter. */
  readonly onPoison: (message: IncomingMessage, reason: string) => Promise<void>;
}

/**
 * A handler that decides what becomes of a message when it throws: a service that is away uses up no more than three
 * deliveries, then the message waits in its queue; a message that fails by itself is a dead letter after five.
 */
export function paced(deps: PacedDeps, handler: Handler): Handler {
  return async (message, lock) => {
    try {
      const handled = await handler(message, lock);
      const { settlement } = handled;
      if (settlement.kind === 'dead-letter') deps.log.warn('a dead letter', { queue: deps.queue, ...settlement });
      return handled;
    } catch (error) {
      // Without the lock there is nothing to settle: the message is somebody else's.
      if (lock.aborted) throw error;
      return treat(deps, message, error, lock);
    }
  };
}

async function treat(deps: PacedDeps, message: IncomingMessage, error: unknown, lock: AbortSignal): Promise<Handled> {
  const { clock, random, log, queue, portErrors } = deps;
  const deliveries = message.deliveryCount + 1;
  const kind = failureKindOf(error, portErrors.has(error));
  const verdict = decideFailure({ kind, deliveries, postponed: timesPostponed(message) }, random.next());
  const facts = { queue, error: textOf(error), deliveries };
  if (isDiskFull(error)) deps.onDiskFull(error);
  // Nothing can be put back for later where nothing can be written.
  if (verdict.kind === 'again' || isDiskFull(error)) {
    log.warn('a message goes back to its queue', facts);
    await clock.sleep(verdict.kind === 'again' ? verdict.waitMs : DISK_FULL_WAIT_MS, lock);
    throw error;
  }
  if (verdict.kind === 'postpone') {
    log.warn('a service is away: a message waits in its queue', { ...facts, code: 'service-away', ...verdict });
    return postpone(deps, message, { code: 'service-away', waitMs: verdict.waitMs });
  }
  const settlement = deadLetterOf('poison-message', `after ${deliveries} deliveries: ${textOf(error)}`);
  await deps.onPoison(message, `${settlement.reason}: ${settlement.description}`);
  log.warn('a dead letter', { queue, ...settlement });
  return { settlement };
}

/** Wait before a message goes back while the disk is full, in ms. */
const DISK_FULL_WAIT_MS = 1000;

/** An error as one line for people: name, code and message. */
export function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as { code?: unknown };
  return `${error.name}${typeof code === 'string' ? ` ${code}` : ''}: ${error.message}`;
}

/** Whether an error of an adapter says that its disk is full; waiting does not cure that. */
export function isDiskFull(error: unknown): error is Error {
  return error instanceof Error && (error as { code?: unknown }).code === 'DISK_FULL';
}
