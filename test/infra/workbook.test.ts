import { describe, expect, it } from 'vitest';
import { planStack } from '../../infra/plan.ts';
import type { DashboardTile } from '../../infra/stack-plan.ts';
import { workbookOf } from '../../infra/workbook.ts';
import { sampleConfig } from './sample-config.ts';

const IDS = { serviceBus: '/bus', redis: '/redis', functionApp: '/app', insights: '/insights' };

const { names } = planStack(sampleConfig('dev'));

interface Chart {
  readonly resourceIds: readonly string[];
  readonly resourceType: string;
  readonly metrics: readonly { readonly metric: string; readonly splitBy: string | null }[];
  readonly filters: readonly { readonly key: string; readonly values: readonly string[] }[];
}

function chartsOf(dashboard: readonly DashboardTile[]): readonly Chart[] {
  const { items } = workbookOf({ names, dashboard }, IDS) as { items: { type: number; content: Chart }[] };
  return items.filter(({ type }) => type === 10).map(({ content }) => content);
}

const depth = (...queues: readonly string[]) =>
  ({
    scope: 'serviceBus',
    namespace: 'Microsoft.ServiceBus/namespaces',
    metric: 'ActiveMessages',
    aggregation: 'Average',
    dimension: { name: 'EntityName', values: queues },
  }) as const;

describe('the workbook', () => {
  it('draws one metric of several alerts once, split by its dimension, for the queues of all of them', () => {
    const tile = { title: 'Depth', metrics: [depth('chats-mining-queue'), depth('fans-mining-queue')], alerts: [] };
    expect(chartsOf([tile])).toMatchObject([
      {
        resourceType: 'microsoft.servicebus/namespaces',
        resourceIds: ['/bus'],
        metrics: [{ metric: 'microsoft.servicebus/namespaces--ActiveMessages', aggregation: 4, splitBy: 'EntityName' }],
        filters: [{ key: 'EntityName', values: ['chats-mining-queue', 'fans-mining-queue'] }],
      },
    ]);
  });

  it('has a chart per resource where a tile reads several', () => {
    const failed = {
      scope: 'insights',
      namespace: 'microsoft.insights/components',
      metric: 'requests/failed',
      aggregation: 'Count',
    } as const;
    const charts = chartsOf([{ title: 'Both', metrics: [depth('q'), failed], alerts: [] }]);
    expect(charts.map(({ resourceIds }) => resourceIds)).toEqual([['/bus'], ['/insights']]);
    expect(charts[1]?.metrics).toMatchObject([{ metric: 'microsoft.insights/components-Failures-requests/failed' }]);
  });

  it.each(['dev', 'prod'] as const)('shows every metric and names every alert of %s', (stage) => {
    const plan = planStack(sampleConfig(stage));
    const text = JSON.stringify(workbookOf(plan, IDS));
    for (const { name, metric } of plan.alerts) {
      expect(text).toContain(`\`${name}\``);
      expect(text).toContain(`-${metric}"`);
    }
  });
});
