import { type Expectation, shortType, unmet, within } from './expectation.ts';
import { type Inputs, isInputs, look, lookList, shown, UNKNOWN } from './inputs.ts';
import { ALWAYS, type Finding, type Resource, type Rule, unseen } from './rule.ts';
import type { Stack, Stage } from './stack.ts';

const BUDGET = 'consumption:Budget';

/** Types whose tags reach the bill. A secret of the vault is none: its tags are written once and never again. */
const TAGGED = new Set([
  'resources:ResourceGroup',
  'servicebus:Namespace',
  'redis:Redis',
  'redisenterprise:RedisEnterprise',
  'storage:StorageAccount',
  'web:AppServicePlan',
  'web:WebApp',
  'keyvault:Vault',
  'operationalinsights:Workspace',
  'applicationinsights:Component',
  'applicationinsights:Workbook',
  'managedidentity:UserAssignedIdentity',
  'monitor:ActionGroup',
  'monitor:MetricAlert',
]);

/** Tags that the bill is split by. */
const BILLED_TAGS = ['owner', 'costCenter', 'stage'];

function tagFindings(resource: Resource, { tags }: Stack): readonly Finding[] {
  const given = look(resource.inputs, 'tags');
  if (given === UNKNOWN) return [unseen(resource, 'tags')];
  return BILLED_TAGS.flatMap((name): readonly Finding[] => {
    const value = isInputs(given) ? given[name] : undefined;
    if (value === UNKNOWN) return [unseen(resource, `tags.${name}`)];
    if (value !== undefined && value === tags[name]) return [];
    return [{ urn: resource.urn, message: `tags.${name} must be ${shown(tags[name])}, is ${shown(value)}` }];
  });
}

/** Values that are not known yet have no business in a remedy. */
function knownTags(tags: Inputs): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(tags).filter(([, value]) => typeof value === 'string'));
}

const DAILY_CAP_MAX_GB: Readonly<Record<Stage, number>> = { dev: 1, prod: 5 };
const RETENTION_MAX_DAYS: Readonly<Record<Stage, number>> = { dev: 31, prod: 90 };

function capWithin({ stage }: Stack): readonly Expectation[] {
  const path = 'workspaceCapping.dailyQuotaGb';
  // Azure's -1 is no cap at all.
  return [within('operationalinsights:Workspace', path, 0.01, DAILY_CAP_MAX_GB[stage])];
}

const RETAINING = ['operationalinsights:Workspace', 'applicationinsights:Component'];

function retentionWithin({ stage }: Stack): readonly Expectation[] {
  return RETAINING.map((type) => within(type, 'retentionInDays', 1, RETENTION_MAX_DAYS[stage]));
}

function budgets(resources: readonly Resource[], { budgetUsd }: Stack): readonly Finding[] {
  const found = resources.filter(({ type }) => shortType(type) === BUDGET);
  if (found.length === 0) return [{ urn: undefined, message: 'the stack has no budget' }];
  return found.flatMap((budget) => {
    const expectations: readonly Expectation[] = [
      {
        type: BUDGET,
        path: 'amount',
        isFine: (value) => value === budgetUsd,
        must: `${budgetUsd} (adit:monthlyBudgetUsd)`,
      },
      { type: BUDGET, path: 'timeGrain', isFine: (value) => value === 'Monthly', must: 'Monthly' },
    ];
    return [...unmet(expectations, budget), ...budgetMails(budget)];
  });
}

/** Somebody is told when the budget is spent, and before it is. */
function budgetMails(budget: Resource): readonly Finding[] {
  const notifications = look(budget.inputs, 'notifications');
  if (notifications === UNKNOWN) return [unseen(budget, 'notifications')];
  const all = isInputs(notifications) ? Object.values(notifications) : [];
  const isBlind = all.some((one) => one === UNKNOWN || (isInputs(one) && Object.values(one).includes(UNKNOWN)));
  return ['Actual', 'Forecasted'].flatMap((kind) =>
    all.some((one) => isInputs(one) && isHeard(one, kind))
      ? []
      : isBlind
        ? [unseen(budget, `notifications: ${kind}`)]
        : [{ urn: budget.urn, message: `no notification that is on, with an address, at 100 % or less: ${kind}` }],
  );
}

function isHeard(notification: Inputs, kind: string): boolean {
  const emails = lookList(notification, 'contactEmails');
  const threshold = notification['threshold'];
  return (
    notification['thresholdType'] === kind &&
    notification['enabled'] === true &&
    (emails === UNKNOWN || emails.length > 0) &&
    (threshold === UNKNOWN || (typeof threshold === 'number' && threshold <= 100))
  );
}

/** Something that is paid for, and what must stand on it to be of use. */
interface Standing {
  readonly type: string;
  /** Input that holds its name. */
  readonly name: string;
  readonly users: readonly { readonly type: string; readonly input: string }[];
}

const STANDINGS: readonly Standing[] = [
  { type: 'web:AppServicePlan', name: 'name', users: [{ type: 'web:WebApp', input: 'serverFarmId' }] },
  { type: 'redis:Redis', name: 'name', users: [{ type: 'redis:AccessPolicyAssignment', input: 'cacheName' }] },
  {
    type: 'redisenterprise:RedisEnterprise',
    name: 'clusterName',
    users: [{ type: 'redisenterprise:Database', input: 'clusterName' }],
  },
  {
    type: 'servicebus:Namespace',
    name: 'namespaceName',
    users: ['servicebus:Queue', 'servicebus:Topic'].map((type) => ({ type, input: 'namespaceName' })),
  },
];

function idle(resources: readonly Resource[]): readonly Finding[] {
  return resources.flatMap((resource) => {
    const standing = STANDINGS.find(({ type }) => type === shortType(resource.type));
    if (standing === undefined) return [];
    const isUsed = resources.some((other) => stands(other, resource, standing));
    return isUsed ? [] : [{ urn: resource.urn, message: 'it is paid for and nothing uses it' }];
  });
}

/** By what the input is made of, and by name where both are known. */
function stands(other: Resource, on: Resource, { name, users }: Standing): boolean {
  const user = users.find(({ type }) => type === shortType(other.type));
  if (user === undefined) return false;
  if ((other.madeOf[user.input] ?? []).includes(on.urn)) return true;
  const given = look(other.inputs, user.input);
  return typeof given === 'string' && given === look(on.inputs, name);
}

/** What keeps a bill from growing unseen. */
export const SPENDING_RULES: readonly Rule[] = [
  {
    kind: 'stack',
    name: 'budget-exists',
    area: 'cost',
    level: ALWAYS,
    what: 'The stack has a monthly budget of the configured amount that tells somebody, also of the forecast.',
    reason: 'Article ch. 3, "The Service Bus Bill Shock": $200 a month became $3,000 "seemingly overnight".',
    change: 'Keep infra/budget.ts, and set adit:monthlyBudgetUsd.',
    check: budgets,
  },
  {
    kind: 'resource',
    name: 'log-cap',
    area: 'cost',
    level: ALWAYS,
    what: `Logs have a daily cap of at most ${DAILY_CAP_MAX_GB.dev} GB in dev, ${DAILY_CAP_MAX_GB.prod} GB in prod.`,
    reason: 'A GB of logs is $2.30 (runtime/prices.json), so a loop that logs costs more than the loop.',
    change: 'Set adit:logDailyCapGb.',
    applies: (type) => shortType(type) === 'operationalinsights:Workspace',
    check: (resource, stack) => unmet(capWithin(stack), resource),
  },
  {
    kind: 'resource',
    name: 'log-retention',
    area: 'cost',
    level: ALWAYS,
    what: `Logs are kept for at most ${RETENTION_MAX_DAYS.dev} days in dev, ${RETENTION_MAX_DAYS.prod} in prod.`,
    reason: 'Microsoft, "Azure Monitor Logs cost", 2026: the first 31 days are free, the rest is paid by the month.',
    change: 'Set adit:logRetentionDays.',
    applies: (type) => RETAINING.includes(shortType(type)),
    check: (resource, stack) => unmet(retentionWithin(stack), resource),
  },
  {
    kind: 'resource',
    name: 'cost-tags',
    area: 'cost',
    level: ALWAYS,
    what: `Every resource that can carry them has the tags ${BILLED_TAGS.join(', ')}, as the configuration says.`,
    reason: 'Costs that belong to nobody are saved by nobody.',
    change: 'Pass plan.tags, which the pack does by itself at the level "remediate".',
    applies: (type) => TAGGED.has(shortType(type)),
    check: tagFindings,
    remedy: ({ inputs }, { tags }) => {
      const given = look(inputs, 'tags');
      return { tags: { ...(isInputs(given) ? knownTags(given) : {}), ...tags } };
    },
  },
  {
    kind: 'stack',
    name: 'no-idle-resource',
    area: 'cost',
    level: ALWAYS,
    what: 'Nothing that is paid by the hour stands without something that uses it.',
    reason: 'Article ch. 6, "Infrastructure Right-Sizing"; the cheapest resource is the one that is not there.',
    change: 'Take it out, or connect what it is for.',
    check: idle,
  },
];
