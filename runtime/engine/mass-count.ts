import { type Backoff, backoffMs } from '../core/backoff.ts';
import { ServiceError } from '../core/failure.ts';
import { prefixEnd, USER_HASH_DIGITS } from '../core/keys.ts';
import { beginCount, completeCount, type CountedCode, type FiringSize } from '../core/mass.ts';
import type { Clock, Digest, Random, RowKey, Rows, RowWrite, StoredRow } from '../ports.ts';

/** What counting works with. */
export interface MassCountDeps {
  /** The control table of the ledger. */
  readonly control: Rows;
  readonly clock: Clock;
  readonly random: Random;
  readonly digest: Digest;
}

/** A user who fell to a counted fault, and the miners whose runs ended by it. */
export interface Fallen {
  readonly userId: string;
  readonly minerNames: readonly string[];
}

/** Rows that the users of one count are spread over, so that no row is written by everybody. */
const SHARDS = Array.from({ length: 16 }, (_, shard) => shard.toString(16));

/** Attempts to change a row that others change too, and the waits between them: chance parts the processes. */
const CHANGE_ATTEMPTS_LIMIT = 30;
const CHANGE_BACKOFF: Backoff = { firstMs: 5, maxMs: 1000, jitter: 1 };

/** An addition to a counter that has not been written yet. */
interface Raise {
  amount: number;
  done: Promise<void>;
}

/** Rows of an old count that one firing deletes per shard. */
const SWEEP_LIMIT = 500;

const CODES: readonly CountedCode[] = ['user-gone', 'token'];

/**
 * Counts the users of one firing that fall to a fault, for all processes together, in the control table: a row per user, no
 * more of them than the limit, and sixteen counters.
 */
export class MassCount {
  readonly #deps: MassCountDeps;
  readonly #waiting = new Map<string, Raise>();
  readonly #turns = new Map<string, Promise<void>>();

  constructor(deps: MassCountDeps) {
    this.#deps = deps;
  }

  /** A firing begins. `isWhole`: it is of every miner, so it has a count of its own. Deletes what older counts left. */
  async begin(upstream: string, firing: { readonly users?: number; readonly isWhole: boolean }): Promise<void> {
    const { clock, random } = this.#deps;
    const next = { countId: random.uuid(), nowMs: clock.now(), users: firing.users, isWhole: firing.isWhole };
    const size = await this.#changeSize(upstream, (before) => beginCount(before, next));
    if (size.countId === next.countId) for (const code of CODES) await this.#sweep(upstream, code, size.countId);
  }

  /** A firing has reached all its users. */
  async complete(upstream: string, users: number): Promise<void> {
    await this.#changeSize(upstream, (before) => completeCount(before ?? this.#first(), users));
  }

  /** From now on everybody is counted anew, after a person has looked. */
  async renew(upstream: string): Promise<void> {
    const { clock, random } = this.#deps;
    const fresh = { countId: random.uuid(), startedAtMs: clock.now() };
    await this.#changeSize(upstream, (before) => ({ ...(before ?? this.#first()), ...fresh }));
  }

  /** The count of the newest firing. */
  async size(upstream: string): Promise<FiringSize> {
    const [row] = await this.#deps.control.read([sizeKey(upstream)]);
    if (row !== undefined) return JSON.parse(row.value) as FiringSize;
    return this.#changeSize(upstream, (before) => before ?? this.#first());
  }

  /** Users that have fallen in a count. */
  async total(upstream: string, code: CountedCode, countId: string): Promise<number> {
    const rows = await this.#deps.control.read(SHARDS.map((shard) => counterKey(upstream, code, countId, shard)));
    return rows.reduce((sum, row) => sum + (row === undefined ? 0 : numberIn(row)), 0);
  }

  /**
   * Records a user and the miner whose run fell, and counts the user when he is new. True: he was. A crash between the two
   * leaves one user uncounted; the other order would count one twice whom two miners miss at once.
   */
  async add(
    upstream: string,
    code: CountedCode,
    countId: string,
    one: { userId: string; minerName: string },
  ): Promise<boolean> {
    const { userId, minerName } = one;
    let isNew = false;
    await this.#change(this.#userKey(upstream, code, countId, userId), (row) => {
      isNew = row === undefined;
      const minerNames = row === undefined ? [] : (JSON.parse(row.value) as Fallen).minerNames;
      if (minerNames.includes(minerName)) return undefined;
      return JSON.stringify({ userId, minerNames: [...minerNames, minerName] } satisfies Fallen);
    });
    if (!isNew) return false;
    await this.#raise(counterKey(upstream, code, countId, this.#hash(userId).charAt(0)));
    return true;
  }

  /** Adds one to a counter. What comes up in this process while the row is being written is added in one go. */
  #raise(key: RowKey): Promise<void> {
    const id = `${key.partition} ${key.row}`;
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) {
      waiting.amount += 1;
      return waiting.done;
    }
    const raise: Raise = { amount: 1, done: Promise.resolve() };
    const before = this.#turns.get(key.partition) ?? Promise.resolve();
    raise.done = before.then(() => {
      this.#waiting.delete(id);
      return this.#change(key, (row) => String((row === undefined ? 0 : numberIn(row)) + raise.amount));
    });
    this.#waiting.set(id, raise);
    // One per partition, of which there are few; whoever waits hears of the error.
    this.#turns.set(
      key.partition,
      raise.done.catch(() => undefined),
    );
    return raise.done;
  }

  /** Everybody who was recorded. */
  async *fallen(upstream: string, code: CountedCode, countId: string): AsyncIterable<Fallen> {
    const from = `${countId}.`;
    for (const shard of SHARDS) {
      const rows = this.#deps.control.scan(partitionOf(upstream, code, shard), { from, to: prefixEnd(from) });
      for await (const row of rows) yield JSON.parse(row.value) as Fallen;
    }
  }

  #first(): FiringSize {
    const { clock, random } = this.#deps;
    return { countId: random.uuid(), startedAtMs: clock.now(), users: 0, isComplete: false };
  }

  async #changeSize(upstream: string, decide: (before: FiringSize | undefined) => FiringSize): Promise<FiringSize> {
    let size: FiringSize | undefined;
    await this.#change(sizeKey(upstream), (row) => {
      const before = row === undefined ? undefined : (JSON.parse(row.value) as FiringSize);
      size = decide(before);
      return size === before ? undefined : JSON.stringify(size);
    });
    if (size === undefined) throw new ServiceError('the size of a firing was not decided');
    return size;
  }

  /** Compare-and-set of one row. `decide` answers undefined when nothing is to be changed. */
  async #change(key: RowKey, decide: (row: StoredRow | undefined) => string | undefined): Promise<void> {
    const { control, clock, random } = this.#deps;
    for (let attempt = 1; attempt <= CHANGE_ATTEMPTS_LIMIT; attempt += 1) {
      const [row] = await control.read([key]);
      const value = decide(row);
      if (value === undefined) return;
      const [outcome] = await control.write([{ ...key, value, ifMatch: row?.etag ?? 'absent' }]);
      if (outcome?.ok === true) return;
      await clock.sleep(backoffMs(CHANGE_BACKOFF, attempt, random.next()));
    }
    throw new ServiceError(`the row ${key.row} changed ${CHANGE_ATTEMPTS_LIMIT} times meanwhile`);
  }

  async #sweep(upstream: string, code: CountedCode, countId: string): Promise<void> {
    const { control } = this.#deps;
    for (const shard of SHARDS) {
      const old: RowWrite[] = [];
      for await (const row of control.scan(partitionOf(upstream, code, shard), { limit: SWEEP_LIMIT })) {
        if (!row.row.startsWith(countId)) old.push({ ...row, value: null, ifMatch: row.etag });
      }
      if (old.length > 0)
        await control.write(old.map(({ partition, row, value, ifMatch }) => ({ partition, row, value, ifMatch })));
    }
  }

  #hash(userId: string): string {
    return this.#deps.digest.sha256(userId, USER_HASH_DIGITS);
  }

  #userKey(upstream: string, code: CountedCode, countId: string, userId: string): RowKey {
    const hash = this.#hash(userId);
    return { partition: partitionOf(upstream, code, hash.charAt(0)), row: `${countId}.${hash}` };
  }
}

function sizeKey(upstream: string): RowKey {
  return { partition: `mass.${upstream}`, row: 'size' };
}

function partitionOf(upstream: string, code: CountedCode, shard: string): string {
  return `mass.${upstream}.${code}.${shard}`;
}

/** Beside the users of its shard, before them in the order of rows. */
function counterKey(upstream: string, code: CountedCode, countId: string, shard: string): RowKey {
  return { partition: partitionOf(upstream, code, shard), row: `${countId}-count` };
}

function numberIn(row: StoredRow): number {
  return Number(row.value);
}
