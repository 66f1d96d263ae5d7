import {
  odata,
  type TableClient,
  type TableEntityResult,
  type TableServiceClientOptions,
  type TransactionAction,
} from '@azure/data-tables';
import { assertWritable } from '../core/row.ts';
import type { Ledger, RowKey, RowOutcome, Rows, RowWrite, StoredRow } from '../ports.ts';

/** Point reads of one call that run at once. */
const READS_AT_ONCE = 16;

/** Partitions of one call that are written at once. The chunks of one partition follow each other. */
const PARTITIONS_AT_ONCE = 8;

/** Deletes of one chunk that run at once. */
const DELETES_AT_ONCE = 16;

/** An entity group transaction takes 100 rows and 4 MiB ("Performing entity group transactions", learn.microsoft.com, 2026-11). */
const TRANSACTION_LIMIT_ROWS = 100;
const TRANSACTION_LIMIT_BYTES = 3_500_000;

/** Headers and keys of one row in the transaction's body, rounded up. */
const ROW_OVERHEAD_BYTES = 2_500;

/** Each round drops the one row that the service names. Beyond this, the rest is left to the caller, who reads again. */
const CONFLICT_ROUNDS = 8;

/** Azure gives 1,000 rows per page of a query at most. */
const SCAN_PAGE_ROWS = 1_000;

/**
 * One call with all its retries. Without it a silent connection, or a Retry-After of minutes, which the SDK sleeps out without a
 * limit of its own, would hold its caller; beyond it the message goes back to its queue, where waiting costs nothing.
 */
const CALL_LIMIT_MS = 30_000;

/** A string property holds 32 K UTF-16 units, a binary one 64 KiB, which is enough for the 60,000 bytes of the port. */
const STRING_LIMIT_UNITS = 32_000;

/**
 * Retries of the SDK: 429 and 503 with a Retry-After, which it honours; without one 408, 5xx and lost connections, after waits
 * that double. Six tries within about 7 s: a partition that moves to another server is away for seconds. Its own defaults (3
 * retries from 1 s) give up at the same time, but wait a second where a tenth would do (core-rest-pipeline, read 2026-11-28).
 */
const CLIENT_OPTIONS: TableServiceClientOptions = {
  retryOptions: { maxRetries: 5, retryDelayInMs: 200, maxRetryDelayInMs: 5_000 },
};

/** Names of the ledger's tables. A host may prefix them; Azure allows 3 to 63 letters and digits. */
export type LedgerTable = Exclude<keyof Ledger, 'close'>;

/** Where the tables are. */
export interface TableLedgerOptions {
  /** Makes the client of one existing table. `options` carry the retries and must reach the client. Called once per table. */
  readonly tables: (name: LedgerTable, options: TableServiceClientOptions) => TableClient;
}

/**
 * The ledger on Azure Tables. Rows of one call are grouped into transactions per partition.
 * A write whose answer was lost is sent again by the SDK and then meets its own first attempt: `ok: false` may stand for
 * a write that happened, so callers read again. When a call rejects, some of its partitions may have been written.
 * A call rejects with the SDK's `RestError`, with an `AbortError` after 30 s, and with a `RangeError` for a key or value outside
 * the port's limits. `close` has nothing to release.
 */
export function openTableLedger(options: TableLedgerOptions): Ledger {
  const open = (name: LedgerTable): Rows => new TableRows(options.tables(name, CLIENT_OPTIONS));
  return {
    items: open('items'),
    envelopes: open('envelopes'),
    runs: open('runs'),
    users: open('users'),
    control: open('control'),
    close: () => Promise.resolve(),
  };
}

/** How a value is stored: as text (`v`) where possible, so that a storage browser shows it, else as bytes (`b`). */
interface StoredValue {
  readonly v?: string;
  readonly b?: Uint8Array;
}

interface Member {
  readonly index: number;
  readonly write: RowWrite;
}

/** Writes of one partition that may go out together: no row twice. Deletes go alone, see `TableRows.#delete`. */
interface Chunk {
  readonly isDelete: boolean;
  readonly members: Member[];
  readonly rows: Set<string>;
  sizeBytes: number;
}

class TableRows implements Rows {
  readonly #client: TableClient;

  constructor(client: TableClient) {
    this.#client = client;
  }

  async read(keys: readonly RowKey[]): Promise<readonly (StoredRow | undefined)[]> {
    const found = new Array<StoredRow | undefined>(keys.length);
    await eachOf(keys, READS_AT_ONCE, async (key, index) => {
      found[index] = await this.#get(key);
    });
    return found;
  }

  async write(writes: readonly RowWrite[]): Promise<readonly RowOutcome[]> {
    writes.forEach(assertWritable);
    const outcomes: RowOutcome[] = writes.map(() => ({ ok: false }));
    await eachOf(chunksByPartition(writes), PARTITIONS_AT_ONCE, async (chunks) => {
      for (const chunk of chunks)
        await (chunk.isDelete ? this.#deleteAll(chunk, outcomes) : this.#put(chunk, outcomes));
    });
    return outcomes;
  }

  async *scan(
    partition: string,
    range: { from?: string; to?: string; limit?: number } = {},
  ): AsyncGenerator<StoredRow> {
    const { from, to, limit = Number.POSITIVE_INFINITY } = range;
    if (limit <= 0) return;
    const filter = [odata`PartitionKey eq ${partition}`];
    if (from !== undefined) filter.push(odata`RowKey ge ${from}`);
    if (to !== undefined) filter.push(odata`RowKey lt ${to}`);
    let left = limit;
    for await (const page of this.#pages(filter.join(' and '), Math.min(limit, SCAN_PAGE_ROWS))) {
      for (const { rowKey, etag, v, b } of page) {
        if (rowKey === undefined) throw new Error(`a row of partition ${partition} came without its key`);
        yield { partition, row: rowKey, value: textOf({ v, b }), etag };
        left -= 1;
        if (left <= 0) return;
      }
    }
  }

  /** Page by page, each a call with the limit of one. */
  async *#pages(filter: string, maxPageSize: number): AsyncGenerator<readonly TableEntityResult<StoredValue>[]> {
    let continuationToken: string | undefined;
    do {
      const query = { queryOptions: { filter }, ...callLimit() };
      const pages = this.#client.listEntities<StoredValue>(query);
      const settings = { maxPageSize, ...(continuationToken !== undefined && { continuationToken }) };
      const page = await pages.byPage(settings).next();
      if (page.done === true) return;
      yield page.value;
      ({ continuationToken } = page.value);
    } while (continuationToken !== undefined);
  }

  async #get({ partition, row }: RowKey): Promise<StoredRow | undefined> {
    try {
      const { etag, v, b } = await this.#client.getEntity<StoredValue>(partition, row, callLimit());
      return { partition, row, value: textOf({ v, b }), etag };
    } catch (error) {
      if (isRowMissing(error)) return undefined;
      throw error;
    }
  }

  async #put(chunk: Chunk, outcomes: RowOutcome[]): Promise<void> {
    let rest = chunk.members;
    for (let round = 0; round < CONFLICT_ROUNDS && rest.length > 0; round += 1) {
      try {
        const { subResponses } = await this.#client.submitTransaction(rest.map(actionOf), callLimit());
        rest.forEach(({ index, write }, position) => {
          const etag = subResponses[position]?.etag;
          if (etag === undefined) throw new Error(`the service gave no etag for row ${write.row}`);
          outcomes[index] = { ok: true, etag };
        });
        return;
      } catch (error) {
        if (!isConditionFailed(error)) throw error;
        const failed = failedIndexOf(error, rest.length);
        if (failed === undefined) return;
        rest = rest.toSpliced(failed, 1);
      }
    }
  }

  async #deleteAll(chunk: Chunk, outcomes: RowOutcome[]): Promise<void> {
    await eachOf(chunk.members, DELETES_AT_ONCE, async ({ index, write }) => {
      outcomes[index] = await this.#delete(write);
    });
  }

  /** Alone, because data-tables 13.3.2 drops the etag of a delete within a transaction, which would delete any version. */
  async #delete({ partition, row, ifMatch }: RowWrite): Promise<RowOutcome> {
    const isAny = ifMatch === 'any';
    try {
      await this.#client.deleteEntity(partition, row, { etag: isAny ? '*' : ifMatch, ...callLimit() });
      return { ok: true, etag: '' };
    } catch (error) {
      if (isAny && isRowMissing(error)) return { ok: true, etag: '' };
      if (isConditionFailed(error)) return { ok: false };
      throw error;
    }
  }
}

// ---------------------------------------------------------------- chunks

function chunksByPartition(writes: readonly RowWrite[]): readonly (readonly Chunk[])[] {
  const partitions = new Map<string, Chunk[]>();
  writes.forEach((write, index) => {
    const chunks = partitions.get(write.partition) ?? [];
    partitions.set(write.partition, chunks);
    addTo(chunks, { index, write });
  });
  return [...partitions.values()];
}

function addTo(chunks: Chunk[], member: Member): void {
  const { row, value } = member.write;
  const isDelete = value === null;
  const sizeBytes = ROW_OVERHEAD_BYTES + (isDelete ? 0 : bodyBytes(value));
  const last = chunks.at(-1);
  const fits =
    last !== undefined &&
    last.isDelete === isDelete &&
    !last.rows.has(row) &&
    last.members.length < TRANSACTION_LIMIT_ROWS &&
    last.sizeBytes + sizeBytes <= TRANSACTION_LIMIT_BYTES;
  if (!fits) {
    chunks.push({ isDelete, members: [member], rows: new Set([row]), sizeBytes });
    return;
  }
  last.members.push(member);
  last.rows.add(row);
  last.sizeBytes += sizeBytes;
}

/** Size in the request: JSON escapes quotes, and bytes travel as base64. */
function bodyBytes(value: string): number {
  return isText(value) ? Buffer.byteLength(JSON.stringify(value)) : Math.ceil((Buffer.byteLength(value) * 4) / 3);
}

function actionOf({ write: { partition, row, value, ifMatch } }: Member): TransactionAction {
  const entity = { partitionKey: partition, rowKey: row, ...storedOf(value ?? '') };
  if (ifMatch === 'absent') return ['create', entity];
  if (ifMatch === 'any') return ['upsert', entity, 'Replace'];
  return ['update', entity, 'Replace', { etag: ifMatch }];
}

// ---------------------------------------------------------------- values

/** Azurite 3.37.0 refuses a transaction with an unescaped U+2028 or U+2029 in it, and JSON does not escape them. */
const LINE_SEPARATORS = /[\u2028\u2029]/;

function isText(value: string): boolean {
  return value.length <= STRING_LIMIT_UNITS && !LINE_SEPARATORS.test(value);
}

function storedOf(value: string): StoredValue {
  return isText(value) ? { v: value } : { b: Buffer.from(value) };
}

function textOf(stored: { v: string | undefined; b: Uint8Array | undefined }): string {
  return stored.b === undefined ? (stored.v ?? '') : Buffer.from(stored.b).toString();
}

// ---------------------------------------------------------------- answers

interface ServiceError {
  readonly statusCode?: number;
  readonly code?: string;
  readonly message?: string;
}

/** "No such row" is an answer, "no such table" is a fault; both are 404, and the code is in the error or in the body, which the SDK gives as its message. */
function isRowMissing(error: unknown): boolean {
  const { statusCode, code, message = '' } = error as ServiceError;
  return statusCode === 404 && code !== 'TableNotFound' && !message.includes('"TableNotFound"');
}

function isConditionFailed(error: unknown): boolean {
  const { statusCode, code, message = '' } = error as ServiceError;
  if (statusCode === 409) return code === 'EntityAlreadyExists' || message.includes('"EntityAlreadyExists"');
  return statusCode === 412 || isRowMissing(error);
}

/** The service puts the position of the row that failed before its message: "17:The specified entity already exists." */
function failedIndexOf(error: unknown, count: number): number | undefined {
  if (count === 1) return 0;
  const named = /^(\d{1,3}):/.exec((error as ServiceError).message ?? '')?.[1];
  return named !== undefined && Number(named) < count ? Number(named) : undefined;
}

function callLimit(): { abortSignal: AbortSignal } {
  return { abortSignal: AbortSignal.timeout(CALL_LIMIT_MS) };
}

/** Runs `work` on every entry, at most `limit` at once. Waits for all that was started before it rejects. */
async function eachOf<T>(
  entries: readonly T[],
  limit: number,
  work: (entry: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  let hasFailed = false;
  const lane = async (): Promise<void> => {
    while (next < entries.length && !hasFailed) {
      const index = next;
      next += 1;
      try {
        await work(entries[index] as T, index);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(limit, entries.length) }, lane));
  for (const result of ended) if (result.status === 'rejected') throw result.reason;
}
