import type { Clock } from '../../../runtime/ports.ts';
import type { Dice } from '../../fakes/dice.ts';

/** Something that happens at a time of the simulated world. */
export interface Scheduled {
  readonly atMs: number;
  readonly tie: number;
  /** Undefined once it has happened or was called off. */
  run: (() => void) | undefined;
}

/** Steps between two turns of the real event loop, so that whoever waits for the simulation is heard. */
const STEPS_PER_TURN = 20_000;

/** First moment of every simulated world. */
export const WORLD_START_MS = Date.UTC(2026, 0, 1);

/**
 * The one queue of everything that happens in a simulated world. Between two steps all promises run dry; what is due together
 * happens in an order of chance.
 */
export class Scheduler {
  readonly #dice: Dice;
  readonly #heap: Scheduled[] = [];
  #nowMs = WORLD_START_MS;
  steps = 0;

  constructor(dice: Dice) {
    this.#dice = dice;
  }

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): Scheduled {
    const atMs = this.#nowMs + Math.max(0, Math.ceil(delayMs));
    const scheduled = { atMs, tie: this.#dice.upTo(2 ** 30), run };
    this.#push(scheduled);
    return scheduled;
  }

  /** Time as somebody sees it whose clock is `skewMs()` ahead. Waits are not skewed; they never end once `isGone()`. */
  clock(skewMs: () => number = () => 0, isGone: () => boolean = () => false): Clock {
    return {
      now: () => this.#nowMs + skewMs(),
      sleep: (ms, signal) =>
        new Promise((resolve, reject) => {
          if (signal?.aborted === true) {
            reject(signal.reason as Error);
            return;
          }
          const onAbort = (): void => {
            scheduled.run = undefined;
            if (!isGone()) reject(signal?.reason as Error);
          };
          const scheduled = this.after(ms, () => {
            signal?.removeEventListener('abort', onAbort);
            if (!isGone()) resolve();
          });
          signal?.addEventListener('abort', onAbort, { once: true });
        }),
    };
  }

  /** Runs until `isOver`, or until nothing is left to happen. Rejects with what a step throws. */
  run(isOver: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (): void => {
        try {
          const next = isOver() ? undefined : this.#pop();
          if (next === undefined) {
            resolve();
            return;
          }
          this.#nowMs = Math.max(this.#nowMs, next.atMs);
          this.steps += 1;
          const { run } = next;
          next.run = undefined;
          run?.();
        } catch (error) {
          reject(error);
          return;
        }
        // From a microtask, so that the next step comes when no promise is left to run; a timer would cost a turn of the loop.
        if (this.steps % STEPS_PER_TURN === 0) setImmediate(step);
        else queueMicrotask(() => process.nextTick(step));
      };
      // Whoever waits for this has begun by then, whatever called it.
      setImmediate(step);
    });
  }

  #push(scheduled: Scheduled): void {
    const heap = this.#heap;
    let at = heap.push(scheduled) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(scheduled, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = scheduled;
  }

  /** The earliest that was not called off. */
  #pop(): Scheduled | undefined {
    for (;;) {
      const first = this.#popAny();
      if (first === undefined || first.run !== undefined) return first;
    }
  }

  #popAny(): Scheduled | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child += 1;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.atMs === b.atMs ? a.tie < b.tie : a.atMs < b.atMs;
}
