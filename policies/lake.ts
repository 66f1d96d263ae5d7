import { LAKE_CONTAINER, LEDGER_TABLES, tableName } from '../runtime/core/storage-names.ts';
import { shortType } from './expectation.ts';
import { type Inputs, isInputs, look, lookList, shown, textOf, UNKNOWN } from './inputs.ts';
import { ALWAYS, type Finding, type Resource, type StackRule, unseen } from './rule.ts';

const ACCOUNT = 'storage:StorageAccount';
const CONTAINER = 'storage:BlobContainer';
const TABLE = 'storage:Table';
const BLOB_SERVICE = 'storage:BlobServiceProperties';
const LIFECYCLE = 'storage:ManagementPolicy';

/** Container of the deployed packages. */
const PACKAGES_CONTAINER = 'packages';

/** Days that deleted objects can be brought back. */
const SOFT_DELETE_DAYS = 7;

/** Days after which an object that nobody reads any more must lie in a cheaper tier. */
const COOL_AFTER_DAYS = 90;

function ofType(resources: readonly Resource[], type: string): readonly Resource[] {
  return resources.filter((resource) => shortType(resource.type) === type);
}

/** URN of the account that something lies in; before a deployment its name is not known, the resource is. */
function accountOf(resource: Resource, accounts: readonly Resource[]): string | undefined {
  const made = resource.madeOf['accountName'] ?? [];
  const name = look(resource.inputs, 'accountName');
  const isIt = (account: Resource): boolean =>
    made.includes(account.urn) || (typeof name === 'string' && look(account.inputs, 'accountName') === name);
  return accounts.find(isIt)?.urn;
}

/** The account of the lake; undefined where there is no lake. */
export function lakeAccount(resources: readonly Resource[]): Resource | undefined {
  const accounts = ofType(resources, ACCOUNT);
  const lake = ofType(resources, CONTAINER).find(({ inputs }) => look(inputs, 'containerName') === LAKE_CONTAINER);
  const urn = lake === undefined ? undefined : accountOf(lake, accounts);
  return accounts.find((account) => account.urn === urn);
}

/** What stands beside the lake in its account. */
function beside(resources: readonly Resource[], type: string): readonly Resource[] {
  const account = lakeAccount(resources);
  const accounts = ofType(resources, ACCOUNT);
  return ofType(resources, type).filter(
    (resource) => account !== undefined && accountOf(resource, accounts) === account.urn,
  );
}

const NO_SERVICE = 'the account of the lake has no BlobServiceProperties, so what is deleted is gone';
const NO_LIFECYCLE = 'the account of the lake has no lifecycle (ManagementPolicy)';

function softDelete(service: Resource): readonly Finding[] {
  return ['deleteRetentionPolicy', 'containerDeleteRetentionPolicy'].flatMap((path) => {
    const enabled = look(service.inputs, `${path}.enabled`);
    const days = look(service.inputs, `${path}.days`);
    if (enabled === UNKNOWN || days === UNKNOWN) return [unseen(service, path)];
    const isKept = enabled === true && typeof days === 'number' && days >= SOFT_DELETE_DAYS;
    if (isKept) return [];
    const is = `enabled ${shown(enabled)}, days ${shown(days)}`;
    return [{ urn: service.urn, message: `${path} must be on for at least ${SOFT_DELETE_DAYS} days, is ${is}` }];
  });
}

function lifecycle(policy: Resource): readonly Finding[] {
  const rules = lookList(policy.inputs, 'policy.rules');
  if (rules === UNKNOWN || rules.includes(UNKNOWN)) return [unseen(policy, 'policy.rules')];
  if (rules.some((rule) => isInputs(rule) && coolsLake(rule))) return [];
  return [
    { urn: policy.urn, message: `no rule moves ${LAKE_CONTAINER}/ to a cheaper tier within ${COOL_AFTER_DAYS} days` },
  ];
}

function coolsLake(rule: Inputs): boolean {
  const prefixes = lookList(rule, 'definition.filters.prefixMatch');
  const isOnLake =
    prefixes === UNKNOWN ||
    prefixes.length === 0 ||
    prefixes.some((prefix) => `${LAKE_CONTAINER}/`.startsWith(textOf(prefix)));
  const days = look(rule, 'definition.actions.baseBlob.tierToCool.daysAfterModificationGreaterThan');
  const isSoon = days === UNKNOWN || (typeof days === 'number' && days <= COOL_AFTER_DAYS);
  return look(rule, 'enabled') !== false && isOnLake && isSoon;
}

/** A rule about something that must stand beside the lake. */
function besideLake(
  type: string,
  missing: string,
  check: (resource: Resource) => readonly Finding[],
): StackRule['check'] {
  return (resources) => {
    // A stack without a lake is found by the rule "ledger-and-lake".
    if (lakeAccount(resources) === undefined) return [];
    const found = beside(resources, type);
    return found.length === 0 ? [{ urn: undefined, message: missing }] : found.flatMap(check);
  };
}

/** What keeps the lake cheap, and what brings it back. */
export const LAKE_RULES: readonly StackRule[] = [
  {
    kind: 'stack',
    name: 'lake-lifecycle',
    area: 'cost',
    level: ALWAYS,
    what: `Objects of the lake move to a cheaper tier within ${COOL_AFTER_DAYS} days.`,
    reason: 'Storage is the cost that only grows; objects of the lake are written once and read less and less.',
    change: 'Keep the ManagementPolicy with a rule for lake/ that has tierToCool.',
    check: besideLake(LIFECYCLE, NO_LIFECYCLE, lifecycle),
  },
  {
    kind: 'stack',
    name: 'lake-soft-delete',
    area: 'reliability',
    level: ALWAYS,
    what: `Deleted objects and containers of the lake can be brought back for ${SOFT_DELETE_DAYS} days.`,
    reason: 'A script that deletes too much is found within days.',
    change: 'Keep the BlobServiceProperties with both retention policies on.',
    check: besideLake(BLOB_SERVICE, NO_SERVICE, softDelete),
  },
  {
    kind: 'stack',
    name: 'ledger-and-lake',
    area: 'completeness',
    level: ALWAYS,
    what: 'Every table of the ledger, the lake and the container of packages exist, and no other table or container.',
    reason: 'The ledger decides what is in the lake; one without the other loses or doubles items.',
    change: 'Change runtime/core/storage-names.ts; tables and containers are derived from it.',
    check: (resources) => [
      ...compared(resources, TABLE, 'tableName', LEDGER_TABLES.map(tableName)),
      ...compared(resources, CONTAINER, 'containerName', [LAKE_CONTAINER, PACKAGES_CONTAINER]),
    ],
  },
];

function compared(
  resources: readonly Resource[],
  type: string,
  input: string,
  wanted: readonly string[],
): readonly Finding[] {
  const found = ofType(resources, type);
  const names = found.map(({ inputs }) => look(inputs, input));
  const findings = found.flatMap((resource, at): readonly Finding[] => {
    const name = names[at];
    if (name === UNKNOWN) return [unseen(resource, input)];
    const isWanted = typeof name === 'string' && wanted.includes(name);
    return isWanted ? [] : [{ urn: resource.urn, message: `${input} ${shown(name)} is not one that the runtime uses` }];
  });
  // One whose name is not known yet may be any of those that are missing.
  if (names.includes(UNKNOWN)) return findings;
  const missing = wanted.filter((name) => !names.includes(name));
  return [...findings, ...missing.map((name) => ({ urn: undefined, message: `the ${type} ${name} is missing` }))];
}
