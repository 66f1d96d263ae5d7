import { hash32 } from './hash32.ts';
import { type Ring, ringDistance, ringEntry, ringPush } from './ring.ts';

/**
 * Repeats in a row that set a list aside (article ch. 1: ConsecutiveBatchRepeatsLimit = 5): the sixth equal marker in a row
 * is the fifth repeat. The article lets one more pass, because it counts after it has compared.
 */
export const MARKER_REPEATS_LIMIT = 5;

/** Longest cycle of markers that is seen. */
export const CYCLE_LENGTH_LIMIT = 64;

/**
 * Longest marker that is taken, in bytes of JSON: the run row holds it beside the memory of both guards, within 4 KB. Cursors
 * of APIs are of 20 to 400 characters (Graph API, Shopify, Slack, Google, 2026).
 */
export const MARKER_LIMIT_BYTES = 1000;

/** Characters of one marker's hash: 24 bits. */
const HASH_WIDTH = 4;

/** What the guard remembers between pages; travels in the run row. Bounded: 64 hashes of 4 characters. */
export interface GuardState {
  /** Hashes of the newest markers, oldest first. */
  readonly recent: Ring;
  /** Markers in a row that had been met before. */
  readonly repeats: number;
}

/** The guard at the head of a list. */
export const FRESH_GUARD: GuardState = { recent: '', repeats: 0 };

/** What the guard says of a marker, and what it remembers then. */
export interface GuardDecision {
  readonly state: GuardState;
  readonly verdict: 'go-on' | 'stuck';
  /** Distance to the earlier occurrence: 1 = equal neighbours, n = cycle of n; 0 = a marker not met before. */
  readonly cycleLength: number;
}

/**
 * Judges the marker of the next page against the ones before it. A healthy marker is taken for one of the last 64 with a chance
 * of 64 / 2^24 = 3.8e-6, and five in a row are needed: 8e-28 a page.
 * Article ch. 1; departs: also sees cycles, and says so instead of returning in silence.
 */
export function guardMarker(state: GuardState, marker: string): GuardDecision {
  const entry = ringEntry(hash32(marker), HASH_WIDTH);
  const cycleLength = ringDistance(state.recent, entry);
  const repeats = cycleLength === 0 ? 0 : state.repeats + 1;
  const recent = ringPush(state.recent, entry, CYCLE_LENGTH_LIMIT);
  return { state: { recent, repeats }, verdict: repeats >= MARKER_REPEATS_LIMIT ? 'stuck' : 'go-on', cycleLength };
}

/** Size of a marker where it is stored, in bytes. */
export function markerBytes(marker: string): number {
  return new TextEncoder().encode(JSON.stringify(marker)).byteLength;
}
