import type { KnownSecrets } from './known-secrets.ts';
import { MASK, redactText, TEXT_LIMIT } from './redact.ts';
import { isSecretKey } from './secret-patterns.ts';

/** How much of a value is looked at and passed on. */
export interface ValueLimits {
  /** Characters of one text. Default 16,384. */
  readonly text?: number;
  /** Objects within objects. Default 8. */
  readonly depth?: number;
  /** Entries of one object or list. Default 100. */
  readonly width?: number;
}

const DEPTH_LIMIT = 8;
const WIDTH_LIMIT = 100;

/** Members of an error that do not show up as its own entries. */
const ERROR_MEMBERS = ['name', 'message', 'code', 'stack', 'cause', 'errors'] as const;

/**
 * Plain data in place of any value, without secrets: texts and names of members are redacted, what is held under the name of a
 * secret is masked whole, an error is its name, message, code, stack, causes and own members. Too deep, too wide, in a circle or
 * not readable: said so in its place. Never throws, and runs no code of the value but its getters.
 */
export function redactValue(value: unknown, known?: KnownSecrets, limits: ValueLimits = {}): unknown {
  return new Walk(known, limits).plain(value, 0);
}

class Walk {
  readonly #known: KnownSecrets | undefined;
  readonly #limits: Required<ValueLimits>;
  readonly #above = new Set<object>();

  constructor(known: KnownSecrets | undefined, limits: ValueLimits) {
    this.#known = known;
    this.#limits = { text: TEXT_LIMIT, depth: DEPTH_LIMIT, width: WIDTH_LIMIT, ...limits };
  }

  plain(value: unknown, depth: number): unknown {
    switch (typeof value) {
      case 'string':
        return this.#text(value);
      case 'bigint':
      case 'symbol':
        return this.#text(String(value));
      case 'function':
        return '[function]';
      case 'object':
        return value === null ? null : this.#object(value, depth);
      default:
        return value;
    }
  }

  #object(value: object, depth: number): unknown {
    if (this.#above.has(value)) return '[circle]';
    if (depth >= this.#limits.depth) return '[too deep]';
    this.#above.add(value);
    try {
      return this.#members(value, depth + 1);
    } catch {
      return '[not readable]';
    } finally {
      this.#above.delete(value);
    }
  }

  #members(value: object, depth: number): unknown {
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
    if (value instanceof Date || value instanceof RegExp || value instanceof URL || value instanceof URLSearchParams) {
      return this.#text(String(value));
    }
    if (value instanceof Error) return this.#named(errorEntries(value), depth);
    if (value instanceof Map || value instanceof Headers) {
      return this.#named(
        Iterator.from(value as Iterable<[unknown, unknown]>).map(([name, held]) => [nameOf(name), () => held]),
        depth,
      );
    }
    if (Array.isArray(value) || value instanceof Set) return this.#list(value as Iterable<unknown>, depth);
    const names = Object.keys(value).values();
    return this.#named(
      names.map((name) => [name, () => (value as Record<string, unknown>)[name]]),
      depth,
    );
  }

  #list(values: Iterable<unknown>, depth: number): readonly unknown[] {
    const list: unknown[] = [];
    for (const value of values) {
      if (list.length >= this.#limits.width) {
        list.push('[more]');
        break;
      }
      list.push(this.plain(value, depth));
    }
    return list;
  }

  #named(entries: Iterable<readonly [string, () => unknown]>, depth: number): Readonly<Record<string, unknown>> {
    const named: [string, unknown][] = [];
    for (const [name, read] of entries) {
      if (named.length >= this.#limits.width) {
        named.push(['[more]', true]);
        break;
      }
      named.push([this.#text(name), this.#held(name, read, depth)]);
    }
    // Not by assignment: a member may be called __proto__.
    return Object.fromEntries(named);
  }

  #held(name: string, read: () => unknown, depth: number): unknown {
    try {
      const value = read();
      const isText = typeof value === 'string' || (typeof value === 'object' && value !== null);
      if (isText && value !== '' && isSecretKey(name)) return MASK;
      return this.plain(value, depth);
    } catch {
      return '[not readable]';
    }
  }

  #text(text: string): string {
    return redactText(text, this.#known, this.#limits.text);
  }
}

function errorEntries(error: Error): readonly (readonly [string, () => unknown])[] {
  const names = new Set<string>([...ERROR_MEMBERS.filter((name) => name in error), ...Object.keys(error)]);
  return [...names].map((name) => [name, () => (error as unknown as Record<string, unknown>)[name]]);
}

function nameOf(name: unknown): string {
  return typeof name === 'string' || typeof name === 'number' || typeof name === 'symbol' ? String(name) : typeof name;
}
