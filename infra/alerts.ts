import { ActionGroup } from '@pulumi/azure-native/monitor/actionGroup.js';
import { MetricAlert, type MetricAlertArgs } from '@pulumi/azure-native/monitor/metricAlert.js';
import * as pulumi from '@pulumi/pulumi';
import { isoDuration } from './iso-duration.ts';
import type { Place } from './place.ts';
import type { AlertPlan, MetricScope } from './stack-plan.ts';

/** Resource id of everything whose metrics are read. */
export type MetricScopes = Readonly<Record<MetricScope, pulumi.Input<string>>>;

/** What the alerts watch. */
export interface AlertsArgs extends Place {
  readonly scopes: MetricScopes;
}

const MINUTE_MS = 60_000;

/** Who is told, and one metric alert per alert of the plan. */
export class Alerts extends pulumi.ComponentResource {
  constructor(
    name: string,
    { plan, resourceGroupName, scopes }: AlertsArgs,
    options?: pulumi.ComponentResourceOptions,
  ) {
    super('adit:infra:Alerts', name, {}, options);
    // Alerts and action groups have no region of their own.
    const common = { resourceGroupName, location: 'global', tags: plan.tags, enabled: true };
    const group = new ActionGroup(
      'operators',
      {
        ...common,
        actionGroupName: plan.names.actionGroup,
        groupShortName: plan.names.actionGroupShort,
        emailReceivers: plan.alertEmails.map((emailAddress, at) => ({
          name: `email-${at + 1}`,
          emailAddress,
          useCommonAlertSchema: true,
        })),
      },
      { parent: this },
    );
    for (const alert of plan.alerts) {
      new MetricAlert(
        alert.name,
        {
          ...common,
          ruleName: alert.name,
          description: descriptionOf(alert),
          severity: alert.severity,
          scopes: [scopes[alert.scope]],
          evaluationFrequency: isoDuration(alert.everyMinutes * MINUTE_MS),
          windowSize: isoDuration(alert.windowMinutes * MINUTE_MS),
          criteria: criteriaOf(alert),
          autoMitigate: true,
          actions: [{ actionGroupId: group.id }],
        },
        { parent: this },
      );
    }
    this.registerOutputs({});
  }
}

function descriptionOf({ summary, name }: AlertPlan): string {
  return `${summary} What to do: runtime/ops/PLAYBOOK.md#${name}`;
}

function criteriaOf(alert: AlertPlan): MetricAlertArgs['criteria'] {
  const { dimension } = alert;
  return {
    odataType: 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria',
    allOf: [
      {
        criterionType: 'StaticThresholdCriterion',
        name: alert.name,
        metricNamespace: alert.namespace,
        metricName: alert.metric,
        timeAggregation: alert.aggregation,
        operator: alert.operator,
        threshold: alert.threshold,
        ...(dimension === undefined
          ? {}
          : { dimensions: [{ name: dimension.name, operator: 'Include', values: [...dimension.values] }] }),
      },
    ],
  };
}
