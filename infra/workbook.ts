import type { DashboardTile, MetricPlan, MetricScope, StackPlan } from './stack-plan.ts';

/** Numbers that a workbook has for the aggregations of Azure Monitor. */
const AGGREGATIONS: Readonly<Record<MetricPlan['aggregation'], number>> = {
  Total: 1,
  Maximum: 3,
  Average: 4,
  Count: 7,
};

/** Charts of Application Insights put the category of a metric before its name; those of other resources have none. */
const CATEGORIES: Readonly<Record<string, string>> = { 'requests/failed': 'Failures', 'exceptions/count': 'Failures' };

/** Shown at first; a person may choose another time. */
const TIME_SHOWN_MS = 86_400_000;

const KINDS = { text: 1, parameters: 9, metrics: 10 } as const;
const LINE_CHART = 2;

/** A workbook as Azure stores it: a heading, the choice of a time, then the charts of every tile. */
export function workbookOf(
  plan: Pick<StackPlan, 'names' | 'dashboard'>,
  ids: Readonly<Record<MetricScope, string>>,
): object {
  const heading = `# ${plan.names.dashboard}\n\nWhat to do about an alert: \`runtime/ops/PLAYBOOK.md\`.`;
  return {
    version: 'Notebook/1.0',
    items: [textItem('heading', heading), TIME_ITEM, ...plan.dashboard.flatMap((tile) => tileItems(tile, ids))],
    isLocked: false,
    fallbackResourceIds: ['azure monitor'],
  };
}

const TIME_ITEM = {
  type: KINDS.parameters,
  name: 'time',
  content: {
    version: 'KqlParameterItem/1.0',
    parameters: [
      {
        id: 'time',
        version: 'KqlParameterItem/1.0',
        name: 'Time',
        type: 4,
        value: { durationMs: TIME_SHOWN_MS },
        typeSettings: {
          selectableValues: [
            { durationMs: 3_600_000 },
            { durationMs: TIME_SHOWN_MS },
            { durationMs: 7 * TIME_SHOWN_MS },
          ],
        },
      },
    ],
    style: 'pills',
  },
};

/** A chart reads one resource, so a tile with metrics of several resources has several charts. */
function tileItems(tile: DashboardTile, ids: Readonly<Record<MetricScope, string>>): readonly object[] {
  const alerts = tile.alerts.map((name) => `\`${name}\``).join(', ');
  const watched = alerts === '' ? '' : `\n\nWatched by ${alerts}.`;
  const groups = Map.groupBy(tile.metrics, ({ scope, namespace }) => `${scope} ${namespace}`);
  const charts = [...groups.values()].map((metrics, at) => chartItem(`${tile.title} ${at + 1}`, metrics, ids));
  return [textItem(tile.title, `## ${tile.title}${watched}`), ...charts];
}

function textItem(name: string, json: string): object {
  return { type: KINDS.text, name, content: { json } };
}

function chartItem(name: string, metrics: readonly MetricPlan[], ids: Readonly<Record<MetricScope, string>>): object {
  const [first] = metrics;
  const resourceType = first?.namespace.toLowerCase();
  return {
    type: KINDS.metrics,
    name,
    content: {
      chartId: name,
      version: 'MetricsItem/2.0',
      size: 0,
      chartType: LINE_CHART,
      resourceType,
      metricScope: 0,
      resourceIds: first === undefined ? [] : [ids[first.scope]],
      timeContextFromParameter: 'Time',
      timeContext: { durationMs: TIME_SHOWN_MS },
      metrics: seriesOf(metrics),
      filters: filtersOf(metrics),
    },
  };
}

/** Several alerts may read one metric, each for queues of its own: it is one series, split by the dimension. */
function seriesOf(metrics: readonly MetricPlan[]): readonly object[] {
  const byName = new Map(metrics.map((metric) => [`${metric.metric} ${metric.aggregation}`, metric]));
  return [...byName.values()].map(({ namespace, metric, aggregation, dimension }) => ({
    namespace: namespace.toLowerCase(),
    metric: `${namespace.toLowerCase()}-${CATEGORIES[metric] ?? ''}-${metric}`,
    aggregation: AGGREGATIONS[aggregation],
    splitBy: dimension?.name ?? null,
  }));
}

function filtersOf(metrics: readonly MetricPlan[]): readonly object[] {
  const values = new Map<string, Set<string>>();
  for (const { dimension } of metrics) {
    if (dimension === undefined) continue;
    const known = values.get(dimension.name) ?? new Set();
    values.set(dimension.name, known);
    dimension.values.forEach((value) => known.add(value));
  }
  return [...values].map(([key, known], at) => ({ id: String(at + 1), key, operator: 0, values: [...known] }));
}
