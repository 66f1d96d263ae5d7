/** One size of a cache that Azure sells. */
export interface RedisSize {
  /** As a resource says it: `Standard_C3`, `Balanced_B5`. */
  readonly sku: string;
  /** Price of one node. */
  readonly meter: string;
  readonly memoryGb: number;
  /** Nodes that it can have; a Basic cache has one, a Standard one two, a managed one either. */
  readonly nodes: readonly number[];
  /** Fast until its credits are spent: not for a load that lasts. */
  readonly isBurstable: boolean;
  /** Azure Cache for Redis: retires, and only some tenants may still create it. */
  readonly isRetiring: boolean;
  /** Value of `adit:redis` that deploys it; undefined when none does. */
  readonly config?: string;
}

/** Part of the memory that holds data: the rest is kept free for replication and fragmentation (B5: 4.8 of 6 GB). */
export const USABLE_SHARE = 0.8;

/** When Azure Cache for Redis, Basic to Premium, is switched off. */
export const REDIS_RETIRES = '2028-09-30';

const CLASSIC_GB = [0.25, 1, 2.5, 6, 13, 26, 53];

function classic(tier: 'Basic' | 'Standard', nodes: number): readonly RedisSize[] {
  return CLASSIC_GB.map((memoryGb, at) => ({
    sku: `${tier}_C${at}`,
    meter: `redis-${tier.toLowerCase()}-c${at}`,
    memoryGb,
    nodes: [nodes],
    // A shared core (Microsoft, "Azure Cache for Redis planning FAQs").
    isBurstable: at === 0,
    isRetiring: true,
    ...(tier === 'Standard' && at === 3 ? { config: 'standard-c3' } : {}),
  }));
}

function managed(sku: string, memoryGb: number, isBurstable: boolean): RedisSize {
  const size = sku.slice(sku.indexOf('_') + 1).toLowerCase();
  const config = sku.startsWith('Balanced_') ? { config: `managed-${size}` } : {};
  return { sku, meter: `redis-managed-${size}`, memoryGb, nodes: [1, 2], isBurstable, isRetiring: false, ...config };
}

/** Every cache that is compared. Memory as advertised (Microsoft, "Azure Managed Redis" and "Azure Cache for Redis" pricing pages). */
export const REDIS_SIZES: readonly RedisSize[] = [
  managed('Balanced_B0', 0.5, true),
  managed('Balanced_B1', 1, true),
  managed('Balanced_B3', 3, false),
  managed('Balanced_B5', 6, false),
  managed('Balanced_B10', 12, false),
  managed('MemoryOptimized_M10', 12, false),
  ...classic('Basic', 1),
  ...classic('Standard', 2),
  { sku: 'Premium_P1', meter: 'redis-premium-p1', memoryGb: 6, nodes: [2], isBurstable: false, isRetiring: true },
];

/** Share of `bytes` that a cache of this memory holds, 0..1. */
export function cacheShareOf(memoryGb: number, bytes: number): number {
  return bytes <= 0 ? 1 : Math.min(1, (memoryGb * USABLE_SHARE * 1024 ** 3) / bytes);
}
