import { amountText, unitText, usdText } from '../../runtime/core/cost.ts';
import { type CostRow, type StackCost, stackCost } from '../../runtime/core/stack-cost.ts';
import { DEFAULT_WORKLOAD, readWorkload } from '../../runtime/core/workload.ts';
import type { Workload } from '../../runtime/core/workload-fields.ts';
import { PRICES } from '../../runtime/prices.ts';
import { ProgramFault } from './program-fault.ts';
import type { JsonObject } from './wire-value.ts';

/** A resource as far as its price is concerned. */
type Priced = { readonly type: string; readonly name: string; readonly inputs: JsonObject };

/** What `--json` prints about money, in USD. */
export interface MonthlyCost extends Omit<StackCost, 'totalUsd' | 'free'> {
  /** Of the first full month; rows without a price are not in it. */
  readonly total: number;
  /** Null: the configuration names none. */
  readonly budget: number | null;
  /** The same stack with Azure Managed Redis in the place of Azure Cache for Redis; null where it has none. */
  readonly withManagedRedis: number | null;
  /** What the article's bill would need; null for a stack that costs no more than that. */
  readonly articleBill: ArticleBill | null;
}

/** The way down to the monthly bill that the article reports. */
interface ArticleBill {
  readonly usd: number;
  /** The same stack with the smallest cache of two nodes. */
  readonly withSmallestCache: number;
  /** Calls a day that this stack could then make for `usd`; 0 when even none would do. */
  readonly callsPerDay: number;
  /** Calls a day that its workload has. */
  readonly ofCallsPerDay: number;
}

/** Article, "Final Production Statistics": what its pipeline costs a month, all of Azure. */
const ARTICLE_USD = 400;

/**
 * What a stack costs a month, from its resources and its configuration.
 * @throws ProgramFault when its workload cannot be read.
 */
export function monthlyCostOf(resources: readonly Priced[], config: Readonly<Record<string, string>>): MonthlyCost {
  const workload = workloadOf(config['adit:workload']);
  const { totalUsd, free: _, ...cost } = stackCost(resources, workload, PRICES);
  const other = resources.map(inManagedRedis);
  const isSame = other.every((resource, at) => resource === resources[at]);
  const budget = Number(config['adit:monthlyBudgetUsd']);
  return {
    total: totalUsd,
    budget: budget > 0 ? budget : null,
    withManagedRedis: isSame ? null : stackCost(other, workload, PRICES).totalUsd,
    articleBill: totalUsd <= ARTICLE_USD ? null : articleBillOf(resources.map(inSmallestRedis), workload),
    ...cost,
  };
}

function workloadOf(text: string | undefined): Workload {
  if (text === undefined || text === '') return DEFAULT_WORKLOAD;
  const given = Object.entries(JSON.parse(text) as JsonObject).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  const read = readWorkload(Object.fromEntries(given) as Readonly<Record<string, string>>, 'key');
  if (!read.ok) throw new ProgramFault('refused', read.errors.join('\n'));
  return read.workload;
}

/** Standard C3 and Balanced B5 with two nodes hold the same 6 GB (Microsoft's own mapping, amr-migration-skill, 2026-05). */
function inManagedRedis(resource: Priced): Priced {
  const sku = resource.inputs['sku'];
  const isC3 = typeof sku === 'object' && sku !== null && !Array.isArray(sku) && (sku as JsonObject)['capacity'] === 3;
  if (resource.type !== 'azure-native:redis:Redis' || !isC3) return resource;
  const inputs = { sku: { name: 'Balanced_B5' }, highAvailability: 'Enabled' };
  return { type: 'azure-native:redisenterprise:RedisEnterprise', name: resource.name, inputs };
}

/** The smallest cache that has two nodes; what it does not hold, the ledger answers. */
function inSmallestRedis(resource: Priced): Priced {
  if (!['azure-native:redis:Redis', 'azure-native:redisenterprise:RedisEnterprise'].includes(resource.type))
    return resource;
  const inputs = { sku: { name: 'Balanced_B0' }, highAvailability: 'Enabled' };
  return { type: 'azure-native:redisenterprise:RedisEnterprise', name: resource.name, inputs };
}

/** By bisection: more calls never cost less. */
function articleBillOf(resources: readonly Priced[], workload: Workload): ArticleBill {
  const usdFor = (callsPerDay: number): number => stackCost(resources, { ...workload, callsPerDay }, PRICES).totalUsd;
  const withSmallestCache = usdFor(workload.callsPerDay);
  let [fits, tooMany] = [0, workload.callsPerDay + 1];
  while (tooMany - fits > 1) {
    const middle = Math.floor((fits + tooMany) / 2);
    if (usdFor(middle) <= ARTICLE_USD) fits = middle;
    else tooMany = middle;
  }
  return { usd: ARTICLE_USD, withSmallestCache, callsPerDay: fits, ofCallsPerDay: workload.callsPerDay };
}

/** Rows of one meter and SKU on one line: thirteen alerts are one thing to pay for. */
interface CostLine {
  readonly resource: string;
  readonly sku: string;
  readonly unitPrice: string;
  readonly quantity: string;
  readonly usd: string;
  readonly why: string;
  readonly order: number;
}

const HEADING: Omit<CostLine, 'order'> = {
  resource: 'resource',
  sku: 'SKU',
  unitPrice: 'unit price',
  quantity: 'quantity',
  usd: 'USD/month',
  why: 'why',
};

/** The bill as lines: what costs most first, then the total against the budget. */
export function costLines(cost: MonthlyCost): readonly string[] {
  const groups = [...Map.groupBy(cost.rows, ({ resource, type, sku, meter }) => groupKey(resource, type, sku, meter))];
  const lines = groups.map(([, rows]) => lineOf(rows)).toSorted((left, right) => right.order - left.order);
  const chars = (column: keyof typeof HEADING): number =>
    Math.max(...[HEADING, ...lines].map((line) => line[column].length));
  const laidOut = [HEADING, ...lines].map(({ resource, sku, unitPrice, quantity, usd, why }) =>
    [
      `  ${resource.padEnd(chars('resource'))}`,
      sku.padEnd(chars('sku')),
      unitPrice.padEnd(chars('unitPrice')),
      quantity.padStart(chars('quantity')),
      usd.padStart(chars('usd')),
      why,
    ].join('  '),
  );
  return [
    `monthly cost, USD, ${cost.region} (prices of ${cost.pricesReviewedOn}; ~ = from memory)`,
    ...laidOut,
    ...totalLines(cost),
  ];
}

/** Resources of a type that is only ever paid in pieces stand together. */
function groupKey(resource: string, type: string, sku: string, meter: string): string {
  return type.endsWith(':MetricAlert')
    ? JSON.stringify([type, sku, meter])
    : JSON.stringify([resource, type, sku, meter]);
}

function lineOf(rows: readonly CostRow[]): CostLine {
  const [first] = rows;
  if (first === undefined) throw new Error('a line of the bill has a row');
  const known = rows.every(({ usdPerMonth }) => usdPerMonth !== null);
  const usd = rows.reduce((sum, row) => sum + (row.usdPerMonth ?? 0), 0);
  const quantity = rows.reduce((sum, row) => sum + (row.quantity ?? 0), 0);
  const mark = first.confidence === 'recalled' ? '~' : '';
  return {
    resource: rows.length === 1 ? first.resource : `${rows.length} alerts`,
    sku: first.sku,
    unitPrice: `${mark}${unitText(first.unitPriceUsd)} / ${first.unit}`,
    quantity: first.quantity === null ? 'unknown' : amountText(quantity),
    usd: known ? usdText(usd) : 'unknown',
    why: rows.length === 1 ? first.why : `${amountText(quantity)} time series`,
    order: known ? usd : Number.POSITIVE_INFINITY,
  };
}

function totalLines(cost: MonthlyCost): readonly string[] {
  const { total, budget, rangeUsd, months, perUserUsd, perMillionItemsUsd, perMillionNewItemsUsd } = cost;
  const left = budget === null ? 'no budget' : `budget ${usdText(budget)}, ${leftText(budget - total)}`;
  return [
    `  total ${usdText(total)} (${usdText(rangeUsd.lowUsd)} to ${usdText(rangeUsd.highUsd)}, as the assumptions go); ${left}`,
    `  ${usdText(perUserUsd)} per user, ${usdText(perMillionItemsUsd)} per 1M items, ${usdText(perMillionNewItemsUsd)} per 1M new items`,
    `  month 12: ${usdText(months[12].totalUsd)}, month 24: ${usdText(months[24].totalUsd)}`,
    ...(cost.withManagedRedis === null
      ? []
      : [`  with adit:redis: managed-b5 it would be ${usdText(cost.withManagedRedis)}`]),
    ...articleLines(cost.articleBill),
    ...cost.unpriced.map(({ type, name }) => `  unpriced, and not free: ${type} ${name}`),
    ...cost.missing.map(({ meter, resource }) => `  no price: ${meter} of ${resource}`),
    ...cost.assumptions.map((assumption) => `  assumed: ${assumption}`),
  ];
}

function articleLines(bill: ArticleBill | null): readonly string[] {
  if (bill === null) return [];
  const { usd, withSmallestCache, callsPerDay, ofCallsPerDay } = bill;
  return [
    `  the article's ${usdText(usd)} would need the smallest cache with two nodes (${usdText(withSmallestCache)} with it) and ${amountText(callsPerDay)} calls a day, not ${amountText(ofCallsPerDay)}`,
  ];
}

function leftText(usd: number): string {
  return usd < 0 ? `${usdText(-usd)} too much` : `${usdText(usd)} left`;
}
