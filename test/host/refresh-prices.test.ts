import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readPrices } from '../../runtime/core/cost-table.ts';
import { meterIn, type Prices } from '../../runtime/core/cost.ts';
import { pricesCommand } from '../../runtime/host/refresh-prices.ts';

// The answers here are made up in the shape that Microsoft documents ("Azure Retail Prices REST API overview"); no test asks
// the real API.

let folder: string;
let file: string;
let server: Server;
let asked: URL[];
let answer: (url: URL) => { readonly status?: number; readonly body: unknown };

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'adit-prices-'));
  file = join(folder, 'prices.json');
  copyFileSync('runtime/prices.json', file);
  asked = [];
  server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', urlOf());
    asked.push(url);
    const { status = 200, body } = answer(url);
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  await new Promise<unknown>((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true });
});

function urlOf(): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/retail/prices`;
}

function row(changes: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return {
    ...{
      currencyCode: 'USD',
      tierMinimumUnits: 0,
      retailPrice: 0.0134375,
      unitPrice: 0.0134375,
      armRegionName: 'eastus',
    },
    ...{
      location: 'US East',
      effectiveStartDate: '2020-01-01T00:00:00Z',
      meterId: 'm',
      meterName: 'Standard Base Unit',
    },
    ...{ productId: 'p', skuId: 's', productName: 'Service Bus', skuName: 'Standard', serviceName: 'Service Bus' },
    ...{ serviceId: 'i', serviceFamily: 'Integration', unitOfMeasure: '1/Hour', type: 'Consumption' },
    ...{ isPrimaryMeterRegion: false, armSkuName: '' },
    ...changes,
  };
}

/** Service Bus on two pages, the second asked for by its link; every other service has nothing. */
function twoPages(url: URL): { readonly body: unknown } {
  const filter = url.searchParams.get('$filter') ?? '';
  const shape = { BillingCurrency: 'USD', CustomerEntityId: 'Default', CustomerEntityType: 'Retail' };
  if (url.searchParams.has('$skip')) {
    const premium = row({
      skuName: 'Premium',
      meterName: 'Premium Messaging Unit',
      unitOfMeasure: '1/Hour',
      retailPrice: 1,
    });
    return { body: { ...shape, Items: [premium], NextPageLink: null, Count: 1 } };
  }
  if (!filter.includes("'Service Bus'")) return { body: { ...shape, Items: [], NextPageLink: null, Count: 0 } };
  const items = [row({}), row({ unitOfMeasure: '1/Month', retailPrice: 9.81 })];
  return { body: { ...shape, Items: items, NextPageLink: `${urlOf()}?$skip=1000`, Count: 2 } };
}

async function run(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const texts = { out: '', err: '' };
  const code = await pricesCommand(args, {
    ...{ file, today: '2027-01-02' },
    out: { write: (text: string) => (texts.out += text) },
    err: { write: (text: string) => (texts.err += text) },
  });
  return { code, ...texts };
}

function stored(): Prices {
  const read = readPrices(JSON.parse(readFileSync(file, 'utf8')));
  if (!read.ok) throw new Error(read.errors.join('\n'));
  return read.prices;
}

describe('npm run prices', () => {
  test('prints every price with its confidence, date, age and source', async () => {
    const { code, out } = await run();
    expect(code).toBe(0);
    expect(out).toContain('USD, eastus, reviewed 2026-11-23 (40 days)');
    expect(out).toMatch(
      /^redis-managed-b5 +\$113\.88 per node-month +sourced +2026-08-11 +144 days +Azure Retail Prices API, eastus2$/m,
    );
    expect(out).toMatch(/^redis-managed-b10 +an unknown price per node-month +unknown /m);
    expect(out).toMatch(/^functions-flex-gb-seconds +\$0\.000026 per GB-second, first 100000 free /m);
  });

  test('--refresh reads every page of every service, shows the difference, and writes the table', async () => {
    answer = twoPages;
    const { code, out } = await run('--refresh', '--url', urlOf());
    expect(code).toBe(0);
    // 0.0134375 x 730 = 9.809375; 1 x 730 = 730.
    expect(out).toContain('servicebus-standard-base: $9.81 -> $9.809375 per namespace-month (-0.0064 %)');
    expect(out).toContain('servicebus-premium-unit: $677.08 -> $730 per messaging unit-month (+7.8 %)');
    expect(out).toContain('were not found and keep their price:\n  servicebus-basic-operations\n');
    expect(meterIn(stored(), 'servicebus-premium-unit')).toMatchObject({
      ...{ tiers: [{ above: 0, usd: 730 }], date: '2027-01-02', confidence: 'sourced' },
      source: 'Azure Retail Prices API, eastus',
    });
    expect(meterIn(stored(), 'redis-managed-b5')).toMatchObject({ date: '2026-08-11' });
    expect(stored().reviewedOn).toBe('2027-01-02');
    expect(existsSync(`${file}.new`)).toBe(false);
    expect(asked[0]?.searchParams.get('currencyCode')).toBe('USD');
    expect(asked.some((url) => url.searchParams.get('$filter')?.startsWith("serviceName eq 'Redis Cache'"))).toBe(true);
  });

  test('a second refresh changes nothing', async () => {
    answer = twoPages;
    await run('--refresh', '--url', urlOf());
    const before = readFileSync(file, 'utf8');
    const { out } = await run('--refresh', '--url', urlOf());
    expect(out).toContain('0 changed, 2 are the same');
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  test('--dry-run shows the difference and writes nothing', async () => {
    answer = twoPages;
    const before = readFileSync(file, 'utf8');
    const { code, out } = await run('--refresh', '--dry-run', '--url', urlOf());
    expect([code, out.includes('Nothing was written')]).toEqual([0, true]);
    expect(readFileSync(file, 'utf8')).toBe(before);
  });
});

describe('nothing is written', () => {
  test.each([
    ['a refusal', { status: 429, body: {} }, 'status 429'],
    ['a body that is no JSON', { body: '<html>' }, 'did not answer with prices'],
    ['a body without items', { body: { Count: 0 } }, 'without a list "Items"'],
    ['an item without a price', { body: { Items: [{ meterName: 'x' }] } }, 'without a list "Items"'],
    [
      'an API without our meters',
      { body: { Items: [row({ skuName: 'Other' })], NextPageLink: null } },
      'has none of the meters',
    ],
  ])('after %s', async (_name, given, message) => {
    answer = () => given;
    const before = readFileSync(file, 'utf8');
    const { code, err } = await run('--refresh', '--url', urlOf());
    expect(code).toBe(2);
    expect(err).toContain(message);
    expect(readFileSync(file, 'utf8')).toBe(before);
  });

  test('after pages without end', async () => {
    answer = () => ({ body: { Items: [row({})], NextPageLink: `${urlOf()}?$skip=1` } });
    const { code, err } = await run('--refresh', '--url', urlOf());
    expect([code, err.includes('more than 100 pages')]).toEqual([2, true]);
  });

  test('when nobody answers', async () => {
    const url = urlOf();
    await new Promise<unknown>((resolve) => server.close(resolve));
    const { code, err } = await run('--refresh', '--url', url);
    expect([code, err.includes('nothing was written. Next: try again later')]).toEqual([2, true]);
  });
});

describe('bad input exits 2 and says what to do', () => {
  test.each([
    [
      ['--refresh', '--url', 'prices'],
      '--url must be an http or https URL, got "prices". Example: --url https://prices.azure.com/api/retail/prices',
    ],
    [['--dry-run'], '--dry-run and --url are for --refresh, got none. Example: npm run prices -- --refresh --dry-run'],
    [['--fresh'], "unknown option '--fresh'"],
  ])('%j', async (args, message) => {
    const { code, err } = await run(...args);
    expect([code, err.includes(message)]).toEqual([2, true]);
  });

  test('a table that is cut off, or in another currency', async () => {
    writeFileSync(file, '{"currency":');
    expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining('cannot be read as JSON') as string });
    writeFileSync(
      file,
      JSON.stringify({ ...JSON.parse(readFileSync('runtime/prices.json', 'utf8')), currency: 'EUR' }),
    );
    expect(await run()).toMatchObject({ code: 2, err: expect.stringContaining('currency must be USD') as string });
  });
});
