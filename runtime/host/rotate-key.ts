import { openAesSealing, SEALING_LEASE_MS } from '../adapters/aes-sealing.ts';
import { type KeyRing, RING_KEYS_LIMIT, withNewKey, withoutKeys } from '../core/key-ring.ts';
import { Lease, LeaseError } from '../engine/lease.ts';
import { countByKey, type Resealed, resealUsers } from '../engine/reseal-users.ts';
import type { Clock, Digest, Random, Rows } from '../ports.ts';
import { BadInput } from './bad-input.ts';
import { type KeySource, newKey } from './sealing-keys.ts';

/** A process that sealed with a key just before its lease on it ended may be writing the row for a while yet: one call with its retries. */
const SLOWEST_WRITE_MS = 120_000;

/** An old key is dropped only after it can no longer be in use by a process that has not heard of the new one. */
const DROP_AFTER_MS = 2 * SEALING_LEASE_MS + SLOWEST_WRITE_MS;

const LEASE_KEY = { partition: 'users', row: 'rotate-key' };

/** What a rotation works on. */
export interface RotationDeps {
  readonly users: Rows;
  readonly control: Rows;
  readonly keys: KeySource;
  readonly digest: Digest;
  readonly clock: Clock;
  readonly random: Random;
}

/** How a person wants it. */
export interface RotationOptions {
  /** Take the keys that no row uses any more out of the ring. */
  readonly dropOld: boolean;
  /** A line for a person. */
  readonly onLine: (line: string) => void;
  /** Rows sealed so far, of those that are to be sealed. */
  readonly onProgress: (done: number, total: number) => void;
}

/** What became of the keys. */
export interface Rotation extends Resealed {
  /** Id of the current key. */
  readonly keyId: string;
  /** Whether this call made it. False: it finished an earlier rotation. */
  readonly isNewKey: boolean;
  /** Rows of the table. */
  readonly users: number;
  /** The keys of the ring, the current one first, and the rows under each. */
  readonly keys: readonly { readonly keyId: string; readonly rows: number }[];
  /** Rows under no key of the ring: never sealed, or with a key that is gone. */
  readonly rowsWithoutKey: number;
  readonly dropped: readonly string[];
  /** When old keys without rows may be dropped (epoch in ms); undefined when none is left, or nobody asked. */
  readonly dropFromMs: number | undefined;
}

/**
 * Puts a new key first in the ring and seals every row with it. When there are rows that are not under the current key (an earlier
 * rotation was killed, rows were never sealed), or, with `dropOld`, old keys in the ring, that is finished first and no key is made.
 * Every step can be repeated, and at every moment the stored ring opens every row.
 * @throws BadInput
 */
export async function rotateKey(deps: RotationDeps, options: RotationOptions): Promise<Rotation> {
  const { keys, control, clock, random } = deps;
  // A file belongs to the one process that holds the state folder.
  if (!keys.isShared) return rotate(deps, options, async () => undefined);
  const onWait = (): void =>
    options.onLine(
      'Another rotate-key is at work, or has ended without a word: waiting until it is silent for a minute.',
    );
  try {
    const lease = await Lease.take({ rows: control, clock, random }, LEASE_KEY, onWait);
    try {
      return await rotate(deps, options, () => lease.renew());
    } finally {
      await lease.release();
    }
  } catch (error) {
    if (!(error instanceof LeaseError)) throw error;
    throw new BadInput(`${error.message}. Next: wait until it has ended, then run this again`, { cause: error });
  }
}

async function rotate(deps: RotationDeps, options: RotationOptions, renew: () => Promise<void>): Promise<Rotation> {
  const { users, keys, digest, clock } = deps;
  const before = await countByKey(users);
  const loaded = (await keys.load()).ring;
  const isFinished = [...before.keys()].every((id) => id === loaded[0].id) && !(options.dropOld && loaded.length > 1);
  const ring = isFinished ? await beginWithNewKey(keys, loaded, renew) : loaded;
  const currentKeyId = ring[0].id;
  const total = sumOf(before) - (before.get(currentKeyId) ?? 0);
  if (isFinished)
    options.onLine(`The new key ${currentKeyId} is in ${keys.text}; ${total} users are sealed with it now.`);
  else if (total > 0)
    options.onLine(`${total} users are not sealed with the current key ${currentKeyId} yet: they come first.`);
  const sealing = openAesSealing({ ring, load: async () => (await keys.load()).ring, isFresh: true, clock });
  const resealed = await resealUsers(
    { rows: users, digest, sealing },
    { currentKeyId, beforeWrite: renew, onProgress: (done) => options.onProgress(done, total) },
  );
  const ended = await dropOld(deps, ring, options.dropOld, renew);
  return { ...resealed, keyId: currentKeyId, isNewKey: isFinished, ...ended };
}

/** The ring is stored, and read back, before any row is sealed with its new key. */
async function beginWithNewKey(keys: KeySource, ring: KeyRing, renew: () => Promise<void>): Promise<KeyRing> {
  if (keys.save === undefined) {
    throw new BadInput(
      `the sealing keys come from ${keys.text}, which only you can change. Next: put a new key first in it (openssl rand -base64 32 makes one), keep the others behind it, then run this again`,
    );
  }
  if (ring.length >= RING_KEYS_LIMIT) {
    throw new BadInput(
      `the ring has ${ring.length} keys, which is the most. Next: npm run adit -- users rotate-key --drop-old`,
    );
  }
  const key = newKey(ring);
  await renew();
  await keys.save(withNewKey(ring, key));
  const stored = (await keys.load()).ring;
  if (stored[0].id === key.id && stored[0].secret === key.secret) return stored;
  throw new BadInput(`${keys.text} was changed by somebody else meanwhile; no user was touched. Next: run this again`);
}

type Ended = Pick<Rotation, 'users' | 'keys' | 'rowsWithoutKey' | 'dropped' | 'dropFromMs'>;

async function dropOld(
  deps: RotationDeps,
  ring: KeyRing,
  isWanted: boolean,
  renew: () => Promise<void>,
): Promise<Ended> {
  const { users, keys, clock } = deps;
  const { changedAtMs } = await keys.load();
  const dropFromMs = keys.isShared ? changedAtMs + DROP_AFTER_MS : 0;
  // Before the rows are counted: what is sealed with an old key after the count would be lost.
  const isTime = clock.now() >= dropFromMs;
  const counts = await countByKey(users);
  const unused = new Set(ring.map(({ id }) => id).filter((id) => id !== ring[0].id && !counts.has(id)));
  const dropped = isWanted && isTime && keys.save !== undefined ? unused : new Set<string>();
  const left = withoutKeys(ring, dropped);
  if (dropped.size > 0) {
    await renew();
    await keys.save?.(left);
  }
  const inRing = left.map(({ id }) => ({ keyId: id, rows: counts.get(id) ?? 0 }));
  return {
    users: sumOf(counts),
    keys: inRing,
    rowsWithoutKey: sumOf(counts) - inRing.reduce((sum, { rows }) => sum + rows, 0),
    dropped: [...dropped],
    dropFromMs: isWanted && !isTime && unused.size > 0 ? dropFromMs : undefined,
  };
}

function sumOf(counts: ReadonlyMap<string | null, number>): number {
  return [...counts.values()].reduce((sum, count) => sum + count, 0);
}
