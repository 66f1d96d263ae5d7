/** One version of an item that an envelope owns: only that envelope's lake object may hold it. */
export interface Claim {
  readonly version: string;
  /** Id of the envelope that owns it. Never changes. */
  readonly owner: string;
  /** When the version was seen, epoch in ms. */
  readonly observedAtMs: number;
  /** True when a newer version had been claimed before this one arrived. */
  readonly isLate: boolean;
  /** When it was claimed, epoch in ms; decides when it may be forgotten. */
  readonly claimedAtMs: number;
}

/** The durable fact about one item: what was observed last, and who owns which version. */
export interface ItemCheckpoint {
  readonly last: { readonly version: string; readonly observedAtMs: number };
  readonly claims: readonly Claim[];
}

/** What an envelope wants to put into the lake. */
export interface Candidate {
  readonly version: string;
  readonly observedAtMs: number;
}

/** What an envelope may do with one version of an item. */
export interface ClaimDecision {
  /** `own`: the envelope's lake object holds the version · `known`: it is in the lake already under another envelope. */
  readonly verdict: 'own' | 'known';
  readonly isLate: boolean;
  /** The row to write, or undefined when the stored one stands. */
  readonly write: ItemCheckpoint | undefined;
}

/** Claims are kept while a message could still carry them. Service Bus keeps ours at most this long in practice (7 days). */
export const CLAIM_RETENTION_MS = 7 * 24 * 3_600_000;

/** Older claims kept beyond that, newest first. */
export const CLAIMS_KEPT = 8;

/** Claims of one row, whatever their age: an item that changes every minute must still fit into 60,000 bytes. */
export const CLAIMS_LIMIT = 256;

/**
 * Claim, write, done: decides what envelope `envelopeId` may do with one version of an item.
 * The verdict for an envelope never changes from `known` to `own` afterwards: a second worker, or one that comes later, writes the same bytes.
 */
export function decideClaim(
  row: ItemCheckpoint | undefined,
  candidate: Candidate,
  envelopeId: string,
  nowMs: number,
): ClaimDecision {
  if (row === undefined) return claim({ last: candidate, claims: [] }, candidate, envelopeId, nowMs, false);
  const own = row.claims.find((held) => held.owner === envelopeId && held.version === candidate.version);
  if (own !== undefined) return { verdict: 'own', isLate: own.isLate, write: undefined };
  const isNewer = isAfter(candidate, row.last);
  if (candidate.version === row.last.version) {
    return { verdict: 'known', isLate: false, write: isNewer ? { ...row, last: lastOf(candidate) } : undefined };
  }
  if (isNewer) return claim(row, candidate, envelopeId, nowMs, false);
  const wasClaimed = row.claims.some((held) => held.version === candidate.version);
  if (wasClaimed) return { verdict: 'known', isLate: false, write: undefined };
  return claim(row, candidate, envelopeId, nowMs, true);
}

/** Order of observations. Equal times are ordered by version, so that two envelopes never both come after each other. */
export function isAfter(observation: Candidate, other: Candidate): boolean {
  if (observation.observedAtMs !== other.observedAtMs) return observation.observedAtMs > other.observedAtMs;
  return observation.version > other.version;
}

function claim(
  row: ItemCheckpoint,
  candidate: Candidate,
  owner: string,
  nowMs: number,
  isLate: boolean,
): ClaimDecision {
  const held: Claim = { ...lastOf(candidate), owner, isLate, claimedAtMs: nowMs };
  const last = isLate ? row.last : lastOf(candidate);
  return { verdict: 'own', isLate, write: { last, claims: trimClaims([...row.claims, held], nowMs) } };
}

function lastOf(candidate: Candidate): ItemCheckpoint['last'] {
  return { version: candidate.version, observedAtMs: candidate.observedAtMs };
}

function trimClaims(claims: readonly Claim[], nowMs: number): readonly Claim[] {
  const old = claims.length - CLAIMS_KEPT;
  if (old <= 0) return claims;
  const kept = claims.filter((held, index) => index >= old || nowMs - held.claimedAtMs < CLAIM_RETENTION_MS);
  return kept.slice(-CLAIMS_LIMIT);
}

// ---------------------------------------------------------------- cached form

/** Digits of a time in base 36: enough until the year 5188, and as many for every time, so that text is ordered as time is. */
const CACHED_TIME_DIGITS = 9;

/** What a cache holds of an item: when its newest version was seen, then the version. Texts are ordered as `isAfter` orders. */
export function encodeCached({ version, observedAtMs }: Candidate): string {
  return `${observedAtMs.toString(36).padStart(CACHED_TIME_DIGITS, '0')}.${version}`;
}

/** Reads what `encodeCached` wrote. Code before 2026-11-28 wrote the version alone; its time is not known. */
export function decodeCached(text: string): { readonly version: string; readonly observedAtMs: number | undefined } {
  if (text.charAt(CACHED_TIME_DIGITS) !== '.') return { version: text, observedAtMs: undefined };
  const observedAtMs = Number.parseInt(text.slice(0, CACHED_TIME_DIGITS), 36);
  return { version: text.slice(CACHED_TIME_DIGITS + 1), observedAtMs };
}

/** Whether a cache keeps what it holds and forgets what it is told: only what is as long can be compared. */
export function keepsCached(held: string | undefined, told: string): boolean {
  return held !== undefined && held.length === told.length && held > told;
}

// ---------------------------------------------------------------- stored form

type StoredClaim = readonly [version: string, owner: string, observedAtMs: number, claimedAtMs: number, isLate: 0 | 1];

/** The stored form of a checkpoint: short names, because there is one row per item. */
export function encodeCheckpoint(row: ItemCheckpoint): string {
  const claims: StoredClaim[] = row.claims.map((held) => [
    held.version,
    held.owner,
    held.observedAtMs,
    held.claimedAtMs,
    held.isLate ? 1 : 0,
  ]);
  return JSON.stringify({ v: row.last.version, o: row.last.observedAtMs, c: claims });
}

/** Reads what `encodeCheckpoint` wrote. */
export function decodeCheckpoint(text: string): ItemCheckpoint {
  const stored = JSON.parse(text) as { v: string; o: number; c: readonly StoredClaim[] };
  return {
    last: { version: stored.v, observedAtMs: stored.o },
    claims: stored.c.map(([version, owner, observedAtMs, claimedAtMs, isLate]) => ({
      version,
      owner,
      observedAtMs,
      claimedAtMs,
      isLate: isLate === 1,
    })),
  };
}
