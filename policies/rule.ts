import type { Inputs } from './inputs.ts';
import type { Stack, Stage } from './stack.ts';

/** `advisory` is said, `mandatory` refuses the change. */
export type Level = 'advisory' | 'mandatory';

/** What a rule protects. */
export type Area = 'cost' | 'security' | 'reliability' | 'completeness';

/** A resource as the program asks for it. */
export interface Resource {
  /** Token, for example `azure-native:servicebus:Queue`. */
  readonly type: string;
  /** Name in the program. */
  readonly name: string;
  readonly urn: string;
  readonly inputs: Inputs;
  /** It cannot be deleted. */
  readonly isProtected: boolean;
  /** URNs of the resources that an input is made of, by input; empty where one resource is looked at alone. */
  readonly madeOf: Readonly<Record<string, readonly string[]>>;
}

/** Something that a rule says. */
export interface Finding {
  /** URN of the resource; undefined: the stack as a whole. */
  readonly urn: string | undefined;
  /** What is wrong, one sentence without the rule's name. */
  readonly message: string;
  /** Where it differs from the level of the rule. */
  readonly level?: Level;
}

interface RuleBase {
  /** Kebab-case, unique. */
  readonly name: string;
  readonly area: Area;
  /** Weight of a finding, by service class. */
  readonly level: Readonly<Record<Stage, Level>>;
  /** What must hold, one sentence. */
  readonly what: string;
  /** Chapter of the article, or a document, and why. */
  readonly reason: string;
  /** What to do about a finding, one sentence. */
  readonly change: string;
  /** Why the rule says nothing about this stack. Absent: it applies to every stack. */
  readonly notApplicable?: (stack: Stack) => string | undefined;
}

/** A rule that needs to see one resource only. */
export interface ResourceRule extends RuleBase {
  readonly kind: 'resource';
  readonly applies: (type: string) => boolean;
  readonly check: (resource: Resource, stack: Stack) => readonly Finding[];
  /** Inputs that differ from those asked for, where putting them right is safe. */
  readonly remedy?: (resource: Resource, stack: Stack) => Readonly<Record<string, unknown>>;
}

/** A rule about how resources stand together, or about what is missing. */
export interface StackRule extends RuleBase {
  readonly kind: 'stack';
  readonly check: (resources: readonly Resource[], stack: Stack) => readonly Finding[];
}

/** One policy, as plain data. */
export type Rule = ResourceRule | StackRule;

/** Mandatory in every stack. */
export const ALWAYS: Readonly<Record<Stage, Level>> = { dev: 'mandatory', prod: 'mandatory' };

/** Said in every stack. */
export const ADVICE: Readonly<Record<Stage, Level>> = { dev: 'advisory', prod: 'advisory' };

/** Said in dev, mandatory in prod. */
export const IN_PROD: Readonly<Record<Stage, Level>> = { dev: 'advisory', prod: 'mandatory' };

/** A finding about a value that is not known before the deployment; it refuses nothing. */
export function unseen({ urn }: Resource, path: string): Finding {
  return { urn, message: `could not see ${path}: it is known only after the deployment`, level: 'advisory' };
}
