import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** One version of an item on its way to be numbered. */
export interface SortedVersion {
  readonly item: string;
  readonly observedAt: string;
  readonly text: string;
}

/** Rows written in one transaction. */
const BATCH = 5000;

/**
 * Sorts more versions than memory holds, on disk, by item and observation. Used by one export at a time; `close` removes the
 * temporary file.
 */
export class VersionSorter {
  readonly #dir = mkdtempSync(join(tmpdir(), 'adit-export-'));
  readonly #db = new DatabaseSync(join(this.#dir, 'sort.db'));
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
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #commit(): void {
    if (this.#pending > 0) this.#db.exec('COMMIT');
    this.#pending = 0;
  }
}
