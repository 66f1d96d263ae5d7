/** What a property may hold, as the types of the SDK say it. */
export type Shape =
  | { readonly kind: 'any' }
  | { readonly kind: 'plain'; readonly type: 'string' | 'number' | 'boolean' }
  /** A closed list of texts. */
  | { readonly kind: 'literal'; readonly values: readonly string[] }
  | { readonly kind: 'list'; readonly item: Shape }
  | { readonly kind: 'map'; readonly value: Shape }
  | { readonly kind: 'object'; readonly properties: Properties }
  | { readonly kind: 'union'; readonly shapes: readonly Shape[] };

export type Properties = ReadonlyMap<string, { readonly isRequired: boolean; readonly shape: Shape }>;

/** One thing that does not fit: where, as a path like `sku.name`, and why, in the words of the provider. */
export interface Misfit {
  readonly path: string;
  readonly reason: string;
}

/** Texts that stand for a value which is not known before other resources exist (Pulumi's wire format). */
const UNKNOWN_TEXT = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
const UNKNOWNS = new Set([
  UNKNOWN_TEXT,
  '1c4a061d-8072-4f0a-a4cb-0ff528b18fe7',
  '3eeb2bf0-c639-47a8-9e75-3b44932eb421',
  '6a19a0b0-7e62-4c92-b797-7f8e31da9cc2',
  'dd056dcd-154b-4c76-9bd3-c8f88648b5ff',
]);

/** A value that is not known yet: every rule lets it pass. */
export function isUnknown(value: unknown): boolean {
  return typeof value === 'string' && UNKNOWNS.has(value);
}

type Values = Readonly<Record<string, unknown>>;

/**
 * What a provider answers in a preview, as azure-native does: each property of the answer is the input of that name, else
 * what is known from before, else unknown, also inside objects.
 */
export function previewOf(answer: Properties, inputs: Values, before: Values = {}): Record<string, unknown> {
  const entries = [...answer].map(([name, { shape }]) => [name, previewOfValue(shape, inputs[name], before[name])]);
  return Object.fromEntries(entries) as Record<string, unknown>;
}

function previewOfValue(shape: Shape, input: unknown, before: unknown): unknown {
  if (input === undefined) return before ?? UNKNOWN_TEXT;
  if (shape.kind !== 'object' || !isObject(input)) return input;
  return previewOf(shape.properties, input, isObject(before) ? before : {});
}

/** Every misfit of an object, nested ones included. */
export function misfitsOf(properties: Properties, value: Values, path = ''): Misfit[] {
  const at = (name: string): string => (path === '' ? name : `${path}.${name}`);
  const misfits: Misfit[] = [];
  for (const [name, { isRequired }] of properties) {
    if (isRequired && value[name] === undefined) {
      misfits.push({ path: at(name), reason: `missing required property '${at(name)}'` });
    }
  }
  for (const [name, item] of Object.entries(value)) {
    if (item === undefined || item === null) continue;
    const property = properties.get(name);
    if (property === undefined) misfits.push({ path: at(name), reason: `unknown property '${at(name)}'` });
    else misfits.push(...misfitsOfValue(property.shape, item, at(name)));
  }
  return misfits;
}

function misfitsOfValue(shape: Shape, value: unknown, path: string): Misfit[] {
  if (isUnknown(value) || shape.kind === 'any') return [];
  const wrong = (expected: string): Misfit[] => [
    { path, reason: `'${path}' must be ${expected}, got ${JSON.stringify(value)}` },
  ];
  switch (shape.kind) {
    case 'plain':
      return typeof value === shape.type ? [] : wrong(`a ${shape.type}`);
    case 'literal':
      return shape.values.includes(String(value)) ? [] : wrong(`one of ${shape.values.join(', ')}`);
    case 'list':
      if (!Array.isArray(value)) return wrong('a list');
      return value.flatMap((item, index) => misfitsOfValue(shape.item, item, `${path}[${index}]`));
    case 'map':
      if (!isObject(value)) return wrong('a map');
      return Object.entries(value).flatMap(([key, item]) => misfitsOfValue(shape.value, item, `${path}.${key}`));
    case 'object':
      return isObject(value) ? misfitsOf(shape.properties, value, path) : wrong('an object');
    case 'union': {
      const tries = shape.shapes.map((candidate) => misfitsOfValue(candidate, value, path));
      // The nearest reading explains itself best.
      return tries.reduce((best, next) => (next.length < best.length ? next : best));
    }
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
