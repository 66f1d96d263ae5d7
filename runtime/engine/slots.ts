import type { Clock } from '../ports.ts';

/** Permission to hold one socket. Given back once, however often it is released. */
export interface Slot {
  release(): void;
}

/** A limited number of slots, given in the order in which they were asked for. */
export class Slots {
  readonly #clock: Clock;
  #free: number;
  readonly #waiting = new Set<(slot: Slot) => void>();

  constructor(clock: Clock, count: number) {
    this.#clock = clock;
    this.#free = count;
  }

  /**
   * A slot, or undefined when there was none for `limitMs`.
   * @throws the signal's reason when it was aborted first; the place in the queue is then given up.
   */
  async take(limitMs: number, signal: AbortSignal): Promise<Slot | undefined> {
    signal.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return this.#slot();
    }
    const given = Promise.withResolvers<Slot>();
    this.#waiting.add(given.resolve);
    const over = new AbortController();
    const limit = this.#clock.sleep(limitMs, AbortSignal.any([signal, over.signal])).then(() => undefined);
    try {
      const slot = await Promise.race([given.promise, limit]);
      // The slot may have come in the same moment as the end of the wait.
      return slot ?? (this.#waiting.has(given.resolve) ? undefined : await given.promise);
    } catch (error) {
      if (!this.#waiting.has(given.resolve)) (await given.promise).release();
      throw error;
    } finally {
      this.#waiting.delete(given.resolve);
      over.abort();
      limit.catch(() => undefined);
    }
  }

  #slot(): Slot {
    let isHeld = true;
    return {
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        const [next] = this.#waiting;
        if (next === undefined) {
          this.#free += 1;
        } else {
          this.#waiting.delete(next);
          next(this.#slot());
        }
      },
    };
  }
}
