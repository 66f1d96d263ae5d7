import { usdText } from '../runtime/core/cost.ts';
import { type CostRow, type StackCost, stackCost } from '../runtime/core/stack-cost.ts';
import { look, plainInputs, UNKNOWN } from './inputs.ts';
import { ADVICE, ALWAYS, type Finding, type Resource, type StackRule, unseen } from './rule.ts';
import type { Stack } from './stack.ts';

/** Days after which a table of prices is old. */
const REVIEW_DAYS = 120;

/** Rows of the bill that a finding about the budget names. */
const ROWS_NAMED = 4;

const DAY_MS = 86_400_000;

/** The last bill and what it was made of: several rules ask for the same one. */
let last: { readonly resources: readonly Resource[]; readonly stack: Stack; readonly cost: StackCost } | undefined;

/** The monthly bill of a stack. */
export function costOf(resources: readonly Resource[], stack: Stack): StackCost {
  if (last?.resources === resources && last.stack === stack) return last.cost;
  const priced = resources.map(({ type, name, inputs }) => ({ type, name, inputs: plainInputs(inputs) }));
  const cost = stackCost(priced, stack.workload, stack.prices);
  last = { resources, stack, cost };
  return cost;
}

function budgetFindings(resources: readonly Resource[], stack: Stack): readonly Finding[] {
  const { budgetUsd } = stack;
  const cost = costOf(resources, stack);
  if (budgetUsd === undefined) return [{ urn: undefined, message: 'the configuration has no adit:monthlyBudgetUsd' }];
  if (cost.totalUsd > budgetUsd) {
    const message = `it costs ${usdText(cost.totalUsd)} a month, the budget is ${usdText(budgetUsd)} (${largest(cost.rows)})`;
    return [{ urn: undefined, message }];
  }
  const later = cost.months[12].totalUsd;
  if (later <= budgetUsd) return [];
  const message = `it will cost ${usdText(later)} in month 12, because what is stored grows; the budget is ${usdText(budgetUsd)}`;
  return [{ urn: undefined, message, level: 'advisory' }];
}

function largest(rows: readonly CostRow[]): string {
  const sorted = rows.toSorted((left, right) => (right.usdPerMonth ?? 0) - (left.usdPerMonth ?? 0));
  return sorted
    .slice(0, ROWS_NAMED)
    .map(({ resource, sku, usdPerMonth }) => `${resource} ${sku} ${usdText(usdPerMonth)}`)
    .join(', ');
}

/** Inputs that decide what a resource costs; one that is not known yet is no missing price. */
const PRICED_PATHS = [
  'sku',
  'sku.name',
  'sku.family',
  'sku.capacity',
  'highAvailability',
  'functionAppConfig.scaleAndConcurrency',
  'functionAppConfig.scaleAndConcurrency.instanceMemoryMB',
];

function priceFindings(resources: readonly Resource[], stack: Stack): readonly Finding[] {
  const { unpriced, missing } = costOf(resources, stack);
  const find = (type: string, name: string): Resource | undefined =>
    resources.find((resource) => resource.type === type && resource.name === name);
  return [
    ...unpriced.map(({ type, name }) => ({
      urn: find(type, name)?.urn,
      message: `nobody has priced ${type}, which is not free`,
    })),
    ...missing.map(({ type, resource: name, meter, why }): Finding => {
      const resource = find(type, name);
      const hidden = PRICED_PATHS.find((path) => resource !== undefined && look(resource.inputs, path) === UNKNOWN);
      if (resource !== undefined && hidden !== undefined) return unseen(resource, hidden);
      return { urn: resource?.urn, message: `${meter} has no price here, which is not 0 (${why})` };
    }),
  ];
}

/** What the stack costs, as far as it is known. */
export const COST_RULES: readonly StackRule[] = [
  {
    kind: 'stack',
    name: 'stack-within-budget',
    area: 'cost',
    level: ALWAYS,
    what: 'The monthly bill of the planned stack is within its budget.',
    reason: 'Article ch. 3, "The Service Bus Bill Shock"; a bill is best known when the change is written.',
    change:
      'Choose a smaller SKU ("npm run adit -- size" names it), correct adit:workload, or raise adit:monthlyBudgetUsd on purpose.',
    check: budgetFindings,
  },
  {
    kind: 'stack',
    name: 'everything-is-priced',
    area: 'cost',
    level: ALWAYS,
    what: 'Every resource has a price, or a reason why it is free.',
    reason: 'Article ch. 3, "The Hidden Costs of Scale"; hidden is what nobody has written down.',
    change: 'Add the meter to runtime/prices.json and the type to runtime/core/stack-cost.ts.',
    check: priceFindings,
  },
  {
    kind: 'stack',
    name: 'prices-are-reviewed',
    area: 'cost',
    level: ADVICE,
    what: `The table of prices was reviewed in the last ${REVIEW_DAYS} days.`,
    reason: "Azure changes prices without asking; several of the article's are wrong today.",
    change: 'Run "npm run prices -- --refresh" and look at the difference.',
    check: (_, { prices, today }) => {
      const days = Math.floor((Date.parse(today) - Date.parse(prices.reviewedOn)) / DAY_MS);
      if (days <= REVIEW_DAYS) return [];
      return [{ urn: undefined, message: `the last review was on ${prices.reviewedOn}, ${days} days ago` }];
    },
  },
];
