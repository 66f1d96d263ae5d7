import type { AmqpValue } from './amqp-bytes.ts';
import type { Facts } from './message-codec.ts';
import { compileSql } from './sql-filter.ts';

/** Rules of one subscription. Azure allows 2,000 per topic. */
export const RULE_LIMIT = 2_000;

/** The rule that a new subscription has: everything passes. */
export const DEFAULT_RULE: Rule = { name: '$Default', filter: { kind: 'sql', expression: '1=1' }, action: null };

/** Fields that must be equal; absent ones do not matter. Names as on the wire: `label`, `message-id`, ... */
export interface CorrelationFilter {
  readonly kind: 'correlation';
  readonly fields: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, string | number | boolean>>;
}

/** A condition in the language that `compileSql` reads. */
export interface SqlFilter {
  readonly kind: 'sql';
  readonly expression: string;
}

/** One rule of a subscription; names are unique in it. */
export interface Rule {
  readonly name: string;
  readonly filter: CorrelationFilter | SqlFilter;
  /** Kept and shown, not executed. */
  readonly action: string | null;
}

interface Compiled {
  readonly rule: Rule;
  readonly isMatch: (facts: Facts) => boolean;
}

/** The rules of a subscription, by name. A message passes when any rule matches. */
export class RuleSet {
  readonly #rules = new Map<string, Compiled>();

  /** @throws Error when the filter cannot be compiled */
  add(rule: Rule): void {
    this.#rules.set(rule.name, { rule, isMatch: compile(rule) });
  }

  has(name: string): boolean {
    return this.#rules.has(name);
  }

  remove(name: string): boolean {
    return this.#rules.delete(name);
  }

  get size(): number {
    return this.#rules.size;
  }

  /** In the order of their names. */
  list(): readonly Rule[] {
    const rules = [...this.#rules.values()].map((compiled) => compiled.rule);
    return rules.toSorted((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** `facts` is asked for only when a rule needs to look at the message. */
  matches(facts: () => Facts): boolean {
    for (const { rule, isMatch } of this.#rules.values()) {
      if (isEverything(rule) || isMatch(facts())) return true;
    }
    return false;
  }
}

function isEverything(rule: Rule): boolean {
  return rule.filter.kind === 'sql' && rule.filter.expression === '1=1';
}

function compile(rule: Rule): (facts: Facts) => boolean {
  if (rule.filter.kind === 'sql') return compileSql(rule.filter.expression);
  const { fields, properties } = rule.filter;
  return (facts) =>
    Object.entries(fields).every(([name, wanted]) => textOf(facts.fields.get(name)) === wanted) &&
    Object.entries(properties).every(([name, wanted]) => facts.properties.get(name) === wanted);
}

function textOf(value: AmqpValue | undefined): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' ? value.toString() : undefined;
}
