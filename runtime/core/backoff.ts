/** Waits of a retry loop: doubling from `firstMs`, never above `maxMs`, spread by `jitter`. */
export interface Backoff {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Share of the wait that is random, 0..1. */
  readonly jitter: number;
}

/** Wait before attempt `attempt` (1 = the first retry). `random` is in [0, 1). */
export function backoffMs(backoff: Backoff, attempt: number, random: number): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(attempt - 1, 30));
  return Math.round(full * (1 - backoff.jitter) + full * backoff.jitter * random);
}

/** `waitMs` lengthened by up to `share` of itself, so that waiters do not come back together. */
export function withJitter(waitMs: number, share: number, random: number): number {
  return Math.round(waitMs * (1 + share * random));
}
