import { fileURLToPath } from 'node:url';
import {
  type Policies,
  PolicyPack,
  type PolicyResource,
  type ReportViolation,
  type ResourceValidationArgs,
  type ResourceValidationPolicy,
  type StackValidationArgs,
  type StackValidationPolicy,
} from '@pulumi/policy';
import { getStack, runtime } from '@pulumi/pulumi';
import { type Inputs, readInputs } from './inputs.ts';
import { type Verdict, verdictsOf } from './judge.ts';
import type { Finding, Resource, ResourceRule, Rule, StackRule } from './rule.ts';
import { RULES } from './rules.ts';
import { readStack, type Stack } from './stack.ts';
import { surroundingsOf } from './surroundings.ts';

/**
 * A violation with its own level. @pulumi/policy 1.21 takes it (server.js, makeReportViolationFun) and does not declare it;
 * without it a mandatory rule could not say softly what it has not seen.
 */
type ReportVerdict = (violation: {
  readonly message: string;
  readonly urn: string | undefined;
  readonly enforcementLevel: string;
}) => void;

/**
 * Name and configuration of the stack. The engine starts a pack with them in its environment, as it starts a program, so that
 * `--config` and encrypted values count here as they do there, and no file is read twice.
 */
const stack: Stack = readStack(
  getStack(),
  runtime.allConfig(),
  surroundingsOf(fileURLToPath(new URL('..', import.meta.url)), new Date()),
);

/**
 * What the program asked for, by URN. The engine shows a stack policy the outputs of its resources, in which the names that were
 * asked for are missing, but before that it has shown every resource as it was asked for.
 */
const asked = new Map<string, Inputs>();

function tell(rule: Rule, findings: readonly Finding[], report: ReportViolation): void {
  for (const { message, urn, level } of verdictsOf(rule, findings, stack) satisfies readonly Verdict[]) {
    (report as unknown as ReportVerdict)({ message: `${rule.what} Found: ${message}`, urn, enforcementLevel: level });
  }
}

function refuseWhere(rule: Rule, args: Pick<ResourceValidationArgs, 'notApplicable'>): void {
  const reason = rule.notApplicable?.(stack);
  if (reason !== undefined) args.notApplicable(reason);
}

function oneResource({ type, name, urn, opts, props }: ResourceValidationArgs): Resource {
  return { type, name, urn, inputs: readInputs(props), isProtected: opts.protect, madeOf: {} };
}

function resourceOfStack({ type, name, urn, opts, props, propertyDependencies }: PolicyResource): Resource {
  const madeOf = Object.entries(propertyDependencies).map(([input, others]) => [input, others.map((one) => one.urn)]);
  const inputs = asked.get(urn) ?? readInputs(props);
  return {
    type,
    name,
    urn,
    inputs,
    isProtected: opts.protect,
    madeOf: Object.fromEntries(madeOf) as Resource['madeOf'],
  };
}

function described({ name, what, level, change }: Rule) {
  return { name, description: what, remediationSteps: change, enforcementLevel: level[stack.stage] };
}

function resourcePolicy(rule: ResourceRule): ResourceValidationPolicy {
  const { remedy } = rule;
  return {
    ...described(rule),
    validateResource: (args, report) => {
      if (!rule.applies(args.type)) args.notApplicable(`it is about other types than ${args.type}`);
      refuseWhere(rule, args);
      tell(rule, rule.check(oneResource(args), stack), report);
    },
    ...(remedy === undefined ? {} : { remediateResource: (args) => remedied(rule, remedy, args) }),
  };
}

/** Only what is wrong is put right, and only at the level "remediate", which nobody has by default. */
function remedied(rule: ResourceRule, remedy: NonNullable<ResourceRule['remedy']>, args: ResourceValidationArgs) {
  if (!rule.applies(args.type)) return undefined;
  const resource = oneResource(args);
  const isWrong = rule.check(resource, stack).some(({ level }) => level !== 'advisory');
  return isWrong ? Object.assign(args.props, remedy(resource, stack)) : undefined;
}

function stackPolicy(rule: StackRule): StackValidationPolicy {
  return {
    ...described(rule),
    validateStack: (args, report) => {
      refuseWhere(rule, args);
      tell(rule, rule.check(resourcesOf(args), stack), report);
    },
  };
}

function resourcesOf({ resources }: StackValidationArgs): readonly Resource[] {
  return resources.map(resourceOfStack);
}

/** Remembers what was asked for; it never finds anything. */
const MEMORY: ResourceValidationPolicy = {
  name: 'memory',
  description: 'Remembers the inputs of every resource for the policies about the whole stack; finds nothing.',
  enforcementLevel: 'advisory',
  validateResource: ({ urn, props }) => void asked.set(urn, readInputs(props)),
};

const policies: Policies = [
  MEMORY,
  ...RULES.map((rule) => (rule.kind === 'stack' ? stackPolicy(rule) : resourcePolicy(rule))),
];

// Starts the server that the engine asks.
void new PolicyPack('adit', { policies });
