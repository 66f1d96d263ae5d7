import type { Log } from '../ports.ts';

/**
 * Warns of an eviction policy that does not suit a cache whose every key has a time to live: without eviction a full Redis refuses
 * writes, and then every fact in it is given up; with one for all keys it drops what others keep there for good.
 */
export function policyAdvice(log: Log): (policy: string) => void {
  return (policy) => {
    if (policy.startsWith('volatile-')) return;
    log.warn('REDIS_URL: maxmemory-policy should be volatile-lru', {
      policy,
      next: 'redis-cli CONFIG SET maxmemory-policy volatile-lru (and in its configuration)',
    });
  };
}
