import { SealingError } from '../core/key-ring.ts';
import type { Digest, Rows, RowWrite, Sealing, StoredRow } from '../ports.ts';
import { openUser, sealUser, userEntryOf, USERS_BATCH, USERS_PARTITIONS } from './users.ts';

/** Partitions of the users table that are worked on at once: in the cloud a write is a wait of tens of milliseconds. */
const PARTITIONS_AT_ONCE = 8;

/** Rounds of read, seal, write for rows that somebody else changes meanwhile. What is left is left to another `resealUsers`. */
const CONFLICT_ROUNDS_LIMIT = 10;

/** Users named when their records do not open; the rest is counted. */
const UNREADABLE_SHOWN = 20;

/** What re-sealing works with. `sealing` seals with the current key. */
export interface ResealDeps {
  readonly rows: Rows;
  readonly digest: Digest;
  readonly sealing: Sealing;
}

/** How re-sealing goes on. */
export interface ResealOptions {
  readonly currentKeyId: string;
  /** Before a batch is written; what it throws ends the work. */
  readonly beforeWrite?: () => Promise<void>;
  /** After a batch was written: rows sealed with the current key by this call, so far. */
  readonly onProgress?: (resealed: number) => void;
}

/** What re-sealing did. */
export interface Resealed {
  readonly resealed: number;
  /** Rows that nobody can open; they are as they were. */
  readonly unreadable: number;
  /** The first 20 of those, and why. */
  readonly unreadableUsers: readonly { readonly userId: string; readonly reason: string }[];
}

/** Rows by the id of their key; those that were never sealed are under `null`. */
export async function countByKey(rows: Rows): Promise<ReadonlyMap<string | null, number>> {
  const counts = new Map<string | null, number>();
  await eachPartition(async (partition) => {
    for await (const row of rows.scan(partition)) {
      const { keyId } = userEntryOf(row);
      counts.set(keyId, (counts.get(keyId) ?? 0) + 1);
    }
  });
  return counts;
}

/**
 * Seals every row with the current key that is not yet. A row moves by compare-and-set from the version that was opened, so a
 * token that is written meanwhile wins. Killed at any point, every row is either as it was or whole under the current key.
 */
export function resealUsers(deps: ResealDeps, options: ResealOptions): Promise<Resealed> {
  return new Reseal(deps, options).run();
}

class Reseal {
  readonly #deps: ResealDeps;
  readonly #options: ResealOptions;
  readonly #unreadable: { userId: string; reason: string }[] = [];
  #unreadableCount = 0;
  #resealed = 0;

  constructor(deps: ResealDeps, options: ResealOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  async run(): Promise<Resealed> {
    await eachPartition((partition) => this.#partition(partition));
    return { resealed: this.#resealed, unreadable: this.#unreadableCount, unreadableUsers: this.#unreadable };
  }

  async #partition(partition: string): Promise<void> {
    let batch: StoredRow[] = [];
    for await (const row of this.#deps.rows.scan(partition)) {
      if (userEntryOf(row).keyId === this.#options.currentKeyId) continue;
      batch.push(row);
      if (batch.length < USERS_BATCH) continue;
      await this.#batch(batch);
      batch = [];
    }
    await this.#batch(batch);
  }

  async #batch(rows: readonly StoredRow[]): Promise<void> {
    let open = rows;
    for (let round = 0; round < CONFLICT_ROUNDS_LIMIT && open.length > 0; round += 1) {
      await this.#options.beforeWrite?.();
      const lost = await this.#write(open);
      const again = await this.#deps.rows.read(lost);
      // A row that was removed, or written with the current key meanwhile, is done.
      open = again.filter(
        (row) => row !== undefined && userEntryOf(row).keyId !== this.#options.currentKeyId,
      ) as StoredRow[];
    }
  }

  /** The rows that somebody else has changed. */
  async #write(rows: readonly StoredRow[]): Promise<readonly StoredRow[]> {
    const sealed = await Promise.all(rows.map((row) => this.#seal(row)));
    const writes = sealed.flatMap((write, index) => (write === undefined ? [] : [{ write, row: rows[index]! }]));
    if (writes.length === 0) return [];
    const outcomes = await this.#deps.rows.write(writes.map(({ write }) => write));
    const lost = writes.filter((_, index) => outcomes[index]?.ok !== true).map(({ row }) => row);
    this.#resealed += writes.length - lost.length;
    this.#options.onProgress?.(this.#resealed);
    return lost;
  }

  async #seal(row: StoredRow): Promise<RowWrite | undefined> {
    const { partition, row: key, etag } = row;
    try {
      const value = await sealUser(await openUser(row, this.#deps), this.#deps.sealing);
      return { partition, row: key, value, ifMatch: etag };
    } catch (error) {
      if (!(error instanceof SealingError)) throw error;
      this.#unreadableCount += 1;
      if (this.#unreadable.length < UNREADABLE_SHOWN) {
        this.#unreadable.push({ userId: userEntryOf(row).userId, reason: error.message });
      }
      return undefined;
    }
  }
}

async function eachPartition(work: (partition: string) => Promise<void>): Promise<void> {
  const left = [...USERS_PARTITIONS];
  const lane = async (): Promise<void> => {
    for (let partition = left.shift(); partition !== undefined; partition = left.shift()) await work(partition);
  };
  const ended = await Promise.allSettled(Array.from({ length: PARTITIONS_AT_ONCE }, lane));
  for (const result of ended) if (result.status === 'rejected') throw result.reason;
}
