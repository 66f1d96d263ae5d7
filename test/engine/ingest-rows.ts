import { type decideClaim, encodeCheckpoint, type ItemCheckpoint } from '../../runtime/core/checkpoint.ts';
import type { Scenario } from './ingest-scenarios.ts';

/** What a worker knows of an item. */
export const UNKNOWN = 0;
export const OWN = 1;
export const OWN_LATE = 2;
export const KNOWN = 3;
export const GIVEN_UP = 4;
export const RESULT_BASE = 5;

/** What a worker makes of a row. */
export interface Decision {
  readonly result: number;
  /** Row after the decision. */
  readonly row: number;
  readonly isReopened: boolean;
}

/** The rows of a model as numbers, 0 = no row. Rows only grow, so that an equal row is an equal revision. */
export class RowTable {
  readonly #scenario: Scenario;
  readonly #decideClaim: typeof decideClaim;
  readonly #rows: (ItemCheckpoint | undefined)[] = [undefined];
  readonly #rowIds = new Map<string, number>();
  readonly #decisions = new Map<number, Decision>();

  constructor(scenario: Scenario, decide: typeof decideClaim) {
    this.#scenario = scenario;
    this.#decideClaim = decide;
  }

  get all(): readonly (ItemCheckpoint | undefined)[] {
    return this.#rows;
  }

  decide(row: number, envelope: number, position: number): Decision {
    const key = (row * 16 + envelope) * 16 + position;
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const candidate = this.#scenario.envelopes[envelope]![position]!;
    const decision = this.#decideClaim(this.all[row], candidate, `E${envelope}`, 0);
    const own = decision.isLate ? OWN_LATE : OWN;
    const made = {
      result: { own, known: KNOWN, void: GIVEN_UP }[decision.verdict],
      row: decision.write === undefined ? row : this.idOf(decision.write),
      isReopened: decision.isReopened,
    };
    this.#decisions.set(key, made);
    return made;
  }

  idOf(row: ItemCheckpoint): number {
    const text = encodeCheckpoint(row);
    const id = this.#rowIds.get(text) ?? this.#rows.push(row) - 1;
    this.#rowIds.set(text, id);
    return id;
  }
}
