/** What the ledger says of an envelope; no row: nobody has ended it. */
export type EnvelopeState =
  /** Its rows are in the lake: `owned` of its `items`. */
  | { readonly kind: 'done'; readonly bodyHash: string; readonly items: number; readonly owned: number }
  /**
   * Given up by a person. `isReleased`: no object can hold its items any more and none of its claims stands; else whoever meets it
   * next sees to that.
   */
  | { readonly kind: 'discarded'; readonly atMs: number; readonly isReleased: boolean }
  /**
   * A worker claimed what may have been known to an earlier worker of the same envelope. Every time is another revision of the row,
   * so that nobody can end the envelope by what he had decided before.
   */
  | { readonly kind: 'reopened'; readonly times: number };

type StoredState =
  | { readonly bodyHash: string; readonly items: number; readonly owned: number }
  | { readonly discardedAtMs: number; readonly isReleased: boolean }
  | { readonly reopened: number };

/** The stored form. That of a done envelope is as it always was. */
export function encodeEnvelopeState(state: EnvelopeState): string {
  return JSON.stringify(storedOf(state));
}

function storedOf(state: EnvelopeState): StoredState {
  if (state.kind === 'reopened') return { reopened: state.times };
  if (state.kind === 'discarded') return { discardedAtMs: state.atMs, isReleased: state.isReleased };
  const { kind: _, ...done } = state;
  return done;
}

/** Reads what `encodeEnvelopeState` wrote. */
export function decodeEnvelopeState(text: string): EnvelopeState {
  const stored = JSON.parse(text) as StoredState;
  if ('reopened' in stored) return { kind: 'reopened', times: stored.reopened };
  if ('discardedAtMs' in stored) {
    return { kind: 'discarded', atMs: stored.discardedAtMs, isReleased: stored.isReleased };
  }
  return { kind: 'done', ...stored };
}
