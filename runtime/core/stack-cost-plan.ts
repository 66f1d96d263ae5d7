import { cacheShareOf, REDIS_SIZES } from './cost-redis.ts';
import {
  busOperationsOf,
  type BusOperations,
  type InstanceSeconds,
  instanceSecondsOf,
  ledgerTransactionsOf,
  type LedgerTransactions,
  trafficOf,
  type Traffic,
} from './cost-traffic.ts';
import { HOURS_PER_MONTH } from './cost.ts';
import type { Workload } from './workload-fields.ts';

/** A resource as the program registers it: token, name and inputs, an input that is not known yet as `[unknown]`. */
export interface CostResource {
  readonly type: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, unknown>>;
}

/** What a resource costs, before the prices: a meter and how much of it. */
export interface Usage {
  readonly sku: string;
  /** Id of the meter. */
  readonly meter: string;
  /** In units of the meter; undefined when the inputs do not say. */
  readonly quantity: number | undefined;
  /** The arithmetic behind the quantity. */
  readonly why: string;
}

/** Everything that the price of one resource may depend on. */
export interface CostScene {
  readonly resources: readonly CostResource[];
  readonly workload: Workload;
  readonly traffic: Traffic;
  readonly bus: BusOperations;
  readonly ledger: LedgerTransactions;
  readonly seconds: InstanceSeconds;
  /** Share of the checkpoints that the planned cache holds, 0..1. */
  readonly cacheShare: number;
  /** Months since the first deployment, from 1. */
  readonly month: number;
}

/** The month of a stack: what the plan counts itself, such as queues and topics, overrules the workload. */
export function sceneOf(resources: readonly CostResource[], given: Workload, month: number): CostScene {
  const workload = plannedWorkload(resources, given);
  const traffic = trafficOf(workload);
  const cacheShare = plannedCacheShare(resources, traffic.cachedItems * workload.cacheBytesPerItem);
  const months = storedMonths(workload, month);
  return {
    ...{ resources, workload, traffic, cacheShare, month },
    bus: busOperationsOf(workload, traffic, HOURS_PER_MONTH),
    ledger: ledgerTransactionsOf(workload, traffic, { cacheShare, months, hours: HOURS_PER_MONTH }),
    seconds: instanceSecondsOf(workload, traffic, HOURS_PER_MONTH),
  };
}

/** Months of data that are stored on average during a month: the month under way counts half. */
export function storedMonths({ retentionMonths }: Workload, month: number): number {
  return Math.min(month - 0.5, retentionMonths);
}

/** Resources of a type. */
export function ofType(resources: readonly CostResource[], type: string): readonly CostResource[] {
  return resources.filter((resource) => resource.type === `azure-native:${type}`);
}

/** The value at a path of the inputs; undefined when it is absent or not known yet. */
export function inputAt(inputs: unknown, ...path: readonly string[]): unknown {
  let value = inputs;
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Readonly<Record<string, unknown>>)[name];
  }
  return value === '[unknown]' ? undefined : value;
}

/** The text at a path of the inputs. */
export function textAt(inputs: unknown, ...path: readonly string[]): string | undefined {
  const value = inputAt(inputs, ...path);
  return typeof value === 'string' ? value : undefined;
}

/** The number at a path of the inputs. */
export function numberAt(inputs: unknown, ...path: readonly string[]): number | undefined {
  const value = inputAt(inputs, ...path);
  return typeof value === 'number' ? value : undefined;
}

/** The list at a path of the inputs; empty when there is none. */
export function listAt(inputs: unknown, ...path: readonly string[]): readonly unknown[] {
  const value = inputAt(inputs, ...path);
  return Array.isArray(value) ? value : [];
}

const MINING_QUEUE = /-mining-queue$/;

function plannedWorkload(resources: readonly CostResource[], workload: Workload): Workload {
  const queues = ofType(resources, 'servicebus:Queue');
  const dataTypes = queues.filter(({ inputs }) => MINING_QUEUE.test(textAt(inputs, 'queueName') ?? '')).length;
  if (dataTypes === 0) return workload;
  const dataTopics = Math.min(dataTypes, ofType(resources, 'servicebus:Topic').length);
  const subscriptions = ofType(resources, 'servicebus:Subscription');
  const readers = subscriptions.filter(({ inputs }) => textAt(inputs, 'forwardTo') === undefined).length;
  return { ...workload, dataTypes, dataTopics, topicReaders: dataTopics === 0 ? 0 : readers / dataTopics };
}

/** SKU of a planned cache as in `REDIS_SIZES`, `Standard_C3` or `Balanced_B5`; undefined when it is not known yet. */
export function redisSkuOf({ type, inputs }: CostResource): string | undefined {
  const name = textAt(inputs, 'sku', 'name');
  if (type === 'azure-native:redisenterprise:RedisEnterprise') return name;
  const family = textAt(inputs, 'sku', 'family');
  const capacity = numberAt(inputs, 'sku', 'capacity');
  return name === undefined || family === undefined || capacity === undefined
    ? undefined
    : `${name}_${family}${capacity}`;
}

/** Every planned cache. */
export function cachesOf(resources: readonly CostResource[]): readonly CostResource[] {
  return [...ofType(resources, 'redis:Redis'), ...ofType(resources, 'redisenterprise:RedisEnterprise')];
}

function plannedCacheShare(resources: readonly CostResource[], bytes: number): number {
  const memories = cachesOf(resources).map((cache) => {
    const sku = redisSkuOf(cache);
    return REDIS_SIZES.find((size) => size.sku === sku)?.memoryGb ?? 0;
  });
  const memoryGb = Math.max(0, ...memories);
  return memoryGb === 0 ? 0 : cacheShareOf(memoryGb, bytes);
}
