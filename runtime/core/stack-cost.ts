import { chargeOf, type Confidence, meterIn, type Prices, unitText } from './cost.ts';
import { actionGroupUsage, logAlertUsage, metricAlertUsage, workspaceUsage } from './stack-cost-monitor.ts';
import { type CostResource, type CostScene, sceneOf, type Usage } from './stack-cost-plan.ts';
import {
  appUsage,
  containerAppUsage,
  managedRedisUsage,
  namespaceUsage,
  planUsage,
  redisUsage,
  vaultUsage,
} from './stack-cost-services.ts';
import { accountUsage } from './stack-cost-storage.ts';
import type { Workload } from './workload-fields.ts';
import { assumptionsOf, variantOf } from './workload.ts';

/** One line of a bill. */
export interface CostRow {
  /** Name of the resource in the program. */
  readonly resource: string;
  /** Its token, for example `azure-native:servicebus:Namespace`. */
  readonly type: string;
  readonly sku: string;
  /** Id of the meter in the price table. */
  readonly meter: string;
  /** What is counted, for example `million operations`. */
  readonly unit: string;
  /** What the last unit costs; null when nobody knows. */
  readonly unitPriceUsd: number | null;
  /** In units; null when the inputs do not say. */
  readonly quantity: number | null;
  /** The arithmetic: what makes the quantity, and what the tiers make of it. */
  readonly why: string;
  /** Null is not 0: the price or the quantity is missing. */
  readonly usdPerMonth: number | null;
  /** The same with every assumption at its cheapest and its dearest. */
  readonly rangeUsd: CostRange;
  readonly confidence: Confidence;
}

/** The smallest and the largest that the assumptions allow. */
export interface CostRange {
  readonly lowUsd: number;
  readonly highUsd: number;
}

/** What a whole month costs. Rows without a price are not in it. */
export interface MonthCost extends CostRange {
  readonly totalUsd: number;
}

/** A type of which every resource is free, and why. */
export interface FreeType {
  readonly type: string;
  readonly count: number;
  readonly reason: string;
}

/** The bill of a planned stack. */
export interface StackCost {
  readonly currency: 'USD';
  readonly region: string;
  /** When the price table was reviewed, `YYYY-MM-DD`. */
  readonly pricesReviewedOn: string;
  readonly rows: readonly CostRow[];
  /** Of month 1, the first full month; storage grows from there. Rows without a price are not in it. */
  readonly totalUsd: number;
  readonly rangeUsd: CostRange;
  readonly perUserUsd: number;
  /** Per million items that the upstream serves. */
  readonly perMillionItemsUsd: number;
  /** Per million items that are new in the lake. */
  readonly perMillionNewItemsUsd: number;
  readonly months: { readonly 1: MonthCost; readonly 12: MonthCost; readonly 24: MonthCost };
  readonly free: readonly FreeType[];
  /** Resources whose type nobody priced: never free. */
  readonly unpriced: readonly Pick<CostResource, 'type' | 'name'>[];
  /** Rows whose meter has no price, or whose quantity cannot be seen. */
  readonly missing: readonly Pick<CostRow, 'resource' | 'type' | 'sku' | 'meter' | 'why'>[];
  /** Nothing is unpriced or missing, so the total is whole. */
  readonly isComplete: boolean;
  /** What the range comes from, and what is not counted. */
  readonly assumptions: readonly string[];
}

type Pricer = (resource: CostResource, scene: CostScene) => readonly Usage[] | string;

/** How each type is priced: its usages, or the reason why it is free. */
const PRICERS: Readonly<Record<string, Pricer>> = {
  'servicebus:Namespace': namespaceUsage,
  'redis:Redis': redisUsage,
  'redisenterprise:RedisEnterprise': managedRedisUsage,
  'web:AppServicePlan': planUsage,
  'web:WebApp': appUsage,
  'app:ContainerApp': containerAppUsage,
  'storage:StorageAccount': accountUsage,
  'keyvault:Vault': vaultUsage,
  'operationalinsights:Workspace': workspaceUsage,
  'monitor:MetricAlert': metricAlertUsage,
  'monitor:ScheduledQueryRule': logAlertUsage,
  'monitor:ActionGroup': actionGroupUsage,
};

/** Types that cost nothing by themselves, and why. */
const FREE: Readonly<Record<string, string>> = {
  'app:ManagedEnvironment': 'its apps pay by use',
  'applicationinsights:Component': 'its data is paid in the workspace',
  'applicationinsights:Workbook': 'a saved query',
  'authorization:RoleAssignment': 'Entra charges nothing for it',
  'consumption:Budget': 'Cost Management is free',
  'keyvault:Secret': 'its reads are paid at the vault',
  'managedidentity:UserAssignedIdentity': 'Entra charges nothing for it',
  'redis:AccessPolicyAssignment': 'a right, not a thing',
  'redisenterprise:AccessPolicyAssignment': 'a right, not a thing',
  'redisenterprise:Database': 'paid with its cluster',
  'resources:ResourceGroup': 'a folder',
  'servicebus:Queue': 'its operations are paid at the namespace',
  'servicebus:Rule': 'its operations are paid at the namespace',
  'servicebus:Subscription': 'its operations are paid at the namespace',
  'servicebus:Topic': 'its operations are paid at the namespace',
  'storage:BlobContainer': 'its objects are paid at the account',
  'storage:BlobServiceProperties': 'what is deleted softly is kept, and nothing is deleted',
  'storage:ManagementPolicy': 'its moves are paid at the account',
  'storage:Table': 'its rows are paid at the account',
  'web:WebAppApplicationSettings': 'settings of an app',
};

/** What is no resource of Azure: components of the program, and what runs on the machine that deploys. */
const NOT_IN_AZURE: readonly (readonly [RegExp, string])[] = [
  [/^adit:/, 'a group of resources'],
  [/^pulumi:/, 'belongs to Pulumi'],
  [/^pulumi-nodejs:dynamic/, 'runs on the machine that deploys'],
];

const NOT_COUNTED: readonly string[] = [
  'Free grants belong to the subscription; this stack is taken to have them to itself.',
  'Receives that find nothing, reads of the lake by others, support and taxes are not counted.',
  'A batch of messages counts as its messages, and a settlement as one operation whatever its message weighs.',
];

/** What a planned stack costs a month, row by row, with the ranges that its assumptions leave. */
export function stackCost(resources: readonly CostResource[], workload: Workload, prices: Prices): StackCost {
  const rows = rangedRows(resources, workload, prices, 1);
  const months = {
    1: monthOf(rows),
    12: monthOf(rangedRows(resources, workload, prices, 12)),
    24: monthOf(rangedRows(resources, workload, prices, 24)),
  };
  const { totalUsd, lowUsd, highUsd } = months[1];
  const { traffic } = sceneOf(resources, workload, 1);
  const missing = rows.filter(({ usdPerMonth }) => usdPerMonth === null);
  const { free, unpriced } = unbilledOf(resources, workload);
  return {
    currency: prices.currency,
    region: prices.region,
    pricesReviewedOn: prices.reviewedOn,
    ...{ rows, totalUsd, months, free, unpriced },
    rangeUsd: { lowUsd, highUsd },
    perUserUsd: totalUsd / workload.users,
    perMillionItemsUsd: perMillion(totalUsd, traffic.items),
    perMillionNewItemsUsd: perMillion(totalUsd, traffic.newItems),
    missing: missing.map(({ resource, type, sku, meter, why }) => ({ resource, type, sku, meter, why })),
    isComplete: missing.length === 0 && unpriced.length === 0,
    assumptions: [...assumptionsOf(workload), ...NOT_COUNTED],
  };
}

function perMillion(totalUsd: number, items: number): number {
  return items === 0 ? 0 : totalUsd / (items / 1_000_000);
}

function monthOf(rows: readonly CostRow[]): MonthCost {
  const sum = (value: (row: CostRow) => number): number => rows.reduce((total, row) => total + value(row), 0);
  return {
    totalUsd: sum(({ usdPerMonth }) => usdPerMonth ?? 0),
    lowUsd: sum(({ rangeUsd }) => rangeUsd.lowUsd),
    highUsd: sum(({ rangeUsd }) => rangeUsd.highUsd),
  };
}

/** The likely rows, each with what it would be with every assumption at its cheapest and at its dearest. */
function rangedRows(
  resources: readonly CostResource[],
  workload: Workload,
  prices: Prices,
  month: number,
): readonly CostRow[] {
  const cheap = plainRows(sceneOf(resources, variantOf(workload, 'cheap'), month), prices);
  const dear = plainRows(sceneOf(resources, variantOf(workload, 'dear'), month), prices);
  const rows = plainRows(sceneOf(resources, workload, month), prices).map((row, at) => {
    const bounds = [row, cheap[at], dear[at]].map((bound) => bound?.usdPerMonth ?? 0);
    return { ...row, rangeUsd: { lowUsd: Math.min(...bounds), highUsd: Math.max(...bounds) } };
  });
  // A tier that nothing has reached yet would only be noise; an unknown price is not.
  return rows.filter(
    ({ quantity, usdPerMonth, rangeUsd }) => quantity !== 0 || usdPerMonth === null || rangeUsd.highUsd > 0,
  );
}

/** Tiers and free grants count for the stack, not for each resource: later rows of a meter begin where earlier ones ended. */
function plainRows(scene: CostScene, prices: Prices): readonly Omit<CostRow, 'rangeUsd'>[] {
  const used = new Map<string, number>();
  return scene.resources.flatMap((resource) => {
    const usages = pricerOf(resource.type)?.(resource, scene) ?? [];
    if (typeof usages === 'string') return [];
    return usages.map((usage) => {
      const before = used.get(usage.meter) ?? 0;
      used.set(usage.meter, before + (usage.quantity ?? 0));
      return rowOf(resource, usage, before, prices);
    });
  });
}

function rowOf(resource: CostResource, usage: Usage, before: number, prices: Prices): Omit<CostRow, 'rangeUsd'> {
  const { sku, quantity, why } = usage;
  const row = { resource: resource.name, type: resource.type, sku, meter: usage.meter, quantity: quantity ?? null };
  const meter = meterIn(prices, usage.meter);
  if (meter === undefined) {
    const unknown = { unit: 'unknown', unitPriceUsd: null, usdPerMonth: null, confidence: 'unknown' } as const;
    return { ...row, ...unknown, why: `${why}; the price table has no meter ${usage.meter}` };
  }
  const { unit, confidence } = meter;
  if (quantity === undefined) {
    return {
      ...row,
      unit,
      unitPriceUsd: null,
      usdPerMonth: null,
      confidence: 'unknown',
      why: `${why}: not known before deployment`,
    };
  }
  const charge = chargeOf(meter, before + quantity);
  const earlier = chargeOf(meter, before);
  const usdPerMonth = charge.usd === null || earlier.usd === null ? null : charge.usd - earlier.usd;
  const price = before === 0 ? charge.text : `at ${unitText(charge.unitUsd)}`;
  return { ...row, unit, unitPriceUsd: charge.unitUsd, usdPerMonth, confidence, why: `${why}; ${price}` };
}

function pricerOf(type: string): Pricer | undefined {
  const token = type.replace(/^azure-native:/, '');
  return token === type || !Object.hasOwn(PRICERS, token) ? undefined : PRICERS[token];
}

/** What has no row: free types with their reason, and types that nobody priced. */
function unbilledOf(resources: readonly CostResource[], workload: Workload): Pick<StackCost, 'free' | 'unpriced'> {
  const free = new Map<string, FreeType>();
  const unpriced: Pick<CostResource, 'type' | 'name'>[] = [];
  const scene = sceneOf(resources, workload, 1);
  for (const resource of resources) {
    const { type, name } = resource;
    const pricer = pricerOf(type);
    const usages = pricer === undefined ? freeReason(type) : pricer(resource, scene);
    if (usages === undefined) unpriced.push({ type, name });
    if (typeof usages !== 'string') continue;
    free.set(type, { type, count: (free.get(type)?.count ?? 0) + 1, reason: usages });
  }
  return { free: [...free.values()], unpriced };
}

function freeReason(type: string): string | undefined {
  const token = type.replace(/^azure-native:/, '');
  if (token !== type) return Object.hasOwn(FREE, token) ? FREE[token] : undefined;
  return NOT_IN_AZURE.find(([form]) => form.test(type))?.[1];
}
