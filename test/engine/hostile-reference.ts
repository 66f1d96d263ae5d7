/**
 * A second, slower way to read JSON, which the engine does not use: the parser of the language with the source of each number, and
 * with no escape in any name, because it may take such a name for another one (nodejs/node#63785).
 */

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown;

const parseWith = JSON.parse as (text: string, reviver: Reviver) => unknown;

/** What the slower way says of a text. */
export type Reference = { readonly value: unknown } | 'too-deep' | undefined;

/**
 * The value with every number as a marked text of its source, and every text marked as one.
 * Undefined when it is no JSON; `too-deep` when the language's own parser would run out of stack.
 */
export function referenceOf(text: string): Reference {
  try {
    return { value: parseWith(withoutEscapedNames(text), (_, value, { source }) => markedOf(value, source)) };
  } catch (error) {
    return error instanceof RangeError ? 'too-deep' : undefined;
  }
}

/** Strings of a JSON text, names and values. */
const STRINGS = /"(?:[^"\\]|\\.)*"/g;

/** What a name may not hold when it is to need no escape, and what marks it then. */
const NEEDS_ESCAPE = /["\\~\0-\x1f]/g;

/** Names with their odd characters in hexadecimal: equal names stay equal and different ones different. */
function withoutEscapedNames(text: string): string {
  if (!text.includes('\\') && !text.includes('~')) return text;
  return text.replaceAll(STRINGS, (string, at: number) => {
    const isName = /^\s*:/.test(text.slice(at + string.length, at + string.length + 100));
    const name = isName && /[\\~]/.test(string) ? unescapedOf(string) : undefined;
    if (name === undefined) return string;
    return `"${name.replaceAll(NEEDS_ESCAPE, (unit) => `~${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`;
  });
}

/** Undefined when it is no string of JSON, which the parser then finds again. */
function unescapedOf(string: string): string | undefined {
  try {
    return JSON.parse(string) as string;
  } catch {
    return undefined;
  }
}

function markedOf(value: unknown, source: string | undefined): unknown {
  if (typeof value === 'number') return `#${source}`;
  return typeof value === 'string' ? `$${value}` : value;
}

/** The items of a page that was accepted. @throws TypeError when it has none: the engine took what is no page. */
export function referenceItems(reference: Reference): readonly unknown[] {
  const data = typeof reference === 'object' ? ownMember(reference.value, 'data') : undefined;
  if (!Array.isArray(data)) throw new TypeError('accepted as a page, and the reference has no list in data');
  return data;
}

/** The id of an item of a reference when it is one, unmarked. */
export function referenceId(item: unknown): string | undefined {
  const id = ownMember(item, 'id');
  if (typeof id !== 'string' || !id.startsWith('$')) return undefined;
  return id.length > 1 && id.length <= 4_097 ? id.slice(1) : undefined;
}

function ownMember(value: unknown, name: string): unknown {
  const isHolder = typeof value === 'object' && value !== null && Object.hasOwn(value, name);
  return isHolder ? (value as Record<string, unknown>)[name] : undefined;
}

/** Texts of two references are equal exactly when they hold the same: key order counts, as it does for the bytes in the lake. */
export function sameText(item: unknown): string {
  return JSON.stringify(item);
}

/** Texts of two references are equal exactly when they hold the same, whatever the order of their keys: versions of items. */
export function sortedText(item: unknown): string {
  return JSON.stringify(item, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
    return Object.fromEntries(Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1)));
  });
}

/** What must lie in the lake of the items of one page. Entries are texts, sorted; what is there twice is listed twice. */
export interface ReferencePage {
  /** Id and content of every row. */
  readonly rows: readonly string[];
  /** Contents of what is set aside. */
  readonly rejected: readonly string[];
}

/** An item's content counts when it differs from what its id had last on the page; beyond `versionsLimit` it is set aside. */
export function referencePage(items: readonly unknown[], versionsLimit: number): ReferencePage {
  const [rows, rejected] = [[] as string[], [] as string[]];
  const latest = new Map<string, { readonly version: string; readonly count: number }>();
  for (const item of items) {
    const id = referenceId(item);
    if (id === undefined) {
      rejected.push(sameText(item));
      continue;
    }
    const version = sortedText(item);
    const before = latest.get(id);
    if (before?.version === version) continue;
    const count = (before?.count ?? 0) + 1;
    latest.set(id, { version, count });
    if (count <= versionsLimit) rows.push(rowText(id, sameText(item)));
    else rejected.push(sameText(item));
  }
  return { rows: rows.sort(), rejected: rejected.sort() };
}

/** One entry of `ReferencePage.rows`. */
export function rowText(id: string, content: string): string {
  return `${JSON.stringify(id)} ${content}`;
}
