/** How well a price is known. `unknown` has no figure and is never taken for cheap. */
export type Confidence = 'sourced' | 'recalled' | 'unknown';

/** One step of a price: what a unit costs from `above` units a month on. */
export interface PriceTier {
  /** In units of the meter. The first tier begins at 0. */
  readonly above: number;
  /** USD per unit; null when nobody knows it. */
  readonly usd: number | null;
}

/** How the Azure Retail Prices API names a meter. */
export interface RetailName {
  readonly serviceName: string;
  readonly productName: string;
  readonly skuName: string;
  readonly meterName: string;
  /** Units of the API that make up one of ours, by its `unitOfMeasure`: a price a month is 730 prices an hour. */
  readonly units: Readonly<Record<string, number>>;
}

/** One row of the price table. */
export interface Meter {
  /** Unique, kebab-case, for example `servicebus-standard-operations`. */
  readonly id: string;
  readonly service: string;
  readonly sku: string;
  /** What one unit is, for example `million operations`. */
  readonly unit: string;
  readonly tiers: readonly PriceTier[];
  /** Units a month that cost nothing; they belong to the subscription. Default 0. */
  readonly freePerMonth?: number;
  /** Where the figure was read. */
  readonly source: string;
  /** When it was read or written there, `YYYY-MM-DD` or `YYYY-MM`. */
  readonly date: string;
  readonly confidence: Confidence;
  /** Absent: the API has no such row, or nobody has seen it. */
  readonly retail?: RetailName;
}

/** The price table: one currency, one region, one date of review. */
export interface Prices {
  readonly currency: 'USD';
  /** Short name of the region, for example `eastus`. */
  readonly region: string;
  /** `YYYY-MM-DD`. */
  readonly reviewedOn: string;
  readonly meters: readonly Meter[];
}

/** Azure bills a month as 730 hours. */
export const HOURS_PER_MONTH = 730;

/** Days of such a month: 30.42. */
export const DAYS_PER_MONTH = HOURS_PER_MONTH / 24;

/** Bytes of the gigabyte that Azure bills. */
export const GIB_BYTES = 1024 ** 3;

/** The meter with this id, or undefined. */
export function meterIn(prices: Prices, id: string): Meter | undefined {
  return prices.meters.find((meter) => meter.id === id);
}

/** What a quantity costs, and how that comes about. */
export interface Charge {
  /** Null when a price on the way is unknown. */
  readonly usd: number | null;
  /** What the last unit costs. */
  readonly unitUsd: number | null;
  /** The arithmetic for people, for example `13 free + 87 x $0.8 + 50 x $0.5`. */
  readonly text: string;
}

/** What `quantity` units of a meter cost in a month, free grant and tiers counted. Negative quantities count as 0. */
export function chargeOf(meter: Meter, quantity: number): Charge {
  const free = Math.min(Math.max(quantity, 0), meter.freePerMonth ?? 0);
  const billed = Math.max(quantity, 0) - free;
  const parts: string[] = free > 0 ? [`${amountText(free)} free`] : [];
  let usd: number | null = 0;
  let unitUsd: number | null = meter.tiers[0]?.usd ?? null;
  for (const [at, tier] of meter.tiers.entries()) {
    const end = meter.tiers[at + 1]?.above ?? Number.POSITIVE_INFINITY;
    const inTier = Math.min(billed, end) - tier.above;
    if (inTier <= 0) continue;
    unitUsd = tier.usd;
    usd = usd === null || tier.usd === null ? null : usd + inTier * tier.usd;
    parts.push(tier.usd === 0 ? `${amountText(inTier)} included` : `${amountText(inTier)} x ${unitText(tier.usd)}`);
  }
  return { usd, unitUsd, text: parts.join(' + ') || '0' };
}

/** A quantity for people: 4 significant digits, thousands separated. */
export function amountText(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(4)));
}

/** A unit price for people, all its digits kept; `unknown` for null. */
export function unitText(usd: number | null): string {
  if (usd === null) return 'an unknown price';
  return `$${Number(usd.toPrecision(8)).toLocaleString('en-US', { maximumFractionDigits: 12 })}`;
}

/** An amount of money for people: cents, or more digits below one; `unknown` for null. */
export function usdText(usd: number | null): string {
  if (usd === null) return 'unknown';
  return `$${usd.toLocaleString('en-US', { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}
