import { UnknownValueError } from '@pulumi/policy';

/** Stands for a value that is known only after the deployment. */
export const UNKNOWN = Symbol('known after the deployment');

/** A value of a resource: plain data with {@link UNKNOWN} where nothing is known yet. */
export type Value = string | number | boolean | null | typeof UNKNOWN | readonly Value[] | Inputs;

/** Names with values, for example everything that a resource is made of. */
export interface Inputs {
  readonly [name: string]: Value;
}

/** Levels of a value that are read; deeper ones are no part of any rule, and a cycle ends here. */
const DEPTH_LIMIT = 32;

/**
 * What Pulumi hands to a policy -> plain data. Pulumi's objects throw when an unknown value is read, which would end a
 * rule that could have decided without it.
 */
export function readInputs(props: Readonly<Record<string, unknown>>): Inputs {
  return readFields(props, DEPTH_LIMIT);
}

/** The value at a path with dots, for example `sku.name` or `rules.0`; undefined where there is none. */
export function look(inputs: Inputs, path: string): Value | undefined {
  let value: Value | undefined = inputs;
  for (const key of path.split('.')) {
    if (value === UNKNOWN) return UNKNOWN;
    if (typeof value !== 'object' || value === null) return undefined;
    value = Array.isArray(value) ? (value as readonly Value[])[Number(key)] : (value as Inputs)[key];
  }
  return value;
}

/** The list at a path; empty where there is none. Elements may be unknown, and so may the list. */
export function lookList(inputs: Inputs, path: string): readonly Value[] | typeof UNKNOWN {
  const value = look(inputs, path);
  if (value === UNKNOWN) return UNKNOWN;
  return Array.isArray(value) ? (value as readonly Value[]) : [];
}

/** The inputs as the cost model reads them: what is not known yet as `[unknown]`. */
export function plainInputs(inputs: Inputs): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, plainValue(value)]));
}

function plainValue(value: Value): unknown {
  if (value === UNKNOWN) return '[unknown]';
  if (Array.isArray(value)) return (value as readonly Value[]).map(plainValue);
  return isInputs(value) ? plainInputs(value) : value;
}

/** True of an object with names. */
export function isInputs(value: Value | undefined): value is Inputs {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A text or a number as text; empty for everything else. */
export function textOf(value: Value | undefined): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '';
}

/** A value for people. */
export function shown(value: Value | undefined): string {
  if (value === undefined) return 'absent';
  if (value === UNKNOWN) return 'not known yet';
  return JSON.stringify(value, (_, part: unknown) => (part === UNKNOWN ? 'not known yet' : part));
}

function readFields(object: object, depth: number): Inputs {
  const fields = object as Readonly<Record<string, unknown>>;
  return Object.fromEntries(Object.keys(fields).map((key) => [key, readField(() => fields[key], depth)]));
}

function readField(read: () => unknown, depth: number): Value {
  let value: unknown;
  try {
    value = read();
  } catch (error) {
    if (error instanceof UnknownValueError) return UNKNOWN;
    throw error;
  }
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value !== 'object' || value === null || depth === 0) return null;
  if (Array.isArray(value)) {
    const list: readonly unknown[] = value;
    return Array.from({ length: list.length }, (_, at) => readField(() => list[at], depth - 1));
  }
  return readFields(value, depth - 1);
}
