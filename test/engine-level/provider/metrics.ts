import { type Around, type Inputs, objects, type Refusal, text, when } from './resource-kind.ts';

type Aggregation = 'Average' | 'Maximum' | 'Minimum' | 'Total' | 'Count';

/** The metrics of a resource type. */
interface Metrics {
  /** Shortest window and frequency. */
  readonly grain: 'PT1M' | 'PT5M';
  readonly dimensions: readonly string[];
  /** Metrics that hold a level. */
  readonly levels: readonly string[];
  /** Metrics that count. */
  readonly counts: readonly string[];
}

const LEVEL: readonly Aggregation[] = ['Average', 'Maximum', 'Minimum'];
const COUNT: readonly Aggregation[] = ['Total', 'Average', 'Count', 'Maximum', 'Minimum'];

/** Metrics that are emitted (Azure Monitor's lists of supported metrics, pages of 2026). */
const METRICS: Readonly<Record<string, Metrics>> = {
  'microsoft.servicebus/namespaces': {
    grain: 'PT1M',
    dimensions: ['EntityName', 'OperationResult'],
    levels: ['ActiveMessages', 'DeadletteredMessages', 'Messages', 'ScheduledMessages', 'Size', 'ActiveConnections'],
    counts: [
      'IncomingMessages',
      'OutgoingMessages',
      'CompleteMessage',
      'AbandonMessage',
      'IncomingRequests',
      'SuccessfulRequests',
      'ServerErrors',
      'UserErrors',
      'ThrottledRequests',
    ],
  },
  'microsoft.web/sites': {
    grain: 'PT1M',
    dimensions: ['Instance'],
    levels: ['CpuPercentage', 'InstanceCount', 'AlwaysReadyUnits', 'MemoryWorkingSet', 'HttpResponseTime'],
    counts: [
      'OnDemandFunctionExecutionCount',
      'OnDemandFunctionExecutionUnits',
      'AlwaysReadyFunctionExecutionCount',
      'AlwaysReadyFunctionExecutionUnits',
      'FunctionExecutionCount',
      'FunctionExecutionUnits',
      'Http5xx',
    ],
  },
  'microsoft.cache/redis': {
    grain: 'PT1M',
    dimensions: ['ShardId', 'Port', 'Primary'],
    levels: [
      'allserverLoad',
      'allusedmemorypercentage',
      'allpercentprocessortime',
      'allconnectedclients',
      'cacheLatency',
    ],
    counts: ['allevictedkeys', 'errors', 'cachemissrate'],
  },
  'microsoft.cache/redisenterprise': {
    grain: 'PT5M',
    dimensions: ['InstanceId'],
    levels: [
      'usedmemorypercentage',
      'percentProcessorTime',
      'serverLoad',
      'connectedclients',
      'operationsPerSecond',
      'cacheLatency',
      'geoReplicationHealthy',
    ],
    counts: ['evictedkeys'],
  },
  'microsoft.insights/components': {
    grain: 'PT1M',
    dimensions: ['cloud/roleName', 'operation/name', 'request/resultCode'],
    levels: ['requests/duration'],
    counts: ['requests/failed', 'requests/count', 'exceptions/count', 'traces/count'],
  },
};

/** Why a criterion of an alert is refused: a metric that nobody emits, or that is not read that way. */
export function metricRefusal(criterion: Inputs, alert: Inputs, around: Around): Refusal | undefined {
  const metric = text(criterion, 'metricName') ?? '';
  const namespace = text(criterion, 'metricNamespace') ?? '';
  const metrics = METRICS[namespace.toLowerCase()];
  if (metrics === undefined) {
    return { code: 'BadRequest', message: `The metric namespace '${namespace}' does not exist.` };
  }
  const isLevel = metrics.levels.includes(metric);
  const how = (text(criterion, 'timeAggregation') ?? '') as Aggregation;
  const dimensions = objects(criterion, 'dimensions').map((dimension) => text(dimension, 'name') ?? '');
  const strange = dimensions.find((name) => !metrics.dimensions.includes(name));
  return (
    when(
      !isLevel && !metrics.counts.includes(metric),
      'BadRequest',
      `The metric '${metric}' does not exist in '${namespace}'.`,
    ) ??
    when(
      !(isLevel ? LEVEL : COUNT).includes(how),
      'BadRequest',
      `The metric '${metric}' does not support the aggregation '${how}'.`,
    ) ??
    when(strange !== undefined, 'BadRequest', `The metric '${metric}' has no dimension '${strange}'.`) ??
    when(
      metrics.grain === 'PT5M' && (alert['evaluationFrequency'] === 'PT1M' || alert['windowSize'] === 'PT1M'),
      'BadRequest',
      `The metric '${metric}' has a grain of PT5M and cannot be evaluated every PT1M.`,
    ) ??
    typeRefusal(alert, namespace, around)
  );
}

function typeRefusal(alert: Inputs, namespace: string, around: Around): Refusal | undefined {
  const scopes = (alert['scopes'] ?? []) as readonly unknown[];
  const types = scopes.map((scope) => (text(around.find(scope)?.outputs, 'type') ?? '').toLowerCase());
  const strange = types.find((type) => type !== '' && type !== namespace.toLowerCase());
  return when(
    strange !== undefined,
    'BadRequest',
    `The scope is a '${strange}', but the metric is one of '${namespace}'.`,
  );
}
