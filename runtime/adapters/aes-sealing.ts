import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto';
import { type KeyRing, SealingError } from '../core/key-ring.ts';
import type { Clock, SealedText, Sealing } from '../ports.ts';

/**
 * AES-256-GCM with a random 12-byte IV and the whole 16-byte tag. One key may seal 2^32 records with random IVs (NIST SP
 * 800-38D, section 8.3), which is 4,294 imports of a million users.
 */
const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** A record with an unknown key asks the source of the keys again, at most this often. */
const RELOAD_EVERY_MS = 10_000;

/**
 * A ring that its source has not confirmed for this long seals nothing: it is loaded again first. Whoever drops a key
 * waits for longer, so that nobody seals with a key that is gone.
 */
export const SEALING_LEASE_MS = 60_000;

/** Where the keys come from. */
export interface AesSealingOptions {
  readonly ring: KeyRing;
  /** Loads the ring again. Absent: the ring never changes while this process runs. */
  readonly load?: () => Promise<KeyRing>;
  /** Whether `ring` came from where `load` looks, just now. Default: false. */
  readonly isFresh?: boolean;
  readonly clock: Clock;
}

/**
 * Seals and opens on this thread: a row of a user takes 12 microseconds to seal and 9 to open, its JSON included, so a million
 * users cost 12 s and 9 s of one core (Node 24.21, tokens of 200 characters, a shared machine, 2026-11; twice that when it is busy).
 * `seal` rejects with whatever `load` rejects with when the ring has to be confirmed; `open` never does.
 */
export function openAesSealing(options: AesSealingOptions): Sealing {
  return new AesSealing(options);
}

class AesSealing implements Sealing {
  readonly #load: (() => Promise<KeyRing>) | undefined;
  readonly #clock: Clock;
  #ring: KeyRing;
  #keys: ReadonlyMap<string, KeyObject>;
  #confirmedAtMs: number;
  #askedAtMs = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;

  constructor(options: AesSealingOptions) {
    this.#load = options.load;
    this.#clock = options.clock;
    this.#ring = options.ring;
    this.#keys = keysOf(options.ring);
    this.#confirmedAtMs = options.isFresh === true ? options.clock.now() : Number.NEGATIVE_INFINITY;
  }

  async seal(text: string, associatedData: string): Promise<SealedText> {
    if (this.#clock.now() - this.#confirmedAtMs > SEALING_LEASE_MS) await this.#reload();
    const keyId = this.#ring[0].id;
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#keys.get(keyId)!, iv, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(associatedData));
    const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return { keyId, iv: iv.toString('base64'), data: data.toString('base64') };
  }

  async open(sealed: SealedText, associatedData: string): Promise<string> {
    const known = this.#keys.get(sealed.keyId) ?? (await this.#lookFor(sealed.keyId));
    return openWith(known, sealed, associatedData);
  }

  async #lookFor(keyId: string): Promise<KeyObject> {
    let cause: unknown;
    if (this.#loading !== undefined || this.#clock.now() - this.#askedAtMs >= RELOAD_EVERY_MS) {
      await this.#reload().catch((error: unknown) => (cause = error));
    }
    const key = this.#keys.get(keyId);
    if (key !== undefined) return key;
    const known = this.#ring.map(({ id }) => id).join(', ');
    const why = cause === undefined ? '' : ' and the keys could not be loaded again';
    throw new SealingError(
      'KEY_UNKNOWN',
      `a token is sealed with the key ${keyId}, which is not among the sealing keys (${known})${why}. Next: give that key back, or import the user again: npm run adit -- users import FILE`,
      { cause },
    );
  }

  /** Whoever needs the ring while it is being loaded waits for the same answer. */
  #reload(): Promise<void> {
    this.#loading ??= this.#loadOnce().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #loadOnce(): Promise<void> {
    const askedAtMs = this.#clock.now();
    this.#askedAtMs = askedAtMs;
    if (this.#load !== undefined) {
      this.#ring = await this.#load();
      this.#keys = keysOf(this.#ring);
    }
    this.#confirmedAtMs = askedAtMs;
  }
}

function keysOf(ring: KeyRing): ReadonlyMap<string, KeyObject> {
  return new Map(ring.map(({ id, secret }) => [id, createSecretKey(Buffer.from(secret, 'base64'))]));
}

function openWith(key: KeyObject, sealed: SealedText, associatedData: string): string {
  try {
    const iv = bytesOf(sealed.iv);
    const data = bytesOf(sealed.data);
    if (iv.length !== IV_BYTES || data.length < TAG_BYTES) throw new RangeError('the parts have other lengths');
    const decipher = createDecipheriv(CIPHER, key, iv, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(associatedData));
    decipher.setAuthTag(data.subarray(-TAG_BYTES));
    return decipher.update(data.subarray(0, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
  } catch (cause) {
    throw new SealingError(
      'SEAL_BROKEN',
      `a token that was sealed with the key ${sealed.keyId} does not open: its record was changed, belongs to another user, or another key has that id. Next: import the user again: npm run adit -- users import FILE`,
      { cause },
    );
  }
}

/** Node skips what is no base64, and ignores spare bits: a record that was changed there must not open either. */
function bytesOf(base64: string): Buffer {
  const bytes = Buffer.from(base64, 'base64');
  if (bytes.toString('base64') !== base64) throw new RangeError('this is not the base64 that was written');
  return bytes;
}
