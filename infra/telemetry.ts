import { Component } from '@pulumi/azure-native/applicationinsights/component.js';
import { Workspace } from '@pulumi/azure-native/operationalinsights/workspace.js';
import * as pulumi from '@pulumi/pulumi';
import type { Place } from './place.ts';

/** Logs and traces, with a cap a day, because telemetry is paid by the gigabyte. Keys are off. */
export class Telemetry extends pulumi.ComponentResource {
  readonly insightsId: pulumi.Output<string>;
  /** Says where to send; with keys off it lets nobody in. */
  readonly connectionString: pulumi.Output<string>;

  constructor(name: string, { plan, resourceGroupName }: Place, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:Telemetry', name, {}, options);
    const common = { resourceGroupName, location: plan.location, tags: plan.tags };
    const { telemetry, names } = plan;
    const workspace = new Workspace(
      'workspace',
      {
        ...common,
        workspaceName: names.workspace,
        sku: { name: 'PerGB2018' },
        retentionInDays: telemetry.retentionDays,
        workspaceCapping: { dailyQuotaGb: telemetry.dailyCapGb },
        features: { disableLocalAuth: true },
      },
      { parent: this },
    );
    const insights = new Component(
      'insights',
      {
        ...common,
        resourceName: names.insights,
        kind: 'web',
        applicationType: 'web',
        workspaceResourceId: workspace.id,
        samplingPercentage: telemetry.samplingPercent,
        retentionInDays: telemetry.retentionDays,
        disableLocalAuth: true,
      },
      { parent: this },
    );
    this.insightsId = insights.id;
    this.connectionString = insights.connectionString;
    this.registerOutputs({});
  }
}
