import { DatabaseSync } from 'node:sqlite';

/** One version of an item on its way to be numbered. */
export interface SortedVersion {
  readonly item: string;
  readonly observedAt: string;
  readonly text: string;
}

/**
 * A name for a database of its own in a temporary file that has no name (sqlite.org/inmemorydb.html, "Temporary Databases"):
 * users' data, which is gone with the process however that ends, also when `head` has seen enough.
 */
const NAMELESS = '';

/** Rows written in one transaction. */
const BATCH = 5000;

/** Sorts more versions than memory holds, on disk, by item and observation. Used by one export; `close` gives the disk back. */
export class VersionSorter {
  readonly #db = new DatabaseSync(NAMELESS);
  readonly #insert;
  #pending = 0;

  constructor() {
    this.#db.exec('PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE');
    this.#db.exec('CREATE TABLE version (item TEXT, observedAt TEXT, text TEXT)');
    this.#insert = this.#db.prepare('INSERT INTO version VALUES (?, ?, ?)');
  }

  add(version: SortedVersion): void {
    if (this.#pending === 0) this.#db.exec('BEGIN');
    this.#insert.run(version.item, version.observedAt, version.text);
    this.#pending += 1;
    if (this.#pending >= BATCH) this.#commit();
  }

  /** Every version with its number within its item, from 1. */
  *sorted(): Iterable<SortedVersion & { readonly seq: number }> {
    this.#commit();
    const rows = this.#db
      .prepare('SELECT item, observedAt, text FROM version ORDER BY item, observedAt, rowid')
      .iterate();
    let item: string | undefined;
    let seq = 0;
    for (const row of rows as Iterable<Record<string, unknown>>) {
      const version = row as unknown as SortedVersion;
      seq = version.item === item ? seq + 1 : 1;
      item = version.item;
      yield { ...version, seq };
    }
  }

  close(): void {
    this.#db.close();
  }

  #commit(): void {
    if (this.#pending > 0) this.#db.exec('COMMIT');
    this.#pending = 0;
  }
}
