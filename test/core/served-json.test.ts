import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import {
  DEPTH_LIMIT,
  isRawNumber,
  parseServed,
  servedNumber,
  stringifyServed,
} from '../../runtime/core/served-json.ts';

/** Seeded, so that a failure is met again. */
const SEED = 20260201;

describe('numbers as served', () => {
  const odd = [
    '9007199254740993',
    '-9007199254740993',
    '1e400',
    '-1e400',
    '-0',
    '-0.0',
    '0.0',
    '1.0',
    '12.50',
    '1E5',
    '1e5',
    '1e-7',
    '1e+21',
    '123456789012345678901234567890',
    '0.1000000000000000055511151231257827',
  ];
  it.each(odd)('%s prints back alone, in an object, in a list and after whitespace', (source) => {
    for (const text of [
      source,
      `{"a":${source}}`,
      `[${source}]`,
      `[1,${source},2]`,
      `{"a":[{"b":${source}}],"c":"x"}`,
    ]) {
      expect(stringifyServed(parseServed(text))).toBe(text);
    }
    expect(stringifyServed(parseServed(` { "a" :\n\t${source} } `))).toBe(`{"a":${source}}`);
  });

  it.each(['0', '1', '-1', '12.5', '0.1', '1e-7'.replace('1e-7', '0.000001'), '9007199254740991', '1e+21'])(
    '%s stays an ordinary number',
    (source) => {
      expect(parseServed(`[${source}]`)).toEqual(JSON.parse(`[${source}]`));
    },
  );

  it('numbers inside strings are text', () => {
    const text = '{"1.0":"12.50","a":"x, 1.0 ,\\" 9007199254740993,","date":"2026-01-02T03:04:05.670Z"}';
    expect(parseServed(text)).toEqual(JSON.parse(text));
  });

  it('an odd number is known as one and has a nearest double', () => {
    const value = parseServed('{"code":190.0,"plain":17,"text":"4"}') as Record<string, unknown>;
    expect(isRawNumber(value['code'])).toBe(true);
    expect(servedNumber(value['code'])).toBe(190);
    expect(servedNumber(value['plain'])).toBe(17);
    expect(servedNumber(value['text'])).toBeUndefined();
  });
});

describe('otherwise as JSON.parse', () => {
  /** Each text once as it is and once with an odd number beside it, which takes the slower way. */
  const texts = [
    '{"__proto__":{"polluted":true},"b":1}',
    '{"__proto__":1,"__proto__":2}',
    '{"a":1,"b":2,"a":3}',
    '{"nul":"a\\u0000b","lone":"\\ud800","pair":"\\ud83d\\ude00","slash":"a\\\\","quote":"\\"","both":"\\\\\\""}',
    '{"":"","2":"two","1":"one"}',
    '[[],{},[{}],{"a":[]},null,true,false,"",[null,[true],false]]',
    '{"constructor":1,"toString":2,"rawJSON":"12.5"}',
    ' [ 1 , { "a" : "b" , "c" : [ ] } ] ',
  ];
  it.each(texts)('%s', (text) => {
    expect(stringifyServed(parseServed(text))).toBe(JSON.stringify(JSON.parse(text)));
    const [plain] = parseServed(`[${text},1.0]`) as unknown[];
    expect(plain).toEqual(JSON.parse(text));
    expect(JSON.stringify(plain)).toBe(JSON.stringify(JSON.parse(text)));
  });

  it('a __proto__ key is an own property and pollutes nothing', () => {
    const value = parseServed('{"__proto__":{"x":1.0}}') as object;
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value)).toEqual(['__proto__']);
    expect(stringifyServed(value)).toBe('{"__proto__":{"x":1.0}}');
    expect(({} as Record<string, unknown>)['x']).toBeUndefined();
  });

  it('fixes names that were read as those of an earlier page (V8, nodejs/node#63785)', () => {
    for (const earlier of ['{"x":0,"\\\\":1}', '{"y":0,"a\\\\":1}']) JSON.parse(earlier);
    const texts = ['{"x":0,"\\u0061":1}', '{"x":0,"\\n" :1}', '{"x":0,"\\""\n\t:1}', '{"y":0,"a\\u0062":"\\\\","c":2}'];
    const names = [
      ['x', 'a'],
      ['x', '\n'],
      ['x', '"'],
      ['y', 'ab', 'c'],
    ];
    expect(texts.map((text) => Object.keys(parseServed(text) as object))).toEqual(names);
    expect(parseServed('[{"y":0,"b":"\\\\"},{"x":0,"\\u0061":":"}]')).toEqual([
      { y: 0, b: '\\' },
      { x: 0, a: ':' },
    ]);
  });

  it.each(['', '{', '[1.0', '{"a":1.}', '[01.0]', '[1.0,]', 'NaN', '[-]', '{"a" 1.0}', '[1.0]x', '"\u0000"'])(
    '%j is refused',
    (text) => {
      expect(() => parseServed(text)).toThrow(SyntaxError);
    },
  );

  it('nests as deep as JSON.parse, with and without odd numbers', () => {
    const depth = 200_000;
    for (const inner of ['1', '1.0']) {
      const text = `${'[{"a":'.repeat(depth)}${inner}${'}]'.repeat(depth)}`;
      expect(stringifyServed(parseServed(text)) === text).toBe(true);
    }
  });

  it('nests as deep as the limit and no deeper, and brackets inside texts do not count', () => {
    const nested = (depth: number): string => `${'['.repeat(depth)}"x"${']'.repeat(depth)}`;
    expect(stringifyServed(parseServed(nested(DEPTH_LIMIT)))).toBe(nested(DEPTH_LIMIT));
    expect(() => parseServed(nested(DEPTH_LIMIT + 1))).toThrow(/nested deeper than 500000 levels/);
    expect(() => parseServed('['.repeat(DEPTH_LIMIT + 1))).toThrow(SyntaxError);
    for (const inside of ['['.repeat(DEPTH_LIMIT + 1), '\\"['.repeat(DEPTH_LIMIT + 1)]) {
      const text = `["${inside}"]`;
      expect(stringifyServed(parseServed(text))).toBe(text);
    }
    for (const cut of ['"', '"x', '"x\\"', '"\\\\']) {
      expect(() => parseServed(`[${' '.repeat(DEPTH_LIMIT)}${cut}`)).toThrow(SyntaxError);
    }
  });

  it('refuses to print what is not JSON', () => {
    expect(() => stringifyServed(undefined)).toThrow(TypeError);
  });
});

describe('any compact JSON', () => {
  const digits = fc.stringMatching(/^[0-9]{1,25}$/);
  const whole = fc.oneof(fc.constant('0'), fc.stringMatching(/^[1-9][0-9]{0,24}$/));
  const number = fc
    .tuple(
      fc.constantFrom('', '-'),
      whole,
      fc.option(digits),
      fc.option(fc.tuple(fc.constantFrom('e', 'E', 'e+', 'E-', 'e-'), fc.stringMatching(/^[0-9]{1,3}$/))),
    )
    .map(
      ([sign, integer, fraction, exponent]) =>
        `${sign}${integer}${fraction === null ? '' : `.${fraction}`}${exponent?.join('') ?? ''}`,
    );
  const string = fc.string({ unit: 'binary' }).map((text) => JSON.stringify(text));
  const tricky = fc.constantFrom(
    '"\\\\"',
    '"\\\\\\""',
    '", 1.0"',
    '"\\u0000"'.replace('u0000', 'n'),
    '"\\ud800"',
    '"[-0]"',
  );
  // Keys that look like list indexes are moved to the front by every JavaScript object, so they are left out.
  const key = fc.string({ unit: 'binary' }).filter((text) => !/^\d+$/.test(text));
  const { json } = fc.letrec<{ json: string }>((tie) => ({
    json: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.oneof(number, string, tricky, fc.constantFrom('true', 'false', 'null')),
      fc.array(tie('json'), { maxLength: 5 }).map((values) => `[${values.join(',')}]`),
      fc
        .uniqueArray(fc.tuple(key, tie('json')), { selector: ([name]) => name, maxLength: 5 })
        .map((members) => `{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`),
    ),
  }));

  it('is printed back unchanged, whatever the spelling of its numbers', () => {
    fc.assert(
      fc.property(json, (text) => {
        expect(stringifyServed(parseServed(text))).toBe(text);
      }),
      { seed: SEED, numRuns: 1_000 },
    );
  });
});
