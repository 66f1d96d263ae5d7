import { hash, randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import type { Clock, Digest, Random } from '../ports.ts';

/** Node's timers take 32 bits: a longer wait would fire at once, so it is slept in parts. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const SHA256_HEX_DIGITS = 64;

/** The machine's clock. A sleep keeps the process alive; a wait below 1 ms is one turn of the timers. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: async (ms, signal) => {
    try {
      for (let leftMs = ms; ; leftMs -= LONGEST_TIMER_MS) {
        await wait(Math.min(Math.max(leftMs, 0), LONGEST_TIMER_MS), undefined, signal === undefined ? {} : { signal });
        if (leftMs <= LONGEST_TIMER_MS) return;
      }
    } catch (error) {
      if (signal?.aborted === true) throw signal.reason;
      throw error;
    }
  },
};

/** Chance of the machine: not seeded, and UUIDs from the operating system's random source. */
export const systemRandom: Random = {
  next: () => Math.random(),
  uuid: () => randomUUID(),
};

/**
 * SHA-256 by Node's OpenSSL.
 * @throws RangeError when `hexDigits` is not a whole number of 1..64.
 */
export const sha256Digest: Digest = {
  sha256: (text, hexDigits) => {
    if (!Number.isInteger(hexDigits) || hexDigits < 1 || hexDigits > SHA256_HEX_DIGITS) {
      throw new RangeError(`hexDigits must be 1..${SHA256_HEX_DIGITS}, got ${hexDigits}`);
    }
    return hash('sha256', text, 'hex').slice(0, hexDigits);
  },
};
