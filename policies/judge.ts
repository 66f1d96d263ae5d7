import type { PolicyException } from './exceptions.ts';
import type { Finding, Level, Resource, Rule } from './rule.ts';
import type { Stack } from './stack.ts';

/** A finding as it is told. */
export interface Verdict {
  readonly policy: string;
  readonly level: Level;
  /** URN; undefined: the stack as a whole. */
  readonly urn: string | undefined;
  /** What is wrong and what to do. */
  readonly message: string;
}

/** Everything that the rules say about a stack, in their order. */
export function judgeAll(rules: readonly Rule[], resources: readonly Resource[], stack: Stack): readonly Verdict[] {
  return rules.flatMap((rule) => {
    if (rule.notApplicable?.(stack) !== undefined) return [];
    const findings =
      rule.kind === 'stack'
        ? rule.check(resources, stack)
        : resources.filter(({ type }) => rule.applies(type)).flatMap((resource) => rule.check(resource, stack));
    return verdictsOf(rule, findings, stack);
  });
}

/** Findings with their level: that of the rule and the stage, or that of an exception that still counts. */
export function verdictsOf(rule: Rule, findings: readonly Finding[], stack: Stack): readonly Verdict[] {
  return findings.flatMap((finding) => {
    const level = finding.level ?? rule.level[stack.stage];
    const told = { policy: rule.name, urn: finding.urn };
    const message = `${finding.message}. To do: ${rule.change}`;
    const exception = stack.exceptions.find((one) => counts(one, rule.name, finding, stack.today));
    if (exception === undefined) return [{ ...told, level, message }];
    if (exception.level === 'off') return [];
    const { expires, owner, reason } = exception;
    const accepted = `${finding.message}. Accepted until ${expires} by ${owner}: ${reason}`;
    return [{ ...told, level: 'advisory' as const, message: accepted }];
  });
}

function counts(exception: PolicyException, policy: string, { urn }: Finding, today: string): boolean {
  const isAbout = exception.resource === undefined || exception.resource === nameOf(urn);
  return exception.policy === policy && isAbout && today <= exception.expires;
}

/** Name of a resource in the program; empty for the stack as a whole. */
export function nameOf(urn: string | undefined): string {
  return urn === undefined ? '' : urn.split('::').slice(3).join('::');
}
