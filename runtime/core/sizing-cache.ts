import { cacheShareOf, REDIS_RETIRES, REDIS_SIZES, type RedisSize, USABLE_SHARE } from './cost-redis.ts';
import type { Traffic } from './cost-traffic.ts';
import { amountText, chargeOf, DAYS_PER_MONTH, GIB_BYTES, meterIn, type Prices, usdText } from './cost.ts';
import { type SizeChoice, type SizedTier, sizedTier, timesText } from './sizing-choice.ts';
import { priceOf } from './sizing-messaging.ts';
import type { Workload } from './workload-fields.ts';

/** Share of the time that a burstable cache may be busy before its credits are spent. */
const BURST_SHARE = 0.1;

/** Every cache, by the memory of the checkpoints within their TTL, by nodes, and by how long the load lasts. */
export function sizeCache(workload: Workload, traffic: Traffic, prices: Prices): SizedTier {
  const bytes = traffic.cachedItems * workload.cacheBytesPerItem;
  const isLasting = traffic.busySeconds / (DAYS_PER_MONTH * 86_400) > BURST_SHARE;
  const choices = REDIS_SIZES.flatMap((size) =>
    size.nodes.map((nodes) => choiceOf(size, nodes, { bytes, isLasting, nodesNeeded: workload.redisNodes }, prices)),
  );
  const savedUsd = savedUsdOf(workload, traffic, prices) ?? 0;
  const sized = sizedTier('redis', arithmeticOf(workload, traffic, bytes, prices), choices, (chosen) => {
    const { memoryGb = 0 } = REDIS_SIZES.find(({ sku }) => sku === chosen.sku) ?? {};
    const checkpoints = amountText((memoryGb * USABLE_SHARE * GIB_BYTES) / workload.cacheBytesPerItem);
    return `more than ${checkpoints} checkpoints within their TTL, ${timesText(chosen.headroom)}`;
  });
  const thrifty = thriftyOf(sized.choices, { savedUsd, isLasting, nodesNeeded: workload.redisNodes });
  return thrifty === undefined ? sized : { ...sized, thrifty };
}

/** What a cache does not hold, the ledger answers for money: the choice for which both together cost least. */
function thriftyOf(
  choices: readonly SizeChoice[],
  { savedUsd, isLasting, nodesNeeded }: { savedUsd: number; isLasting: boolean; nodesNeeded: number },
): SizeChoice | undefined {
  const isBurstable = (sku: string): boolean => REDIS_SIZES.some((size) => size.sku === sku && size.isBurstable);
  const usable = choices.filter(({ sku, capacity }) => capacity >= nodesNeeded && !(isLasting && isBurstable(sku)));
  const sumOf = ({ usdPerMonth, headroom }: SizeChoice): number =>
    usdPerMonth === null ? Number.POSITIVE_INFINITY : usdPerMonth + savedUsd * (1 - Math.min(1, headroom));
  const best = usable.toSorted((left, right) => sumOf(left) - sumOf(right))[0];
  return best === undefined || sumOf(best) === Number.POSITIVE_INFINITY ? undefined : best;
}

/** What the ledger would charge for everything that a cache of any size can answer. */
function savedUsdOf(workload: Workload, traffic: Traffic, prices: Prices): number | null {
  const meter = meterIn(prices, 'table-transactions');
  const answers = traffic.seenItems * workload.cachedSeenRatio;
  return meter === undefined ? null : chargeOf(meter, answers / 10_000).usd;
}

interface CacheNeed {
  readonly bytes: number;
  readonly isLasting: boolean;
  readonly nodesNeeded: number;
}

function choiceOf(size: RedisSize, nodes: number, need: CacheNeed, prices: Prices): SizeChoice {
  const { sku, memoryGb, config } = size;
  const headroom = need.bytes === 0 ? Number.MAX_SAFE_INTEGER : (memoryGb * USABLE_SHARE * GIB_BYTES) / need.bytes;
  const share = cacheShareOf(memoryGb, need.bytes);
  const lacks = [
    ...(share < 1 ? [`holds ${amountText(share * 100)} % of the checkpoints`] : []),
    ...(nodes < need.nodesNeeded ? ['one node'] : []),
    ...(size.isBurstable && need.isLasting ? ['burstable, and the load lasts'] : []),
  ];
  const note = size.isRetiring ? `retires ${REDIS_RETIRES}, and a new tenant cannot create it` : 'fits';
  return {
    name: `${sku.replace('_', ' ')}, ${memoryGb} GB, ${nodes} ${nodes === 1 ? 'node' : 'nodes'}`,
    ...{ sku, capacity: nodes, headroom, carries: lacks.length === 0 },
    ...(config === undefined ? {} : { config: `adit:redis: ${config}` }),
    ...priceOf(prices, [[size.meter, nodes]]),
    why: lacks.length === 0 ? note : lacks.join(', '),
  };
}

function arithmeticOf(workload: Workload, traffic: Traffic, bytes: number, prices: Prices): readonly string[] {
  const { cacheBytesPerItem, firingsPerDay, cachedFirings, cachedSeenRatio, redisNodes } = workload;
  const perFiring = traffic.items / (firingsPerDay * DAYS_PER_MONTH);
  const answers = traffic.seenItems * cachedSeenRatio;
  const saved = savedUsdOf(workload, traffic, prices);
  return [
    `checkpoints: ${amountText(perFiring)} items a firing, and what is new in ${amountText(cachedFirings - 1)} more within the TTL = ${amountText(traffic.cachedItems)}`,
    `memory: ${amountText(traffic.cachedItems)} x ${cacheBytesPerItem} B = ${amountText(bytes / GIB_BYTES)} GB,` +
      ` of which a cache uses ${USABLE_SHARE * 100} %: ${amountText(bytes / GIB_BYTES / USABLE_SHARE)} GB; ${redisNodes} ${redisNodes === 1 ? 'node' : 'nodes'}`,
    `busiest second: ${amountText(traffic.peakPagesPerSecond)} MGET of ${workload.itemsPerPage} keys`,
    `what it saves: ${amountText(answers)} reads of the ledger a month, ${usdText(saved)}; what it does not hold, the ledger answers`,
  ];
}
