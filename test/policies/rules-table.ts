import type { Rule } from '../../policies/rule.ts';
import { RULES } from '../../policies/rules.ts';
import type { Stage } from '../../policies/stack.ts';
import { policyStack } from './policy-stack.ts';

/** The table of all rules, as it stands in the README between its marks. */
export function rulesTable(): string {
  const lines = RULES.map(
    (rule) =>
      `| ${rule.area} | \`${rule.name}\` | ${levelIn(rule, 'dev')} | ${levelIn(rule, 'prod')} | ${rule.what} | ${rule.reason} |`,
  );
  const heading = ['| area | rule | dev | prod | what must hold | why |', '| --- | --- | --- | --- | --- | --- |'];
  return [...heading, ...lines].join('\n');
}

function levelIn(rule: Rule, stage: Stage): string {
  return rule.notApplicable?.(policyStack(stage)) === undefined ? rule.level[stage] : '–';
}
