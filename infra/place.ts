import type { CustomResourceOptions, Input, Resource } from '@pulumi/pulumi';
import type { StackPlan } from './stack-plan.ts';

/** What every component needs: the plan that it translates and the resource group that it fills. */
export interface Place {
  readonly plan: StackPlan;
  readonly resourceGroupName: Input<string>;
}

/** Options of a resource that holds data: in a stack that keeps its data it is neither deleted nor replaced. */
export function keptOptions(plan: StackPlan, parent?: Resource): CustomResourceOptions {
  const kept = plan.keepsData ? { protect: true, retainOnDelete: true } : {};
  return parent === undefined ? kept : { parent, ...kept };
}
