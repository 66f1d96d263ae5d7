import { isObject, isUnknown } from './shape.ts';

export type Inputs = Readonly<Record<string, unknown>>;

/** Why Azure refuses: its error code and its words. */
export interface Refusal {
  /** HTTP status. Default: 400. */
  readonly status?: number;
  readonly code: string;
  readonly message: string;
}

/** A resource as Azure holds it. */
export interface Held {
  readonly id: string;
  readonly token: string;
  readonly inputs: Inputs;
  readonly outputs: Inputs;
}

/** What a rule may look at. */
export interface Around {
  /** Any resource by id; ids know no capitals. */
  find(id: unknown): Held | undefined;
  all(): readonly Held[];
  readonly now: Date;
  /** This tenant never had an Azure Cache for Redis. */
  readonly isRedisBlocked: boolean;
  readonly subscriptionId: string;
  readonly tenantId: string;
  /** Where apps answer instead of at Azure's own names. */
  readonly siteUrl: string | undefined;
}

/** One resource type: how it is addressed, named, judged and answered. */
export interface ResourceKind {
  /** Id with `{input}` in place of inputs. The last one is the name. */
  readonly path: string;
  /** For example `Microsoft.ServiceBus/namespaces/queues`. */
  readonly type: string;
  /** What the name must look like, and how Azure says it. Absent: anything. */
  readonly name?: { readonly pattern: RegExp; readonly rule: string };
  /** The name is taken in all of Azure, not only in the resource group. */
  readonly isGlobal?: true;
  /** Exists with its parent: creating it writes over it, deleting it resets it. */
  readonly isPartOfParent?: true;
  /** Inputs whose change replaces the resource, beside the place and every part of the id. */
  readonly replaceOn?: readonly string[];
  /** Inputs that Azure does not let anybody change. */
  readonly fixed?: readonly string[];
  readonly refuse?: (inputs: Inputs, around: Around, id: string) => readonly (Refusal | undefined)[];
  readonly outputs?: (inputs: Inputs, id: string, around: Around) => Inputs;
}

/** A text of an input, or of one inside it; undefined where it is absent or not known yet. */
export function text(inputs: unknown, ...path: readonly string[]): string | undefined {
  const value = at(inputs, ...path);
  return typeof value === 'string' && !isUnknown(value) ? value : undefined;
}

/** A number of an input, or of one inside it. */
export function number(inputs: unknown, ...path: readonly string[]): number | undefined {
  const value = at(inputs, ...path);
  return typeof value === 'number' ? value : undefined;
}

/** A list of objects. */
export function objects(inputs: unknown, ...path: readonly string[]): readonly Inputs[] {
  const value = at(inputs, ...path);
  return Array.isArray(value) ? value.filter((item) => isObject(item)) : [];
}

/** A value inside inputs. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => (isObject(inner) ? inner[key] : undefined), value);
}

/** A refusal when `isWrong`. */
export function when(isWrong: boolean, code: string, message: string): Refusal | undefined {
  return isWrong ? { code, message } : undefined;
}

/** A refusal when a number is outside its range. */
export function outside(
  value: number | undefined,
  [min, max]: readonly [number, number],
  name: string,
): Refusal | undefined {
  const isWrong = value !== undefined && (value < min || value > max);
  return when(isWrong, 'BadRequest', `The value '${value}' of '${name}' is outside of the range ${min}..${max}.`);
}

const DURATION = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/;

/** Seconds of an ISO 8601 duration without months; undefined when it is none. */
export function durationSeconds(iso: string): number | undefined {
  const match = DURATION.exec(iso);
  if (match === null || iso === 'P' || iso.endsWith('T')) return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  return ((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!;
}

export const GUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Path of everything inside a resource group. */
export const IN_GROUP = '/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/providers';
