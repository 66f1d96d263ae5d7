import type { Meter, Prices, PriceTier } from './cost.ts';

/** One item of the Azure Retail Prices API, as far as it is looked at. */
export interface RetailItem {
  readonly currencyCode: string;
  readonly armRegionName: string;
  readonly serviceName: string;
  readonly productName: string;
  readonly skuName: string;
  readonly meterName: string;
  readonly unitOfMeasure: string;
  readonly retailPrice: number;
  /** From how many units of the API on it counts. */
  readonly tierMinimumUnits: number;
  /** `Consumption`, `Reservation` or `DevTestConsumption`. */
  readonly type: string;
  /** When it became valid, ISO. */
  readonly effectiveStartDate: string;
}

/** What the API says of one meter. */
export interface PriceChange {
  readonly id: string;
  readonly unit: string;
  readonly before: readonly PriceTier[];
  readonly after: readonly PriceTier[];
  /** Largest change of a tier in per cent; null when there was no figure before, or the tiers themselves changed. */
  readonly percent: number | null;
}

/** A table with the prices that the API has, and what changed. */
export interface RefreshedPrices {
  readonly prices: Prices;
  readonly changes: readonly PriceChange[];
  readonly same: readonly string[];
  /** Meters that the API has no row for: they keep their old price, source and date. */
  readonly notFound: readonly string[];
}

/** Services whose prices are asked for. */
export function retailServicesOf(prices: Prices): readonly string[] {
  return [...new Set(prices.meters.flatMap(({ retail }) => (retail === undefined ? [] : [retail.serviceName])))];
}

/** Filter of one service and region. Not by `isPrimaryMeterRegion`, which is false for every Service Bus meter. */
export function retailFilter(serviceName: string, region: string): string {
  return `serviceName eq '${serviceName}' and armRegionName eq '${region}' and priceType eq 'Consumption'`;
}

/** The table with what the API says today. */
export function refreshedPrices(prices: Prices, items: readonly RetailItem[], today: string): RefreshedPrices {
  const changes: PriceChange[] = [];
  const same: string[] = [];
  const notFound: string[] = [];
  const meters = prices.meters.map((meter): Meter => {
    const found = tiersOf(meter, items, prices.region);
    if (found === undefined) {
      notFound.push(meter.id);
      return meter;
    }
    if (isSame(meter.tiers, found.tiers) && (meter.freePerMonth ?? 0) === found.free) same.push(meter.id);
    else changes.push(changeOf(meter, found.tiers));
    return renewed(meter, found, `Azure Retail Prices API, ${prices.region}`, today);
  });
  return { prices: { ...prices, reviewedOn: today, meters }, changes, same, notFound };
}

interface FoundTiers {
  readonly tiers: readonly PriceTier[];
  readonly free: number;
}

/** The rows of a meter in our own unit. An hourly row wins over a monthly one, which is not there in every region. */
function tiersOf(meter: Meter, items: readonly RetailItem[], region: string): FoundTiers | undefined {
  const { retail } = meter;
  if (retail === undefined) return undefined;
  const rows = items.filter(
    (item) =>
      item.currencyCode === 'USD' &&
      item.armRegionName === region &&
      item.type === 'Consumption' &&
      item.serviceName === retail.serviceName &&
      item.productName === retail.productName &&
      item.skuName === retail.skuName &&
      item.meterName === retail.meterName,
  );
  for (const [unit, factor] of Object.entries(retail.units)) {
    const tiers = newestTiers(rows.filter(({ unitOfMeasure }) => unitOfMeasure === unit)).map((row) => ({
      above: rounded(row.tierMinimumUnits / factor),
      usd: rounded(row.retailPrice * factor),
    }));
    if (tiers.length > 0) return withoutFree(tiers, meter);
  }
  return undefined;
}

/** A meter may be listed with an old price and its successor: the newest row of each tier counts. */
function newestTiers(rows: readonly RetailItem[]): readonly RetailItem[] {
  const newest = new Map<number, RetailItem>();
  for (const row of rows) {
    const known = newest.get(row.tierMinimumUnits);
    if (known === undefined || known.effectiveStartDate < row.effectiveStartDate) newest.set(row.tierMinimumUnits, row);
  }
  return [...newest.values()].toSorted((left, right) => left.tierMinimumUnits - right.tierMinimumUnits);
}

/** A free grant is a first tier at 0, or no row below it. Where the API does not show the one that is known, it stays. */
function withoutFree(tiers: readonly PriceTier[], meter: Meter): FoundTiers {
  const first = tiers[0];
  const isGap = first !== undefined && first.above > 0;
  if (meter.freePerMonth === undefined) {
    return { tiers: isGap ? [{ above: 0, usd: 0 }, ...tiers] : tiers, free: 0 };
  }
  const paid = tiers.filter((tier, at) => at > 0 || tier.usd !== 0);
  const start = paid[0]?.above ?? 0;
  if (start === 0) return { tiers: paid.length > 0 ? paid : tiers, free: meter.freePerMonth };
  return { tiers: paid.map(({ above, usd }) => ({ above: rounded(above - start), usd })), free: start };
}

function renewed(meter: Meter, { tiers, free }: FoundTiers, source: string, date: string): Meter {
  const { freePerMonth: _, ...rest } = meter;
  return { ...rest, tiers, ...(free > 0 ? { freePerMonth: free } : {}), source, date, confidence: 'sourced' };
}

function isSame(before: readonly PriceTier[], after: readonly PriceTier[]): boolean {
  return (
    before.length === after.length &&
    before.every(({ above, usd }, at) => after[at]?.above === above && after[at]?.usd === usd)
  );
}

function changeOf({ id, unit, tiers: before }: Meter, after: readonly PriceTier[]): PriceChange {
  const shares = before.map(({ usd, above }, at) => {
    const now = after[at];
    if (now === undefined || now.above !== above || usd === null || now.usd === null) return Number.NaN;
    return usd === 0 ? (now.usd === 0 ? 0 : Number.NaN) : ((now.usd - usd) / usd) * 100;
  });
  const isComparable = before.length === after.length && shares.every(Number.isFinite);
  const percent = isComparable
    ? shares.reduce((most, share) => (Math.abs(share) > Math.abs(most) ? share : most), 0)
    : null;
  return { id, unit, before, after, percent };
}

/** Takes the noise of binary fractions out: 0.0134375 x 730 is 9.809375. */
function rounded(value: number): number {
  return Number(value.toPrecision(10));
}
