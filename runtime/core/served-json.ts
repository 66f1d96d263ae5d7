/**
 * JSON that keeps its numbers and names as they were served. `JSON.parse` turns 12.50 into 12.5, 9007199254740993 into
 * 9007199254740992 and 1e400 into Infinity (printed as null); here such a number becomes a raw JSON value that prints back
 * as its source. Numbers that print back the same stay ordinary numbers. A name that is written with an escape, which
 * `JSON.parse` may take for another one, is read here.
 */

/** What `JSON.rawJSON` returns: a frozen object that `JSON.stringify` prints as `rawJSON`. */
export interface RawJson {
  readonly rawJSON: string;
}

/** JSON.rawJSON and JSON.isRawJSON: in Node since 22, not yet in TypeScript's es2024 library. */
interface JsonWithRaw {
  rawJSON(text: string): RawJson;
  isRawJSON(value: unknown): value is RawJson;
}

const rawJson = JSON as unknown as JsonWithRaw;

/** Deeper nesting is an attack: a page of 16 MB of brackets costs 600 MB and seconds to parse (Node 24.21, 2026-11). */
export const DEPTH_LIMIT = 500_000;

const NEEDS_ESCAPE = /["\\\u0000-\u001f\ud800-\udfff]/;

const QUOTE = 34;
const COMMA = 44;
const PLUS = 43;
const MINUS = 45;
const POINT = 46;
const DIGIT_0 = 48;
const DIGIT_9 = 57;
const COLON = 58;
const LETTER_CAPITAL_E = 69;
const BACKSLASH = 92;
const LIST_START = 91;
const LIST_END = 93;
const LETTER_E = 101;
const LETTER_F = 102;
const LETTER_N = 110;
const LETTER_T = 116;
const OBJECT_START = 123;
const OBJECT_END = 125;

/**
 * Parses JSON; a number whose double does not print back as it was served becomes a raw JSON value.
 * Duplicate keys, `__proto__` keys, escapes and nesting behave as in `JSON.parse`.
 * @throws SyntaxError when the text is not JSON, or nested deeper than `DEPTH_LIMIT`.
 */
export function parseServed(text: string): unknown {
  // Before it is parsed, and only where there is room for so many brackets.
  if (text.length > DEPTH_LIMIT && isTooDeep(text)) throw new SyntaxError(`nested deeper than ${DEPTH_LIMIT} levels`);
  const value: unknown = JSON.parse(text);
  return hasOddNumber(text) || hasEscapedName(text) ? rebuild(text) : value;
}

/** True for a number that is kept as its source text. */
export function isRawNumber(value: unknown): value is RawJson {
  return rawJson.isRawJSON(value);
}

/** The nearest double of a number as parsed here, or `undefined` for anything else. */
export function servedNumber(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return isRawNumber(value) ? Number(value.rawJSON) : undefined;
}

/**
 * Compact JSON text of what `parseServed` returned, numbers as served, at any depth.
 * @throws TypeError when the value is not made of JSON values.
 */
export function stringifyServed(value: unknown): string {
  try {
    const text = JSON.stringify(value) as string | undefined;
    if (text === undefined) throw new TypeError(`${typeof value} is not a JSON value`);
    return text;
  } catch (error) {
    // JSON.stringify recurses and gives up at a few thousand levels, which JSON.parse accepts.
    if (error instanceof RangeError) return writeServed(value, Object.keys);
    throw error;
  }
}

interface OpenContainer {
  /** Keys in the order of writing, or `undefined` for a list. */
  readonly keys: readonly string[] | undefined;
  readonly values: Readonly<Record<string | number, unknown>>;
  readonly length: number;
  next: number;
}

/**
 * Writes JSON without recursion, with an object's keys in the order that `keysOf` gives.
 * @throws TypeError when the value is not made of JSON values.
 */
export function writeServed(value: unknown, keysOf: (value: object) => readonly string[]): string {
  const open: OpenContainer[] = [];
  let text = '';
  let current = value;
  for (;;) {
    if (isContainer(current)) {
      const container = openContainer(current, keysOf);
      text += container.keys === undefined ? '[' : '{';
      open.push(container);
    } else {
      text += scalarText(current);
    }
    for (;;) {
      const top = open.at(-1);
      if (top === undefined) return text;
      if (top.next < top.length) {
        if (top.next > 0) text += ',';
        const key = top.keys?.[top.next];
        if (key !== undefined) text += `${quoted(key)}:`;
        current = top.values[key ?? top.next];
        top.next += 1;
        break;
      }
      text += top.keys === undefined ? ']' : '}';
      open.pop();
    }
  }
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !isRawNumber(value);
}

function openContainer(value: object, keysOf: (value: object) => readonly string[]): OpenContainer {
  const values = value as Record<string | number, unknown>;
  if (Array.isArray(value)) return { keys: undefined, values, length: value.length, next: 0 };
  const keys = keysOf(value);
  return { keys, values, length: keys.length, next: 0 };
}

function scalarText(value: unknown): string {
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  const text = JSON.stringify(value) as string | undefined;
  if (text === undefined) throw new TypeError(`${typeof value} is not a JSON value`);
  return text;
}

/** JSON.stringify costs more than the rest of the writer for the many short strings that need no escape. */
function quoted(text: string): string {
  return NEEDS_ESCAPE.test(text) ? JSON.stringify(text) : `"${text}"`;
}

function numberAsServed(source: string): number | RawJson {
  const value = Number(source);
  return printsBack(value, source) ? value : rawJson.rawJSON(source);
}

/** `String` and `JSON.stringify` print finite doubles alike; -0 and the infinities never equal their source. */
function printsBack(value: number, source: string): boolean {
  return String(value) === source;
}

/** One linear pass over a text that is known to be JSON; strings are skipped by a native search. */
function hasOddNumber(text: string): boolean {
  let index = 0;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (code === QUOTE) {
      index = endOfString(text, index);
    } else if (isNumberStart(code)) {
      const end = endOfNumber(text, index);
      const source = text.slice(index, end);
      if (!printsBack(Number(source), source)) return true;
      index = end;
    } else {
      index += 1;
    }
  }
  return false;
}

/**
 * Whether a name of a text that is known to be JSON is written with an escape: V8 takes it for a name that it parsed before when that
 * one ends with a backslash and its characters are the first ones between these quotes (nodejs/node#63785, open, Node 24.21,
 * 2026-11): "\n" and "\u0061" read as "\\" once somebody else's page had that. From string to string, and only as long as there
 * are escapes.
 */
function hasEscapedName(text: string): boolean {
  let escapeAt = text.indexOf('\\');
  for (let start = text.indexOf('"'); start >= 0 && escapeAt >= 0;) {
    const end = endOfString(text, start);
    if (escapeAt < end) {
      if (isName(text, end)) return true;
      escapeAt = text.indexOf('\\', end);
    }
    start = text.indexOf('"', end);
  }
  return false;
}

/** Whether a colon follows the string that ends here. */
function isName(text: string, end: number): boolean {
  let index = end;
  while (isSpace(text.charCodeAt(index))) index += 1;
  return text.charCodeAt(index) === COLON;
}

function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}

/** One linear pass over a text that may not be JSON; brackets inside strings do not count. */
function isTooDeep(text: string): boolean {
  let depth = 0;
  for (let index = 0; index < text.length; index += 1) {
    const code = text.charCodeAt(index);
    if (code === OBJECT_START || code === LIST_START) {
      depth += 1;
      if (depth > DEPTH_LIMIT) return true;
    } else if (code === OBJECT_END || code === LIST_END) {
      depth -= 1;
    } else if (code === QUOTE) {
      index = endOfString(text, index) - 1;
    }
  }
  return false;
}

function isNumberStart(code: number): boolean {
  return code === MINUS || (code >= DIGIT_0 && code <= DIGIT_9);
}

function endOfNumber(text: string, start: number): number {
  let end = start + 1;
  while (isNumberPart(text.charCodeAt(end))) end += 1;
  return end;
}

function isNumberPart(code: number): boolean {
  if (code >= DIGIT_0 && code <= DIGIT_9) return true;
  return code === POINT || code === LETTER_E || code === MINUS || code === PLUS || code === LETTER_CAPITAL_E;
}

/**
 * Builds the value of a text that is known to be JSON, five times as fast as a reviver with source access (which also
 * overflows the stack on deep nesting).
 */
function rebuild(text: string): unknown {
  const parents: (readonly [container: object, key: string])[] = [];
  let container: Record<string, unknown> | unknown[] | undefined;
  let root: unknown;
  let key = '';
  let isKeyNext = false;
  const put = (value: unknown): void => {
    if (container === undefined) root = value;
    else if (Array.isArray(container)) container.push(value);
    else setOwn(container, key, value);
  };
  const enter = (value: Record<string, unknown> | unknown[]): void => {
    put(value);
    if (container !== undefined) parents.push([container, key]);
    container = value;
    isKeyNext = !Array.isArray(value);
  };
  let index = 0;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    let end = index + 1;
    if (code === QUOTE) {
      end = endOfString(text, index);
      const value = stringValue(text, index, end);
      if (isKeyNext) key = value;
      else put(value);
      isKeyNext = false;
    } else if (code === COMMA) {
      isKeyNext = !Array.isArray(container);
    } else if (code === OBJECT_START) {
      enter({});
    } else if (code === LIST_START) {
      enter([]);
    } else if (code === OBJECT_END || code === LIST_END) {
      const parent = parents.pop();
      if (parent === undefined) return root;
      [container, key] = parent as readonly [Record<string, unknown> | unknown[], string];
      isKeyNext = false;
    } else if (isNumberStart(code)) {
      end = endOfNumber(text, index);
      put(numberAsServed(text.slice(index, end)));
    } else if (code === LETTER_T || code === LETTER_F || code === LETTER_N) {
      end = index + (code === LETTER_F ? 5 : 4);
      put(code === LETTER_N ? null : code === LETTER_T);
    }
    index = end;
  }
  return root;
}

/** Index behind the closing quote: the first quote behind an even number of backslashes. The end of the text where there is none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  for (;;) {
    if (end < 0) return text.length;
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes += 1;
    if (slashes % 2 === 0) return end + 1;
    end = text.indexOf('"', end + 1);
  }
}

function stringValue(text: string, start: number, end: number): string {
  const inner = text.slice(start + 1, end - 1);
  return inner.includes('\\') ? (JSON.parse(text.slice(start, end)) as string) : inner;
}

/** A plain assignment to `__proto__` would set the prototype instead of the key. */
function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') target[key] = value;
  else Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}
