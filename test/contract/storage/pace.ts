import { Transform, type TransformCallback } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';

/** How fast the bytes of some connections go: at once, each chunk later, or not at all, while the connections stay open. */
export class Pace {
  #delayMs = 0;
  #held: PromiseWithResolvers<void> | undefined;

  /** Every chunk waits this long. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Nothing goes through until `release`; the systems on both sides believe that the other one is merely silent. */
  hold(): void {
    this.#held ??= Promise.withResolvers();
  }

  /** As fast as it can be again. */
  release(): void {
    this.#delayMs = 0;
    this.#held?.resolve();
    this.#held = undefined;
  }

  /** One direction of one connection. What `isLost` when it is through is dropped. */
  stream(isLost: () => boolean = () => false): Transform {
    const send = async (chunk: Buffer, done: TransformCallback): Promise<void> => {
      await this.#pass();
      if (isLost()) done();
      else done(null, chunk);
    };
    return new Transform({ transform: (chunk: Buffer, _encoding, done) => void send(chunk, done) });
  }

  async #pass(): Promise<void> {
    if (this.#delayMs > 0) await sleep(this.#delayMs);
    while (this.#held !== undefined) await this.#held.promise;
  }
}
