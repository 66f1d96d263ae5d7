import type { CostResource } from '../../runtime/core/stack-cost-plan.ts';

/** A planned resource. */
export function resource(type: string, name: string, inputs: Readonly<Record<string, unknown>> = {}): CostResource {
  return { type: `azure-native:${type}`, name, inputs };
}

/** A Service Bus namespace. */
export const namespace = (sku: string, capacity?: number): CostResource =>
  resource('servicebus:Namespace', 'bus', { sku: { name: sku, ...(capacity === undefined ? {} : { capacity }) } });

/** An Azure Cache for Redis. */
export const cache = (name: string, family: string, capacity: number): CostResource =>
  resource('redis:Redis', 'redis', { sku: { name, family, capacity } });

/** An Azure Managed Redis. */
export const managed = (sku: string, highAvailability = 'Enabled'): CostResource =>
  resource('redisenterprise:RedisEnterprise', 'redis', { sku: { name: sku }, highAvailability });

/** A function app on Flex Consumption. */
export const flex = (instanceMemoryMB: unknown, alwaysReady: readonly unknown[] = []): CostResource =>
  resource('web:WebApp', 'app', { functionAppConfig: { scaleAndConcurrency: { instanceMemoryMB, alwaysReady } } });

/** A metric alert. */
export const alert = (
  name: string,
  values: readonly string[] = [],
  criterionType = 'StaticThresholdCriterion',
): CostResource =>
  resource('monitor:MetricAlert', name, {
    scopes: ['[unknown]'],
    criteria: {
      allOf: [{ criterionType, ...(values.length > 0 ? { dimensions: [{ name: 'EntityName', values }] } : {}) }],
    },
  });

/** A zone-redundant account with ledger and lake, as prod has it. */
export const lake: readonly CostResource[] = [
  resource('storage:StorageAccount', 'data', { accountName: 'data', sku: { name: 'Standard_ZRS' } }),
  resource('storage:Table', 'items', { accountName: 'data' }),
  resource('storage:BlobContainer', 'lake', { accountName: 'data', containerName: 'lake' }),
  resource('storage:ManagementPolicy', 'tiers', {
    accountName: 'data',
    policy: {
      rules: [
        {
          definition: {
            actions: {
              baseBlob: {
                tierToCool: { daysAfterModificationGreaterThan: 30 },
                tierToCold: { daysAfterModificationGreaterThan: 180 },
              },
            },
          },
        },
      ],
    },
  }),
];

/** One of everything that costs something. */
export const WHOLE: readonly CostResource[] = [
  namespace('Standard'),
  managed('Balanced_B5'),
  flex(2048),
  ...lake,
  alert('depth', ['a', 'b']),
];
