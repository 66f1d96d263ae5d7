import { RoleAssignment } from '@pulumi/azure-native/authorization/roleAssignment.js';
import { UserAssignedIdentity } from '@pulumi/azure-native/managedidentity/userAssignedIdentity.js';
import * as pulumi from '@pulumi/pulumi';
import { guidOf } from './guid.ts';
import type { Place } from './place.ts';
import type { Names, RolePlan, RoleScope } from './stack-plan.ts';

/**
 * The identity of the function host. It is its own resource, because an app with an identity of its own would be needed
 * before the roles that the app needs.
 */
export class HostIdentity extends pulumi.ComponentResource {
  readonly id: pulumi.Output<string>;
  readonly principalId: pulumi.Output<string>;
  readonly clientId: pulumi.Output<string>;

  constructor(name: string, { plan, resourceGroupName }: Place, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:HostIdentity', name, {}, options);
    const identity = new UserAssignedIdentity(
      'functions',
      { resourceGroupName, resourceName: plan.names.identity, location: plan.location, tags: plan.tags },
      { parent: this },
    );
    this.id = identity.id;
    this.principalId = identity.principalId;
    this.clientId = identity.clientId;
    this.registerOutputs({ clientId: this.clientId });
  }
}

/** Who may do what where. */
export interface GrantsArgs extends Place {
  /** Resource id of every scope. */
  readonly scopes: Readonly<Record<RoleScope, pulumi.Input<string>>>;
  /** Object id of the identity of the functions. */
  readonly functionsPrincipalId: pulumi.Input<string>;
  /** Subscription of the stack, where Azure looks the roles up. */
  readonly subscriptionId: pulumi.Input<string>;
}

/** Physical name of what a role is granted on. */
const SCOPE_NAMES: Readonly<Record<RoleScope, keyof Names>> = {
  serviceBus: 'serviceBusNamespace',
  dataAccount: 'dataAccount',
  hostAccount: 'hostAccount',
  insights: 'insights',
  vault: 'vault',
};

interface Holder {
  /** Stable name, known before the principal exists. */
  readonly name: string;
  readonly principalId: pulumi.Input<string>;
  readonly principalType: 'ServicePrincipal' | 'User';
}

/** Every role assignment of the plan. */
export class Grants extends pulumi.ComponentResource {
  constructor(name: string, args: GrantsArgs, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:Grants', name, {}, options);
    for (const role of args.plan.roles) {
      for (const holder of holdersOf(role, args)) this.#grant(role, holder, args);
    }
    this.registerOutputs({});
  }

  #grant(role: RolePlan, holder: Holder, { plan, scopes, subscriptionId }: GrantsArgs): void {
    const name = role.holder === 'developer' ? `${role.name}-${holder.name}` : role.name;
    new RoleAssignment(
      name,
      {
        scope: scopes[role.scope],
        // From names, because the principal is not known before the first deployment.
        roleAssignmentName: guidOf('role', plan.names[SCOPE_NAMES[role.scope]], role.roleId, holder.name),
        // With the subscription, as Azure answers it: without, every refresh would look like another role.
        roleDefinitionId: pulumi.interpolate`/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${role.roleId}`,
        principalId: holder.principalId,
        // Without it the SDK sends "User", and Azure then looks for an identity that is not there yet.
        principalType: holder.principalType,
        description: `${role.role}: ${role.reason}`,
      },
      { parent: this },
    );
  }
}

function holdersOf(role: RolePlan, { plan, functionsPrincipalId }: GrantsArgs): readonly Holder[] {
  if (role.holder === 'functions') {
    return [{ name: plan.names.identity, principalId: functionsPrincipalId, principalType: 'ServicePrincipal' }];
  }
  return plan.developers.map((objectId) => ({ name: objectId, principalId: objectId, principalType: 'User' }));
}
