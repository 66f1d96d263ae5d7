import { Workbook } from '@pulumi/azure-native/applicationinsights/workbook.js';
import * as pulumi from '@pulumi/pulumi';
import type { MetricScopes } from './alerts.ts';
import { guidOf } from './guid.ts';
import type { Place } from './place.ts';
import { workbookOf } from './workbook.ts';

/** What the dashboard shows. */
export interface DashboardArgs extends Place {
  readonly scopes: MetricScopes;
}

/** One workbook with a chart per tile of the plan, from the same list as the alerts. */
export class Dashboard extends pulumi.ComponentResource {
  /** Where a person opens it. */
  readonly url: pulumi.Output<string>;

  constructor(name: string, args: DashboardArgs, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:Dashboard', name, {}, options);
    const { plan, resourceGroupName, scopes } = args;
    const workbook = new Workbook(
      'workbook',
      {
        resourceGroupName,
        // Azure wants a GUID here; people see the display name.
        resourceName: guidOf('workbook', plan.names.resourceGroup, plan.names.dashboard),
        location: plan.location,
        kind: 'shared',
        category: 'workbook',
        sourceId: 'azure monitor',
        version: 'Notebook/1.0',
        displayName: plan.names.dashboard,
        serializedData: pulumi.output(scopes).apply((ids) => JSON.stringify(workbookOf(plan, ids))),
        tags: plan.tags,
      },
      { parent: this },
    );
    this.url = pulumi.interpolate`https://portal.azure.com/#resource${workbook.id}/workbook`;
    this.registerOutputs({ url: this.url });
  }
}
