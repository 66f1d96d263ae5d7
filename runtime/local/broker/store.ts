import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { SQLInputValue, StatementSync } from 'node:sqlite';
import { BrokerError } from './broker-error.ts';
import type { Message, MessageState } from './message.ts';

/** Version of the tables below. A journal with a higher one was written by a newer Adit and is not touched. */
const SCHEMA_VERSION = 1;

/** Sequence numbers are reserved on disk in blocks of this many, so that a killed broker never gives one twice. */
const RESERVED_NUMBERS = 10_000;

/** Wait for the lock of a broker that is just ending. */
const LOCK_WAIT_MS = 1_000;

/** Unused pages (of 8 KB) at which the file is rewritten at start, when they are also more than half of it. */
const VACUUM_AT_PAGES = 4_096;

const SCHEMA = `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE box (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE);
  CREATE TABLE message (
    seq INTEGER PRIMARY KEY, box INTEGER NOT NULL, state INTEGER NOT NULL, delivery_count INTEGER NOT NULL,
    enqueue_seq INTEGER NOT NULL, enqueued_at INTEGER NOT NULL, due_at INTEGER, expires_at INTEGER, session_id TEXT,
    durable INTEGER NOT NULL, priority INTEGER, ttl INTEGER, notes BLOB NOT NULL, raw BLOB NOT NULL);
  CREATE INDEX message_by_box ON message (box, seq);
  CREATE TABLE seen (box INTEGER NOT NULL, message_id TEXT NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (box, message_id)) WITHOUT ROWID;
  CREATE TABLE session (box INTEGER NOT NULL, session_id TEXT NOT NULL, state BLOB NOT NULL,
    PRIMARY KEY (box, session_id)) WITHOUT ROWID;
  CREATE TABLE rule (box INTEGER NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (box, name)) WITHOUT ROWID;
`;

const COLUMNS =
  'seq, box, state, delivery_count, enqueue_seq, enqueued_at, due_at, expires_at, session_id, durable, priority, ttl, notes';

type Row = Record<string, unknown>;

/** The tables of one broker in `broker.db`. Writes belong inside `transaction`; each statement is prepared once. */
export class Store {
  readonly #db: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #lastSeq: number;
  #reservedSeq: number;

  /** @throws BrokerError STATE_NEWER, STATE_LOCKED or STATE_UNREADABLE */
  constructor(stateDir: string) {
    this.#db = openDatabase(stateDir);
    const row = this.#db.prepare("SELECT value FROM meta WHERE name = 'reserved_seq'").get();
    this.#reservedSeq = Number(row?.['value'] ?? 0);
    this.#lastSeq = this.#reservedSeq;
  }

  /** A new sequence number. It is on disk with the next transaction. */
  nextSeq(): number {
    this.#lastSeq += 1;
    return this.#lastSeq;
  }

  /** Runs `write` in one transaction, which is on the disk when this returns. */
  transaction(write: () => void): void {
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      write();
      this.#reserve();
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
  }

  #reserve(): void {
    if (this.#lastSeq <= this.#reservedSeq) return;
    this.#reservedSeq = this.#lastSeq + RESERVED_NUMBERS;
    this.#run("INSERT OR REPLACE INTO meta (name, value) VALUES ('reserved_seq', ?)", this.#reservedSeq);
  }

  /** The number of a box, which stays the same for its path for ever. `isNew`: it was not there before. */
  boxId(path: string): { readonly id: number; readonly isNew: boolean } {
    const known = this.#prepare('SELECT id FROM box WHERE path = ?').get(path);
    if (known !== undefined) return { id: Number(known['id']), isNew: false };
    this.#run('INSERT INTO box (path) VALUES (?)', path);
    return { ...this.boxId(path), isNew: true };
  }

  /** Inserts a message, or replaces the one with its number. `raw` must be in memory. */
  put(message: Message, boxId: number, raw: Buffer): void {
    this.#run(
      `INSERT OR REPLACE INTO message (${COLUMNS}, raw) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      message.seq,
      boxId,
      message.state,
      message.deliveryCount,
      message.enqueueSeq,
      message.enqueuedAtMs,
      orNull(message.dueAtMs),
      orNull(message.expiresAtMs),
      message.sessionId ?? null,
      message.isDurable ? 1 : 0,
      message.priority ?? null,
      message.ttlMs ?? null,
      message.notes,
      raw,
    );
  }

  remove(seq: number): void {
    this.#run('DELETE FROM message WHERE seq = ?', seq);
  }

  /** Writes what changes without the body changing. */
  touch(message: Message): void {
    const { state, deliveryCount, seq } = message;
    this.#run('UPDATE message SET state = ?, delivery_count = ? WHERE seq = ?', state, deliveryCount, seq);
  }

  /** The body of a message. @throws when it is not there: the caller held a message that was already removed. */
  raw(seq: number): Buffer {
    const row = this.#prepare('SELECT raw FROM message WHERE seq = ?').get(seq);
    if (row === undefined) throw new Error(`message ${seq} is not in the journal`);
    return bufferOf(row['raw']);
  }

  /** Every message, in order, without bodies. */
  *messages(): Generator<{ readonly boxId: number; readonly message: Message }> {
    for (const row of this.#prepare(`SELECT ${COLUMNS} FROM message ORDER BY seq`).iterate()) {
      yield { boxId: Number(row['box']), message: messageOfRow(row) };
    }
  }

  /** Messages of a box in order from a number on, with bodies, at most `limit`. */
  page(boxId: number, fromSeq: number, limit: number, sessionId?: string): readonly Message[] {
    const where = sessionId === undefined ? '' : 'AND session_id = ?';
    const values: SQLInputValue[] =
      sessionId === undefined ? [boxId, fromSeq, limit] : [boxId, fromSeq, sessionId, limit];
    const sql = `SELECT ${COLUMNS}, raw FROM message WHERE box = ? AND seq >= ? ${where} ORDER BY seq LIMIT ?`;
    const rows: Row[] = this.#prepare(sql).all(...values);
    return rows.map((row) => ({ ...messageOfRow(row), raw: bufferOf(row['raw']) }));
  }

  see(boxId: number, messageId: string, untilMs: number): void {
    this.#run('INSERT OR REPLACE INTO seen (box, message_id, until) VALUES (?, ?, ?)', boxId, messageId, untilMs);
  }

  forget(boxId: number, messageId: string): void {
    this.#run('DELETE FROM seen WHERE box = ? AND message_id = ?', boxId, messageId);
  }

  /** Message ids that a box still knows, oldest first. */
  seen(boxId: number): readonly { readonly messageId: string; readonly untilMs: number }[] {
    const rows: Row[] = this.#prepare('SELECT message_id, until FROM seen WHERE box = ? ORDER BY until').all(boxId);
    return rows.map((row) => ({ messageId: String(row['message_id']), untilMs: Number(row['until']) }));
  }

  /** `null` removes the state. */
  setSessionState(boxId: number, sessionId: string, state: Buffer | null): void {
    if (state === null) this.#run('DELETE FROM session WHERE box = ? AND session_id = ?', boxId, sessionId);
    else this.#run('INSERT OR REPLACE INTO session (box, session_id, state) VALUES (?, ?, ?)', boxId, sessionId, state);
  }

  sessionState(boxId: number, sessionId: string): Buffer | null {
    const row = this.#prepare('SELECT state FROM session WHERE box = ? AND session_id = ?').get(boxId, sessionId);
    return row === undefined ? null : bufferOf(row['state']);
  }

  addRule(boxId: number, name: string, body: string): void {
    this.#run('INSERT OR REPLACE INTO rule (box, name, body) VALUES (?, ?, ?)', boxId, name, body);
  }

  removeRule(boxId: number, name: string): void {
    this.#run('DELETE FROM rule WHERE box = ? AND name = ?', boxId, name);
  }

  /** Rules of a subscription by name. */
  rules(boxId: number): readonly { readonly name: string; readonly body: string }[] {
    const rows: Row[] = this.#prepare('SELECT name, body FROM rule WHERE box = ? ORDER BY name').all(boxId);
    return rows.map((row) => ({ name: String(row['name']), body: String(row['body']) }));
  }

  /** Empties the write-ahead log into the file and closes. */
  close(): void {
    try {
      this.#db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    } catch {
      // No space for it: the log stays and is read with the next start.
    } finally {
      this.#db.close();
    }
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#prepare(sql).run(...values);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#db.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function openDatabase(stateDir: string): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    mkdirSync(stateDir, { recursive: true });
    db = new DatabaseSync(join(stateDir, 'broker.db'), { timeout: LOCK_WAIT_MS });
    prepareDatabase(db);
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof BrokerError) throw error;
    const text = error instanceof Error ? error.message : String(error);
    const code = /locked|busy/.test(text) ? 'STATE_LOCKED' : 'STATE_UNREADABLE';
    throw new BrokerError(code, `the broker's journal in ${stateDir} cannot be opened: ${text}`, error);
  }
}

function prepareDatabase(db: DatabaseSync): void {
  // One broker owns the file: the exclusive lock keeps a second one out and ends with the process, however it ends.
  db.exec('PRAGMA page_size = 8192; PRAGMA locking_mode = EXCLUSIVE');
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > SCHEMA_VERSION) {
    const text = `the broker's journal has version ${version}, this Adit reads up to ${SCHEMA_VERSION}`;
    throw new BrokerError('STATE_NEWER', text);
  }
  // FULL makes every commit reach the disk before it is acknowledged; NORMAL would lose the last ones with the power.
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 2000');
  db.exec('PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY');
  db.exec('BEGIN EXCLUSIVE');
  if (version === 0) db.exec(`${SCHEMA}; PRAGMA user_version = ${SCHEMA_VERSION}`);
  db.exec('COMMIT');
  const pages = Number(db.prepare('PRAGMA page_count').get()?.['page_count']);
  const free = Number(db.prepare('PRAGMA freelist_count').get()?.['freelist_count']);
  if (free > VACUUM_AT_PAGES && free * 2 > pages) db.exec('VACUUM');
}

function messageOfRow(row: Row): Message {
  return {
    seq: Number(row['seq']),
    enqueueSeq: Number(row['enqueue_seq']),
    enqueuedAtMs: Number(row['enqueued_at']),
    dueAtMs: orInfinity(row['due_at']),
    expiresAtMs: orInfinity(row['expires_at']),
    sessionId: typeof row['session_id'] === 'string' ? row['session_id'] : undefined,
    isDurable: row['durable'] === 1,
    priority: typeof row['priority'] === 'number' ? row['priority'] : undefined,
    ttlMs: typeof row['ttl'] === 'number' ? row['ttl'] : undefined,
    notes: bufferOf(row['notes']),
    state: stateOf(row['state']),
    deliveryCount: Number(row['delivery_count']),
    raw: undefined,
    isOut: false,
    isGone: false,
  };
}

function stateOf(value: unknown): MessageState {
  return value === 1 || value === 2 ? value : 0;
}

function orNull(value: number): number | null {
  return value === Infinity ? null : value;
}

function orInfinity(value: unknown): number {
  return typeof value === 'number' ? value : Infinity;
}

function bufferOf(value: unknown): Buffer {
  if (!(value instanceof Uint8Array)) return Buffer.alloc(0);
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}
