/**
 * Longest life of a victim after its first page: in phases that begin or end, so that a slow machine hits the same places as a fast
 * one, and in ms for a victim that has nothing to do.
 */
export const LIFE_LIMIT_PHASES = 1500;
export const LIFE_LIMIT_MS = 15_000;

/** Longest wait before a server beside the victims is killed, and before it comes back, in ms. */
export const AWAY_LIMIT_MS = 1000;

/** Victims without a hit in a row before the run is given up. */
export const MISSES_LIMIT = 50;

/** Kills in a row that found nothing new to lose before the upstream gets new work. */
export const IDLE_LIMIT = 2;

/** Gives the upstream new work. Only when everything served is in the lake: a content that nobody has delivered may be gone then. */
export async function advanceEpoch(url: string): Promise<void> {
  await fetch(`${url}/_sim/epoch`, { method: 'POST', body: JSON.stringify({ advance: 1 }) });
}
