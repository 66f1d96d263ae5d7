import type { Bus, Clock, Handled, IncomingMessage, OutgoingMessage, Random } from '../ports.ts';

/** What putting a message back for later needs. */
export interface Postpone {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  /** Queue that the message came from. */
  readonly queue: string;
}

/** How long a message that only newer code can read waits before it is tried again, in ms. */
const NEWER_WAIT_MS = 30_000;

/**
 * Puts a message that only newer code can read back into its queue for later, as a new message, so that it never uses up its
 * deliveries while old and new processes share the queue.
 */
export async function postpone(deps: Postpone, message: IncomingMessage): Promise<Handled> {
  await deps.bus.send(deps.queue, [
    { ...copyOf(message), messageId: deps.random.uuid(), notBeforeMs: deps.clock.now() + NEWER_WAIT_MS },
  ]);
  return { settlement: { kind: 'complete' } };
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
