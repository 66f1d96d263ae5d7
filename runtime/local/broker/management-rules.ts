import rhea from 'rhea';
import type { AmqpFault } from './conditions.ts';
import type { SubscriptionNode } from './nodes.ts';
import { RequestError, mapField, numberField, optionalText, textField, toMap } from './request.ts';
import type { Answer, ManagementRequest } from './request.ts';
import { RULE_LIMIT } from './rules.ts';
import type { CorrelationFilter, Rule } from './rules.ts';

/** Descriptors of the encoded rules, from Azure's request and response reference. */
const RULE = 0x13700000004;
const EMPTY_ACTION = 0x13700000005;
const SQL_ACTION = 0x13700000006;
const SQL_FILTER = 0x1370000006;
const TRUE_FILTER = 0x1370000007;
const FALSE_FILTER = 0x1370000008;
const CORRELATION_FILTER = 0x1370000009;

/** Order of the fields in an encoded correlation filter. */
const CORRELATION_FIELDS: readonly string[] = [
  'correlation-id',
  'message-id',
  'to',
  'reply-to',
  'label',
  'session-id',
  'reply-to-session-id',
  'content-type',
];

function subscriptionOf(request: ManagementRequest): SubscriptionNode {
  const { node } = request.target;
  if (node.kind !== 'subscription') throw new RequestError(`'${node.path}' is not a subscription, it has no rules`);
  return node;
}

/** Adds a rule to a subscription. A name is used once. */
export function addRule(request: ManagementRequest, answer: Answer): void {
  const { rules, main, path } = subscriptionOf(request);
  const rule = readRule(textField(request.body, 'rule-name'), mapField(request.body, 'rule-description'));
  if (rules.has(rule.name)) {
    const description = `The messaging entity '${path}/Rules/${rule.name}' already exists.`;
    return answer({ status: 409, fault: { condition: 'com.microsoft:entity-already-exists', description } });
  }
  if (rules.size >= RULE_LIMIT) {
    const description = `A subscription has at most ${RULE_LIMIT} rules.`;
    return answer({ status: 403, fault: { condition: 'amqp:resource-limit-exceeded', description } });
  }
  try {
    rules.add(rule);
  } catch (error) {
    throw new RequestError(error instanceof Error ? error.message : String(error));
  }
  request.space.journal.commit(
    (store) => store.addRule(main.id, rule.name, JSON.stringify(rule)),
    () => answer({ status: 200 }),
  );
}

function readRule(name: string, description: Readonly<Record<string, unknown>>): Rule {
  const action = optionalText(mapField(description, 'sql-rule-action'), 'expression') ?? null;
  const correlation = toMap(description['correlation-filter']);
  if (correlation !== undefined) return { name, filter: readCorrelation(correlation), action };
  const expression = optionalText(mapField(description, 'sql-filter'), 'expression');
  if (expression === undefined) throw new RequestError('a rule needs an SQL filter or a correlation filter');
  return { name, filter: { kind: 'sql', expression }, action };
}

function readCorrelation(map: Readonly<Record<string, unknown>>): CorrelationFilter {
  const fields: Record<string, string> = {};
  for (const field of CORRELATION_FIELDS) {
    const value = map[field];
    if (typeof value === 'string' && value !== '') fields[field] = value;
  }
  const properties: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(mapField(map, 'properties'))) {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') properties[key] = value;
  }
  return { kind: 'correlation', fields, properties };
}

/** Removes a rule from a subscription by name. */
export function removeRule(request: ManagementRequest, answer: Answer): void {
  const { rules, main, path } = subscriptionOf(request);
  const name = textField(request.body, 'rule-name');
  if (!rules.remove(name)) {
    const description = `The messaging entity '${path}/Rules/${name}' could not be found.`;
    const fault: AmqpFault = { condition: 'amqp:not-found', description };
    return answer({ status: 404, fault });
  }
  request.space.journal.commit(
    (store) => store.removeRule(main.id, name),
    () => answer({ status: 200 }),
  );
}

/** Rules by name, from `skip` on. The client pages until it gets 204. */
export function enumerateRules(request: ManagementRequest, answer: Answer): void {
  const { rules } = subscriptionOf(request);
  const skip = numberField(request.body, 'skip', 0);
  const page = rules.list().slice(skip, skip + numberField(request.body, 'top', RULE_LIMIT));
  if (page.length === 0) return answer({ status: 204 });
  answer({ status: 200, body: { rules: page.map((rule) => ({ 'rule-description': encodeRule(rule) })) } });
}

function encodeRule(rule: Rule): unknown {
  const action = rule.action === null ? described(EMPTY_ACTION, []) : described(SQL_ACTION, [rule.action, 20]);
  return described(RULE, [encodeFilter(rule.filter), action, rule.name, new Date(0)]);
}

function encodeFilter(filter: Rule['filter']): unknown {
  if (filter.kind === 'correlation') {
    const fields = CORRELATION_FIELDS.map((name) => filter.fields[name] ?? null);
    return described(CORRELATION_FILTER, [...fields, { ...filter.properties }]);
  }
  if (filter.expression === '1=1') return described(TRUE_FILTER, []);
  if (filter.expression === '1=0') return described(FALSE_FILTER, []);
  return described(SQL_FILTER, [filter.expression, 20]);
}

function described(code: number, values: unknown[]): unknown {
  return rhea.types.wrap_described(values, code);
}
