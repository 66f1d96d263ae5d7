import type { Cache, DoubtableCache, Rows } from '../ports.ts';

/** What a shared fence stands on. */
export interface SharedFenceOptions {
  readonly cache: Cache;
  /** Table that every process reads; one row of it names the fence that holds. */
  readonly rows: Rows;
  readonly newPrefix: () => string;
  /** Time in ms that only moves forward, from any start: a clock that is set back must not keep an old fence alive. Default: that of the process. */
  readonly now?: () => number;
}

/** Row that names the fence. */
const FENCE_KEY = { partition: 'cache', row: 'fence' } as const;

/** Age at which the row is read again, in ms: for so long a process may still believe in a fence that another has replaced. */
export const FENCE_READ_EVERY_MS = 5000;

/**
 * What is stored behind a fence that this process knows since less than `YOUNG_MS` may be older than what another process, which
 * still believes in the fence before, has told behind that one. So it is believed for `YOUNG_TTL_MS` at most.
 */
const YOUNG_MS = 3 * FENCE_READ_EVERY_MS;
const YOUNG_TTL_MS = 60_000;

/** Rounds for writing the first fence of a stack, which several processes may do at once. */
const FIRST_ATTEMPTS_LIMIT = 5;

/**
 * A cache that several processes share and that may be out of reach for one of them. While it cannot be told of a new version
 * it keeps the old one and would later answer that the old one is still the newest; so whoever cannot tell it raises a new
 * fence, and nothing that was stored before is answered any more: to this process from then on, to the others within
 * `FENCE_READ_EVERY_MS`. On the way from one fence to the next an old version may count as the newest, for a minute at most.
 * When the table cannot be read, calls reject. `close` closes the cache behind it.
 */
export function shareFence(options: SharedFenceOptions): DoubtableCache {
  return new SharedFence(options);
}

class SharedFence implements DoubtableCache {
  readonly #cache: Cache;
  readonly #rows: Rows;
  readonly #newPrefix: () => string;
  readonly #now: () => number;
  #prefix = '';
  #knownSinceMs = 0;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;
  #raising: Promise<void> | undefined;
  /** Writes that failed, and those of them that a fence has been raised for since. */
  #failures = 0;
  #fencedFailures = 0;

  constructor(options: SharedFenceOptions) {
    this.#cache = options.cache;
    this.#rows = options.rows;
    this.#newPrefix = options.newPrefix;
    this.#now = options.now ?? (() => performance.now());
  }

  async getMany(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    const prefix = await this.#current();
    return this.#cache.getMany(keys.map((key) => prefix + key));
  }

  async setMany(entries: readonly (readonly [key: string, value: string])[], ttlMs: number): Promise<void> {
    const prefix = await this.#current();
    const fenced = entries.map(([key, value]) => [prefix + key, value] as const);
    const isYoung = this.#now() - this.#knownSinceMs < YOUNG_MS;
    await this.#told(this.#cache.setMany(fenced, isYoung ? Math.min(ttlMs, YOUNG_TTL_MS) : ttlMs));
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    const prefix = await this.#current();
    await this.#told(this.#cache.deleteMany(keys.map((key) => prefix + key)));
  }

  /** Counts as a write that failed: the next call raises the fence, for everybody. */
  doubt(): void {
    this.#failures += 1;
  }

  async close(): Promise<void> {
    await this.#cache.close();
  }

  async #told(write: Promise<void>): Promise<void> {
    try {
      await write;
    } catch (error) {
      this.#failures += 1;
      await this.#raise();
      throw error;
    }
  }

  /** The fence that holds. A fence that could not be raised is raised first, or nothing is answered. */
  async #current(): Promise<string> {
    if (this.#fencedFailures < this.#failures) await this.#raise();
    if (this.#now() - this.#readAtMs >= FENCE_READ_EVERY_MS) {
      this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
      await this.#reading;
    }
    return this.#prefix;
  }

  async #read(): Promise<void> {
    const readAtMs = this.#now();
    for (let attempt = 0; attempt < FIRST_ATTEMPTS_LIMIT; attempt += 1) {
      const [row] = await this.#rows.read([FENCE_KEY]);
      if (row !== undefined) {
        if (row.value !== this.#prefix) this.#knownSinceMs = this.#now();
        this.#prefix = row.value;
        this.#readAtMs = readAtMs;
        return;
      }
      await this.#rows.write([{ ...FENCE_KEY, value: this.#newPrefix(), ifMatch: 'absent' }]);
    }
    throw new Error('the fence of the cache can be neither read nor written');
  }

  #raise(): Promise<void> {
    this.#raising ??= this.#raiseForAll().finally(() => (this.#raising = undefined));
    return this.#raising;
  }

  /** A write that fails while the row is being written may fail after it was: then it needs a fence of its own. */
  async #raiseForAll(): Promise<void> {
    // Ends, because a call that has failed waits for this, and only calls in flight can fail meanwhile.
    while (this.#fencedFailures < this.#failures) {
      const failures = this.#failures;
      await this.#rows.write([{ ...FENCE_KEY, value: this.#newPrefix(), ifMatch: 'any' }]);
      this.#readAtMs = Number.NEGATIVE_INFINITY;
      this.#fencedFailures = failures;
    }
  }
}
