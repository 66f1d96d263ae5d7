/** Repeats that a list may show before its run is set aside (article ch. 1: ConsecutiveBatchRepeatsLimit = 5). */
export const MARKER_REPEATS_LIMIT = 5;

/** Longest cycle of markers that is seen. */
export const CYCLE_LENGTH_LIMIT = 64;

/** What the guard remembers between pages; travels in the run row. Bounded: 64 hashes of 8 digits. */
export interface GuardState {
  /** Hashes of the newest markers, oldest first. */
  readonly recent: readonly string[];
  /** Markers in a row that had been met before. */
  readonly repeats: number;
}

/** The guard at the head of a list. */
export const FRESH_GUARD: GuardState = { recent: [], repeats: 0 };

/** What the guard says of a marker, and what it remembers then. */
export interface GuardDecision {
  readonly state: GuardState;
  readonly verdict: 'go-on' | 'stuck';
  /** Distance to the earlier occurrence: 1 = equal neighbours, n = cycle of n; 0 = a marker not met before. */
  readonly cycleLength: number;
}

/**
 * Judges the marker of the next page against the ones before it.
 * Article ch. 1; departs: also sees cycles, and says so instead of returning in silence.
 */
export function guardMarker(state: GuardState, marker: string): GuardDecision {
  const hash = markerHash(marker);
  const index = state.recent.lastIndexOf(hash);
  const cycleLength = index < 0 ? 0 : state.recent.length - index;
  const repeats = cycleLength === 0 ? 0 : state.repeats + 1;
  const recent = [...state.recent, hash].slice(-CYCLE_LENGTH_LIMIT);
  return { state: { recent, repeats }, verdict: repeats > MARKER_REPEATS_LIMIT ? 'stuck' : 'go-on', cycleLength };
}

/** FNV-1a, 32 bits: a false alarm would need six chance hits in a row. */
function markerHash(marker: string): string {
  let hash = 0x811c9dc5;
  for (let index = 0; index < marker.length; index += 1) {
    hash = Math.imul(hash ^ marker.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash.toString(16).padStart(8, '0');
}
