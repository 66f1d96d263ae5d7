import type { Names } from './stack-plan.ts';

/**
 * Physical names of a stack, all derived from its prefix and its name. Storage accounts take no hyphens, so the stacks
 * `pr-1` and `pr1` of one prefix cannot stand side by side.
 */
export function namesOf(prefix: string, stack: string): Names {
  const base = `${prefix}-${stack.toLowerCase()}`;
  const compact = base.replaceAll('-', '');
  return {
    resourceGroup: base,
    // A namespace may not end in "-sb" or "-mgmt", which a stack's name could; its own ending keeps clear of both.
    serviceBusNamespace: `${base}-bus`,
    redis: base,
    dataAccount: `${compact}data`,
    hostAccount: `${compact}host`,
    functionApp: base,
    functionPlan: base,
    vault: base,
    identity: `${base}-functions`,
    workspace: `${base}-logs`,
    insights: base,
    actionGroup: `${base}-alerts`,
    actionGroupShort: base.slice(0, SHORT_NAME_LENGTH).replace(/-+$/, ''),
    dashboard: base,
    budget: `${base}-monthly`,
  };
}

/** Shown as the sender of a text message; Azure takes 12 characters, so this one is cut instead of refused. */
const SHORT_NAME_LENGTH = 12;

interface NameRule {
  readonly kind: string;
  readonly min: number;
  readonly max: number;
  readonly form: RegExp;
  readonly formText: string;
}

/** Letters, digits and single hyphens between them: the form that several kinds of resource share. */
const WORDS = {
  form: /^[a-z0-9]+(?:-[a-z0-9]+)*$/i,
  formText: 'letters, digits and single hyphens, a letter or digit at both ends',
};
const LETTER_FIRST = {
  form: /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/i,
  formText: 'letters, digits and single hyphens, a letter first, a letter or digit last',
};
const COMPACT = { form: /^[a-z0-9]+$/, formText: 'lower-case letters and digits' };
const LOOSE = { form: /^[\w-]+$/, formText: 'letters, digits, underscores and hyphens' };

/** Microsoft, "Naming rules and restrictions for Azure resources", 2026; a shared form may be narrower than Azure's. */
const RULES: Readonly<Record<keyof Names, NameRule>> = {
  resourceGroup: { kind: 'resource group', min: 1, max: 90, ...WORDS },
  serviceBusNamespace: { kind: 'Service Bus namespace', min: 6, max: 50, ...LETTER_FIRST },
  redis: { kind: 'Redis', min: 1, max: 63, ...WORDS },
  dataAccount: { kind: 'storage account', min: 3, max: 24, ...COMPACT },
  hostAccount: { kind: 'storage account', min: 3, max: 24, ...COMPACT },
  functionApp: { kind: 'function app', min: 2, max: 60, ...WORDS },
  functionPlan: { kind: 'function plan', min: 1, max: 60, ...WORDS },
  vault: { kind: 'key vault', min: 3, max: 24, ...LETTER_FIRST },
  identity: { kind: 'managed identity', min: 3, max: 128, ...LOOSE },
  workspace: { kind: 'log workspace', min: 4, max: 63, ...WORDS },
  insights: { kind: 'Application Insights', min: 1, max: 260, ...WORDS },
  actionGroup: { kind: 'action group', min: 1, max: 260, ...WORDS },
  actionGroupShort: { kind: 'short name of an action group', min: 1, max: SHORT_NAME_LENGTH, ...WORDS },
  dashboard: { kind: 'dashboard', min: 1, max: 256, ...LOOSE },
  budget: { kind: 'budget', min: 1, max: 63, ...LOOSE },
};

/** Every name that Azure would refuse for its length or its characters, each with the limit; empty when all are fine. */
export function nameErrors(names: Names): readonly string[] {
  return (Object.keys(RULES) as (keyof Names)[]).flatMap((key) => {
    const { kind, min, max, form, formText } = RULES[key];
    const name = names[key];
    if (name.length >= min && name.length <= max && form.test(name)) return [];
    return [
      `the name of the ${kind} must be ${min} to ${max} characters (${formText}), ` +
        `got ${JSON.stringify(name)} with ${name.length}`,
    ];
  });
}
