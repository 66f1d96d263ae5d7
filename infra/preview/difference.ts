import type { CostRow } from '../../runtime/core/stack-cost.ts';
import { type Finding, findingKey } from './finding.ts';
import type { PreviewJson } from './tree.ts';
import type { Json, JsonObject } from './wire-value.ts';

/** One input that is not what it was. Undefined: it was, or is, not there. */
export interface ChangedInput {
  /** With dots, for example `sku.name`. */
  readonly path: string;
  readonly before: Json | undefined;
  readonly after: Json | undefined;
}

/** What a resource costs a month, before and after; null: not known, or not there. */
export interface ChangedCost {
  /** `<name> <SKU>`. */
  readonly what: string;
  readonly before: number | null;
  readonly after: number | null;
}

/** What a change does to a stack. */
export interface Difference {
  /** What it is compared with, for people. */
  readonly against: string;
  /** Null: nothing was said about money there. */
  readonly totalBefore: number | null;
  readonly totalAfter: number | null;
  readonly budget: number | null;
  readonly costs: readonly ChangedCost[];
  /** `<type> <name>`. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly { readonly resource: string; readonly inputs: readonly ChangedInput[] }[];
  /** Of the policies: what is said now and was not. */
  readonly newFindings: readonly Finding[];
  /** What was said and is not any more. */
  readonly goneFindings: readonly Finding[];
}

/** Less than this a month is no difference, in USD. */
const NO_DIFFERENCE_USD = 0.005;

/** Compares two previews of a stack. */
export function differenceOf(against: string, before: PreviewJson, after: PreviewJson): Difference {
  const [old, now] = [before, after].map(({ resources }) => new Map(resources.map((one) => [keyOf(one), one.inputs])));
  const [earlier, later] = [old ?? new Map<string, JsonObject>(), now ?? new Map<string, JsonObject>()];
  const oldFindings = new Set((before.findings ?? []).map(findingKey));
  const newFindings = new Set((after.findings ?? []).map(findingKey));
  return {
    against,
    totalBefore: before.monthlyCost?.total ?? null,
    totalAfter: after.monthlyCost?.total ?? null,
    budget: after.monthlyCost?.budget ?? null,
    costs: changedCosts(before.monthlyCost?.rows ?? [], after.monthlyCost?.rows ?? []),
    added: [...later.keys()].filter((key) => !earlier.has(key)),
    removed: [...earlier.keys()].filter((key) => !later.has(key)),
    changed: [...later].flatMap(([resource, inputs]) => {
      const was = earlier.get(resource);
      const changes = was === undefined ? [] : changedInputs(was, inputs, '');
      return changes.length === 0 ? [] : [{ resource, inputs: changes }];
    }),
    newFindings: (after.findings ?? []).filter((finding) => !oldFindings.has(findingKey(finding))),
    goneFindings: (before.findings ?? []).filter((finding) => !newFindings.has(findingKey(finding))),
  };
}

function keyOf({ type, name }: { readonly type: string; readonly name: string }): string {
  return `${type} ${name}`;
}

function changedInputs(before: Json | undefined, after: Json | undefined, path: string): readonly ChangedInput[] {
  if (!isFields(before) || !isFields(after)) {
    return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }];
  }
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted();
  return keys.flatMap((key) => changedInputs(before[key], after[key], path === '' ? key : `${path}.${key}`));
}

function isFields(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** By resource and SKU, because another SKU is another line of the bill. */
function changedCosts(before: readonly CostRow[], after: readonly CostRow[]): readonly ChangedCost[] {
  const [old, now] = [sums(before), sums(after)];
  const whats = [...new Set([...old.keys(), ...now.keys()])];
  return whats
    .map((what) => ({ what, before: old.get(what) ?? null, after: now.get(what) ?? null }))
    .filter((cost) => Math.abs((cost.after ?? 0) - (cost.before ?? 0)) >= NO_DIFFERENCE_USD)
    .toSorted((left, right) => weight(right) - weight(left));
}

function weight({ before, after }: ChangedCost): number {
  return Math.abs((after ?? 0) - (before ?? 0));
}

function sums(rows: readonly CostRow[]): ReadonlyMap<string, number | null> {
  const byWhat = new Map<string, number | null>();
  for (const { resource, sku, usdPerMonth } of rows) {
    const what = `${resource} ${sku}`;
    const sum = byWhat.get(what);
    byWhat.set(what, sum === null || usdPerMonth === null ? null : (sum ?? 0) + usdPerMonth);
  }
  return byWhat;
}
