import { look, shown, UNKNOWN, type Value } from './inputs.ts';
import { type Finding, type Resource, unseen } from './rule.ts';

/** One input that must have a certain value. */
export interface Expectation {
  /** Token of the resource, without `azure-native:`. */
  readonly type: string;
  /** Path with dots, for example `sku.name`. */
  readonly path: string;
  /** True of a value that is fine. Absent inputs arrive as undefined. */
  readonly isFine: (value: Value | undefined) => boolean;
  /** Continues "must be ...". */
  readonly must: string;
}

/** What `expectations` say about a resource; a value that is not known yet is said to be unseen. */
export function unmet(expectations: readonly Expectation[], resource: Resource): readonly Finding[] {
  const type = shortType(resource.type);
  return expectations
    .filter((expectation) => expectation.type === type)
    .flatMap(({ path, isFine, must }) => {
      const value = look(resource.inputs, path);
      if (value === UNKNOWN) return [unseen(resource, path)];
      return isFine(value) ? [] : [{ urn: resource.urn, message: `${path} must be ${must}, is ${shown(value)}` }];
    });
}

/** Tells whether one of the expectations is about a type. */
export function appliesTo(expectations: readonly Expectation[]): (type: string) => boolean {
  const types = new Set(expectations.map(({ type }) => type));
  return (type) => types.has(shortType(type));
}

/** `azure-native:servicebus:Queue` -> `servicebus:Queue`. Tokens of azure-native 3 carry no version. */
export function shortType(type: string): string {
  return type.replace(/^azure-native:/, '');
}

/** An input that must be exactly this. */
export function exactly(type: string, path: string, wanted: string | number | boolean): Expectation {
  return { type, path, isFine: (value) => value === wanted, must: JSON.stringify(wanted) };
}

/** An input that must be one of these. */
export function oneOf(type: string, path: string, wanted: readonly string[]): Expectation {
  const isFine = (value: Value | undefined): boolean => typeof value === 'string' && wanted.includes(value);
  return { type, path, isFine, must: wanted.join(' or ') };
}

/** A number that must be within limits, both included. */
export function within(type: string, path: string, min: number, max: number): Expectation {
  const isFine = (value: Value | undefined): boolean => typeof value === 'number' && value >= min && value <= max;
  return { type, path, isFine, must: min === 0 ? `at most ${max}` : `${min} to ${max}` };
}
