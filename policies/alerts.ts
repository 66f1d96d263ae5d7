import { entitiesOf } from '../runtime/core/route.ts';
import { shortType } from './expectation.ts';
import { isInputs, look, lookList, shown, UNKNOWN, type Value } from './inputs.ts';
import { ALWAYS, type Finding, type Resource, type ResourceRule, type StackRule, unseen } from './rule.ts';

const ALERT = 'monitor:MetricAlert';
const ACTION_GROUP = 'monitor:ActionGroup';

/** Link in the description of an alert to what its reader does. */
const PLAYBOOK_LINK = /runtime\/ops\/PLAYBOOK\.md#([a-z0-9-]+)/;

/** Severity above which an alert is only for a log. */
const SEVERITY_MAX = 3;

function isAlert(type: string): boolean {
  return shortType(type) === ALERT;
}

/** Values of the dimension EntityName that an alert watches with one metric. */
function watchedNames(alert: Resource, metric: string): readonly Value[] {
  const criteria = lookList(alert.inputs, 'criteria.allOf');
  if (criteria === UNKNOWN || look(alert.inputs, 'enabled') === false) return [];
  return criteria.flatMap((criterion) => {
    if (!isInputs(criterion) || criterion['metricName'] !== metric) return [];
    const dimensions = lookList(criterion, 'dimensions');
    if (dimensions === UNKNOWN) return [UNKNOWN];
    const ofEntity = dimensions.filter((item) => isInputs(item) && item['name'] === 'EntityName');
    return ofEntity.flatMap((item) => (isInputs(item) ? lookListOrUnknown(item) : []));
  });
}

function lookListOrUnknown(dimension: { readonly [name: string]: Value }): readonly Value[] {
  const values = lookList(dimension, 'values');
  return values === UNKNOWN ? [UNKNOWN] : values;
}

function unwatched(
  resources: readonly Resource[],
  metric: string,
  names: readonly string[],
  noun: string,
): readonly Finding[] {
  const alerts = resources.filter(({ type }) => isAlert(type));
  const watched = alerts.flatMap((alert) => watchedNames(alert, metric));
  const isBlind = watched.includes(UNKNOWN);
  return names
    .filter((name) => !watched.includes(name))
    .map((name) => ({
      urn: undefined,
      ...(isBlind
        ? { message: `could not see whether ${noun} of ${name} has an alert`, level: 'advisory' as const }
        : { message: `no alert watches the ${noun} (${metric}) of ${name}` }),
    }));
}

/** Queues are watched for depth; what has dead letters is watched for those, a subscription at its topic. */
export const ALERT_STACK_RULES: readonly StackRule[] = [
  {
    kind: 'stack',
    name: 'queue-has-alert',
    area: 'reliability',
    level: ALWAYS,
    what: 'The depth and the dead letters of every queue of the catalog are watched by an alert that is on.',
    reason: 'Article ch. 4, "The Dashboard That Saved Our Sanity": the depth of queues is its first alert.',
    change: 'Alerts are derived from the catalog in infra/plan-alerts.ts; add the queue to the alert of its lane.',
    check: (resources, { miners }) => {
      const entities = entitiesOf(miners);
      const queues = entities.filter(({ kind }) => kind === 'queue').map(({ name }) => name);
      const holders = entities.filter(({ kind }) => kind !== 'subscription').map(({ name }) => name);
      return [
        ...unwatched(resources, 'ActiveMessages', queues, 'depth'),
        ...unwatched(resources, 'DeadletteredMessages', holders, 'dead letters'),
      ];
    },
  },
  {
    kind: 'stack',
    name: 'alert-reaches-somebody',
    area: 'reliability',
    level: ALWAYS,
    what: 'Every alert is on, can be heard, and its action group sends mail.',
    reason: 'Article ch. 5, "The 3-Minute Rule"; an alert that reaches nobody is decoration.',
    change: 'Set enabled to true, a severity of 0 to 3, and the action group with its receivers.',
    check: (resources) => {
      const byUrn = new Map(resources.map((resource) => [resource.urn, resource]));
      const alerts = resources.filter(({ type }) => isAlert(type)).flatMap((alert) => silent(alert, byUrn));
      const groups = resources.filter(({ type }) => shortType(type) === ACTION_GROUP).flatMap(deaf);
      return [...alerts, ...groups];
    },
  },
];

function silent(alert: Resource, byUrn: ReadonlyMap<string, Resource>): readonly Finding[] {
  const { urn } = alert;
  const enabled = look(alert.inputs, 'enabled');
  const severity = look(alert.inputs, 'severity');
  const isHeard = severity === UNKNOWN || (typeof severity === 'number' && severity <= SEVERITY_MAX);
  const findings: Finding[] = enabled === false ? [{ urn, message: 'the alert is off' }] : [];
  if (enabled === UNKNOWN) findings.push(unseen(alert, 'enabled'));
  if (severity === UNKNOWN) findings.push(unseen(alert, 'severity'));
  if (!isHeard) findings.push({ urn, message: `severity must be 0 to ${SEVERITY_MAX}, is ${shown(severity)}` });
  const actions = lookList(alert.inputs, 'actions');
  const told = (alert.madeOf['actions'] ?? []).some((other) => isGroup(byUrn.get(other)));
  if (actions === UNKNOWN && !told) findings.push(unseen(alert, 'actions'));
  if (actions !== UNKNOWN && actions.length === 0) findings.push({ urn, message: 'the alert tells nobody' });
  return findings;
}

function isGroup(resource: Resource | undefined): boolean {
  return resource !== undefined && shortType(resource.type) === ACTION_GROUP;
}

function deaf(group: Resource): readonly Finding[] {
  const { urn } = group;
  const receivers = lookList(group.inputs, 'emailReceivers');
  const enabled = look(group.inputs, 'enabled');
  if (receivers === UNKNOWN) return [unseen(group, 'emailReceivers')];
  if (enabled === UNKNOWN) return [unseen(group, 'enabled')];
  if (enabled === false) return [{ urn, message: 'the action group is off' }];
  return receivers.length === 0 ? [{ urn, message: 'the action group has no receiver' }] : [];
}

/** Every section of the playbook is about an alert, so each of them must be there. */
export const ALERTS_RULE: StackRule = {
  kind: 'stack',
  name: 'playbook-alerts',
  area: 'completeness',
  level: ALWAYS,
  what: 'Every alert that the playbook has a section for exists.',
  reason: 'Article ch. 5, "The 3-Minute Rule"; what to do is written down, and nobody would be told to do it.',
  change: 'Add the alert in infra/plan-alerts.ts, or take its section out of runtime/ops/PLAYBOOK.md.',
  check: (resources, { playbook }) => {
    const alerts = resources.filter(({ type }) => isAlert(type));
    const texts = alerts.map(({ inputs }) => look(inputs, 'description'));
    if (texts.includes(UNKNOWN)) return [];
    const named = new Set(texts.map((text) => (typeof text === 'string' ? PLAYBOOK_LINK.exec(text)?.[1] : undefined)));
    const missing = [...playbook].filter((section) => !named.has(section));
    return missing.map((section) => ({ urn: undefined, message: `the alert ${section} is missing` }));
  },
};

/** Whoever is woken is told what to do. */
export const PLAYBOOK_RULE: ResourceRule = {
  kind: 'resource',
  name: 'alert-has-playbook',
  area: 'reliability',
  level: ALWAYS,
  what: 'Every alert names the section of the playbook that says what to do.',
  reason: 'Article ch. 5, "The 3-Minute Rule": a mitigation is executable in under 3 minutes.',
  change: 'Write the section in runtime/ops/PLAYBOOK.md and link it in the description of the alert.',
  applies: isAlert,
  check: (alert, { playbook }) => {
    const { urn, inputs } = alert;
    const description = look(inputs, 'description');
    if (description === UNKNOWN) return [unseen(alert, 'description')];
    const section = typeof description === 'string' ? PLAYBOOK_LINK.exec(description)?.[1] : undefined;
    if (section === undefined) return [{ urn, message: 'the description links no section of the playbook' }];
    return playbook.has(section) ? [] : [{ urn, message: `the playbook has no section "${section}"` }];
  },
};
