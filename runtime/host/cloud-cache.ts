import type { TokenCredential } from '@azure/identity';
import { redisCacheOver } from '../adapters/redis-cache.ts';
import { RedisLink, type RedisLogin } from '../adapters/redis-link.ts';
import { shareFence } from '../adapters/shared-fence.ts';
import { systemRandom } from '../adapters/system.ts';
import type { Cache, Ledger, Log, SharedBudgets } from '../ports.ts';
import type { CloudConfig, RedisPlace } from './cloud-config.ts';
import { policyAdvice } from './redis-advice.ts';
import { knowSecret } from './redaction.ts';
import { entraRedisCredentials } from './redis-login.ts';
import type { Release } from './release.ts';
import { sharedBudgetsOn } from './shared-budgets.ts';

/** What the cache of a cloud is opened with. */
export interface CloudCacheOptions {
  readonly config: CloudConfig;
  readonly ledger: Ledger;
  readonly log: Log;
  readonly credential: TokenCredential;
}

/** Digits of a UUID that tell the fences of a stack apart for as long as facts last. */
const FENCE_DIGITS = 13;

/**
 * Checkpoints in the Redis that all processes share, when there is one; it then holds their budgets too. None in memory: other
 * processes ingest too and cannot tell this one of a new version, so that an item which returns to the version before would be lost.
 */
export function openCloudCache(
  options: CloudCacheOptions,
  releases: Release[],
): { tiers: readonly Cache[]; sharedBudgets?: SharedBudgets; text: string } {
  const { config, ledger, log } = options;
  if (config.redis === undefined) return { tiers: [], text: 'none: the ledger is asked' };
  const link = new RedisLink({
    ...whereIs(config.redis, options),
    commandTimeoutMs: config.settings.cacheTimeoutMs,
    onState: (state, reason) => log.warn('redis', { state, reason }),
    // A Redis that infra made has its policy from infra.
    ...('url' in config.redis && { onPolicy: policyAdvice(log) }),
    onOtherHistory: () => shared.doubt(),
  });
  releases.push(() => link.close());
  const shared = shareFence({
    cache: redisCacheOver(link),
    rows: ledger.control,
    newPrefix: () => `${systemRandom.uuid().slice(0, FENCE_DIGITS)}:`,
  });
  const where = 'url' in config.redis ? 'Redis from REDIS_URL' : `Redis on ${config.redis.host}`;
  return {
    tiers: [shared],
    sharedBudgets: sharedBudgetsOn(link, config.settings),
    text: where,
  };
}

function whereIs(redis: RedisPlace, { credential, log }: CloudCacheOptions): { url: string } | { login: RedisLogin } {
  if ('url' in redis) return redis;
  const source = entraRedisCredentials(credential);
  const credentials: typeof source = async () => {
    const given = await source();
    knowSecret(given.password);
    return given;
  };
  const onRenewalFailed = (reason: string): void => log.warn('redis login not renewed; tried again', { reason });
  return { login: { ...redis, isTls: true, credentials, onRenewalFailed } };
}
