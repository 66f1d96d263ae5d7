import type { Cache, DoubtableCache } from '../ports.ts';

/**
 * A cache that may outlive its users and be out of reach for a while, as seen by one process that is alone in front of it.
 * Nothing is answered that was not stored since this fence was opened, or since a write failed: while a cache cannot be told
 * of a new version it keeps the old one, and would later answer that the old one is still the newest.
 * `close` closes the cache behind it.
 */
export function fenceCache(cache: Cache, newPrefix: () => string): DoubtableCache {
  return new FencedCache(cache, newPrefix);
}

class FencedCache implements DoubtableCache {
  readonly #cache: Cache;
  readonly #newPrefix: () => string;
  #prefix: string;

  constructor(cache: Cache, newPrefix: () => string) {
    this.#cache = cache;
    this.#newPrefix = newPrefix;
    this.#prefix = newPrefix();
  }

  async getMany(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    return this.#cache.getMany(keys.map((key) => this.#prefix + key));
  }

  async setMany(entries: readonly (readonly [key: string, value: string])[], ttlMs: number): Promise<void> {
    const fenced = entries.map(([key, value]) => [this.#prefix + key, value] as const);
    await this.#told(this.#cache.setMany(fenced, ttlMs));
  }

  async deleteMany(keys: readonly string[]): Promise<void> {
    await this.#told(this.#cache.deleteMany(keys.map((key) => this.#prefix + key)));
  }

  doubt(): void {
    this.#prefix = this.#newPrefix();
  }

  async close(): Promise<void> {
    await this.#cache.close();
  }

  async #told(write: Promise<void>): Promise<void> {
    try {
      await write;
    } catch (error) {
      this.doubt();
      throw error;
    }
  }
}
