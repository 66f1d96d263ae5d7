import type { Clock } from '../../runtime/ports.ts';

interface Sleeper {
  readonly wakeAtMs: number;
  readonly wake: () => void;
}

/** More wake-ups than this in one `advance` is a loop that sleeps for nothing. */
const WAKE_LIMIT = 100_000;

/** A clock that moves only when a test says so. */
export class TestClock implements Clock {
  #nowMs: number;
  readonly #sleepers: Sleeper[] = [];
  #watchers: { count: number; resolve: () => void }[] = [];

  /** `startMs`: epoch in ms, default 2026-01-01T00:00:00Z. */
  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  /** How many sleep now. */
  get sleepers(): number {
    return this.#sleepers.length;
  }

  now(): number {
    return this.#nowMs;
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
      const sleeper = {
        wakeAtMs: this.#nowMs + Math.max(0, ms),
        wake: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#insert(sleeper);
    });
  }

  /**
   * Moves the time on by `ms` and wakes the sleepers on the way, earliest first, in the order of their calls when they
   * are due together. One that sleeps again within the time is woken again.
   */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    await turn();
    for (let wakes = 0; ; wakes += 1) {
      if (wakes > WAKE_LIMIT) throw new Error(`more than ${WAKE_LIMIT} wake-ups within ${ms} ms`);
      const next = this.#sleepers[0];
      if (next === undefined || next.wakeAtMs > endMs) break;
      this.#sleepers.shift();
      this.#nowMs = Math.max(this.#nowMs, next.wakeAtMs);
      next.wake();
      await turn();
    }
    this.#nowMs = endMs;
  }

  /** Resolves when at least `count` sleep, so that a test need not guess when code has reached its wait. */
  waitForSleepers(count: number): Promise<void> {
    if (this.#sleepers.length >= count) return Promise.resolve();
    return new Promise((resolve) => {
      this.#watchers.push({ count, resolve });
    });
  }

  #insert(sleeper: Sleeper): void {
    const later = this.#sleepers.findIndex((other) => other.wakeAtMs > sleeper.wakeAtMs);
    this.#sleepers.splice(later < 0 ? this.#sleepers.length : later, 0, sleeper);
    const reached = this.#watchers.filter(({ count }) => this.#sleepers.length >= count);
    this.#watchers = this.#watchers.filter((watcher) => !reached.includes(watcher));
    for (const { resolve } of reached) resolve();
  }
}

/** One turn of the event loop: everything that a wake-up started by promises has run. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
