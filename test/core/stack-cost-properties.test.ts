import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { stackCost } from '../../runtime/core/stack-cost.ts';
import type { Workload } from '../../runtime/core/workload-fields.ts';
import { DEFAULT_WORKLOAD } from '../../runtime/core/workload.ts';
import { PRICES } from '../../runtime/prices.ts';
import { WHOLE } from './stack-cost-samples.ts';

describe('properties', () => {
  const scaled = (users: number, callsPerUser: number, newRatio: number): Workload => ({
    ...DEFAULT_WORKLOAD,
    ...{ users, callsPerDay: users * callsPerUser, newRatio },
  });
  const load = fc.record({
    users: fc.integer({ min: 1, max: 1_000_000 }),
    more: fc.integer({ min: 0, max: 1_000_000 }),
    callsPerUser: fc.double({ min: 0, max: 50_000, noNaN: true }),
    newRatio: fc.double({ min: 0, max: 1, noNaN: true }),
  });

  test('more users with the same work each never cost less', () => {
    fc.assert(
      fc.property(load, ({ users, more, callsPerUser, newRatio }) => {
        const fewer = stackCost(WHOLE, scaled(users, callsPerUser, newRatio), PRICES).totalUsd;
        const many = stackCost(WHOLE, scaled(users + more, callsPerUser, newRatio), PRICES).totalUsd;
        expect(many).toBeGreaterThanOrEqual(fewer - 1e-6 * fewer);
      }),
      { numRuns: 200, seed: 7 },
    );
  });

  test('no row is ever negative or not a number, and the likely figure lies in its range', () => {
    fc.assert(
      fc.property(load, ({ users, callsPerUser, newRatio }) => {
        for (const row of stackCost(WHOLE, scaled(users, callsPerUser, newRatio), PRICES).rows) {
          expect(row.usdPerMonth).toBeGreaterThanOrEqual(0);
          expect(row.quantity).toBeGreaterThanOrEqual(0);
          expect(row.rangeUsd.lowUsd).toBeLessThanOrEqual(row.usdPerMonth ?? 0);
          expect(row.rangeUsd.highUsd).toBeGreaterThanOrEqual(row.usdPerMonth ?? 0);
        }
      }),
      { numRuns: 100, seed: 7 },
    );
  });

  test('the total is the sum of its rows, per user and per million items follow from it', () => {
    const { rows, totalUsd, perUserUsd, perMillionItemsUsd, perMillionNewItemsUsd } = stackCost(
      WHOLE,
      DEFAULT_WORKLOAD,
      PRICES,
    );
    expect(rows.reduce((sum, { usdPerMonth }) => sum + (usdPerMonth ?? 0), 0)).toBeCloseTo(totalUsd);
    expect(perUserUsd).toBeCloseTo(totalUsd / 500);
    // 2M calls a day x 30.42 days x 100 items = 6,083 million items.
    expect(perMillionItemsUsd).toBeCloseTo(totalUsd / (6_083_333_333 / 1e6));
    expect(perMillionNewItemsUsd).toBeCloseTo(10 * perMillionItemsUsd);
  });

  test('a stack without work costs what stands still', () => {
    const idle = stackCost(WHOLE, { ...DEFAULT_WORKLOAD, callsPerDay: 0 }, PRICES);
    expect(idle.totalUsd).toBeGreaterThan(227.76 + 9.81);
    expect(idle).toMatchObject({ perMillionItemsUsd: 0, isComplete: true });
  });
});
