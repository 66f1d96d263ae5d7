import { describe, expect, test } from 'vitest';
import { readPrices } from '../../runtime/core/cost-table.ts';
import { refreshedPrices, retailFilter, type RetailItem, retailServicesOf } from '../../runtime/core/cost-refresh.ts';
import { meterIn, type Meter, type Prices } from '../../runtime/core/cost.ts';
import { meterOf, PRICES } from '../../runtime/prices.ts';

const GOOD = {
  ...{ id: 'a-meter', service: 'S', sku: 'K', unit: 'u', tiers: [{ above: 0, usd: 1 }] },
  ...{ source: 'a list', date: '2026-08-11', confidence: 'sourced' },
};

function table(...meters: readonly unknown[]): unknown {
  return { currency: 'USD', region: 'eastus', reviewedOn: '2026-11-23', meters };
}

function errorsOf(data: unknown): readonly string[] {
  const read = readPrices(data);
  return read.ok ? [] : read.errors;
}

describe('the committed table', () => {
  test('says of every price where it is from, when, and how sure it is', () => {
    expect(readPrices(JSON.parse(JSON.stringify(PRICES)))).toEqual({ ok: true, prices: PRICES });
    expect(PRICES.meters.length).toBeGreaterThan(60);
    for (const { source, date } of PRICES.meters) expect([source, date]).not.toContain('');
  });

  test('keeps what nobody knows unknown: the price of Balanced B10', () => {
    expect(meterOf('redis-managed-b10')).toMatchObject({ confidence: 'unknown', tiers: [{ above: 0, usd: null }] });
  });

  test('has no meter under a name that it does not have', () => {
    expect(meterOf('redis-managed-b20')).toBeUndefined();
  });
});

describe('a table is refused with name, rule, value and example', () => {
  test.each([
    [
      { ...(table(GOOD) as object), currency: 'EUR' },
      'currency must be USD, because nothing is converted, got "EUR". Example: "USD"',
    ],
    [{ ...(table(GOOD) as object), reviewedOn: 'soon' }, 'reviewedOn must be a day, got "soon". Example: "2026-11-23"'],
    [table(), 'meters must be a list of at least one meter, got []. Example: [{ "id": ... }]'],
    [
      table({ ...GOOD, confidence: 'sure' }),
      'meter a-meter: confidence must be sourced, recalled, unknown, got "sure". Example: "sourced"',
    ],
    [table({ ...GOOD, date: 'August' }), 'meter a-meter: date must be a day, got "August". Example: "2026-08-11"'],
    [
      table({ ...GOOD, tiers: [{ above: 0, usd: -1 }] }),
      'meter a-meter: usd must be a number of USD from 0, got -1. Example: 0.05',
    ],
    [
      table({ ...GOOD, tiers: [{ above: 5, usd: 1 }] }),
      'meter a-meter: tiers must be rising and begin at 0, got 5. Example: [{ "above": 0, "usd": 0.05 }]',
    ],
    [
      table({ ...GOOD, confidence: 'unknown' }),
      'meter a-meter: usd must be null, because its confidence is unknown, got 1. Example: null',
    ],
    [
      table({ ...GOOD, tiers: [{ above: 0, usd: null }] }),
      'meter a-meter: usd must be a number of USD from 0, got null. Example: 0.05',
    ],
    [
      table({ ...GOOD, freePerMonth: 0 }),
      'meter a-meter: freePerMonth must be a number above 0, or absent, got 0. Example: 13',
    ],
    [table(GOOD, GOOD), 'meter a-meter must be there once, got it twice'],
  ])('%#', (data, message) => {
    expect(errorsOf(data)).toEqual([message]);
  });

  test('and all mistakes come at once', () => {
    expect(errorsOf({ currency: 'EUR', region: 'East US', reviewedOn: 1, meters: [7] })).toHaveLength(4);
    expect(errorsOf('nothing')).toHaveLength(1);
    expect(errorsOf(null)).toHaveLength(1);
  });
});

// ---------------------------------------------------------------- answers of the documented shape, made up here

function item(changes: Partial<RetailItem>): RetailItem {
  return {
    ...{ currencyCode: 'USD', armRegionName: 'eastus', type: 'Consumption', tierMinimumUnits: 0, retailPrice: 1 },
    ...{ serviceName: 'Service Bus', productName: 'Service Bus', skuName: 'Standard', meterName: 'Standard Base Unit' },
    ...{ unitOfMeasure: '1/Hour', effectiveStartDate: '2020-01-01T00:00:00Z' },
    ...changes,
  };
}

function tableOf(...ids: readonly string[]): Prices {
  return { ...PRICES, meters: PRICES.meters.filter(({ id }) => ids.includes(id)) };
}

function after(prices: Prices, id: string, items: readonly RetailItem[]): Meter | undefined {
  return meterIn(refreshedPrices(prices, items, '2027-01-02').prices, id);
}

describe('what the API answers', () => {
  test('is asked service by service, and not for primary meters only, because those of Service Bus are not', () => {
    expect(retailServicesOf(tableOf('servicebus-standard-base', 'servicebus-basic-operations'))).toEqual([
      'Service Bus',
    ]);
    const filter = retailFilter('Service Bus', 'eastus');
    expect(filter).toBe("serviceName eq 'Service Bus' and armRegionName eq 'eastus' and priceType eq 'Consumption'");
    expect(filter).not.toContain('isPrimaryMeterRegion');
  });

  test('gives the base unit by the hour and by the month: the hour counts, as 730 of them', () => {
    const prices = tableOf('servicebus-standard-base');
    const items = [item({ unitOfMeasure: '1/Month', retailPrice: 10 }), item({ retailPrice: 0.0134375 })];
    // 0.0134375 x 730 = 9.809375.
    expect(after(prices, 'servicebus-standard-base', items)?.tiers).toEqual([{ above: 0, usd: 9.809375 }]);
    expect(after(prices, 'servicebus-standard-base', items.slice(0, 1))?.tiers).toEqual([{ above: 0, usd: 10 }]);
  });

  test('gives Redis by node and hour', () => {
    const row = item({
      serviceName: 'Redis Cache',
      productName: 'Azure Redis Cache Standard',
      skuName: 'C3',
      meterName: 'C3 Cache Instance',
      unitOfMeasure: '1 Hour',
      retailPrice: 0.225,
    });
    // 0.225 x 730 = 164.25 a node.
    expect(after(tableOf('redis-standard-c3'), 'redis-standard-c3', [row])?.tiers).toEqual([{ above: 0, usd: 164.25 }]);
  });

  test('gives tiers in its own units, with the free ones first or left out', () => {
    const flex = {
      serviceName: 'Functions',
      productName: 'Flex Consumption',
      skuName: 'On Demand',
      meterName: 'On Demand Total Executions',
      unitOfMeasure: '10',
    };
    // 4e-6 per 10 = $0.40 a million; 25,000 x 10 = 0.25 million free.
    const paid = item({ ...flex, retailPrice: 0.000004, tierMinimumUnits: 25_000 });
    for (const items of [[paid], [item({ ...flex, retailPrice: 0 }), paid]]) {
      expect(after(tableOf('functions-flex-executions'), 'functions-flex-executions', items)).toMatchObject({
        freePerMonth: 0.25,
        tiers: [{ above: 0, usd: 0.4 }],
      });
    }
  });

  test('gives the tiers of operations in any order', () => {
    const operations = { meterName: 'Standard Messaging Operations', unitOfMeasure: '1M' };
    const items = [
      item({ ...operations, retailPrice: 0.2, tierMinimumUnits: 2500 }),
      item({ ...operations, retailPrice: 0.8, tierMinimumUnits: 13 }),
      item({ ...operations, retailPrice: 0.5, tierMinimumUnits: 100 }),
      item({ ...operations, retailPrice: 0, tierMinimumUnits: 0 }),
    ];
    const refreshed = refreshedPrices(tableOf('servicebus-standard-operations'), items, '2027-01-02');
    expect(refreshed).toMatchObject({ same: ['servicebus-standard-operations'], changes: [] });
    expect(refreshed.prices.meters[0]).toMatchObject({ date: '2027-01-02', confidence: 'sourced' });
    expect(refreshed.prices.reviewedOn).toBe('2027-01-02');
  });

  test('counts the newest row of a tier, and no reservation, other region or other currency', () => {
    const items = [
      item({ retailPrice: 0.01, effectiveStartDate: '2019-01-01T00:00:00Z' }),
      item({ retailPrice: 0.02, effectiveStartDate: '2026-01-01T00:00:00Z' }),
      item({ retailPrice: 0.03, type: 'Reservation', effectiveStartDate: '2027-01-01T00:00:00Z' }),
      item({ retailPrice: 0.04, armRegionName: 'westeurope', effectiveStartDate: '2027-01-01T00:00:00Z' }),
      item({ retailPrice: 0.05, currencyCode: 'EUR', effectiveStartDate: '2027-01-01T00:00:00Z' }),
    ];
    expect(after(tableOf('servicebus-standard-base'), 'servicebus-standard-base', items)?.tiers).toEqual([
      { above: 0, usd: 14.6 },
    ]);
  });

  test('may lack a meter, such as the classic plan of Functions: its old price, source and date stay', () => {
    const prices = tableOf('functions-consumption-gb-seconds');
    expect(refreshedPrices(prices, [item({})], '2027-01-02')).toMatchObject({
      notFound: ['functions-consumption-gb-seconds'],
      prices: { meters: prices.meters },
    });
  });

  test('tells old, new and per cent, and turns what was unknown into a figure', () => {
    const b10 = item({
      serviceName: 'Redis Cache',
      productName: 'Azure Managed Redis - Balanced',
      skuName: 'B10',
      meterName: 'B10 Cache Instance',
      unitOfMeasure: '1 Hour',
      retailPrice: 0.3,
    });
    const c3 = item({
      serviceName: 'Redis Cache',
      productName: 'Azure Redis Cache Standard',
      skuName: 'C3',
      meterName: 'C3 Cache Instance',
      unitOfMeasure: '1 Hour',
      retailPrice: 0.2475,
    });
    const { changes, prices } = refreshedPrices(
      tableOf('redis-managed-b10', 'redis-standard-c3'),
      [b10, c3],
      '2027-01-02',
    );
    expect(changes.map(({ id, percent }) => [id, percent === null ? null : Math.round(percent)])).toEqual([
      ['redis-standard-c3', 10],
      ['redis-managed-b10', null],
    ]);
    expect(meterIn(prices, 'redis-managed-b10')).toMatchObject({ confidence: 'sourced', tiers: [{ usd: 219 }] });
  });
});
