import { LRUCache } from 'lru-cache';
import { keepsCached } from '../core/checkpoint.ts';
import type { Cache } from '../ports.ts';

/** The memory tier: at most `entries` values, oldest use goes first. About 170 bytes an entry. */
export function openMemoryCache(options: { readonly entries: number }): Cache {
  if (options.entries === 0) return emptyCache;
  const values = new LRUCache<string, string>({ max: options.entries });
  return {
    getMany: async (keys) => keys.map((key) => values.get(key)),
    setMany: async (entries, ttlMs) => {
      for (const [key, value] of entries) {
        if (!keepsCached(values.get(key), value)) values.set(key, value, { ttl: ttlMs });
      }
    },
    deleteMany: async (keys) => {
      for (const key of keys) values.delete(key);
    },
    close: async () => values.clear(),
  };
}

const emptyCache: Cache = {
  getMany: async (keys) => keys.map(() => undefined),
  setMany: async () => undefined,
  deleteMany: async () => undefined,
  close: async () => undefined,
};
