import type { Confidence, Meter, Prices, PriceTier, RetailName } from './cost.ts';
import { isObject } from './json.ts';

/** A table of prices, or every mistake in it at once. */
export type ReadPrices =
  | { readonly ok: true; readonly prices: Prices }
  | { readonly ok: false; readonly errors: readonly string[] };

const CONFIDENCES: readonly Confidence[] = ['sourced', 'recalled', 'unknown'];
const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*$/;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const DAY_OR_MONTH = /^\d{4}-\d{2}(-\d{2})?$/;
const REGION = /^[a-z][a-z0-9]+$/;

/** Checks parsed JSON: the table is data of people, and a price that is read wrong is a wrong bill. */
export function readPrices(data: unknown): ReadPrices {
  if (!isObject(data))
    return { ok: false, errors: ['prices must be an object, for example { "currency": "USD", ... }'] };
  const errors: string[] = [];
  const { currency, region, reviewedOn, meters } = data;
  if (currency !== 'USD') errors.push(rule('currency', 'USD, because nothing is converted', currency, '"USD"'));
  if (!isText(region, REGION)) errors.push(rule('region', 'the short name of a region', region, '"eastus"'));
  if (!isText(reviewedOn, DAY)) errors.push(rule('reviewedOn', 'a day', reviewedOn, '"2026-11-23"'));
  const list: readonly unknown[] = Array.isArray(meters) ? meters : [];
  if (list.length === 0) errors.push(rule('meters', 'a list of at least one meter', meters, '[{ "id": ... }]'));
  const read = list.map((meter, at) => readMeter(meter, at, errors));
  const ids = read.map((meter) => meter?.id);
  for (const id of ids.filter((id, at) => id !== undefined && ids.indexOf(id) !== at)) {
    errors.push(`meter ${id} must be there once, got it twice`);
  }
  if (errors.length > 0) return { ok: false, errors };
  return {
    ok: true,
    prices: {
      currency: 'USD',
      region: region as string,
      reviewedOn: reviewedOn as string,
      meters: read.filter((meter) => meter !== undefined),
    },
  };
}

function readMeter(data: unknown, at: number, errors: string[]): Meter | undefined {
  if (!isObject(data)) {
    errors.push(rule(`meters[${at}]`, 'an object', data, '{ "id": "servicebus-standard-base", ... }'));
    return undefined;
  }
  const { id, confidence } = data;
  const name = typeof id === 'string' ? `meter ${id}` : `meters[${at}]`;
  const before = errors.length;
  if (!isText(id, KEBAB_CASE)) errors.push(rule(`${name}: id`, 'kebab-case', id, '"redis-managed-b5"'));
  for (const field of ['service', 'sku', 'unit', 'source'] as const) {
    if (!isText(data[field], /./)) errors.push(rule(`${name}: ${field}`, 'a text', data[field], '"Service Bus"'));
  }
  if (!isText(data['date'], DAY_OR_MONTH)) errors.push(rule(`${name}: date`, 'a day', data['date'], '"2026-08-11"'));
  if (!CONFIDENCES.includes(confidence as Confidence)) {
    errors.push(rule(`${name}: confidence`, CONFIDENCES.join(', '), confidence, '"sourced"'));
  }
  errors.push(...freeErrors(name, data['freePerMonth']), ...retailErrors(name, data['retail']));
  errors.push(...tierErrors(name, data['tiers'], confidence));
  if (errors.length > before) return undefined;
  const { freePerMonth, retail } = data;
  return {
    id: id as string,
    service: data['service'] as string,
    sku: data['sku'] as string,
    unit: data['unit'] as string,
    tiers: data['tiers'] as readonly PriceTier[],
    ...(freePerMonth === undefined ? {} : { freePerMonth: freePerMonth as number }),
    source: data['source'] as string,
    date: data['date'] as string,
    confidence: confidence as Confidence,
    ...(retail === undefined ? {} : { retail: retail as RetailName }),
  };
}

function tierErrors(name: string, tiers: unknown, confidence: unknown): readonly string[] {
  const example = '[{ "above": 0, "usd": 0.05 }]';
  if (!Array.isArray(tiers) || tiers.length === 0) return [rule(`${name}: tiers`, 'a list of tiers', tiers, example)];
  const list: readonly unknown[] = tiers;
  const errors: string[] = [];
  let last = -1;
  for (const tier of list) {
    const { above, usd } = isObject(tier) ? tier : {};
    const isRising = isNumber(above) && above > last && (last >= 0 || above === 0);
    if (!isRising) errors.push(rule(`${name}: tiers`, 'rising and begin at 0', above, example));
    if (isNumber(above)) last = above;
    const isKnown = confidence !== 'unknown';
    // An unknown price must not be written as 0, and a figure that is there must not be called unknown.
    if (isKnown ? !isNumber(usd) : usd !== null) {
      const wanted = isKnown ? 'a number of USD from 0' : 'null, because its confidence is unknown';
      errors.push(rule(`${name}: usd`, wanted, usd, isKnown ? '0.05' : 'null'));
    }
  }
  return errors;
}

function freeErrors(name: string, free: unknown): readonly string[] {
  if (free === undefined || (isNumber(free) && free > 0)) return [];
  return [rule(`${name}: freePerMonth`, 'a number above 0, or absent', free, '13')];
}

function retailErrors(name: string, retail: unknown): readonly string[] {
  if (retail === undefined) return [];
  const example = '{ "serviceName": "Service Bus", ..., "units": { "1M": 1 } }';
  if (!isObject(retail)) return [rule(`${name}: retail`, 'an object', retail, example)];
  const texts = ['serviceName', 'productName', 'skuName', 'meterName'] as const;
  const errors = texts
    .filter((field) => !isText(retail[field], /./))
    .map((field) => rule(`${name}: retail.${field}`, 'a text', retail[field], '"Standard"'));
  const { units } = retail;
  const factors: readonly unknown[] = isObject(units) ? Object.values(units) : [];
  const isGood = factors.length > 0 && factors.every((factor) => isNumber(factor) && factor > 0);
  return isGood ? errors : [...errors, rule(`${name}: retail.units`, 'a number above 0 by unit', units, '{ "1M": 1 }')];
}

function rule(name: string, wanted: string, got: unknown, example: string): string {
  return `${name} must be ${wanted}, got ${JSON.stringify(got) ?? 'nothing'}. Example: ${example}`;
}

function isText(value: unknown, form: RegExp): boolean {
  return typeof value === 'string' && form.test(value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0;
}
