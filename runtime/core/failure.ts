import { type Backoff, backoffMs } from './backoff.ts';

/**
 * Why a handler threw. `service`: something outside is away, and another delivery may succeed. `message`: the message, or our
 * code with it, and every delivery would end the same way.
 */
export type FailureKind = 'service' | 'message';

/** Codes of adapters that say that what they were given can never work. */
const MESSAGE_CODES: ReadonlySet<unknown> = new Set([
  'MESSAGE_TOO_LARGE',
  'MessageSizeExceeded',
  'SEAL_BROKEN',
  'ERR_ASSERTION',
]);

/** Answers of a storage service that another try does not change: the request itself is wrong, or too large. */
const MESSAGE_STATUSES: ReadonlySet<unknown> = new Set([400, 413]);

/** Something outside that was asked and could not answer, where no adapter says so itself. */
export class ServiceError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ServiceError';
  }
}

/**
 * By where the error comes from and by its code, never by its text. An error of a port is a service's, because a client whose
 * connection breaks under it throws a TypeError as our own mistakes do; unless its code says that the request is at fault.
 */
export function failureKindOf(error: unknown, isFromPort: boolean): FailureKind {
  if (error instanceof ServiceError) return 'service';
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown };
  if (MESSAGE_CODES.has(code) || MESSAGE_STATUSES.has(statusCode)) return 'message';
  // Adapters check keys and values with RangeErrors, before they ask anybody.
  if (error instanceof RangeError && code === undefined) return 'message';
  return isFromPort ? 'service' : 'message';
}

/** What is done with a message whose handler threw. */
export type FailureVerdict =
  /** Give it back after `waitMs`; that uses up one delivery. */
  | { readonly kind: 'again'; readonly waitMs: number }
  /** Put a copy into the queue that is delivered in `waitMs`; that uses up none. */
  | { readonly kind: 'postpone'; readonly waitMs: number }
  /** Nobody can handle it. */
  | { readonly kind: 'poison' };

/** Deliveries after which a message that fails by itself is a dead letter. */
export const POISON_DELIVERIES = 5;

/** Deliveries that a service that is away may use up; then the message waits in the queue, on nobody's time. */
export const SERVICE_DELIVERIES = 3;

/** Waits in this process before a message goes back. Short, because they are paid for. */
const AGAIN_BACKOFF: Backoff = { firstMs: 50, maxMs: 1000, jitter: 0.2 };

/** Waits in the queue while a service is away. */
const POSTPONE_BACKOFF: Backoff = { firstMs: 5000, maxMs: 120_000, jitter: 0.2 };

/**
 * What is done with a message whose handler threw.
 * @param failure.deliveries - deliveries of this message so far, this one too: 1 for the first.
 * @param failure.postponed - times that it was put back for later before.
 */
export function decideFailure(
  failure: { readonly kind: FailureKind; readonly deliveries: number; readonly postponed: number },
  random: number,
): FailureVerdict {
  const { kind, deliveries, postponed } = failure;
  const limit = kind === 'message' ? POISON_DELIVERIES : SERVICE_DELIVERIES;
  if (deliveries < limit) return { kind: 'again', waitMs: backoffMs(AGAIN_BACKOFF, deliveries, random) };
  if (kind === 'message') return { kind: 'poison' };
  return { kind: 'postpone', waitMs: backoffMs(POSTPONE_BACKOFF, postponed + 1, random) };
}
