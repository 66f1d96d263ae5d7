import { miningText } from './cost-traffic.ts';
import { amountText, DAYS_PER_MONTH, GIB_BYTES, HOURS_PER_MONTH } from './cost.ts';
import {
  type CostResource,
  type CostScene,
  inputAt,
  listAt,
  numberAt,
  redisSkuOf,
  textAt,
  type Usage,
} from './stack-cost-plan.ts';

const MILLION = 1_000_000;
const SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600;

/** Connections that one instance holds to the namespace: trigger, sender, management. */
const CONNECTIONS_PER_INSTANCE = 3;

/** A namespace: its base charge, and every operation on its queues and topics. */
export function namespaceUsage({ inputs }: CostResource, scene: CostScene): readonly Usage[] {
  const sku = textAt(inputs, 'sku', 'name');
  if (sku === 'Premium') {
    const units = numberAt(inputs, 'sku', 'capacity') ?? 1;
    return [
      { sku, meter: 'servicebus-premium-unit', quantity: units, why: `messaging units ${units}, operations included` },
    ];
  }
  if (sku !== 'Basic' && sku !== 'Standard') {
    return [
      {
        sku: sku ?? 'unknown',
        meter: `servicebus-${sku?.toLowerCase() ?? 'unknown'}`,
        quantity: undefined,
        why: 'sku',
      },
    ];
  }
  const operations = { sku, quantity: scene.bus.total / MILLION, why: operationsWhy(scene) };
  if (sku === 'Basic') return [{ ...operations, meter: 'servicebus-basic-operations' }];
  const instances = Math.ceil(
    (scene.traffic.peakPagesPerSecond * scene.traffic.pageSeconds) / scene.traffic.slicesAtOnce,
  );
  const connections = instances * CONNECTIONS_PER_INSTANCE;
  return [
    { sku, meter: 'servicebus-standard-base', quantity: 1, why: 'one namespace' },
    { ...operations, meter: 'servicebus-standard-operations' },
    {
      ...{ sku, meter: 'servicebus-standard-connections', quantity: connections },
      why: `${instances} instances at the busiest second x ${CONNECTIONS_PER_INSTANCE}`,
    },
  ];
}

function operationsWhy({ bus, traffic }: CostScene): string {
  const { marker, direct, viaTopic } = bus;
  return [
    `${amountText(traffic.slices)} marker messages x ${marker.total} (send, receive, settle)`,
    `${amountText(traffic.envelopes)} envelopes of ${amountText(traffic.envelopeBytes)} B, ${direct.units} x 64 KB,` +
      ` x ${direct.total} direct or ${viaTopic.total} through a topic`,
    `${amountText(bus.redelivered)} delivered again`,
    `${amountText(bus.looks)} looks at queues`,
  ].join('; ');
}

/** Azure Cache for Redis, priced by node. */
export function redisUsage(resource: CostResource, scene: CostScene): readonly Usage[] {
  const { inputs } = resource;
  const sku = redisSkuOf(resource);
  if (sku === undefined) return [{ sku: 'unknown', meter: 'redis-unknown', quantity: undefined, why: 'sku' }];
  const perShard = sku.startsWith('Basic_') ? 1 : 1 + (numberAt(inputs, 'replicasPerPrimary') ?? 1);
  const nodes = perShard * (numberAt(inputs, 'shardCount') ?? 1);
  const meter = `redis-${sku.replace('_', '-').toLowerCase()}`;
  return [{ sku, meter, quantity: nodes, why: `${nodes} nodes; ${cacheWhy(scene)}` }];
}

/** Azure Managed Redis, priced by node: two when it is highly available, which it is unless switched off. */
export function managedRedisUsage(resource: CostResource, scene: CostScene): readonly Usage[] {
  const sku = redisSkuOf(resource);
  if (sku === undefined) return [{ sku: 'unknown', meter: 'redis-managed-unknown', quantity: undefined, why: 'sku' }];
  const nodes = textAt(resource.inputs, 'highAvailability') === 'Disabled' ? 1 : 2;
  const meter = `redis-managed-${sku.slice(sku.indexOf('_') + 1).toLowerCase()}`;
  return [{ sku, meter, quantity: nodes, why: `${nodes} nodes; ${cacheWhy(scene)}` }];
}

function cacheWhy({ traffic, workload, cacheShare }: CostScene): string {
  const bytes = traffic.cachedItems * workload.cacheBytesPerItem;
  const need = `${amountText(traffic.cachedItems)} checkpoints x ${workload.cacheBytesPerItem} B = ${amountText(bytes / GIB_BYTES)} GB`;
  return cacheShare >= 1 ? need : `${need}, of which it holds ${amountText(cacheShare * 100)} %`;
}

/** A plan pays by the month, or not at all when its app pays by use. */
export function planUsage({ inputs }: CostResource): readonly Usage[] | string {
  const sku = textAt(inputs, 'sku', 'name');
  if (sku === 'FC1' || sku === 'Y1') return 'its app pays by use';
  const quantity = numberAt(inputs, 'sku', 'capacity') ?? 1;
  const meter = `appservice-${sku?.toLowerCase() ?? 'unknown'}`;
  return [
    { sku: sku ?? 'unknown', meter, quantity: sku === undefined ? undefined : quantity, why: `${quantity} instances` },
  ];
}

/** A function app by use, or nothing when its plan is paid by the month. */
export function appUsage({ inputs }: CostResource, scene: CostScene): readonly Usage[] | string {
  const out = outboundUsage(scene);
  if (inputAt(inputs, 'functionAppConfig') !== undefined) return [...flexUsage(inputs, scene), out];
  const plans = scene.resources.filter(({ type }) => type === 'azure-native:web:AppServicePlan');
  const isConsumption = plans.some((plan) => textAt(plan.inputs, 'sku', 'name') === 'Y1');
  return isConsumption ? [...consumptionUsage(scene), out] : [out];
}

function flexUsage(inputs: unknown, scene: CostScene): readonly Usage[] {
  const scale = ['functionAppConfig', 'scaleAndConcurrency'] as const;
  const memoryMb = numberAt(inputs, ...scale, 'instanceMemoryMB');
  const memoryGb = memoryMb === undefined ? undefined : memoryMb / 1024;
  const sku = `Flex ${memoryMb ?? 'unknown'} MB`;
  const ready = listAt(inputs, ...scale, 'alwaysReady').reduce<number>(
    (sum, entry) => sum + (numberAt(entry, 'instanceCount') ?? 0),
    0,
  );
  const usages: Usage[] = [
    {
      ...{ sku, meter: 'functions-flex-gb-seconds' },
      quantity: memoryGb === undefined ? undefined : scene.seconds.total * memoryGb,
      why: `${secondsWhy(scene)}, x ${memoryGb ?? '?'} GB`,
    },
    {
      sku,
      meter: 'functions-flex-executions',
      quantity: scene.seconds.executions / MILLION,
      why: executionsWhy(scene),
    },
  ];
  if (ready > 0) {
    const quantity = memoryGb === undefined ? undefined : ready * memoryGb * SECONDS_PER_MONTH;
    const why = `${ready} instances x ${memoryGb ?? '?'} GB, always ready, x ${amountText(SECONDS_PER_MONTH)} s`;
    usages.push({ sku, meter: 'functions-flex-ready-baseline', quantity, why });
  }
  return usages;
}

/** Memory that Azure bills for an instance of the legacy plan at most. */
const CONSUMPTION_GB = 1.5;

function consumptionUsage(scene: CostScene): readonly Usage[] {
  const sku = 'Consumption';
  return [
    {
      ...{ sku, meter: 'functions-consumption-gb-seconds', quantity: scene.seconds.total * CONSUMPTION_GB },
      why: `${secondsWhy(scene)}, x ${CONSUMPTION_GB} GB`,
    },
    {
      sku,
      meter: 'functions-consumption-executions',
      quantity: scene.seconds.executions / MILLION,
      why: executionsWhy(scene),
    },
  ];
}

function secondsWhy({ seconds, traffic, workload }: CostScene): string {
  return [
    miningText(workload, traffic, seconds),
    `ingest ${amountText(seconds.ingest)} s`,
    `timers ${amountText(seconds.timers)} s`,
  ].join(' + ');
}

function executionsWhy({ traffic }: CostScene): string {
  return `${amountText(traffic.slices)} slices + ${amountText(traffic.envelopes)} envelopes, redelivered ones too, + timers`;
}

function outboundUsage({ traffic, workload }: CostScene): Usage {
  const why = `${amountText(traffic.calls)} calls x ${workload.requestBytesPerCall} B to the upstream`;
  return {
    sku: 'outbound',
    meter: 'bandwidth-out-gb',
    quantity: (traffic.calls * workload.requestBytesPerCall) / GIB_BYTES,
    why,
  };
}

/** Containers that never scale to nothing are paid all month. */
export function containerAppUsage({ inputs }: CostResource): readonly Usage[] {
  const replicas = numberAt(inputs, 'template', 'scale', 'minReplicas') ?? 0;
  const containers = listAt(inputs, 'template', 'containers');
  const cpu = containers.reduce<number>((sum, container) => sum + (numberAt(container, 'resources', 'cpu') ?? 0), 0);
  const memory = containers.reduce<number>(
    (sum, container) => sum + Number.parseFloat(textAt(container, 'resources', 'memory') ?? '0'),
    0,
  );
  const why = (amount: number, unit: string): string =>
    `${replicas} replicas x ${amount} ${unit} x ${amountText(SECONDS_PER_MONTH)} s`;
  return [
    {
      sku: 'Consumption',
      meter: 'containerapp-vcpu-seconds',
      quantity: replicas * cpu * SECONDS_PER_MONTH,
      why: why(cpu, 'vCPU'),
    },
    {
      sku: 'Consumption',
      meter: 'containerapp-memory-seconds',
      quantity: replicas * memory * SECONDS_PER_MONTH,
      why: why(memory, 'GiB'),
    },
  ];
}

/** Reads of the vault by one instance as it starts. */
const VAULT_READS = 2;

/** A vault is paid by the operation: every instance that starts reads the sealing keys. */
export function vaultUsage({ inputs }: CostResource, { traffic, workload }: CostScene): readonly Usage[] {
  const sku = textAt(inputs, 'properties', 'sku', 'name') ?? 'standard';
  const instances = Math.ceil(workload.users / traffic.slicesAtOnce);
  const starts = instances * workload.firingsPerDay * DAYS_PER_MONTH * workload.dataTypes;
  const why = `${amountText(starts)} instances started x ${VAULT_READS} reads`;
  return [{ sku, meter: 'keyvault-operations', quantity: (starts * VAULT_READS) / 10_000, why }];
}
