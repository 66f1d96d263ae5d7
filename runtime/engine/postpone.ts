import type { PostponedCode } from '../core/faults.ts';
import { messageClock } from './message-clock.ts';
import type { Bus, Clock, Handled, IncomingMessage, OutgoingMessage, Random } from '../ports.ts';

/** What putting a message back for later needs. */
export interface Postpone {
  readonly bus: Pick<Bus, 'send'>;
  readonly clock: Clock;
  readonly random: Random;
  /** Queue that the message came from. */
  readonly queue: string;
}

/** Property of a message that was put back for later: how often so far. */
export const POSTPONED = 'postponed';

/** Property beside it: the id under which the message was sent first. */
const ORIGIN = 'originId';

/** Property beside it: the code of the fault, for whoever peeks. */
const POSTPONED_FOR = 'postponedFor';

/** How long a message that only newer code can read waits before it is tried again, in ms. */
const NEWER_WAIT_MS = 30_000;

/**
 * Puts a message back into its queue for later, as a new message, so that it never uses up its deliveries.
 * @param why.waitMs - default: 30 s, for old and new processes that share the queue.
 */
export async function postpone(
  deps: Postpone,
  message: IncomingMessage,
  why: { readonly code: PostponedCode; readonly waitMs?: number },
): Promise<Handled> {
  return putBack(deps, message, {
    properties: { [POSTPONED]: timesPostponed(message) + 1, [POSTPONED_FOR]: why.code },
    notBeforeMs: messageClock(deps.clock, message).now() + (why.waitMs ?? NEWER_WAIT_MS),
  });
}

/** Sends a copy that is delivered at `notBeforeMs`, with these properties beside its own; the message is then done. */
export async function putBack(
  deps: Pick<Postpone, 'bus' | 'random' | 'queue'>,
  message: IncomingMessage,
  change: { readonly notBeforeMs: number; readonly properties?: OutgoingMessage['properties'] },
): Promise<Handled> {
  const copy = copyOf(message);
  const properties = { ...copy.properties, ...change.properties, [ORIGIN]: originOf(message) };
  const { notBeforeMs } = change;
  await deps.bus.send(deps.queue, [{ ...copy, properties, messageId: deps.random.uuid(), notBeforeMs }]);
  return { settlement: { kind: 'complete' } };
}

/**
 * The id under which a message was sent first. It stays the same work however often it was put back: whoever has moved a run for
 * it, and died before the next message was sent, is still known by it.
 */
export function originOf(message: Pick<IncomingMessage, 'messageId' | 'properties'>): string {
  const origin = message.properties[ORIGIN];
  return typeof origin === 'string' ? origin : message.messageId;
}

/** How often a message was put back for later. */
export function timesPostponed(message: Pick<IncomingMessage, 'properties'>): number {
  const times = message.properties[POSTPONED];
  return typeof times === 'number' ? times : 0;
}

/** What of a received message can be sent again, under an id of its own. */
export function copyOf(message: IncomingMessage): Omit<OutgoingMessage, 'messageId'> {
  return {
    body: message.body,
    contentType: message.contentType ?? 'application/octet-stream',
    properties: plainProperties(message.properties),
    ...(message.subject === undefined ? {} : { subject: message.subject }),
    ...(message.sessionId === undefined ? {} : { sessionId: message.sessionId }),
  };
}

function plainProperties(properties: Readonly<Record<string, unknown>>): Record<string, string | number | boolean> {
  const plain: Record<string, string | number | boolean> = {};
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') plain[name] = value;
  }
  return plain;
}
