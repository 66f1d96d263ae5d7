import { assertWritable } from '../../runtime/core/row.ts';
import type { Ledger, RowKey, RowOutcome, Rows, RowWrite, StoredRow } from '../../runtime/ports.ts';

/** A table in memory. Tests may set `fail` to have every call reject, and read `reads` and `writes`. */
export class MemoryRows implements Rows {
  readonly #partitions = new Map<string, Map<string, StoredRow>>();
  #revision = 0;
  /** Every call rejects with this error while it is set. */
  fail: Error | undefined;
  /** Rows asked for by `read` so far. */
  reads = 0;
  /** Rows offered to `write` so far. */
  writes = 0;

  async read(keys: readonly RowKey[]): Promise<readonly (StoredRow | undefined)[]> {
    this.#assertUp();
    this.reads += keys.length;
    return keys.map((key) => this.#partitions.get(key.partition)?.get(key.row));
  }

  async write(writes: readonly RowWrite[]): Promise<readonly RowOutcome[]> {
    this.#assertUp();
    writes.forEach(assertWritable);
    this.writes += writes.length;
    return writes.map((write) => this.#apply(write));
  }

  async *scan(
    partition: string,
    range: { from?: string; to?: string; limit?: number } = {},
  ): AsyncGenerator<StoredRow> {
    this.#assertUp();
    const { from = '', to, limit = Number.POSITIVE_INFINITY } = range;
    const rows = [...(this.#partitions.get(partition)?.values() ?? [])]
      .filter(({ row }) => row >= from && (to === undefined || row < to))
      .toSorted((a, b) => (a.row < b.row ? -1 : 1));
    yield* rows.slice(0, limit);
  }

  #apply({ partition, row, value, ifMatch }: RowWrite): RowOutcome {
    const rows = this.#partitions.get(partition) ?? new Map<string, StoredRow>();
    const stored = rows.get(row);
    const holds = ifMatch === 'any' || (ifMatch === 'absent' ? stored === undefined : stored?.etag === ifMatch);
    if (!holds) return { ok: false };
    if (value === null) {
      rows.delete(row);
      return { ok: true, etag: '' };
    }
    this.#revision += 1;
    const etag = `r${this.#revision}`;
    rows.set(row, { partition, row, value, etag });
    this.#partitions.set(partition, rows);
    return { ok: true, etag };
  }

  #assertUp(): void {
    if (this.fail !== undefined) throw this.fail;
  }
}

/** The ledger of `memoryLedger`: its tables are fakes that a test may look into. */
export interface MemoryLedger extends Ledger {
  readonly items: MemoryRows;
  readonly envelopes: MemoryRows;
  readonly runs: MemoryRows;
  readonly users: MemoryRows;
  readonly control: MemoryRows;
}

/** A whole ledger in memory. */
export function memoryLedger(): MemoryLedger {
  return {
    items: new MemoryRows(),
    envelopes: new MemoryRows(),
    runs: new MemoryRows(),
    users: new MemoryRows(),
    control: new MemoryRows(),
    close: () => Promise.resolve(),
  };
}
