import type { ProgramRun } from '../../infra/preview/run-program.ts';
import type { RegisteredResource } from '../../infra/preview/registered-resource.ts';
import { type Json, UNKNOWN as UNKNOWN_TEXT } from '../../infra/preview/wire-value.ts';
import { type Inputs, UNKNOWN, type Value } from '../../policies/inputs.ts';
import { judgeAll, nameOf, type Verdict } from '../../policies/judge.ts';
import type { Resource } from '../../policies/rule.ts';
import { RULES } from '../../policies/rules.ts';
import { readStack, type Stack, type Stage } from '../../policies/stack.ts';
import { surroundingsOf } from '../../policies/surroundings.ts';
import { rawValues } from '../infra/sample-config.ts';

/** The day on which the tests look. */
export const TODAY = new Date('2026-11-23T12:00:00Z');

/** A committed stack as the rules see it, with changes of its configuration. */
export function policyStack(
  stage: Stage,
  changes: Readonly<Record<string, string | undefined>> = {},
  now: Date = TODAY,
): Stack {
  return readStack(stage, rawValues(stage, changes), surroundingsOf(process.cwd(), now));
}

/** What a program registered, as the rules see it. */
export function policyResources({ resources }: Pick<ProgramRun, 'resources'>): readonly Resource[] {
  return resources.map(policyResource);
}

/** One registered resource, as the rules see it. */
export function policyResource({ type, name, urn, inputs, options }: RegisteredResource): Resource {
  return {
    ...{ type, name, urn },
    inputs: valueOf(inputs) as Inputs,
    isProtected: options.protect,
    madeOf: options.propertyDependencies,
  };
}

function valueOf(json: Json): Value {
  if (json === UNKNOWN_TEXT) return UNKNOWN;
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) return (json as readonly Json[]).map(valueOf);
  return Object.fromEntries(Object.entries(json).map(([key, value]) => [key, valueOf(value)]));
}

/** A resource that nothing else is known of. */
export function sampleResource(type: string, inputs: Inputs, more: Partial<Resource> = {}): Resource {
  const token = type.includes(':') && !type.startsWith('pulumi') ? `azure-native:${type}` : type;
  const name = more.name ?? 'sample';
  return {
    type: token,
    name,
    urn: `urn:pulumi:s::adit::${token}::${name}`,
    inputs,
    isProtected: true,
    madeOf: {},
    ...more,
  };
}

/** A copy with another value at a path; undefined takes it out. */
export function changed(resource: Resource, path: string, value: Value | undefined): Resource {
  return { ...resource, inputs: changedValue(resource.inputs, path.split('.'), value) as Inputs };
}

function changedValue(
  holder: Value | undefined,
  [key = '', ...rest]: readonly string[],
  value: Value | undefined,
): Value {
  const next = (inner: Value | undefined): Value | undefined =>
    rest.length === 0 ? value : changedValue(inner, rest, value);
  if (Array.isArray(holder)) {
    const list = holder as readonly Value[];
    return list.flatMap((item, at) => (at === Number(key) ? (next(item) ?? []) : [item]));
  }
  const fields = (holder ?? {}) as Inputs;
  const { [key]: old, ...others } = fields;
  const replaced = next(old);
  return replaced === undefined ? others : { ...others, [key]: replaced };
}

/** Verdicts of all rules. */
export function verdictsOn(resources: readonly Resource[], stack: Stack): readonly Verdict[] {
  return judgeAll(RULES, resources, stack);
}

/** `<rule>` or `<rule> (advisory)`, each once, in alphabetical order: those that are said now and were not before. */
export function newlySaid(before: readonly Verdict[], after: readonly Verdict[]): readonly string[] {
  const key = ({ policy, level, urn, message }: Verdict): string =>
    JSON.stringify([policy, level, nameOf(urn), message]);
  const known = new Set(before.map(key));
  const said = after.filter((verdict) => !known.has(key(verdict)));
  return [
    ...new Set(said.map(({ policy, level }) => (level === 'mandatory' ? policy : `${policy} (advisory)`))),
  ].toSorted();
}
