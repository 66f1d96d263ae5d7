import type { Settlement } from '../ports.ts';

/**
 * Lets settlements of one kind through at a time, until the frames of this turn of the event loop are written; dead letters one
 * by one, because each has its own reason. rhea 3.0.5 puts two deliveries in a row into one disposition without comparing their
 * outcomes, so that a message that is abandoned right after its neighbour was completed would be completed too, and lost
 * (session.js, write_dispositions).
 */
export class SettlementTurns {
  #kind: Settlement['kind'] | undefined;
  #over: Promise<void> = Promise.resolve();

  /** Resolves when a settlement of this kind may be handed to the client, which must happen at once. */
  async enter(kind: Settlement['kind']): Promise<void> {
    // Each turn ends with the loop's; whoever waited is asked before anybody new, so nobody starves.
    while (!this.#admits(kind)) await this.#over;
    if (this.#kind === kind) return;
    this.#kind = kind;
    this.#over = new Promise((resolve) => {
      setImmediate(() => {
        this.#kind = undefined;
        resolve();
      });
    });
  }

  #admits(kind: Settlement['kind']): boolean {
    return this.#kind === undefined || (this.#kind === kind && kind !== 'dead-letter');
  }
}
