import { USER_HASH_DIGITS } from '../core/keys.ts';
import type { User } from '../core/miner.ts';
import type { Digest, Rows } from '../ports.ts';

const SHARDS = '0123456789abcdef';

/** Users written in one call. */
const IMPORT_BATCH = 500;

/** The users table. */
export class Users {
  readonly #rows: Rows;
  readonly #digest: Digest;

  constructor(deps: { rows: Rows; digest: Digest }) {
    this.#rows = deps.rows;
    this.#digest = deps.digest;
  }

  async read(userId: string): Promise<User | undefined> {
    const [row] = await this.#rows.read([this.#key(userId)]);
    return row === undefined ? undefined : (JSON.parse(row.value) as User);
  }

  /** Adds or replaces users. Doing it again changes nothing. */
  async import(users: readonly User[]): Promise<void> {
    for (let at = 0; at < users.length; at += IMPORT_BATCH) {
      const writes = users.slice(at, at + IMPORT_BATCH).map((user) => ({
        ...this.#key(user.userId),
        value: JSON.stringify(user),
        ifMatch: 'any',
      }));
      const outcomes = await this.#rows.write(writes);
      if (outcomes.some((outcome) => !outcome.ok)) throw new Error('the users table refused a write; import again');
    }
  }

  /** Removes a user's row. What was mined stays. False when there was none. */
  async remove(userId: string): Promise<boolean> {
    const [row] = await this.#rows.read([this.#key(userId)]);
    if (row === undefined) return false;
    await this.#rows.write([{ ...this.#key(userId), value: null, ifMatch: 'any' }]);
    return true;
  }

  async setInactive(userId: string): Promise<void> {
    const user = await this.read(userId);
    if (user !== undefined) await this.import([{ ...user, status: 'inactive' }]);
  }

  async *list(): AsyncIterable<User> {
    for (const shard of SHARDS) {
      for await (const row of this.#rows.scan(`user.${shard}`)) yield JSON.parse(row.value) as User;
    }
  }

  #key(userId: string): { partition: string; row: string } {
    const hash = this.#digest.sha256(userId, USER_HASH_DIGITS);
    return { partition: `user.${hash.charAt(0)}`, row: hash };
  }
}
