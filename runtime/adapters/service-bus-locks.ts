import type { ServiceBusReceivedMessage } from '@azure/service-bus';
import { isLockLost } from './service-bus-message.ts';
import type { ServiceBusEvent, Session, SessionSource } from './service-bus-session.ts';
import { codedError, within } from './service-bus-time.ts';

/** How locks are renewed. */
export interface LockSettings {
  readonly entity: string;
  readonly source: SessionSource;
  /** The entity's lock duration, in ms. */
  readonly lockDurationMs: number;
  readonly onEvent: (event: ServiceBusEvent) => void;
}

/** A message whose lock is kept. `signal` is aborted when the lock is lost or the consumer stops for good. */
export interface HeldLock {
  readonly signal: AbortSignal;
  release(): void;
}

interface Lock {
  readonly message: ServiceBusReceivedMessage;
  readonly controller: AbortController;
  /** When the newest lock was surely not older. Not by the wall clock: one that is set back would let locks run out unrenewed. */
  lockedAtMs: number;
}

/** Renewals in flight at once. */
const RENEWALS_AT_ONCE = 32;

/** Bounds of the pause between two looks at the locks, in ms. */
const LOOK_EVERY = { minMs: 50, maxMs: 5000 } as const;

/** Limit of one renewal, in ms. */
const RENEW_LIMIT_MS = 5000;

/**
 * Renews the locks of messages in handlers at half their time. Keyed by message object, so by lock token: two messages
 * with the same id keep two locks. Goes by time that passes here, because the broker's clock may differ.
 */
export class LockKeeper {
  readonly #settings: LockSettings;
  readonly #locks = new Set<Lock>();
  readonly #closed = new AbortController();

  constructor(settings: LockSettings) {
    this.#settings = settings;
    void this.#run();
  }

  hold(message: ServiceBusReceivedMessage): HeldLock {
    const lock: Lock = { message, controller: new AbortController(), lockedAtMs: performance.now() };
    this.#locks.add(lock);
    return { signal: lock.controller.signal, release: () => void this.#locks.delete(lock) };
  }

  /** Gives up every lock that is still held. Idempotent. */
  close(): void {
    this.#closed.abort();
    for (const lock of this.#locks) this.#lose(lock, codedError('CONSUMER_STOPPED', 'the consumer has stopped'));
  }

  async #run(): Promise<void> {
    const { source, lockDurationMs } = this.#settings;
    const pauseMs = Math.min(LOOK_EVERY.maxMs, Math.max(LOOK_EVERY.minMs, lockDurationMs / 20));
    while (!this.#closed.signal.aborted) {
      try {
        await source.clock.sleep(pauseMs, this.#closed.signal);
      } catch {
        return;
      }
      const dueMs = performance.now() - lockDurationMs / 2;
      const due = [...this.#locks].filter((lock) => lock.lockedAtMs <= dueMs);
      for (let index = 0; index < due.length; index += RENEWALS_AT_ONCE) {
        await Promise.all(due.slice(index, index + RENEWALS_AT_ONCE).map((lock) => this.#renew(lock)));
      }
    }
  }

  /** Never rejects. A renewal that fails for another reason than a lost lock is tried again at the next look. */
  async #renew(lock: Lock): Promise<void> {
    const { source, entity, lockDurationMs, onEvent } = this.#settings;
    if (!this.#locks.has(lock)) return;
    const askedAtMs = performance.now();
    let session: Session | undefined;
    try {
      const current = source.current();
      session = current;
      const renewal = current.run(async () => current.settler(entity).renewMessageLock(lock.message));
      await within(renewal, Math.min(RENEW_LIMIT_MS, lockDurationMs / 4), current.lost);
      lock.lockedAtMs = askedAtMs;
    } catch (error) {
      if (!this.#locks.has(lock)) return;
      session?.isWorthRetry(error);
      onEvent({ kind: 'renew-failed', entity, reason: error instanceof Error ? error.message : String(error) });
      const isExpired = performance.now() - lock.lockedAtMs >= lockDurationMs;
      if (isExpired || isLockLost(error)) this.#lose(lock, error);
    }
  }

  #lose(lock: Lock, cause: unknown): void {
    this.#locks.delete(lock);
    lock.controller.abort(codedError('LOCK_LOST', 'the lock of the message was lost', cause));
  }
}
