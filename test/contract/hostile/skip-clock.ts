import { systemClock } from '../../../runtime/adapters/system.ts';
import type { Clock } from '../../../runtime/ports.ts';

/**
 * Real time in which every wait is over at once: the time jumps by its length instead. For engines that talk to real sockets,
 * whose waits of minutes must be kept but not sat through.
 */
export class SkipClock implements Clock {
  #skippedMs = 0;

  now(): number {
    return systemClock.now() + this.#skippedMs;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.#skippedMs += Math.max(0, ms);
    await new Promise((resolve) => setImmediate(resolve));
    signal?.throwIfAborted();
  }
}
