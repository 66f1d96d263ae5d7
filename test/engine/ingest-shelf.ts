import { encodeCheckpoint, type ItemCheckpoint } from '../../runtime/core/checkpoint.ts';
import type { ItemEnd } from './ingest-judge.ts';
import { EMPTY_OBJECT, RELEASED, type StateLayout } from './ingest-layout.ts';
import { OWN_LATE, RESULT_BASE } from './ingest-rows.ts';
import type { ModelView, Scenario } from './ingest-scenarios.ts';

/** A state and what its numbers stand for. */
export interface Shelf {
  readonly state: readonly number[];
  readonly layout: StateLayout;
  readonly scenario: Scenario;
  readonly rows: readonly (ItemCheckpoint | undefined)[];
}

/** What one item has come to. */
export function endOf(shelf: Shelf, item: number): ItemEnd {
  const { state, layout, scenario, rows } = shelf;
  const observed = scenario.envelopes.flatMap((items, envelope) =>
    items.map((candidate) => ({ ...candidate, isDiscarded: state[layout.envelopeAt(envelope)] === RELEASED })),
  );
  return {
    observed: observed.filter((candidate) => candidate.item === item),
    lake: lakeRowsOf(shelf, item),
    row: rows[state[layout.rowAt(item)]!],
    cached: rows[state[layout.cacheAt(item)]!],
  };
}

/** Rows of the lake for one item. */
export function lakeRowsOf({ state, layout, scenario }: Shelf, item: number): ItemEnd['lake'] {
  return scenario.envelopes.flatMap((items, envelope) => {
    const bytes = state[layout.envelopeAt(envelope) + 3]!;
    if (bytes === EMPTY_OBJECT) return [];
    return items.flatMap((candidate, position) => {
      const result = resultIn(bytes, items.length, position);
      const isLate = result === OWN_LATE;
      return candidate.item === item && result !== 0 ? [{ ...candidate, isLate, owner: `E${envelope}` }] : [];
    });
  });
}

/** What an object of `items` places says of one of them. */
export function resultIn(bytes: number, items: number, position: number): number {
  return Math.floor(bytes / RESULT_BASE ** (items - 1 - position)) % RESULT_BASE;
}

/** What of a state can be seen from outside: row of every item, and of every envelope what the ledger says, and its object. */
export function viewOf(shelf: Shelf): ModelView {
  const { state, layout, scenario, rows } = shelf;
  const envelopes = [...scenario.envelopes.keys()];
  const items = Array.from({ length: layout.items }, (_, item) => item);
  const stored = items.map((item) => rows[state[layout.rowAt(item)]!]);
  return {
    rows: stored.map((row) => (row === undefined ? '' : encodeCheckpoint(row))),
    ended: envelopes.map((envelope) => state[layout.envelopeAt(envelope)]!),
    objects: envelopes.map((envelope) => state[layout.envelopeAt(envelope) + 3] !== 0),
    lake: items.flatMap((item) => lakeRowsOf(shelf, item).map(({ version, isLate }) => `${item} ${version} ${isLate}`)),
  };
}
