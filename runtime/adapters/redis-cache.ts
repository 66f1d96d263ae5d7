import type { Cache } from '../ports.ts';
import { RedisLink, type RedisLinkOptions } from './redis-link.ts';

/**
 * The shared cache tier on a Redis of its own connection. Keys are used as given. The caller closes it.
 * @throws RangeError when `commandTimeoutMs` is out of range.
 */
export function openRedisCache(options: RedisLinkOptions): Cache {
  const link = new RedisLink(options);
  return { ...redisCacheOver(link), close: () => link.close() };
}

/** The shared cache tier over a connection that somebody else closes: `close` does nothing. Keys are used as given. */
export function redisCacheOver(link: RedisLink): Cache {
  return {
    getMany: async (keys) => {
      if (keys.length === 0) return [];
      const values = await (await link.usable()).mget(...keys);
      return values.map((value) => value ?? undefined);
    },
    setMany: async (entries, ttlMs) => {
      if (!(ttlMs >= 1)) throw new RangeError(`ttlMs must be 1 or more, got ${ttlMs}`);
      if (entries.length === 0) return;
      const pipeline = (await link.usable()).pipeline();
      for (const [key, value] of entries) pipeline.set(key, value, 'PX', Math.round(ttlMs));
      const answers = await pipeline.exec();
      for (const [error] of answers ?? []) if (error !== null) throw error;
    },
    deleteMany: async (keys) => {
      if (keys.length > 0) await (await link.usable()).del(...keys);
    },
    close: () => Promise.resolve(),
  };
}
