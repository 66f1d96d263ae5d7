import { beforeAll, describe, expect, test } from 'vitest';
import type { StackStage } from '../../infra/stack-config.ts';
import { type StackCost, stackCost } from '../../runtime/core/stack-cost.ts';
import { PRICES } from '../../runtime/prices.ts';
import { sampleConfig } from '../infra/sample-config.ts';
import { runStackProgram } from '../infra/stack-program.ts';

const RUN_LIMIT_MS = 120_000;

const costs = new Map<StackStage, StackCost>();

beforeAll(async () => {
  for (const stage of ['dev', 'prod'] as const) {
    const { resources } = await runStackProgram(stage);
    costs.set(stage, stackCost(resources, sampleConfig(stage).workload, PRICES));
  }
}, RUN_LIMIT_MS);

function costOf(stage: StackStage): StackCost {
  const cost = costs.get(stage);
  if (cost === undefined) throw new Error(`the program of ${stage} did not run`);
  return cost;
}

describe.each(['dev', 'prod'] as const)('the committed stack %s', (stage) => {
  test('has a price or a reason for every resource', () => {
    expect(costOf(stage)).toMatchObject({ isComplete: true, unpriced: [], missing: [] });
  });

  test('fits its budget', () => {
    expect(costOf(stage).totalUsd).toBeLessThanOrEqual(sampleConfig(stage).monthlyBudgetUsd);
  });
});

test("prod's budget is its first month, rounded up to tens", () => {
  expect(sampleConfig('prod').monthlyBudgetUsd).toBe(Math.ceil(costOf('prod').totalUsd / 10) * 10);
});

test('what makes prod dear: the cache, the functions, and the look-ups in the ledger', () => {
  const largest = costOf('prod').rows.toSorted((left, right) => (right.usdPerMonth ?? 0) - (left.usdPerMonth ?? 0));
  expect(largest.slice(0, 3).map(({ meter }) => meter)).toEqual([
    'redis-standard-c3',
    'table-transactions',
    'functions-flex-gb-seconds',
  ]);
});
