import { busOperationsOf, instanceSecondsOf, ledgerTransactionsOf, type Traffic, trafficOf } from './cost-traffic.ts';
import { amountText, chargeOf, HOURS_PER_MONTH, meterIn, type Prices, usdText } from './cost.ts';
import { sizeCache } from './sizing-cache.ts';
import type { SizedTier } from './sizing-choice.ts';
import { sizeCompute, sizeListener } from './sizing-compute.ts';
import { sizeMessaging } from './sizing-messaging.ts';
import { resourcesOf } from './sizing-stack.ts';
import { type StackCost, stackCost } from './stack-cost.ts';
import type { Workload } from './workload-fields.ts';

/** Every tier of a stack, sized for a workload. */
export interface Sizes {
  readonly workload: Workload;
  readonly traffic: Traffic;
  /** What the workload means in numbers. */
  readonly arithmetic: readonly string[];
  /** Service Bus, Redis, Functions, listener. */
  readonly tiers: readonly SizedTier[];
  /** Limits that no tier can be bought out of, and what else is worth knowing. */
  readonly notes: readonly string[];
  /** The bill of a stack with the chosen tiers, zone-redundant storage as in prod; undefined when a tier has no choice. */
  readonly stack: StackCost | undefined;
  /** The same with the thrifty choice where a tier has one: it leaves to the ledger what a cache would have to be large for. */
  readonly thriftyStack: StackCost | undefined;
}

/** Requests a second of one storage account (Microsoft, "Scalability and performance targets", 2026). */
const ACCOUNT_REQUESTS_PER_SECOND = 20_000;

/** The cheapest choice of every tier that carries a workload, and what would force the next one. */
export function sizesFor(workload: Workload, prices: Prices): Sizes {
  const traffic = trafficOf(workload);
  const bus = busOperationsOf(workload, traffic, HOURS_PER_MONTH);
  const seconds = instanceSecondsOf(workload, traffic, HOURS_PER_MONTH);
  const tiers = [
    sizeMessaging(workload, traffic, bus, prices),
    sizeCache(workload, traffic, prices),
    sizeCompute(workload, traffic, seconds, prices),
    sizeListener(workload, prices),
  ];
  const thrifty = tiers.map((tier) => ({ ...tier, chosen: tier.thrifty ?? tier.chosen }));
  return {
    ...{ workload, traffic, tiers },
    arithmetic: arithmeticOf(workload, traffic),
    notes: [
      ...ledgerNotes(workload, traffic),
      ...lakeNotes(traffic, prices),
      ...telemetryNotes(workload, traffic, prices),
    ],
    stack: costOf(tiers, workload, prices),
    thriftyStack: costOf(thrifty, workload, prices),
  };
}

function costOf(tiers: readonly SizedTier[], workload: Workload, prices: Prices): StackCost | undefined {
  const resources = resourcesOf(tiers, workload);
  return resources === undefined ? undefined : stackCost(resources, workload, prices);
}

/** The tier with this name. */
export function tierOf(sizes: Sizes, tier: SizedTier['tier']): SizedTier {
  const found = sizes.tiers.find((sized) => sized.tier === tier);
  if (found === undefined) throw new Error(`there is no tier ${tier}`);
  return found;
}

function arithmeticOf(workload: Workload, traffic: Traffic): readonly string[] {
  const { users, dataTypes, firingsPerDay, itemsPerPage, newRatio } = workload;
  return [
    `${amountText(traffic.calls)} calls a month = ${amountText(workload.callsPerDay)} a day x 730 h / 24`,
    `${amountText(traffic.items)} items served x ${newRatio} = ${amountText(traffic.newItems)} new (${itemsPerPage} a page)`,
    `${amountText(traffic.runs)} runs = ${amountText(users)} users x ${dataTypes} data types x ${firingsPerDay} firings a day; ${amountText(traffic.pagesPerRun)} pages each`,
  ];
}

function ledgerNotes(workload: Workload, traffic: Traffic): readonly string[] {
  const { lookUps, claims, runRows, isByItem } = ledgerTransactionsOf(workload, traffic, {
    cacheShare: 1,
    months: 1,
    hours: 0,
  });
  if (traffic.calls === 0) return [];
  const perPage = (lookUps + claims + runRows) / traffic.calls;
  const peak = perPage * traffic.peakPagesPerSecond;
  const kind = isByItem ? 'item by item, because users have more rows than a range read takes' : 'a page at a time';
  const notes = [`ledger: ${amountText(perPage)} requests a page (${kind}), ${amountText(peak)} in the busiest second`];
  if (peak <= ACCOUNT_REQUESTS_PER_SECOND) return notes;
  const times = amountText(peak / ACCOUNT_REQUESTS_PER_SECOND);
  const advice = 'spread the firings, or give the cache a TTL above the time between two firings';
  return [
    ...notes,
    `ledger: that is ${times} times the ${ACCOUNT_REQUESTS_PER_SECOND} of a storage account, so runs take that much longer: ${advice}`,
  ];
}

/** Small objects cost more to move to a cooler tier than they ever save there. */
function lakeNotes(traffic: Traffic, prices: Prices): readonly string[] {
  const hot = firstUsdOf(prices, 'blob-hot-zrs-gb');
  const cool = firstUsdOf(prices, 'blob-cool-zrs-gb');
  const move = firstUsdOf(prices, 'blob-cool-zrs-writes');
  const size = `lake: ${amountText(traffic.envelopes)} objects of ${amountText(traffic.lakeObjectBytes)} B a month`;
  if (hot === null || cool === null || move === null || traffic.envelopes === 0) return [size];
  const saved = traffic.lakeGb * (hot - cool);
  const moved = (traffic.envelopes / 10_000) * move;
  const back = `${amountText(moved / saved)} months`;
  return [
    `${size}; moving a month of them to the cool tier costs ${usdText(moved)} and saves ${usdText(saved)} a month: ${back} to pay back`,
  ];
}

function firstUsdOf(prices: Prices, id: string): number | null {
  return meterIn(prices, id)?.tiers[0]?.usd ?? null;
}

function telemetryNotes(workload: Workload, traffic: Traffic, prices: Prices): readonly string[] {
  const gb = (traffic.calls * workload.telemetryBytesPerCall) / 1024 ** 3;
  const meter = meterIn(prices, 'loganalytics-gb');
  const usd = meter === undefined ? null : chargeOf(meter, gb).usd;
  return [
    `telemetry: ${amountText(traffic.calls)} calls x ${workload.telemetryBytesPerCall} B = ${amountText(gb)} GB, ${usdText(usd)}`,
  ];
}
