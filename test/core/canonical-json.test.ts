import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { canonicalText } from '../../runtime/core/canonical-json.ts';
import { parseServed } from '../../runtime/core/served-json.ts';

describe('canonical text', () => {
  it('sorts keys in code unit order, at every depth', () => {
    const text = '{"b":1,"a":{"é":1,"z":2,"Z":3,"":4,"10":5,"9":6},"c":[{"y":1,"x":2}]}';
    expect(canonicalText(JSON.parse(text))).toBe(
      '{"a":{"":4,"10":5,"9":6,"Z":3,"z":2,"é":1},"b":1,"c":[{"x":2,"y":1}]}',
    );
  });

  it('sorts many keys as it sorts few', () => {
    const names = Array.from({ length: 1_000 }, (_, index) => `k${(index * 7919) % 1_000}`);
    const text = canonicalText(Object.fromEntries(names.map((name) => [name, 1])));
    expect(Object.keys(JSON.parse(text) as object)).toEqual([...names].sort());
  });

  it('keeps numbers as served, so that 1.0 and 1 are different content', () => {
    expect(canonicalText(parseServed('{"b":1.0,"a":9007199254740993,"c":-0,"d":1e400}'))).toBe(
      '{"a":9007199254740993,"b":1.0,"c":-0,"d":1e400}',
    );
  });

  it('keeps the order of lists', () => {
    expect(canonicalText([3, 1, 2])).toBe('[3,1,2]');
  });

  it('writes every scalar as JSON does', () => {
    for (const value of [null, true, false, 0, -1.5, '', 'a"b\\c', '\u0000\n', '\ud800', '\u{1f600}', '\u2028']) {
      expect(canonicalText(value)).toBe(JSON.stringify(value));
    }
  });

  it('is not limited by the stack', () => {
    const depth = 200_000;
    const text = `${'{"a":['.repeat(depth)}1.0${']}'.repeat(depth)}`;
    expect(canonicalText(parseServed(text)) === text).toBe(true);
  });

  it('keeps an own __proto__ key', () => {
    expect(canonicalText(JSON.parse('{"b":1,"__proto__":{"a":2}}'))).toBe('{"__proto__":{"a":2},"b":1}');
  });

  it('refuses what is not JSON', () => {
    expect(() => canonicalText({ a: undefined })).toThrow(TypeError);
  });

  it('is the same for any order of keys and reads back as the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalText(value);
        expect(canonicalText(reversed(value))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { seed: 20260202, numRuns: 500 },
    );
  });
});

function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  );
}
