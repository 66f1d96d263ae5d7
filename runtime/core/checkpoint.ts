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
  /** The owner was discarded before it had written anything: it never claims this version again, and anybody else may. */
  readonly isVoid?: true;
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
  /**
   * `own`: the envelope's lake object holds the version · `known`: it is in the lake already under another envelope · `void`: the
   * envelope was discarded, or gave this version up.
   */
  readonly verdict: 'own' | 'known' | 'void';
  readonly isLate: boolean;
  /** The row to write, or undefined when the stored one stands. */
  readonly write: ItemCheckpoint | undefined;
  /** It claims what may have been known to an earlier worker of the envelope, because another one was discarded in between. */
  readonly isReopened: boolean;
}

/** Claims are kept while a message could still carry them. Service Bus keeps ours at most this long in practice (7 days). */
export const CLAIM_RETENTION_MS = 7 * 24 * 3_600_000;

/** Older claims kept beyond that, newest first. */
export const CLAIMS_KEPT = 8;

/** Claims of one row, whatever their age: an item that changes every minute must still fit into 60,000 bytes. */
export const CLAIMS_LIMIT = 256;

/**
 * Claim, write, done: decides what envelope `envelopeId` may do with one version of an item.
 * The verdict for an envelope never changes from `known` to `own` afterwards: a second worker, or one that comes later, writes the same
 * bytes. But for rows with a claim of a discarded envelope: such a decision says `isReopened`.
 */
export function decideClaim(
  row: ItemCheckpoint | undefined,
  candidate: Candidate,
  envelopeId: string,
  nowMs: number,
): ClaimDecision {
  if (row === undefined) return claim({ last: candidate, claims: [] }, candidate, envelopeId, nowMs, false);
  const own = row.claims.find((held) => held.owner === envelopeId && held.version === candidate.version);
  if (own?.isVoid === true) return stand('void');
  if (own !== undefined) return { ...stand('own'), isLate: own.isLate };
  const isNewer = isAfter(candidate, row.last);
  if (candidate.version === row.last.version) {
    return isNewer ? { ...stand('known'), write: raised(row, candidate) } : stand('known');
  }
  const held = row.claims.filter(({ version, isVoid }) => version === candidate.version && isVoid !== true);
  // Newer than `last`, and yet not than a late claim: `last` has fallen back behind it.
  const isKnown = isNewer ? held.some((one) => !isAfter(candidate, one)) : held.length > 0;
  return isKnown ? stand('known') : claim(row, candidate, envelopeId, nowMs, !isNewer);
}

/**
 * The row after an envelope that never wrote anything was discarded: what it had claimed is void, and `last` is what it was without
 * it. A version that it had not claimed yet is void too, so that a worker that still believes in it cannot claim it later.
 * Undefined: that is done already.
 */
export function voidClaim(
  row: ItemCheckpoint | undefined,
  candidate: Candidate,
  envelopeId: string,
  nowMs: number,
): ItemCheckpoint | undefined {
  const before = row ?? { last: NOTHING_SEEN, claims: [] };
  const own = before.claims.find((held) => held.owner === envelopeId && held.version === candidate.version);
  if (own?.isVoid === true) return undefined;
  const rest = before.claims.filter((held) => held !== own);
  const isLate = own?.isLate === true;
  const voided: Claim = { ...lastOf(candidate), owner: envelopeId, isLate, claimedAtMs: nowMs, isVoid: true };
  const claims = trimClaims([...rest, voided], nowMs);
  const isLast = own?.isLate === false && own.version === before.last.version;
  return { last: isLast ? lastWithout(before, rest, own) : before.last, claims };
}

/** `last` of a row that nobody has claimed and nothing is known of. */
const NOTHING_SEEN: ItemCheckpoint['last'] = { version: '', observedAtMs: 0 };

/** Whether the ledger knows a version of the item: not when all that was claimed was discarded. */
export function isSeen(row: ItemCheckpoint): boolean {
  return row.last.version !== NOTHING_SEEN.version;
}

/** Late claims do not count: the newest row of the lake that is not late is what `last` says. */
function lastWithout({ last }: ItemCheckpoint, rest: readonly Claim[], own: Claim): ItemCheckpoint['last'] {
  const live = rest.filter((held) => !held.isLate && held.isVoid !== true);
  const newest = live.reduce<Candidate>((high, held) => (isAfter(held, high) ? held : high), NOTHING_SEEN);
  return newest.version === last.version && isAfter(newest, own) ? last : lastOf(newest);
}

/** The claim that `last` stands for is raised too: it may be all that is left when a later one is void. */
function raised(row: ItemCheckpoint, candidate: Candidate): ItemCheckpoint {
  const at = row.claims.findLastIndex(
    (held) => held.version === candidate.version && !held.isLate && held.isVoid !== true,
  );
  const claims = row.claims.map((held, index) => (index === at ? { ...held, ...lastOf(candidate) } : held));
  return { last: lastOf(candidate), claims };
}

function stand(verdict: ClaimDecision['verdict']): ClaimDecision {
  return { verdict, isLate: false, write: undefined, isReopened: false };
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
  const isReopened = row.claims.some(({ isVoid }) => isVoid === true);
  return { verdict: 'own', isLate, write: { last, claims: trimClaims([...row.claims, held], nowMs) }, isReopened };
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

/** State: 0 in time, 1 late; 2 more when it is void. */
type StoredClaim = readonly [version: string, owner: string, observedAtMs: number, claimedAtMs: number, state: number];

const LATE = 1;
const VOID = 2;

/** The stored form of a checkpoint: short names, because there is one row per item. */
export function encodeCheckpoint(row: ItemCheckpoint): string {
  const claims: StoredClaim[] = row.claims.map((held) => [
    held.version,
    held.owner,
    held.observedAtMs,
    held.claimedAtMs,
    (held.isLate ? LATE : 0) + (held.isVoid === true ? VOID : 0),
  ]);
  return JSON.stringify({ v: row.last.version, o: row.last.observedAtMs, c: claims });
}

/** Reads what `encodeCheckpoint` wrote. */
export function decodeCheckpoint(text: string): ItemCheckpoint {
  const stored = JSON.parse(text) as { v: string; o: number; c: readonly StoredClaim[] };
  return {
    last: { version: stored.v, observedAtMs: stored.o },
    claims: stored.c.map(([version, owner, observedAtMs, claimedAtMs, state]) => ({
      version,
      owner,
      observedAtMs,
      claimedAtMs,
      isLate: (state & LATE) !== 0,
      ...((state & VOID) !== 0 && { isVoid: true }),
    })),
  };
}
