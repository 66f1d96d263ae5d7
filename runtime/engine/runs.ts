import { partitionsOf, runKey, USER_HASH_DIGITS } from '../core/keys.ts';
import { readRun, type Run } from '../core/run.ts';
import type { Digest, Rows, StoredRow } from '../ports.ts';

/** A run row with the etag that a change must match. */
export interface StoredRun {
  readonly run: Run;
  readonly etag: string;
}

/** The run rows: one live run per (user, miner). */
export class Runs {
  readonly #rows: Rows;
  readonly #digest: Digest;

  constructor(deps: { rows: Rows; digest: Digest }) {
    this.#rows = deps.rows;
    this.#digest = deps.digest;
  }

  async read(minerName: string, userIds: readonly string[]): Promise<readonly (StoredRun | undefined)[]> {
    const rows = await this.#rows.read(userIds.map((userId) => this.#key(minerName, userId)));
    return rows.map((row) => (row === undefined ? undefined : decode(row)));
  }

  /** Compare-and-set of many runs; `etag` undefined = there was no row. The new etag, or undefined where another won. */
  async write(
    changes: readonly { readonly run: Run; readonly etag: string | undefined }[],
  ): Promise<readonly (string | undefined)[]> {
    const writes = changes.map(({ run, etag }) => ({
      ...this.#key(run.minerName, run.userId),
      value: JSON.stringify(run),
      ifMatch: etag ?? 'absent',
    }));
    const outcomes = await this.#rows.write(writes);
    const refused = writes.filter((_, index) => outcomes[index]?.ok !== true);
    if (refused.length === 0) return outcomes.map((outcome) => (outcome.ok ? outcome.etag : undefined));
    const stored = await this.#rows.read(refused);
    const own = new Map(refused.map((write, index) => [write, ownEtag(write.value, stored[index])]));
    return outcomes.map((outcome, index) => (outcome.ok ? outcome.etag : own.get(writes[index]!)));
  }

  /** Every run row of a miner, shard by shard. Costs a scan: for the monitor and for commands, not for hot paths. */
  async *scan(minerName: string): AsyncIterable<StoredRun> {
    for (const partition of partitionsOf(minerName)) {
      for await (const row of this.#rows.scan(partition)) yield decode(row);
    }
  }

  #key(minerName: string, userId: string): { partition: string; row: string } {
    return runKey(minerName, this.#digest.sha256(userId, USER_HASH_DIGITS));
  }
}

/** A write whose answer was lost is sent again and then meets itself: the row holds just what was to be written. */
function ownEtag(value: string, stored: StoredRow | undefined): string | undefined {
  return stored?.value === value ? stored.etag : undefined;
}

function decode(row: StoredRow): StoredRun {
  return { run: readRun(row.value), etag: row.etag };
}
