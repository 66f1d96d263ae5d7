import { DatabaseSync, type StatementSync } from 'node:sqlite';
import { assertWritable } from '../core/row.ts';
import type { Ledger, RowKey, RowOutcome, Rows, RowWrite, StoredRow } from '../ports.ts';

/** Another process (the ops CLI) may hold the file's write lock for as long as one of its commits takes. */
const BUSY_TIMEOUT_MS = 5_000;

/** A commit stops the event loop: 2,000 rows keep that near 20 ms. A single larger call is still one commit. */
const ROWS_PER_COMMIT = 2_000;

/** Calls that may wait for a commit. Callers await their writes, so only a runaway loop gets here. */
const WAITING_CALLS_LIMIT = 50_000;

/** A scan reads page by page, so that no statement stays open while its reader does something else. */
const SCAN_PAGE_ROWS = 500;

/**
 * Pages (4 KB) of log before SQLite moves them into the file, and memory for pages of the file. The defaults (1,000
 * and 500) cost a third of the inserts per second, because the keys of items are hashes and touch every page.
 */
const CHECKPOINT_PAGES = 8_000;
const CACHE_KB = 32_768;

/** SQLite's result codes (sqlite.org/rescode.html): FULL, and IOERR_SHMSIZE = no space for the index of the log. */
const SQLITE_FULL = 13;
const SQLITE_IOERR_SHMSIZE = 4874;

const TABLES = ['items', 'envelopes', 'runs', 'users', 'control'] as const;

interface WaitingCall {
  readonly table: SqliteRows;
  readonly writes: readonly RowWrite[];
  readonly resolve: (outcomes: readonly RowOutcome[]) => void;
  readonly reject: (error: Error) => void;
}

/**
 * Opens the ledger of one machine: a SQLite file (WAL, every commit on the disk before its promise resolves).
 * Writes that are issued together share one commit. The folder of `file` must exist. The caller closes it.
 * A call rejects with an `Error` with code `DISK_FULL` (nothing of it was written), `LEDGER_CLOSED`, `LEDGER_BUSY`
 * (too many writes are waiting) or `LEDGER_FAILED`, and with a `RangeError` for a key or value outside the port's limits.
 * @throws Error when the file cannot be opened or is not a ledger.
 */
export function openSqliteLedger(options: { file: string }): Ledger {
  const store = new SqliteStore(options.file);
  const [items, envelopes, runs, users, control] = TABLES.map((name) => new SqliteRows(store, name)) as [
    SqliteRows,
    SqliteRows,
    SqliteRows,
    SqliteRows,
    SqliteRows,
  ];
  return { items, envelopes, runs, users, control, close: () => store.close() };
}

/** The file and its group commit: every call that waits when the event loop comes round shares one transaction. */
class SqliteStore {
  readonly db: DatabaseSync;
  readonly #file: string;
  readonly #reserve: StatementSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #waiting: WaitingCall[] = [];
  #isScheduled = false;
  #isClosed = false;

  constructor(file: string) {
    this.#file = file;
    this.db = new DatabaseSync(file);
    try {
      this.db.exec(schema());
      // Revisions never repeat, not even for a row that was deleted and came back: an old etag must never match again.
      this.#reserve = this.db.prepare('UPDATE revisions SET last = last + ? RETURNING last');
      this.#begin = this.db.prepare('BEGIN IMMEDIATE');
      this.#commit = this.db.prepare('COMMIT');
    } catch (error) {
      this.db.close();
      throw error;
    }
  }

  submit(table: SqliteRows, writes: readonly RowWrite[]): Promise<readonly RowOutcome[]> {
    this.assertOpen();
    if (this.#waiting.length >= WAITING_CALLS_LIMIT) {
      throw coded('LEDGER_BUSY', `more than ${WAITING_CALLS_LIMIT} writes wait for the ledger ${this.#file}`);
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ table, writes, resolve, reject });
      this.#schedule();
    });
  }

  assertOpen(): void {
    if (this.#isClosed) throw coded('LEDGER_CLOSED', `the ledger ${this.#file} is closed`);
  }

  /** Commits what still waits, then closes the file. Idempotent. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    while (this.#waiting.length > 0) this.#flush();
    this.db.close();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #flush(): void {
    const group = this.#takeGroup();
    if (group.length === 0) return;
    try {
      const answers = this.#write(group);
      group.forEach((call, index) => call.resolve(answers[index] ?? []));
    } catch (error) {
      const failure = this.#failure(error);
      for (const call of group) call.reject(failure);
    }
  }

  #takeGroup(): readonly WaitingCall[] {
    let count = 0;
    let rows = 0;
    for (const call of this.#waiting) {
      if (count > 0 && rows + call.writes.length > ROWS_PER_COMMIT) break;
      count += 1;
      rows += call.writes.length;
    }
    return this.#waiting.splice(0, count);
  }

  #write(group: readonly WaitingCall[]): readonly (readonly RowOutcome[])[] {
    const rows = group.reduce((sum, call) => sum + call.writes.length, 0);
    this.#begin.run();
    try {
      const { last } = this.#reserve.get(rows) as { last: number };
      let revision = last - rows;
      const answers = group.map((call) =>
        call.writes.map((write) => {
          revision += 1;
          return call.table.apply(write, revision);
        }),
      );
      this.#commit.run();
      return answers;
    } catch (error) {
      // Some failures roll back by themselves.
      if (this.db.isTransaction) this.db.exec('ROLLBACK');
      throw error;
    }
  }

  #failure(error: unknown): Error {
    const code = (error as { errcode?: number }).errcode ?? 0;
    if ((code & 0xff) === SQLITE_FULL || code === SQLITE_IOERR_SHMSIZE) {
      return coded('DISK_FULL', `the disk of the ledger ${this.#file} is full: free some space, then try again`, error);
    }
    return coded('LEDGER_FAILED', `the ledger ${this.#file} could not be written`, error);
  }
}

/** One table. Reads go to the file directly, hence see only what is committed. */
class SqliteRows implements Rows {
  readonly #store: SqliteStore;
  readonly #select: StatementSync;
  readonly #page: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #upsert: StatementSync;
  readonly #delete: StatementSync;
  readonly #deleteAny: StatementSync;

  constructor(store: SqliteStore, name: string) {
    const { db } = store;
    const insert = `INSERT INTO ${name} (rev, value, partition, row) VALUES (?, ?, ?, ?) ON CONFLICT (partition, row)`;
    this.#store = store;
    this.#select = db.prepare(`SELECT rev, value FROM ${name} WHERE partition = ? AND row = ?`);
    this.#page = db.prepare(
      `SELECT row, rev, value FROM ${name}
       WHERE partition = ? AND row >= ? AND row > ? AND (? IS NULL OR row < ?) ORDER BY row LIMIT ?`,
    );
    this.#insert = db.prepare(`${insert} DO NOTHING`);
    this.#upsert = db.prepare(`${insert} DO UPDATE SET rev = excluded.rev, value = excluded.value`);
    this.#update = db.prepare(`UPDATE ${name} SET rev = ?, value = ? WHERE partition = ? AND row = ? AND rev = ?`);
    this.#delete = db.prepare(`DELETE FROM ${name} WHERE partition = ? AND row = ? AND rev = ?`);
    this.#deleteAny = db.prepare(`DELETE FROM ${name} WHERE partition = ? AND row = ?`);
  }

  async read(keys: readonly RowKey[]): Promise<readonly (StoredRow | undefined)[]> {
    this.#store.assertOpen();
    return keys.map(({ partition, row }) => {
      const found = this.#select.get(partition, row) as { rev: number; value: string } | undefined;
      return found && { partition, row, value: found.value, etag: String(found.rev) };
    });
  }

  async write(writes: readonly RowWrite[]): Promise<readonly RowOutcome[]> {
    writes.forEach(assertWritable);
    if (writes.length === 0) return [];
    return this.#store.submit(this, writes);
  }

  /** One compare-and-set inside the open transaction. */
  apply(write: RowWrite, revision: number): RowOutcome {
    const etag = write.value === null ? '' : String(revision);
    const changes = this.#change(write, revision);
    return changes > 0 ? { ok: true, etag } : { ok: false };
  }

  async *scan(
    partition: string,
    range: { from?: string; to?: string; limit?: number } = {},
  ): AsyncGenerator<StoredRow> {
    let left = range.limit ?? Number.POSITIVE_INFINITY;
    let after = '';
    while (left > 0) {
      this.#store.assertOpen();
      const size = Math.min(left, SCAN_PAGE_ROWS);
      const to = range.to ?? null;
      const page = this.#page.all(partition, range.from ?? '', after, to, to, size) as unknown as readonly PageRow[];
      for (const { row, rev, value } of page) yield { partition, row, value, etag: String(rev) };
      if (page.length < size) return;
      left -= page.length;
      after = page.at(-1)?.row ?? after;
    }
  }

  #change({ partition, row, value, ifMatch }: RowWrite, revision: number): number {
    if (value === null) {
      // Without a row, "delete whatever is there" already holds.
      if (ifMatch === 'any') return 1 + Number(this.#deleteAny.run(partition, row).changes);
      return Number(this.#delete.run(partition, row, revisionOf(ifMatch)).changes);
    }
    if (ifMatch === 'absent') return Number(this.#insert.run(revision, value, partition, row).changes);
    if (ifMatch === 'any') return Number(this.#upsert.run(revision, value, partition, row).changes);
    return Number(this.#update.run(revision, value, partition, row, revisionOf(ifMatch)).changes);
  }
}

interface PageRow {
  readonly row: string;
  readonly rev: number;
  readonly value: string;
}

function schema(): string {
  const columns = 'partition TEXT NOT NULL, row TEXT NOT NULL, rev INTEGER NOT NULL, value TEXT NOT NULL';
  const tables = TABLES.map(
    (name) => `CREATE TABLE IF NOT EXISTS ${name} (${columns}, PRIMARY KEY (partition, row)) WITHOUT ROWID, STRICT;`,
  );
  return [
    `PRAGMA busy_timeout = ${BUSY_TIMEOUT_MS};`,
    'PRAGMA journal_mode = WAL;',
    'PRAGMA synchronous = FULL;',
    `PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES};`,
    `PRAGMA cache_size = -${CACHE_KB};`,
    ...tables,
    'CREATE TABLE IF NOT EXISTS revisions (id INTEGER PRIMARY KEY CHECK (id = 1), last INTEGER NOT NULL) STRICT;',
    'INSERT OR IGNORE INTO revisions VALUES (1, 0);',
  ].join('\n');
}

/** An etag that this ledger never gave becomes NULL, which equals nothing. */
function revisionOf(etag: string): number | null {
  return /^[1-9][0-9]{0,15}$/.test(etag) ? Number(etag) : null;
}

function coded(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), { code });
}
