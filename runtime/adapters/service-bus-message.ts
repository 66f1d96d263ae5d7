import type { ServiceBusMessage, ServiceBusReceivedMessage } from '@azure/service-bus';
import type { IncomingMessage, OutgoingMessage } from '../ports.ts';

/** Codes after which the same request can never succeed. Everything else is worth another try. */
const PERMANENT_CODES: ReadonlySet<string> = new Set([
  'MessagingEntityNotFound',
  'MessagingEntityDisabled',
  'UnauthorizedAccess',
  'MessageSizeExceeded',
  'BUS_CLOSED',
]);

/** Codes that say that the message is no longer ours. */
const LOCK_LOST_CODES: ReadonlySet<string> = new Set(['MessageLockLost', 'SessionLockLost', 'MessageNotFound']);

/** The client throws this text, without a code, for a delivery that the broker has already settled. */
const ALREADY_SETTLED = /already settled/;

/** The outgoing message in the client's form. */
export function toServiceBusMessage(message: OutgoingMessage): ServiceBusMessage {
  return {
    messageId: message.messageId,
    body: message.body,
    contentType: message.contentType,
    applicationProperties: { ...message.properties },
    ...(message.subject !== undefined && { subject: message.subject }),
    ...(message.sessionId !== undefined && { sessionId: message.sessionId }),
    ...(message.notBeforeMs !== undefined && { scheduledEnqueueTimeUtc: new Date(message.notBeforeMs) }),
    ...(message.timeToLiveMs !== undefined && { timeToLive: message.timeToLiveMs }),
  };
}

/** Messages of one batch share what its envelope repeats from the first of them: session, enqueue time and end. */
export function batchGroup(message: OutgoingMessage): string {
  return `${message.notBeforeMs ?? ''}|${message.timeToLiveMs ?? ''}|${message.sessionId ?? ''}`;
}

/** The received message as the engine sees it. */
export function toIncomingMessage(message: ServiceBusReceivedMessage): IncomingMessage {
  return {
    messageId: String(message.messageId ?? ''),
    body: bodyBytes(message.body),
    contentType: message.contentType,
    subject: message.subject,
    properties: message.applicationProperties ?? {},
    sessionId: message.sessionId,
    deliveryCount: message.deliveryCount ?? 0,
    enqueuedAtMs: message.enqueuedTimeUtc?.getTime() ?? 0,
  };
}

/** The bytes as they were on the wire for data sections; text of a value section as UTF-8, anything else as JSON. */
function bodyBytes(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return body;
  if (body === undefined || body === null) return new Uint8Array(0);
  if (typeof body === 'string') return Buffer.from(body, 'utf8');
  if (Array.isArray(body) && body.every((part) => part instanceof Uint8Array)) return Buffer.concat(body);
  return Buffer.from(JSON.stringify(body), 'utf8');
}

/** Whether another try is useless. A TypeError is not: rhea throws them when a connection goes away under it. */
export function isPermanent(error: unknown): boolean {
  return PERMANENT_CODES.has(codeOf(error));
}

/** Whether a token was refused, or the one of a link that was open is over. */
export function isUnauthorized(error: unknown): boolean {
  return codeOf(error) === 'UnauthorizedAccess';
}

/** Whether the message is no longer ours to settle or renew. */
export function isLockLost(error: unknown): boolean {
  return LOCK_LOST_CODES.has(codeOf(error)) || (error instanceof Error && ALREADY_SETTLED.test(error.message));
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null || !('code' in error)) return '';
  return String(error.code);
}
