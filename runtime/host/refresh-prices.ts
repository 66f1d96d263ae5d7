import { Command, CommanderError } from 'commander';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Meter, type Prices, type PriceTier, unitText } from '../core/cost.ts';
import {
  refreshedPrices,
  type RefreshedPrices,
  retailFilter,
  type RetailItem,
  retailServicesOf,
} from '../core/cost-refresh.ts';
import { readPrices } from '../core/cost-table.ts';
import { BadInput, EXIT } from './bad-input.ts';
import { guardProcess, print, STDERR } from './exits.ts';

/** Where `npm run prices` reads, writes and speaks. */
export interface PricesSurroundings {
  /** Path of the table. */
  readonly file: string;
  /** `YYYY-MM-DD`. */
  readonly today: string;
  readonly out: { write(text: string): unknown };
  readonly err: { write(text: string): unknown };
}

interface Flags {
  readonly refresh: boolean;
  readonly dryRun: boolean;
  readonly url: string;
}

/** The public API: no account, no key (Microsoft, "Azure Retail Prices REST API overview", 2026). */
const API_URL = 'https://prices.azure.com/api/retail/prices';

/** Answers of one question: the largest service has about 20,000 rows at 1,000 a page. */
const PAGES_LIMIT = 100;

const ANSWER_LIMIT_MS = 30_000;

/** `npm run prices`. Answers with the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  guardProcess();
  return pricesCommand(args, {
    file: fileURLToPath(new URL('../prices.json', import.meta.url)),
    today: new Date().toISOString().slice(0, 10),
    out: { write: print },
    err: STDERR,
  });
}

/** Prints the table, or renews it from the API. Nothing is written unless the whole of it was read and understood. */
export async function pricesCommand(args: readonly string[], surroundings: PricesSurroundings): Promise<number> {
  try {
    const flags = readFlags(args);
    if (flags === undefined) return EXIT.ok;
    const prices = readTable(surroundings.file);
    if (!flags.refresh) {
      surroundings.out.write(`${tableLines(prices, surroundings.today).join('\n')}\n`);
      return EXIT.ok;
    }
    const refreshed = refreshedPrices(prices, await retailItems(prices, flags.url), surroundings.today);
    surroundings.out.write(`${changeLines(refreshed).join('\n')}\n`);
    if (refreshed.changes.length + refreshed.same.length === 0) {
      throw new BadInput(`${flags.url} has none of the meters, so nothing was written. Next: look at its answer`);
    }
    if (flags.dryRun) surroundings.out.write('Nothing was written. Next: the same command without --dry-run\n');
    else writeTable(surroundings.file, refreshed.prices);
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof BadInput)) throw error;
    surroundings.err.write(`${error.message}\n`);
    return EXIT.badInput;
  }
}

function readFlags(args: readonly string[]): Flags | undefined {
  const command = new Command('npm run prices --')
    .description('Prints the price table: USD, one region, each price with its source, date and confidence.')
    .option('--refresh', 'ask the Azure Retail Prices API, show what changed, and write the table', false)
    .option('--dry-run', 'with --refresh: show what changed and write nothing', false)
    .option('--url <url>', 'another address of the API', API_URL)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ outputError: () => undefined, writeErr: () => undefined });
  try {
    const flags = command.parse([...args], { from: 'user' }).opts<Flags & Record<string, unknown>>();
    const errors: string[] = [];
    if (!URL.canParse(flags.url) || !/^https?:$/.test(new URL(flags.url).protocol)) {
      errors.push(`--url must be an http or https URL, got ${JSON.stringify(flags.url)}. Example: --url ${API_URL}`);
    }
    const alone = (['dryRun', 'url'] as const).filter((name) => command.getOptionValueSource(name) === 'cli');
    if (!flags.refresh && alone.length > 0) {
      errors.push('--dry-run and --url are for --refresh, got none. Example: npm run prices -- --refresh --dry-run');
    }
    if (errors.length > 0) throw new BadInput(errors.join('\n'));
    return flags;
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw new BadInput(`${error.message.replace(/^error: /, '')}\nNext: npm run prices -- --help`, { cause: error });
  }
}

function readTable(file: string): Prices {
  let data: unknown;
  try {
    data = JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new BadInput(`${file} cannot be read as JSON. Next: take it from git again`, { cause });
  }
  const read = readPrices(data);
  if (!read.ok) throw new BadInput(read.errors.map((error) => `${file}: ${error}`).join('\n'));
  return read.prices;
}

/** Whole or not at all: a table that was cut off would be read by nobody. */
function writeTable(file: string, prices: Prices): void {
  const draft = `${file}.new`;
  writeFileSync(draft, `${JSON.stringify(prices, null, 2)}\n`);
  renameSync(draft, file);
}

// ---------------------------------------------------------------- the API

async function retailItems(prices: Prices, url: string): Promise<readonly RetailItem[]> {
  const items: RetailItem[] = [];
  for (const service of retailServicesOf(prices)) {
    const first = new URL(url);
    first.searchParams.set('currencyCode', 'USD');
    first.searchParams.set('$filter', retailFilter(service, prices.region));
    let next: string | null = first.href;
    for (let page = 0; next !== null; page += 1) {
      if (page === PAGES_LIMIT)
        throw new BadInput(`${service} has more than ${PAGES_LIMIT} pages at ${url}; nothing was written`);
      const answer = await retailPage(next);
      items.push(...answer.items);
      next = answer.next;
    }
  }
  return items;
}

async function retailPage(url: string): Promise<{ items: readonly RetailItem[]; next: string | null }> {
  let body: unknown;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    body = await response.json();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new BadInput(`${url} did not answer with prices (${reason}); nothing was written. Next: try again later`, {
      cause,
    });
  }
  const { Items: items, NextPageLink: next } = (body ?? {}) as { Items?: unknown; NextPageLink?: unknown };
  if (!Array.isArray(items) || !items.every(isItem)) {
    throw new BadInput(`${url} answered without a list "Items" of prices; nothing was written`);
  }
  return { items, next: typeof next === 'string' && next !== '' ? next : null };
}

const ITEM_TEXTS = [
  ...(['currencyCode', 'armRegionName', 'serviceName', 'productName', 'skuName'] as const),
  ...(['meterName', 'unitOfMeasure', 'type', 'effectiveStartDate'] as const),
];

function isItem(item: unknown): item is RetailItem {
  if (typeof item !== 'object' || item === null) return false;
  const fields = item as Readonly<Record<string, unknown>>;
  const { retailPrice, tierMinimumUnits } = fields;
  const isPriced = typeof retailPrice === 'number' && typeof tierMinimumUnits === 'number';
  return isPriced && ITEM_TEXTS.every((name) => typeof fields[name] === 'string');
}

// ---------------------------------------------------------------- text

function changeLines({ changes, same, notFound }: RefreshedPrices): readonly string[] {
  return [
    ...changes.map(({ id, unit, before, after, percent }) => {
      const by = percent === null ? '' : ` (${percent > 0 ? '+' : ''}${Number(percent.toPrecision(2))} %)`;
      return `${id}: ${tiersText(before)} -> ${tiersText(after)} per ${unit}${by}`;
    }),
    `${changes.length} changed, ${same.length} are the same, ${notFound.length} were not found and keep their price:`,
    ...notFound.map((id) => `  ${id}`),
  ];
}

function tiersText(tiers: readonly PriceTier[]): string {
  return tiers.map(({ above, usd }) => (above === 0 ? unitText(usd) : `${unitText(usd)} above ${above}`)).join(', ');
}

function tableLines({ currency, region, reviewedOn, meters }: Prices, today: string): readonly string[] {
  const widthOf = (text: (meter: Meter) => string): number => Math.max(...meters.map((meter) => text(meter).length));
  const idWidth = widthOf(({ id }) => id);
  const priceWidth = widthOf(priceText);
  return [
    `${currency}, ${region}, reviewed ${reviewedOn} (${ageText(reviewedOn, today)})`,
    ...meters.map((meter) => {
      const known = `${meter.confidence.padEnd(8)} ${meter.date.padEnd(10)} ${ageText(meter.date, today).padStart(9)}`;
      return `${meter.id.padEnd(idWidth)}  ${priceText(meter).padEnd(priceWidth)}  ${known}  ${meter.source}`;
    }),
  ];
}

function priceText({ tiers, unit, freePerMonth }: Meter): string {
  const free = freePerMonth === undefined ? '' : `, first ${freePerMonth} free`;
  return `${tiersText(tiers)} per ${unit}${free}`;
}

const DAY_MS = 86_400_000;

function ageText(date: string, today: string): string {
  const days = Math.round((Date.parse(today) - Date.parse(date)) / DAY_MS);
  return `${days} ${days === 1 ? 'day' : 'days'}`;
}
