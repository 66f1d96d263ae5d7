import type { Bus, IncomingMessage, Random, Settlement } from '../ports.ts';
import { copyOf } from './postpone.ts';

/** What sending a copy to the dead letters needs. */
export interface DeadLetterDeps {
  readonly bus: Bus;
  readonly random: Random;
}

/** Property of a copy that is on its way to the dead letters: why it goes there. Such a message is never handled again. */
export const DEAD_LETTER_REASON = 'deadLetterReason';

/** Property beside `DEAD_LETTER_REASON`: the details, for people. */
export const DEAD_LETTER_DESCRIPTION = 'deadLetterDescription';

/** Longest text of a dead-letter property, in characters: the properties of a message share its limit. */
const TEXT_LIMIT = 1024;

/** Time to live of a copy, in ms: the shortest there is. */
const EXPIRES_AFTER_MS = 1;

/**
 * Dead-letters a message for a host that can only complete or abandon it: a copy with the reason in its properties is sent to
 * the same queue, expires there at once, and the queue moves what expires to its dead letters. The original is the caller's to
 * complete afterwards; a crash between the two leaves a second dead letter, never none.
 */
export async function sendToDeadLetters(
  deps: DeadLetterDeps,
  queue: string,
  message: IncomingMessage,
  why: Extract<Settlement, { kind: 'dead-letter' }>,
): Promise<void> {
  const copy = copyOf(message);
  const properties = {
    ...copy.properties,
    [DEAD_LETTER_REASON]: why.reason.slice(0, TEXT_LIMIT),
    [DEAD_LETTER_DESCRIPTION]: why.description.slice(0, TEXT_LIMIT),
  };
  const messageId = deps.random.uuid();
  await deps.bus.send(queue, [{ ...copy, messageId, properties, timeToLiveMs: EXPIRES_AFTER_MS }]);
}

/** Whether a message is a copy that was received before it had expired. Its host gives it back, and it expires then. */
export function isDeadLetterCopy(message: IncomingMessage): boolean {
  return message.properties[DEAD_LETTER_REASON] !== undefined;
}
