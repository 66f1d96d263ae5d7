/** One sealing key. `secret` is 32 bytes in base64: never printed, logged or put into a message. */
export interface RingKey {
  readonly id: string;
  readonly secret: string;
}

/** The sealing keys, the current one first. New records are sealed with it; the others only open older records. */
export type KeyRing = readonly [RingKey, ...RingKey[]];

/** Keys of a ring. A secret of Key Vault holds 25 KB, and every key that no row uses can be dropped. */
export const RING_KEYS_LIMIT = 32;

/** Short enough that no key in base64 or hexadecimal passes for an id, so that an id can be printed. */
const KEY_ID = /^[A-Za-z0-9_-]{1,16}$/;

/** Exactly 32 bytes in base64 (RFC 4648): 42 whole characters, one with two bits to spare, and the padding. */
const KEY_SECRET = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** A ring, or every mistake of its text at once; no mistake repeats a part of a key. */
export type ReadKeyRing =
  | { readonly ok: true; readonly ring: KeyRing }
  | { readonly ok: false; readonly errors: readonly string[] };

/** Reads `k2:<32 bytes in base64>,k1:<...>`, the current key first. White space around an entry does not count. */
export function parseKeyRing(text: string): ReadKeyRing {
  const entries = text.split(',').map((entry) => entry.trim());
  if (entries.length > RING_KEYS_LIMIT) {
    return { ok: false, errors: [`there must be 1..${RING_KEYS_LIMIT} keys, got ${entries.length}`] };
  }
  const keys: RingKey[] = [];
  const errors: string[] = [];
  for (const [index, entry] of entries.entries()) {
    const at = entry.indexOf(':');
    const key = { id: entry.slice(0, Math.max(at, 0)), secret: entry.slice(at + 1) };
    const mistakes = mistakesOf(key, at >= 0, keys).map((mistake) => `entry ${index + 1}: ${mistake}`);
    errors.push(...mistakes);
    if (at >= 0) keys.push(key);
  }
  const [current, ...older] = keys;
  return errors.length > 0 || current === undefined ? { ok: false, errors } : { ok: true, ring: [current, ...older] };
}

function mistakesOf(key: RingKey, hasColon: boolean, earlier: readonly RingKey[]): readonly string[] {
  if (!hasColon) return ['must be id:key, and has no colon'];
  const mistakes: string[] = [];
  if (!KEY_ID.test(key.id)) mistakes.push('the id must be 1..16 letters, digits, - or _');
  else if (earlier.some(({ id }) => id === key.id)) mistakes.push(`the id ${key.id} is there already`);
  if (!KEY_SECRET.test(key.secret)) mistakes.push('the key must be 32 bytes in base64 (44 characters)');
  else if (earlier.some(({ secret }) => secret === key.secret))
    mistakes.push('the key is there already, by another id');
  return mistakes;
}

/** The text of a ring, as `parseKeyRing` reads it. A secret. */
export function keyRingText(ring: KeyRing): string {
  return ring.map(({ id, secret }) => `${id}:${secret}`).join(',');
}

/**
 * The ring with a new current key.
 * @throws RangeError when the ring is full.
 */
export function withNewKey(ring: KeyRing, key: RingKey): KeyRing {
  if (ring.length >= RING_KEYS_LIMIT)
    throw new RangeError(`a ring has 1..${RING_KEYS_LIMIT} keys, and this one is full`);
  return [key, ...ring];
}

/** The ring without the given keys. The current one stays whatever is asked. */
export function withoutKeys(ring: KeyRing, ids: ReadonlySet<string>): KeyRing {
  const [current, ...older] = ring;
  return [current, ...older.filter(({ id }) => !ids.has(id))];
}

/**
 * Id of the key after those of a ring (empty for the first): a number for people, and `salt`, because two key sources that
 * both call a key `k1` must not be taken for one.
 */
export function nextKeyId(ring: readonly RingKey[], salt: string): string {
  const numbers = ring.map(({ id }) => Number(/^k(\d{1,6})\b/.exec(id)?.[1] ?? 0));
  return `k${Math.max(0, ...numbers) + 1}-${salt}`;
}

/** `KEY_UNKNOWN`: the record names a key that is not in the ring. `SEAL_BROKEN`: it was changed, or is another user's. */
export type SealingCode = 'KEY_UNKNOWN' | 'SEAL_BROKEN';

/** Why a record does not open. The message carries the key's id and the next command, no secret. */
export class SealingError extends Error {
  readonly code: SealingCode;

  constructor(code: SealingCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SealingError';
    this.code = code;
  }
}
