import { ServiceError } from '../core/failure.ts';
import { SealingError } from '../core/key-ring.ts';
import { USER_HASH_DIGITS } from '../core/keys.ts';
import type { User } from '../core/miner.ts';
import type { Digest, RowKey, Rows, SealedText, Sealing, StoredRow } from '../ports.ts';

/** Users written in one call. */
export const USERS_BATCH = 500;

/** Attempts to change a row that somebody else changes too. */
const CHANGE_ATTEMPTS_LIMIT = 10;

/** Users named when their records do not open; the rest is counted. */
const UNREADABLE_SHOWN = 20;

/** A user without secrets, and the key of the record: null for one that was written before records were sealed. */
export interface UserEntry extends Pick<User, 'userId' | 'status'> {
  readonly keyId: string | null;
}

/** Users whose records do not open; they are left out of a listing, so that the others are still mined. */
export interface UnreadableUsers {
  readonly count: number;
  /** The first 20 of them. */
  readonly userIds: readonly string[];
  readonly first: SealingError;
}

/** What the users table works with. */
export interface UsersDeps {
  readonly rows: Rows;
  readonly digest: Digest;
  readonly sealing: Sealing;
  /** Told once per listing that met such users. Default: nobody is told. */
  readonly onUnreadable?: (found: UnreadableUsers) => void;
}

/** Records from before there was `allowDirect` lack it, which is the same as false. */
type Secrets = Pick<User, 'accessToken' | 'proxyUrl' | 'allowDirect'>;

/** A row as it is stored. Rows without `sealed` come from before there were keys; the next write seals them. */
type StoredUser = Pick<User, 'userId' | 'status'> & ({ readonly sealed: SealedText } | Secrets);

/** Partitions of the users table. */
export const USERS_PARTITIONS: readonly string[] = Array.from(
  { length: 16 },
  (_, shard) => `user.${shard.toString(16)}`,
);

/** Key of a user's row. */
export function userKeyOf(userId: string, digest: Digest): RowKey {
  const hash = digest.sha256(userId, USER_HASH_DIGITS);
  return { partition: `user.${hash.charAt(0)}`, row: hash };
}

/** What a row says without its secrets. @throws SyntaxError when the row is not JSON. */
export function userEntryOf(row: StoredRow): UserEntry {
  const { userId, status, ...rest } = JSON.parse(row.value) as StoredUser;
  return { userId, status, keyId: 'sealed' in rest ? rest.sealed.keyId : null };
}

/** Value of a user's row: token, proxy and what is allowed without it are sealed for this user alone, the rest is readable. */
export async function sealUser(user: User, sealing: Sealing): Promise<string> {
  const { userId, accessToken, proxyUrl, allowDirect, status } = user;
  const secrets: Secrets = { accessToken, proxyUrl, ...(allowDirect === true ? { allowDirect } : {}) };
  const sealed = await sealing.seal(JSON.stringify(secrets), userId);
  return JSON.stringify({ userId, status, sealed });
}

/** The user of a row. @throws SealingError, also for a whole row that was copied to another user's place. */
export async function openUser(row: StoredRow, deps: Pick<UsersDeps, 'digest' | 'sealing'>): Promise<User> {
  const stored = JSON.parse(row.value) as StoredUser;
  const { userId, status } = stored;
  if (userKeyOf(userId, deps.digest).row !== row.row) {
    throw new SealingError('SEAL_BROKEN', 'the row of a user holds another user. Next: import the user again');
  }
  if (!('sealed' in stored)) return stored;
  const secrets = JSON.parse(await deps.sealing.open(stored.sealed, userId)) as Secrets;
  const { accessToken, proxyUrl, allowDirect } = secrets;
  return { userId, accessToken, proxyUrl, ...(allowDirect === true ? { allowDirect } : {}), status };
}

/** The users table. Tokens and proxies are sealed in it, and open only in memory. */
export class Users {
  readonly #deps: UsersDeps;

  constructor(deps: UsersDeps) {
    this.#deps = deps;
  }

  /** @throws SealingError when the record does not open. */
  async read(userId: string): Promise<User | undefined> {
    const row = await this.#find(userId);
    return row === undefined ? undefined : openUser(row, this.#deps);
  }

  /**
   * Adds or replaces users, 500 at a time. Doing it again changes nothing. `onProgress` is told how many are in the table.
   * @throws RangeError, before anything is written, for an id with a lone surrogate: UTF-8 has one replacement for all of them, so
   * that its row would be that of another user.
   */
  async import(users: readonly User[], onProgress?: (done: number) => void): Promise<void> {
    const { rows, sealing } = this.#deps;
    const odd = users.find(({ userId }) => !userId.isWellFormed());
    if (odd !== undefined) throw new RangeError(`userId must be valid Unicode, got ${JSON.stringify(odd.userId)}`);
    for (let at = 0; at < users.length; at += USERS_BATCH) {
      const batch = users.slice(at, at + USERS_BATCH);
      const values = await Promise.all(batch.map((user) => sealUser(user, sealing)));
      const writes = batch.map((user, index) => ({
        ...this.#key(user.userId),
        value: values[index] ?? null,
        ifMatch: 'any',
      }));
      const outcomes = await rows.write(writes);
      if (outcomes.some((outcome) => !outcome.ok)) throw new Error('the users table refused a write; import again');
      onProgress?.(at + batch.length);
    }
  }

  /** Removes a user's row. What was mined stays. False when there was none. */
  async remove(userId: string): Promise<boolean> {
    return (await this.removeAll([userId])) > 0;
  }

  /** Removes rows, 500 at a time. How many there were. `onProgress` is told how many ids have been looked at. */
  async removeAll(userIds: readonly string[], onProgress?: (done: number) => void): Promise<number> {
    let removed = 0;
    for (let at = 0; at < userIds.length; at += USERS_BATCH) {
      const keys = userIds.slice(at, at + USERS_BATCH).map((userId) => this.#key(userId));
      const found = (await this.#deps.rows.read(keys)).filter((row) => row !== undefined);
      await this.#deps.rows.write(found.map(({ partition, row }) => ({ partition, row, value: null, ifMatch: 'any' })));
      removed += found.length;
      onProgress?.(at + keys.length);
    }
    return removed;
  }

  /** Leaves the token as it is, also one that was imported a moment ago. A user who was removed stays removed. */
  async setStatus(userId: string, status: User['status']): Promise<void> {
    for (let attempt = 0; attempt < CHANGE_ATTEMPTS_LIMIT; attempt += 1) {
      const row = await this.#find(userId);
      if (row === undefined) return;
      if (userEntryOf(row).status === status) return;
      const value = await this.#withStatus(row, status);
      const [outcome] = await this.#deps.rows.write([{ ...this.#key(userId), value, ifMatch: row.etag }]);
      if (outcome?.ok === true) return;
    }
    throw new ServiceError(
      `a user could not be set ${status}: its row changed ${CHANGE_ATTEMPTS_LIMIT} times meanwhile`,
    );
  }

  /**
   * Every user, with token. Users whose records do not open are left out and told to `onUnreadable`.
   * @throws SealingError at the end when no record opened at all: then the keys are missing, not the users.
   */
  async *list(): AsyncIterable<User> {
    const unreadable: { userIds: string[]; count: number; first?: SealingError } = { userIds: [], count: 0 };
    let opened = 0;
    for await (const row of this.#scan()) {
      const user = await openUser(row, this.#deps).catch(sealingErrorOf);
      if (!(user instanceof SealingError)) {
        opened += 1;
        yield user;
        continue;
      }
      unreadable.first ??= user;
      unreadable.count += 1;
      if (unreadable.count <= UNREADABLE_SHOWN) unreadable.userIds.push(userEntryOf(row).userId);
    }
    const { first, ...rest } = unreadable;
    if (first === undefined) return;
    if (opened === 0) throw first;
    this.#deps.onUnreadable?.({ ...rest, first });
  }

  /** Every user without secrets. Needs no key. */
  async *entries(): AsyncIterable<UserEntry> {
    for await (const row of this.#scan()) yield userEntryOf(row);
  }

  async *#scan(): AsyncIterable<StoredRow> {
    for (const partition of USERS_PARTITIONS) yield* this.#deps.rows.scan(partition);
  }

  async #withStatus(row: StoredRow, status: User['status']): Promise<string> {
    const stored = JSON.parse(row.value) as StoredUser;
    if ('sealed' in stored) return JSON.stringify({ ...stored, status });
    return sealUser({ ...stored, status }, this.#deps.sealing);
  }

  async #find(userId: string): Promise<StoredRow | undefined> {
    const [row] = await this.#deps.rows.read([this.#key(userId)]);
    return row;
  }

  #key(userId: string): RowKey {
    return userKeyOf(userId, this.#deps.digest);
  }
}

/** Any other error is thrown on. */
function sealingErrorOf(error: unknown): SealingError {
  if (error instanceof SealingError) return error;
  throw error;
}
