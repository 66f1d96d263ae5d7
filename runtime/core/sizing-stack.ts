import type { SizeChoice, SizedTier } from './sizing-choice.ts';
import type { CostResource } from './stack-cost-plan.ts';
import { LAKE_CONTAINER } from './storage-names.ts';
import type { Workload } from './workload-fields.ts';

/** The priced resources of a stack with the chosen tiers, storage as prod has it; undefined when a tier has no choice. */
export function resourcesOf(tiers: readonly SizedTier[], workload: Workload): readonly CostResource[] | undefined {
  const [bus, cache, compute, listener] = tiers.map(({ chosen }) => chosen);
  if (bus === undefined || cache === undefined || compute === undefined || listener === undefined) return undefined;
  return [
    resource('servicebus:Namespace', 'namespace', { sku: { name: bus.sku, capacity: bus.capacity } }),
    cacheResource(cache),
    resource('web:AppServicePlan', 'plan', { sku: { name: 'FC1' } }),
    resource('web:WebApp', 'app', {
      functionAppConfig: { scaleAndConcurrency: { instanceMemoryMB: compute.capacity } },
    }),
    ...listenerResources(listener),
    account('data', 'Standard_ZRS'),
    resource('storage:Table', 'items', { accountName: 'data' }),
    resource('storage:BlobContainer', 'lake', { accountName: 'data', containerName: LAKE_CONTAINER }),
    resource('storage:ManagementPolicy', 'data-tiers', { accountName: 'data', policy: { rules: [LIFECYCLE] } }),
    account('host', 'Standard_LRS'),
    resource('operationalinsights:Workspace', 'workspace', { sku: { name: 'PerGB2018' } }),
    resource('keyvault:Vault', 'vault', { properties: { sku: { name: 'standard' } } }),
    ...alerts(workload),
  ];
}

const LIFECYCLE = {
  definition: {
    actions: {
      baseBlob: {
        tierToCool: { daysAfterModificationGreaterThan: 30 },
        tierToCold: { daysAfterModificationGreaterThan: 180 },
      },
    },
  },
};

/** Time series that every stack watches beside its queues: bus, Redis, functions. */
const ALERT_SERIES = 9;

/** A queue is watched for its depth, a queue or topic for its dead letters. */
function alerts({ dataTypes, dataTopics }: Workload): readonly CostResource[] {
  const count = ALERT_SERIES + 2 * (dataTypes + 1) + dataTopics;
  const values = Array.from({ length: count }, (_, at) => `series-${at}`);
  const allOf = [{ criterionType: 'StaticThresholdCriterion', dimensions: [{ name: 'EntityName', values }] }];
  return [resource('monitor:MetricAlert', 'alerts', { criteria: { allOf } })];
}

function resource(type: string, name: string, inputs: Readonly<Record<string, unknown>>): CostResource {
  return { type: `azure-native:${type}`, name, inputs };
}

function account(name: string, sku: string): CostResource {
  return resource('storage:StorageAccount', name, { accountName: name, sku: { name: sku } });
}

function cacheResource({ sku, capacity }: SizeChoice): CostResource {
  const [name = '', size = ''] = sku.split('_');
  const isClassic = ['Basic', 'Standard', 'Premium'].includes(name);
  if (!isClassic) {
    const highAvailability = capacity === 2 ? 'Enabled' : 'Disabled';
    return resource('redisenterprise:RedisEnterprise', 'redis', { sku: { name: sku }, highAvailability });
  }
  return resource('redis:Redis', 'redis', { sku: { name, family: size.charAt(0), capacity: Number(size.slice(1)) } });
}

function listenerResources({ sku }: SizeChoice): readonly CostResource[] {
  if (sku === 'none') return [];
  if (sku !== 'container-app') return [resource('web:AppServicePlan', 'listener', { sku: { name: sku, capacity: 1 } })];
  const containers = [{ resources: { cpu: 0.25, memory: '0.5Gi' } }];
  return [resource('app:ContainerApp', 'listener', { template: { containers, scale: { minReplicas: 1 } } })];
}
