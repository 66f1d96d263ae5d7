import { keepsCached } from '../../runtime/core/checkpoint.ts';
import type { Cache, Clock } from '../../runtime/ports.ts';

interface Entry {
  readonly value: string;
  readonly expiresAtMs: number;
}

/** A cache in memory on a test's clock. `isDown` makes every call reject, as a lost connection does. */
export class MemoryCache implements Cache {
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  isDown = false;
  /** Round trips so far. */
  calls = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Entries that have not expired. */
  get size(): number {
    return [...this.#entries.keys()].filter((key) => this.#live(key) !== undefined).length;
  }

  async getMany(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    if (keys.length === 0) return [];
    this.#call();
    return keys.map((key) => this.#live(key)?.value);
  }

  async setMany(entries: readonly (readonly [key: string, value: string])[], ttlMs: number): Promise<void> {
    if (!(ttlMs >= 1)) throw new RangeError(`ttlMs must be 1 or more, got ${ttlMs}`);
    if (entries.length === 0) return;
    this.#call();
    const expiresAtMs = this.#clock.now() + ttlMs;
    for (const [key, value] of entries) {
      if (!keepsCached(this.#live(key)?.value, value)) this.#entries.set(key, { value, expiresAtMs });
    }
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    this.#call();
    for (const key of keys) this.#entries.delete(key);
  }

  /** Forgets everything, as a restart does. */
  clear(): void {
    this.#entries.clear();
  }

  async close(): Promise<void> {
    this.isDown = true;
  }

  #call(): void {
    this.calls += 1;
    if (this.isDown) throw new Error('the cache is down');
  }

  #live(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry !== undefined && entry.expiresAtMs > this.#clock.now() ? entry : undefined;
  }
}
