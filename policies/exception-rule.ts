import { ALWAYS, type StackRule } from './rule.ts';

/** The exceptions themselves are judged; `names` are those of the rules. */
export function exceptionRule(names: ReadonlySet<string>): StackRule {
  return {
    kind: 'stack',
    name: 'exceptions-count',
    area: 'completeness',
    level: ALWAYS,
    what: 'Every exception names a rule, an owner, a reason and a day that has not passed.',
    reason: 'An exception without an end is a rule that nobody wrote down.',
    change: 'Put it right or take it out of adit:exceptions, together with what it excused.',
    check: (_, { exceptions, exceptionMistakes, today }) => [
      ...exceptionMistakes.map((message) => ({ urn: undefined, message })),
      ...exceptions
        .filter(({ policy }) => !names.has(policy))
        .map(({ policy }) => ({ urn: undefined, message: `adit:exceptions names ${policy}, which is no rule` })),
      ...exceptions
        .filter(({ expires }) => expires < today)
        .map(({ policy, owner, expires }) => ({
          urn: undefined,
          message: `the exception of ${owner} from ${policy} expired on ${expires}`,
        })),
    ],
  };
}
