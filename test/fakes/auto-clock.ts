import type { Clock } from '../../runtime/ports.ts';

interface Sleeper {
  readonly wakeAtMs: number;
  readonly wake: () => void;
}

/**
 * Virtual time that moves by itself: when everything waits, the earliest sleeper is woken and the time is its time. Only for
 * fakes: work that waits for a socket or a thread looks as if it waited for nothing.
 */
export class AutoClock implements Clock {
  #nowMs: number;
  readonly #sleepers: Sleeper[] = [];
  #isPumping = false;

  /** `startMs`: epoch in ms, default 2026-01-01T00:00:00Z. */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  /** Moves the time on without waking anybody in between. */
  skip(ms: number): void {
    this.#nowMs += ms;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const onAbort = (): void => {
        this.#sleepers.splice(this.#sleepers.indexOf(sleeper), 1);
        reject(signal?.reason as Error);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper = { wakeAtMs: this.#nowMs + Math.max(0, ms), wake };
      signal?.addEventListener('abort', onAbort, { once: true });
      const later = this.#sleepers.findIndex((other) => other.wakeAtMs > sleeper.wakeAtMs);
      this.#sleepers.splice(later < 0 ? this.#sleepers.length : later, 0, sleeper);
      this.#pump();
    });
  }

  /** Promises of a turn run before the next one, so that whoever is awake comes to his next wait first. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    setImmediate(() => {
      this.#isPumping = false;
      const next = this.#sleepers.shift();
      if (next === undefined) return;
      this.#nowMs = Math.max(this.#nowMs, next.wakeAtMs);
      next.wake();
      if (this.#sleepers.length > 0) this.#pump();
    });
  }
}
