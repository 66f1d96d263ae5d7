import type { IncomingMessage } from '../ports.ts';

/**
 * A message as the Functions host hands it over, which lower-cases the first letter of every name and calls the first delivery 1.
 * @throws Error when the body is not bytes: a trigger without `dataType: 'binary'` turns bytes into text and spoils them.
 */
export function incomingMessage(body: unknown, metadata: Readonly<Record<string, unknown>>): IncomingMessage {
  if (!(body instanceof Uint8Array)) {
    throw new Error(`the trigger must bind with dataType 'binary': the body came as ${typeof body}, not as bytes`);
  }
  const { messageId, contentType, subject, sessionId, deliveryCount, applicationProperties } = metadata;
  const isRecord = typeof applicationProperties === 'object' && applicationProperties !== null;
  return {
    messageId: textOf(messageId) ?? '',
    body,
    contentType: textOf(contentType),
    subject: textOf(subject),
    properties: isRecord ? { ...applicationProperties } : {},
    sessionId: textOf(sessionId),
    deliveryCount: typeof deliveryCount === 'number' ? Math.max(0, deliveryCount - 1) : 0,
    enqueuedAtMs: timeOf(metadata['enqueuedTime'] ?? metadata['enqueuedTimeUtc']),
  };
}

/** Texts that look like JSON arrive parsed. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}

/** The host writes its times in UTC, some of them without saying so. */
function timeOf(value: unknown): number {
  if (typeof value !== 'string') return 0;
  const atMs = Date.parse(/(Z|[+-]\d\d:\d\d)$/.test(value) ? value : `${value}Z`);
  return Number.isNaN(atMs) ? 0 : atMs;
}
