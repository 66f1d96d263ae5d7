import { shortType } from './expectation.ts';
import { look, shown, textOf, UNKNOWN } from './inputs.ts';
import { ALWAYS, type Finding, type Resource, type StackRule, unseen } from './rule.ts';
import type { Stack } from './stack.ts';

/** A role that may be granted, on which kind of resource, and why. */
interface AllowedRole {
  readonly name: string;
  /** Type of the resource, without `azure-native:`. */
  readonly on: string;
  readonly why: string;
  /** Grants that the app cannot do without. */
  readonly needed: number;
}

/** By GUID (Microsoft, "Azure built-in roles", 2026). Data roles only: none of them changes a resource or grants a role. */
const ALLOWED: Readonly<Record<string, AllowedRole>> = {
  '090c5cfd-751d-490a-894a-3ce6f1109419': {
    name: 'Azure Service Bus Data Owner',
    on: 'servicebus:Namespace',
    why: 'messages, and the depth of queues, which needs the Manage right',
    needed: 1,
  },
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b': {
    name: 'Storage Blob Data Owner',
    on: 'storage:StorageAccount',
    why: 'the package of the app and the locks of its timers',
    needed: 1,
  },
  'ba92f5b4-2d11-453d-a403-e96b0029c9fe': {
    name: 'Storage Blob Data Contributor',
    on: 'storage:StorageAccount',
    why: 'objects of the lake',
    needed: 1,
  },
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88': {
    name: 'Storage Queue Data Contributor',
    on: 'storage:StorageAccount',
    why: "the host's own queues",
    needed: 1,
  },
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3': {
    name: 'Storage Table Data Contributor',
    on: 'storage:StorageAccount',
    why: "the ledger, and the host's diagnostic events",
    needed: 2,
  },
  '3913510d-42f4-4e42-8a64-420c390055eb': {
    name: 'Monitoring Metrics Publisher',
    on: 'applicationinsights:Component',
    why: 'telemetry without a key',
    needed: 1,
  },
  '4633458b-17de-408a-b874-0445c86b69e6': {
    name: 'Key Vault Secrets User',
    on: 'keyvault:Vault',
    why: "the keys that seal users' tokens",
    needed: 1,
  },
};

/** Roles that govern resources, or roles themselves. */
const CONTROL_PLANE: Readonly<Record<string, string>> = {
  '8e3af657-a8ff-443c-a75c-2fe8c4bcb635': 'Owner',
  'b24988ac-6180-42a0-ab88-20f7382dd24c': 'Contributor',
  '18d7d88d-d35e-4fb5-a5c3-7773c20a72d9': 'User Access Administrator',
  'f58310d9-a9f6-439a-9e8d-f62e7b41a168': 'Role Based Access Control Administrator',
};

/** A subscription, a management group or a whole resource group: too wide for any role. */
const WIDE_SCOPE = /^\/?(subscriptions\/[^/]+(\/resourceGroups\/[^/]+)?|providers\/Microsoft\.Management\/.+)?\/?$/i;

const ROLE_ASSIGNMENT = 'authorization:RoleAssignment';

function roleFindings(role: Resource, byUrn: ReadonlyMap<string, Resource>): readonly Finding[] {
  const id = look(role.inputs, 'roleDefinitionId');
  if (id === UNKNOWN) return [unseen(role, 'roleDefinitionId')];
  const guid = textOf(id).split('/').at(-1)?.toLowerCase() ?? '';
  const control = CONTROL_PLANE[guid];
  if (control !== undefined) return [said(role, `${control} governs resources; an app needs data roles only`)];
  const allowed = ALLOWED[guid];
  if (allowed === undefined) return [said(role, `role ${guid} is not in the list of policies/roles.ts`)];
  return scopeFindings(role, allowed, byUrn);
}

/** Before the deployment the id of the scope is not known, but the resource that it will be the id of is. */
function scopeFindings(
  role: Resource,
  { name, on }: AllowedRole,
  byUrn: ReadonlyMap<string, Resource>,
): readonly Finding[] {
  const scope = look(role.inputs, 'scope');
  if (typeof scope === 'string' && WIDE_SCOPE.test(scope))
    return [said(role, `${name} on all of ${scope} is too wide`)];
  const owners = (role.madeOf['scope'] ?? []).flatMap((urn) => byUrn.get(urn) ?? []);
  if (owners.length === 0) return scope === UNKNOWN ? [unseen(role, 'scope')] : [];
  const wrong = owners.find(({ type }) => shortType(type) !== on);
  return wrong === undefined
    ? []
    : [said(role, `${name} belongs on a ${on}, is on ${shortType(wrong.type)} ${wrong.name}`)];
}

/** Access to a cache is no role of Azure, so it is looked for beside them. */
const CACHE_ENTRIES = ['redis:AccessPolicyAssignment', 'redisenterprise:AccessPolicyAssignment'];

function missingRoles(resources: readonly Resource[]): readonly Finding[] {
  const ids = rolesIn(resources)
    .filter(({ inputs }) => look(inputs, 'principalType') !== 'User')
    .map(({ inputs }) => look(inputs, 'roleDefinitionId'));
  if (ids.includes(UNKNOWN)) return [];
  const granted = ids.map((id) => textOf(id).split('/').at(-1)?.toLowerCase());
  const roles = Object.entries(ALLOWED).filter(
    ([guid, { needed }]) => granted.filter((id) => id === guid).length < needed,
  );
  const canEnterCache = resources.some(({ type }) => CACHE_ENTRIES.includes(shortType(type)));
  return [
    ...roles.map(([, { name, on, why }]) => ({ urn: undefined, message: `nobody has ${name} on a ${on}: ${why}` })),
    ...(canEnterCache ? [] : [{ urn: undefined, message: 'nobody has access to the cache' }]),
  ];
}

function people(role: Resource): readonly Finding[] {
  const kind = look(role.inputs, 'principalType');
  if (kind === UNKNOWN) return [unseen(role, 'principalType')];
  return kind === 'ServicePrincipal' ? [] : [said(role, `principalType must be ServicePrincipal, is ${shown(kind)}`)];
}

function said({ urn }: Resource, message: string): Finding {
  return { urn, message };
}

function rolesIn(resources: readonly Resource[]): readonly Resource[] {
  return resources.filter(({ type }) => shortType(type) === ROLE_ASSIGNMENT);
}

/** Who may do what. */
export const ROLE_RULES: readonly StackRule[] = [
  {
    kind: 'stack',
    name: 'least-roles',
    area: 'security',
    level: ALWAYS,
    what: 'Only data roles from the list in policies/roles.ts are granted, each on the kind of resource that it is for.',
    reason: 'Microsoft, "Best practices for Azure RBAC", 2026: what an app may not do, a leak cannot do either.',
    change:
      'Grant the data role for what is read or written, on that resource; a new role needs its line and its reason in the list.',
    check: (resources) => {
      const byUrn = new Map(resources.map((resource) => [resource.urn, resource]));
      return rolesIn(resources).flatMap((role) => roleFindings(role, byUrn));
    },
  },
  {
    kind: 'stack',
    name: 'no-people-in-prod',
    area: 'security',
    level: ALWAYS,
    what: 'In prod, roles belong to identities of apps, not to people.',
    reason: 'Nobody mines into prod from a desk.',
    change: 'Empty adit:developers, and use the identity of the app.',
    notApplicable: ({ stage }: Stack) => (stage === 'prod' ? undefined : 'people may mine into a dev stack'),
    check: (resources) => rolesIn(resources).flatMap(people),
  },
  {
    kind: 'stack',
    name: 'needed-roles',
    area: 'completeness',
    level: ALWAYS,
    what: 'The app has every role that it cannot work without, and access to the cache.',
    reason: 'With keys off, a role that is missing is a 403 in the first minute.',
    change: 'Grant it in infra/plan-roles.ts, or take it out of the list in policies/roles.ts.',
    check: missingRoles,
  },
];
