import { hash } from 'node:crypto';
import type { Redis } from 'ioredis';

/** A Lua script and the hash that Redis knows it by. */
export interface RedisScript {
  readonly text: string;
  readonly sha: string;
}

/** A script with its hash. */
export function scriptOf(text: string): RedisScript {
  return { text, sha: hash('sha1', text, 'hex') };
}

/** Whether a Redis has never seen the script, because it is new or was flushed. */
export function isScriptUnknown(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOSCRIPT');
}

/** Runs a script by its hash; a Redis that does not know it is given the text once. */
export async function runScript(
  redis: Redis,
  { text, sha }: RedisScript,
  [keys, values]: readonly [keys: readonly string[], values: readonly (string | number)[]],
): Promise<unknown> {
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...values);
  } catch (error) {
    if (!isScriptUnknown(error)) throw error;
    return redis.eval(text, keys.length, ...keys, ...values);
  }
}
