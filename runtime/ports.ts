import type { CallOutcome, GatedCall, GateVerdict } from './core/gate.ts';

/** The outside world as the engine sees it. One adapter file implements one port; `test/fakes` implements them too. */

/** Time. Only adapters read the real clock. */
export interface Clock {
  /** Epoch, in ms. */
  now(): number;
  /** Resolves after `ms`; rejects with the signal's reason when it is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Chance and identity. */
export interface Random {
  /** 0 <= n < 1. */
  next(): number;
  /** A new UUID, never seeded in production. */
  uuid(): string;
}

/** Hashes for row keys and versions. */
export interface Digest {
  /** Lower-case hexadecimal SHA-256 of the UTF-8 text, first `hexDigits` digits (1..64). */
  sha256(text: string, hexDigits: number): string;
}

// ---------------------------------------------------------------- upstream

/** One HTTP GET. */
export interface UpstreamCall {
  /** Absolute URL with its query. May carry no credential. */
  readonly url: string;
  /** Lower-case names. Carries the user's credential. */
  readonly headers: Readonly<Record<string, string>>;
  /** Proxy of this user, or null for a direct call. */
  readonly proxyUrl: string | null;
  /** Limit of the decoded body, in bytes. */
  readonly maxBytes: number;
  /** Limit of the whole call, headers and body, in ms. */
  readonly timeoutMs: number;
}

/** A whole answer, whatever its status. */
export interface UpstreamAnswer {
  readonly status: number;
  /** Lower-case names; repeated headers joined by ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** The whole decoded body as text. */
  readonly text: string;
  /** The body ended with its connection and its length was not stated: one that is cut looks the same. Default false. */
  readonly mayBeCut?: boolean;
}

/**
 * One HTTP call. Redirects are never followed.
 * @throws Fault `transient` (connection, timeout, cut body, undecodable encoding), `proxy` (no tunnel, and the proxy is to blame),
 * `page-too-large`, or `refused` (a call that can never be sent).
 */
export interface Upstream {
  call(call: UpstreamCall, signal?: AbortSignal): Promise<UpstreamAnswer>;
  close(): Promise<void>;
}

// ---------------------------------------------------------------- bus

/** A message to send. */
export interface OutgoingMessage {
  /** One send intent. Only a byte-equal retry of a send in doubt may reuse it. At most 128 characters. */
  readonly messageId: string;
  readonly body: Uint8Array;
  readonly contentType: string;
  readonly subject?: string;
  /** Names start with a lower-case letter. */
  readonly properties: Readonly<Record<string, string | number | boolean>>;
  readonly sessionId?: string;
  /** Epoch in ms: the message is not delivered before. */
  readonly notBeforeMs?: number;
  /**
   * How long the message may wait unsettled, in ms, at least 1; a queue that dead-letters on expiry then moves it to its dead
   * letters. Default: for as long as the queue keeps messages.
   */
  readonly timeToLiveMs?: number;
}

/** A message as it was received. */
export interface IncomingMessage {
  readonly messageId: string;
  readonly body: Uint8Array;
  readonly contentType: string | undefined;
  readonly subject: string | undefined;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly sessionId: string | undefined;
  /** Earlier deliveries of this message: 0 for the first. */
  readonly deliveryCount: number;
  readonly enqueuedAtMs: number;
}

/** What happens to a message after it was handled. */
export type Settlement =
  | { readonly kind: 'complete' }
  | { readonly kind: 'abandon' }
  | { readonly kind: 'dead-letter'; readonly reason: string; readonly description: string };

/** What a handler decided. `settled` is called once, only after the broker has confirmed the settlement. */
export interface Handled {
  readonly settlement: Settlement;
  readonly settled?: () => void;
}

/**
 * Handles one message. The lock is renewed while it runs; `lock` is aborted when the lock is lost or the consumer stops
 * for good. A handler that throws has its message abandoned.
 */
export type Handler = (message: IncomingMessage, lock: AbortSignal) => Promise<Handled>;

/** How a consumer works. */
export interface ConsumeOptions {
  /** Messages handled at once, 1..500. */
  readonly concurrency: number;
  /** Told about errors that the consumer survives (it reconnects by itself). */
  readonly onError: (error: unknown) => void;
}

/** A running consumer; whoever started it stops it. */
export interface Consumer {
  /** Takes no new message, waits up to `graceMs` for the running handlers and their settlements, then closes. Idempotent. */
  stop(graceMs: number): Promise<void>;
  /** Messages in a handler now. */
  inFlight(): number;
}

/** Message counts of one entity. */
export interface Depth {
  readonly active: number;
  readonly scheduled: number;
  readonly deadLetter: number;
  readonly transferDeadLetter: number;
}

/** The message bus. `entity` is a queue, a topic (send only) or `topic/Subscriptions/name`. */
export interface Bus {
  /** Resolves when the broker has acknowledged every message; batches within the tier's limit. Safe to call at once from many places. */
  send(entity: string, messages: readonly OutgoingMessage[], signal?: AbortSignal): Promise<void>;
  consume(entity: string, options: ConsumeOptions, handler: Handler): Consumer;
  /** Closes everything it opened. Idempotent. */
  close(): Promise<void>;
}

/** Message counts of entities. Costs a billed operation per call on Azure. */
export interface Depths {
  depth(entity: string): Promise<Depth>;
}

/** Looks at dead letters without taking them. */
export interface DeadLetters {
  /** Oldest first, at most `limit`. `path` ends in `/$DeadLetterQueue` or `/$Transfer/$DeadLetterQueue`. */
  peek(path: string, limit: number): AsyncIterable<IncomingMessage>;
  close(): Promise<void>;
}

// ---------------------------------------------------------------- cache

/** A cache tier shared by processes. Every failure is the caller's to survive. */
export interface Cache {
  /** One round trip. `undefined` = not there. @throws when the cache cannot be asked; "not there" and "could not look" differ. */
  getMany(keys: readonly string[]): Promise<readonly (string | undefined)[]>;
  /**
   * One round trip; every entry expires after `ttlMs`. Values begin with the time of what they say: one that is there is kept
   * when it is as long as the new one and greater (`keepsCached`), because processes tell what they know in any order.
   */
  setMany(entries: readonly (readonly [key: string, value: string])[], ttlMs: number): Promise<void>;
  deleteMany(keys: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

/** A cache whose owner may learn that it can no longer be believed. */
export interface DoubtableCache extends Cache {
  /** From now on nothing that was stored before is answered: the server behind it may have lost what it acknowledged. */
  doubt(): void;
}

// ---------------------------------------------------------------- budgets

/** How a call asks for its place among the calls of all processes. Times in ms. */
export interface SharedAsk {
  /** Longest wait for a place, 0..`RESERVE_LIMIT_MS`. */
  readonly reserveMs: number;
  /** How long a probe may take. */
  readonly leaseMs: number;
  /** Calls over this way that were answered since the last ask or outcome. */
  readonly answered: number;
  /** This process has called on its own share since it last asked. */
  readonly isReturning: boolean;
  /** What may have been given away and is not used yet when nothing is remembered, in ms. */
  readonly coldReserveMs: number;
}

/** What all processes together decided. */
export interface SharedAnswer {
  readonly verdict: GateVerdict;
  /** The clock that all share, epoch in ms. */
  readonly nowMs: number;
  /** Until then (by that clock) some processes may still be calling on their own shares, so everybody keeps to his. */
  readonly sharesUntilMs: number;
  /** Since when (by that clock) there is this memory; what was before is forgotten. */
  readonly bornAtMs: number;
}

/**
 * Budgets, stops and breakers that all processes share. One upstream does not touch another. Every failure is the caller's to
 * survive: what was asked may have been taken.
 */
export interface SharedBudgets {
  take(call: GatedCall, ask: SharedAsk): Promise<SharedAnswer>;
  /** `answered`: as in `SharedAsk`, without this call. */
  note(call: GatedCall, outcome: CallOutcome, answered: number): Promise<void>;
  /**
   * The number of this process among the `processes` that there are at most, 0 first; asked again, the same one, kept for `keptMs`.
   * Undefined when all are taken.
   */
  seat(upstream: string, ask: SeatAsk): Promise<number | undefined>;
}

/** Asks for a seat. */
export interface SeatAsk {
  readonly processes: number;
  readonly keptMs: number;
  /** The one that this process has: given again, unless somebody else has it by now. */
  readonly held: number | undefined;
}

// ---------------------------------------------------------------- rows

/** Key of a row. Both parts 1..512 characters of `[A-Za-z0-9._:|-]`, compared as bytes. */
export interface RowKey {
  readonly partition: string;
  readonly row: string;
}

/** A row as it is stored. */
export interface StoredRow extends RowKey {
  /** At most 60,000 UTF-8 bytes. */
  readonly value: string;
  /** Changes with every write; opaque. */
  readonly etag: string;
}

/** One compare-and-set. `ifMatch`: an etag, `'absent'` for insert-only, `'any'` for upsert. `value: null` deletes. */
export interface RowWrite extends RowKey {
  readonly value: string | null;
  readonly ifMatch: string;
}

/** What became of one write. */
export type RowOutcome = { readonly ok: true; readonly etag: string } | { readonly ok: false };

/** One durable table of versioned rows: SQLite at home, Azure Tables in the cloud. A write is durable when its promise resolves. */
export interface Rows {
  /** In the order of `keys`. Reads no other row. */
  read(keys: readonly RowKey[]): Promise<readonly (StoredRow | undefined)[]>;
  /**
   * Writes each row by itself, in the order given. `ok: false` = the condition did not hold and this row is as it was;
   * an adapter may also answer false for a row whose condition holds when another row of its transaction failed:
   * the caller reads again and retries.
   */
  write(writes: readonly RowWrite[]): Promise<readonly RowOutcome[]>;
  /** Rows of one partition in key order, `from` <= row < `to`, at most `limit` of them (default: all). */
  scan(partition: string, range?: { from?: string; to?: string; limit?: number }): AsyncIterable<StoredRow>;
}

/** The durable store, a table per concern. */
export interface Ledger {
  /** Claims and last version of every item. */
  readonly items: Rows;
  /** Envelopes that are in the lake. */
  readonly envelopes: Rows;
  /** One live run per (user, miner). */
  readonly runs: Rows;
  readonly users: Rows;
  readonly control: Rows;
  close(): Promise<void>;
}

// ---------------------------------------------------------------- lake

/** The data lake: immutable objects. Names are `/`-separated segments of `[A-Za-z0-9=._-]`, at most 512 characters. */
export interface Lake {
  /** Stores NDJSON text, compressed with gzip, all or nothing. Writing the same name again with the same text changes nothing. */
  write(name: string, text: string): Promise<void>;
  /**
   * As `write`, but only where there is no object of that name yet; false: there is one, whatever it holds, and it stays. Of many
   * callers at once one hears true at most; none when the answer to the one that wrote was lost.
   */
  create(name: string, text: string): Promise<boolean>;
  /** The text of an object, or `undefined` when there is none. */
  read(name: string): Promise<string | undefined>;
  /** Names that start with `prefix`, in order. */
  list(prefix: string): AsyncIterable<string>;
}

// ---------------------------------------------------------------- meter

/** Counters of this process. Cheap: called for every page. */
export interface Meter {
  count(name: string, value: number, labels?: Readonly<Record<string, string>>): void;
}

// ---------------------------------------------------------------- compression

/** Brotli for envelopes, off the event loop. */
export interface Compression {
  compress(text: string): Promise<Uint8Array>;
  /** @throws Error with code `TOO_LARGE` when the text would pass `maxBytes`, `UNDECODABLE` when the bytes are not Brotli. */
  decompress(bytes: Uint8Array, maxBytes: number): Promise<string>;
}

// ---------------------------------------------------------------- sealing

/** A secret at rest. Everything but the id of its key is base64. */
export interface SealedText {
  readonly keyId: string;
  readonly iv: string;
  /** The encrypted text and its tag. */
  readonly data: string;
}

/**
 * Seals secrets at rest and opens them. What was sealed opens only with the same `associatedData` (whose secret it is), so that
 * a record copied to somebody else's row stays shut.
 */
export interface Sealing {
  /** With the current key. The same text is sealed differently each time. */
  seal(text: string, associatedData: string): Promise<SealedText>;
  /** @throws SealingError `KEY_UNKNOWN` (its key is not here), `SEAL_BROKEN` (changed, or somebody else's). */
  open(sealed: SealedText, associatedData: string): Promise<string>;
}

// ---------------------------------------------------------------- log

/** Lines for people. The adapter takes secrets out of `message` and `fields`, and cuts what is too long. */
export interface Log {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
