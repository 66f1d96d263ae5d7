import { backoffMs } from '../core/backoff.ts';
import type { Backoff } from '../core/backoff.ts';
import type { Random } from '../ports.ts';

/** Waits after a lost connection, link or send. */
export const RECONNECT_BACKOFF: Backoff = { firstMs: 200, maxMs: 5000, jitter: 0.4 };

/** Waits of one length before they double: a refused connection is cheap, and a short outage must end within a second. */
const TRIES_PER_LENGTH = 4;

/**
 * Wait before attempt `attempt` (1 = the first retry). After an outage of n seconds the next try is at most about n / 6
 * seconds away, and never more than 5 s.
 */
export function reconnectWaitMs(attempt: number, random: Random): number {
  return backoffMs(RECONNECT_BACKOFF, Math.ceil(attempt / TRIES_PER_LENGTH), random.next());
}

/** An error with a stable code of this adapter. */
export function codedError(code: string, message: string, cause?: unknown): Error & { readonly code: string } {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { code });
}

/**
 * The outcome of `work`, unless `limitMs` pass or `signal` is aborted first; then it rejects with code `TIMED_OUT` or
 * the signal's reason. What `work` does later is ignored, never an unhandled rejection.
 */
export function within<T>(work: Promise<T>, limitMs: number, signal?: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      finish();
      reject(codedError('TIMED_OUT', `no answer from Service Bus within ${limitMs} ms`));
    }, limitMs);
    const onAbort = (): void => {
      finish();
      reject(signal?.reason);
    };
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    work.then(
      (value) => {
        finish();
        resolve(value);
      },
      (error: unknown) => {
        finish();
        reject(error);
      },
    );
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Like `within`, for clean-up: says whether `work` succeeded in time and never rejects. */
export async function finishedWithin(work: Promise<unknown>, limitMs: number): Promise<boolean> {
  try {
    await within(work, limitMs);
    return true;
  } catch {
    return false;
  }
}
