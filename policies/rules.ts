import { ALERT_STACK_RULES, ALERTS_RULE, PLAYBOOK_RULE } from './alerts.ts';
import { SETTING_RULES } from './app-settings.ts';
import { COMPLETENESS_RULES } from './completeness.ts';
import { COST_RULES } from './cost.ts';
import { exceptionRule } from './exception-rule.ts';
import { LAKE_RULES } from './lake.ts';
import { ENTITY_RULE, QUEUE_RULES } from './queues.ts';
import { RELIABILITY_RULES } from './reliability.ts';
import { RETIREMENT_RULE } from './retirement.ts';
import { ROLE_RULES } from './roles.ts';
import type { Area, Rule } from './rule.ts';
import { SECURITY_RULES } from './security.ts';
import { SIZING_RULE } from './sizing.ts';
import { SKU_RULES } from './sku.ts';
import { SPENDING_RULES } from './spending.ts';

const AREAS: readonly Area[] = ['cost', 'security', 'reliability', 'completeness'];

const ALL: readonly Rule[] = [
  ...SKU_RULES,
  SIZING_RULE,
  RETIREMENT_RULE,
  ...COST_RULES,
  ...SPENDING_RULES,
  ...SECURITY_RULES,
  ...SETTING_RULES,
  ...ROLE_RULES,
  ...QUEUE_RULES,
  ...ALERT_STACK_RULES,
  PLAYBOOK_RULE,
  ALERTS_RULE,
  ...LAKE_RULES,
  ...RELIABILITY_RULES,
  ENTITY_RULE,
  ...COMPLETENESS_RULES,
];

/** Every rule, by area. */
export const RULES: readonly Rule[] = [...ALL, exceptionRule(new Set(ALL.map(({ name }) => name)))].toSorted(
  (left, right) => AREAS.indexOf(left.area) - AREAS.indexOf(right.area),
);
