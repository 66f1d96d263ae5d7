import type { Scenario } from './ingest-scenarios.ts';

export const WORKERS = 2;

/** What the ledger says of an envelope; from REOPENED on, how often it was reopened. */
export const NOT_ENDED = 0;
export const DONE = 1;
export const DISCARDED = 2;
export const RELEASED = 3;
export const REOPENED = 4;

/** Bytes of the empty object of a discarded envelope; 0 = no object. */
export const EMPTY_OBJECT = 0xffff;

/** Fields of a worker before its results: envelope + 1, step, position in it, row as read, envelope's row as met, whether it reopened it. */
export const WORKER_FIELDS = 6;

/**
 * Where what is in a state, which is one list of small numbers: 0 crashes left, 1 stray writes left, 2 stray envelope + 1, 3 its bytes; rows;
 * cache rows; per envelope: what the ledger says, settled, holder, bytes; per worker its fields, then per item its result and the row
 * after it.
 */
export class StateLayout {
  readonly items: number;
  readonly size: number;
  readonly #envelopes: number;
  readonly #itemsMax: number;

  constructor({ envelopes }: Scenario) {
    this.items = 1 + Math.max(...envelopes.flat().map(({ item }) => item));
    this.#envelopes = envelopes.length;
    this.#itemsMax = Math.max(...envelopes.map((items) => items.length));
    this.size = this.workerAt(WORKERS);
  }

  rowAt(item: number): number {
    return 4 + item;
  }

  cacheAt(item: number): number {
    return 4 + this.items + item;
  }

  envelopeAt(envelope: number): number {
    return 4 + 2 * this.items + 4 * envelope;
  }

  workerAt(worker: number): number {
    return this.envelopeAt(this.#envelopes) + worker * (WORKER_FIELDS + this.#itemsMax);
  }

  /** The workers are alike: of two states that differ only in their names, one is explored. */
  orderWorkers(state: number[]): void {
    const at = this.workerAt(0);
    const size = this.workerAt(1) - at;
    let differs = 0;
    for (let field = 0; field < size && differs === 0; field += 1)
      differs = state[at + field]! - state[at + size + field]!;
    if (differs <= 0) return;
    const first = state.splice(at, size);
    state.push(...first);
    for (let envelope = 0; envelope < this.#envelopes; envelope += 1) {
      const holder = this.envelopeAt(envelope) + 2;
      if (state[holder] !== 0) state[holder] = 1 + WORKERS - state[holder]!;
    }
  }
}
