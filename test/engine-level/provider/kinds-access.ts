import {
  GUID,
  IN_GROUP,
  type Around,
  type Inputs,
  type Refusal,
  type ResourceKind,
  text,
  when,
} from './resource-kind.ts';

/** Built-in roles of Azure by GUID (reference pages of the services, read 2026-11-23). */
const ROLES = new Set([
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b', // Storage Blob Data Owner
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe', // Storage Blob Data Contributor
  '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1', // Storage Blob Data Reader
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88', // Storage Queue Data Contributor
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3', // Storage Table Data Contributor
  '3913510d-42f4-4e42-8a64-420c390055eb', // Monitoring Metrics Publisher
  '43d0d8ad-25c7-4714-9337-8ba259a9fe05', // Monitoring Reader
  '4f6d3b9b-027b-4f4c-9142-0e5a2a2247e0', // Azure Service Bus Data Receiver
  '69a216fc-b8fb-44d8-bc22-1f3c2cd27a39', // Azure Service Bus Data Sender
  '090c5cfd-751d-490a-894a-3ce6f1109419', // Azure Service Bus Data Owner
  '4633458b-17de-408a-b874-0445c86b69e6', // Key Vault Secrets User
  'b86a8fe4-44ce-4948-aee5-eccb2c155cd7', // Key Vault Secrets Officer
  'acdd72a7-3385-48ef-bd42-f606fba81ae7', // Reader
]);

/** Groups, identities, grants and locks. */
export const ACCESS: Readonly<Record<string, ResourceKind>> = {
  'azure-native:resources:ResourceGroup': {
    path: '/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}',
    type: 'Microsoft.Resources/resourceGroups',
    name: {
      pattern: /^[\w().-]{0,89}[\w()-]$/,
      rule: '1 to 90 letters, digits, periods, underscores, hyphens and parentheses, not ending with a period',
    },
  },
  'azure-native:managedidentity:UserAssignedIdentity': {
    path: `${IN_GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}`,
    type: 'Microsoft.ManagedIdentity/userAssignedIdentities',
    name: {
      pattern: /^[A-Za-z0-9][\w-]{2,127}$/,
      rule: '3 to 128 letters, digits, hyphens and underscores, beginning with a letter or digit',
    },
    outputs: (_inputs, id, around) => ({
      principalId: guidOf(`principal of ${id}`),
      clientId: guidOf(`client of ${id}`),
      tenantId: around.tenantId,
    }),
  },
  'azure-native:authorization:RoleAssignment': {
    path: '/{scope}/providers/Microsoft.Authorization/roleAssignments/{roleAssignmentName}',
    type: 'Microsoft.Authorization/roleAssignments',
    name: { pattern: GUID, rule: 'a GUID' },
    replaceOn: ['principalId', 'principalType', 'roleDefinitionId'],
    refuse: (inputs, around, id) => grantRefusals(inputs, around, id),
  },
  'azure-native:authorization:ManagementLockByScope': {
    path: '/{scope}/providers/Microsoft.Authorization/locks/{lockName}',
    type: 'Microsoft.Authorization/locks',
  },
};

function grantRefusals(inputs: Inputs, around: Around, id: string): readonly (Refusal | undefined)[] {
  const principalId = text(inputs, 'principalId') ?? '';
  const type = text(inputs, 'principalType') ?? 'User';
  const role = text(inputs, 'roleDefinitionId') ?? '';
  const scope = text(inputs, 'scope');
  const isIdentity = around
    .all()
    .some((held) => held.token.endsWith(':UserAssignedIdentity') && held.outputs['principalId'] === principalId);
  const twin = around
    .all()
    .find(
      (held) =>
        held.id.toLowerCase() !== id.toLowerCase() &&
        held.inputs['principalId'] === principalId &&
        held.inputs['roleDefinitionId'] === role &&
        text(held.inputs, 'scope') === scope,
    );
  return [
    when(!GUID.test(principalId), 'BadRequest', `'${principalId}' is no principal id.`),
    when(
      isIdentity && type !== 'ServicePrincipal',
      'UnmatchedPrincipalType',
      `The PrincipalId '${principalId}' has type 'ServicePrincipal', which is different from specified PrincipalType '${type}'.`,
    ),
    when(
      !isIdentity && type === 'ServicePrincipal',
      'PrincipalNotFound',
      `Principal ${principalId} does not exist in the directory ${around.tenantId}.`,
    ),
    when(
      !/\/providers\/Microsoft\.Authorization\/roleDefinitions\//i.test(role) ||
        !ROLES.has(role.slice(role.lastIndexOf('/') + 1)),
      'RoleDefinitionDoesNotExist',
      `The specified role definition with ID '${role}' does not exist.`,
    ),
    twin === undefined
      ? undefined
      : { status: 409, code: 'RoleAssignmentExists', message: `The role assignment already exists: ${twin.id}` },
  ];
}

/** The same GUID for the same text. */
export function guidOf(seed: string): string {
  // FNV-1a over the text, four times with another beginning: equal texts get equal ids, and that is all that is asked.
  const words = [0, 1, 2, 3].map((turn) => {
    let hash = 0x811c9dc5 ^ turn;
    for (const letter of seed) hash = Math.imul(hash ^ letter.codePointAt(0)!, 0x01000193) >>> 0;
    return hash.toString(16).padStart(8, '0');
  });
  const hex = words.join('');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
