import type { Redis } from 'ioredis';
import type { Cache } from '../ports.ts';
import { RedisLink, type RedisLinkOptions } from './redis-link.ts';
import { isScriptUnknown, scriptOf } from './redis-script.ts';

/** `keepsCached` of core/checkpoint.ts, for one key. */
const SET_NEWER = scriptOf(`
local held = redis.call('GET', KEYS[1])
if held and #held == #ARGV[1] and held > ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`);

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
      const redis = await link.usable();
      const failure = await setNewer(redis, entries, ttlMs);
      if (failure === undefined) return;
      if (!isScriptUnknown(failure)) throw failure;
      await redis.script('LOAD', SET_NEWER.text);
      const again = await setNewer(redis, entries, ttlMs);
      if (again !== undefined) throw again;
    },
    deleteMany: async (keys) => {
      if (keys.length > 0) await (await link.usable()).del(...keys);
    },
    close: () => Promise.resolve(),
  };
}

/** A key at a time, because the keys of many users lie in many slots. The first error that Redis answered. */
async function setNewer(
  redis: Redis,
  entries: readonly (readonly [key: string, value: string])[],
  ttlMs: number,
): Promise<Error | undefined> {
  const pipeline = redis.pipeline();
  for (const [key, value] of entries) pipeline.evalsha(SET_NEWER.sha, 1, key, value, Math.round(ttlMs));
  const answers = (await pipeline.exec()) ?? [];
  return answers.map(([error]) => error).find((error) => error !== null) ?? undefined;
}
