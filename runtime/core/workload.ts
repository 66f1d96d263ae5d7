import { WORKLOAD, type Workload, type WorkloadField, type WorkloadName } from './workload-fields.ts';
import { nearestOf } from './nearest.ts';

/** A workload, or every mistake in it at once, each with name, rule, value and example. */
export type ReadWorkload =
  | { readonly ok: true; readonly workload: Workload }
  | { readonly ok: false; readonly errors: readonly string[] };

/** How a field is written where it was read: as an option of a command, or as a key of a stack. */
export type WorkloadPlace = 'option' | 'key';

const NAMES = Object.keys(WORKLOAD) as WorkloadName[];

/** The article's workload, which is what every field says when nobody says otherwise. */
export const DEFAULT_WORKLOAD: Workload = valuesOf((field) => field.likely);

/** Reads the fields that were given, as text; the others keep their default. */
export function readWorkload(given: Readonly<Record<string, string>>, place: WorkloadPlace): ReadWorkload {
  const errors: string[] = [];
  const values: Record<string, number> = { ...DEFAULT_WORKLOAD };
  for (const [name, text] of Object.entries(given)) {
    const value = readField(name, text, place);
    if (typeof value === 'string') errors.push(value);
    else values[name] = value;
  }
  const workload = values as Workload;
  if (errors.length === 0 && workload.dataTopics > workload.dataTypes) {
    const { dataTopics, dataTypes } = workload;
    const rule = `must be at most ${labelOf('dataTypes', place)} (${dataTypes}), because a data type has one topic`;
    errors.push(`${labelOf('dataTopics', place)} ${rule}, got "${dataTopics}". ${exampleOf('dataTopics', 1, place)}`);
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, workload };
}

/**
 * The workload whose assumptions make the bill smallest (`cheap`) or largest (`dear`). A field that was given another value
 * than its default is a fact, and stays.
 */
export function variantOf(workload: Workload, variant: 'cheap' | 'dear'): Workload {
  return valuesOf((field, name) => {
    const value = workload[name];
    return value === field.likely ? (field[variant] ?? value) : value;
  });
}

/** Assumptions that still have their default: what the range of a bill comes from. */
export function assumptionsOf(workload: Workload): readonly string[] {
  return NAMES.flatMap((name) => {
    const { likely, cheap, dear, unit, source }: WorkloadField = WORKLOAD[name];
    if (cheap === undefined || dear === undefined || workload[name] !== likely) return [];
    return [`${name} ${likely} (${cheap} to ${dear}) ${unit}: ${source}`];
  });
}

/** The option of `adit size` for a field: `callsPerDay` is `--calls-per-day`. */
export function workloadOption(name: string): string {
  return `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function readField(name: string, text: string, place: WorkloadPlace): number | string {
  if (!Object.hasOwn(WORKLOAD, name)) {
    const near = nearestOf(name, NAMES) ?? 'users';
    const wrong = `${labelOf(name, place)} is not a field of a workload; did you mean ${labelOf(near, place)}?`;
    return `${wrong} ${exampleOf(near, WORKLOAD[near].likely, place)}`;
  }
  const { min, max, likely, unit, isWhole }: WorkloadField = WORKLOAD[name as WorkloadName];
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (value >= min && value <= max && (isWhole !== true || Number.isInteger(value))) return value;
  const kind = isWhole === true ? 'a whole number' : 'a number';
  const rule = `must be ${kind} ${min}..${max} (${unit}), got ${JSON.stringify(text)}`;
  return `${labelOf(name, place)} ${rule}. ${exampleOf(name, likely, place)}`;
}

function labelOf(name: string, place: WorkloadPlace): string {
  return place === 'option' ? workloadOption(name) : `adit:workload: ${name}`;
}

function exampleOf(name: string, value: number, place: WorkloadPlace): string {
  return `Example: ${place === 'option' ? `${workloadOption(name)} ${value}` : `adit:workload: { ${name}: ${value} }`}`;
}

function valuesOf(value: (field: WorkloadField, name: WorkloadName) => number): Workload {
  return Object.fromEntries(NAMES.map((name) => [name, value(WORKLOAD[name], name)])) as Workload;
}
