import { Budget as CostBudget, type BudgetArgs as CostBudgetArgs } from '@pulumi/azure-native/consumption/budget.js';
import * as pulumi from '@pulumi/pulumi';
import type { StackPlan } from './stack-plan.ts';

/** Whose cost is watched. */
export interface BudgetArgs {
  readonly plan: StackPlan;
  /** Resource id of the resource group. */
  readonly scope: pulumi.Input<string>;
}

/** Monthly budget of the resource group, with a message at every threshold. It stops nothing. */
export class Budget extends pulumi.ComponentResource {
  constructor(name: string, { plan, scope }: BudgetArgs, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:Budget', name, {}, options);
    new CostBudget(
      'monthly',
      {
        scope,
        budgetName: plan.names.budget,
        category: 'Cost',
        timeGrain: 'Monthly',
        amount: plan.budget.amountUsd,
        timePeriod: { startDate: firstOfMonth(new Date()) },
        notifications: notificationsOf(plan),
      },
      // Azure takes no start before the current month, so the date is that of the first deployment; later it is no change.
      { parent: this, ignoreChanges: ['timePeriod'] },
    );
    this.registerOutputs({});
  }
}

function notificationsOf({ budget, alertEmails }: StackPlan): NonNullable<CostBudgetArgs['notifications']> {
  const notifications = budget.thresholds.map(({ percent, kind }) => {
    const told = { enabled: true, contactEmails: [...alertEmails] };
    return [
      `${kind}-${percent}`,
      { ...told, operator: 'GreaterThan', threshold: percent, thresholdType: kind },
    ] as const;
  });
  return Object.fromEntries(notifications);
}

/** Midnight UTC of the first day of a moment's month. */
export function firstOfMonth(now: Date): string {
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth())).toISOString().replace('.000', '');
}
