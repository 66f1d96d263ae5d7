import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { KnownSecrets } from '../../runtime/core/known-secrets.ts';
import { redactError } from '../../runtime/core/redact-error.ts';
import { MASK } from '../../runtime/core/redact.ts';
import { redactValue, type ValueLimits } from '../../runtime/core/redact-value.ts';
import { isSecretKey } from '../../runtime/core/secret-patterns.ts';
import { CANARY, KNOWN_FORMS, NAMED_FORMS } from './secret-samples.ts';
import { findCanary } from './secret-search.ts';

const SECRET = `${CANARY}-4f9X.q~2_Zz`;
const known = new KnownSecrets();
known.know(SECRET);

const safe = (value: unknown, limits?: ValueLimits): unknown => redactValue(value, known, limits);

describe('a value without secrets', () => {
  it('is plain data, whatever it was', () => {
    const symbol = Symbol(`access_token=${SECRET}`);
    expect(
      safe({
        ...{ text: SECRET, number: 1, big: 2n ** 60n, yes: true, nothing: null, missing: undefined, symbol },
        ...{ date: new Date(0), bytes: Buffer.from(SECRET), url: new URL(`http://u:${SECRET}@h/p?sig=${SECRET}`) },
        ...{
          map: new Map<unknown, unknown>([
            [SECRET, 1],
            [2, SECRET],
            [{}, 3],
          ]),
          set: new Set([SECRET]),
          call: () => SECRET,
        },
        headers: new Headers({ cookie: SECRET, host: 'h', 'x-said': SECRET }),
        query: new URLSearchParams({ access_token: SECRET, limit: '1' }),
      }),
    ).toEqual({
      ...{ text: MASK, number: 1, big: String(2n ** 60n), yes: true, nothing: null, missing: undefined },
      ...{
        symbol: `Symbol(access_token=${MASK})`,
        date: String(new Date(0)),
        bytes: `[${SECRET.length} bytes]`,
      },
      ...{
        url: `http://${MASK}@h/p?sig=${MASK}`,
        map: { [MASK]: 1, 2: MASK, object: 3 },
        set: [MASK],
        call: '[function]',
      },
      headers: { cookie: MASK, host: 'h', 'x-said': MASK },
      query: `access_token=${MASK}&limit=1`,
    });
  });

  it('masks whole what is held under the name of a secret, and no figures', () => {
    const held = {
      password: 'a',
      'X-API-Key': ['b'],
      accessToken: { c: 1 },
      tokens: 5,
      tokenHash: 'd',
      keyId: 'k1',
      cookie: '',
    };
    expect(safe(held)).toEqual({ ...held, password: MASK, 'X-API-Key': MASK, accessToken: MASK });
  });

  it.each([...KNOWN_FORMS, ...NAMED_FORMS].map(({ name, text }) => [name, text] as const))(
    'has none in an error, its causes, its members and their names: %s',
    (_, text) => {
      const said = text(SECRET);
      const cause = Object.assign(new TypeError(said), { request: { headers: { said } }, [said]: [said] });
      const error = new AggregateError([new Error(said, { cause })], said, { cause });
      error.stack = `Error: ${said}\n    at ${said}`;
      expect(findCanary(JSON.stringify(safe({ error, [said]: said })))).toEqual([]);
      expect(findCanary(redactError(error, known))).toEqual([]);
      expect(findCanary(inspect(error, { depth: 9 }))).not.toEqual([]);
    },
  );

  it('says where it is a circle, too deep, too wide, too long or not readable, and never throws', () => {
    const circle: Record<string, unknown> = { twice: {} };
    circle['self'] = circle;
    expect(safe(circle)).toEqual({ twice: {}, self: '[circle]' });
    const shared = { a: 1 };
    expect(safe([shared, shared])).toEqual([shared, shared]);
    expect(safe({ a: { b: { c: 1 } } }, { depth: 2 })).toEqual({ a: { b: '[too deep]' } });
    expect(safe([1, 2, 3], { width: 2 })).toEqual([1, 2, '[more]']);
    expect(safe({ a: 1, b: 2, c: 3 }, { width: 2 })).toEqual({ a: 1, b: 2, '[more]': true });
    expect(safe('word '.repeat(10), { text: 20 })).toBe('word word word word [30 characters more]');
    const getter = {
      get it(): string {
        throw new Error(SECRET);
      },
    };
    expect(safe(getter)).toEqual({ it: '[not readable]' });
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(safe({ proxy })).toEqual({ proxy: '[not readable]' });
    expect(safe(JSON.parse('{"__proto__":{"polluted":1}}'))).toEqual(JSON.parse('{"__proto__":{"polluted":1}}'));
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  it('is bounded, however large the value', () => {
    const wide = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`m${at}`, 'x'.repeat(100)]));
    expect(Object.keys(safe(wide) as object)).toHaveLength(101);
    let deep: unknown = 1;
    for (let level = 0; level < 100_000; level += 1) deep = { deep };
    expect(JSON.stringify(safe(deep)).length).toBeLessThan(200);
  });

  it('keeps the stack, the code and the causes of an error for people', () => {
    const error = Object.assign(new Error('outer', { cause: new TypeError('inner') }), { code: 'E_OUTER' });
    const text = redactError(error);
    expect(text).toContain('Error: outer\n    at ');
    expect(text).toContain('"code":"E_OUTER"');
    expect(text).toContain('cause: TypeError: inner\n    at ');
    expect(redactError('a text')).toBe('a text');
    expect(redactError({ a: 1 })).toBe('{"a":1}');
  });

  it.each([
    'authorization',
    'Set-Cookie',
    'clientSecret',
    'SharedAccessKey',
    'AccountKey',
    'x-bc',
    'sign',
    'sealingKeys',
    'proxy_password',
  ])('knows the name %s', (name) => expect(isSecretKey(name)).toBe(true));

  it.each([
    'userId',
    'tokenHash',
    'SharedAccessKeyName',
    'keyId',
    'signedAt',
    'design',
    'sessionCount',
    'message',
    'key',
  ])('knows that %s names none', (name) => expect(isSecretKey(name)).toBe(false));
});

describe('article, chapter 7: the exception object', () => {
  it('goes to the logger as it is; ours is redacted with its causes and members', () => {
    const jwt = `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1MSJ9.${CANARY}`;
    const exception = Object.assign(new Error(`401 for access_token=${jwt}`), {
      headers: { authorization: `Bearer ${jwt}` },
    });
    // `logger.LogError(exception, sanitizedMessage)`: only the message was sanitized.
    const printed = `the call failed ${inspect(exception)}`;
    expect(printed).toContain(CANARY);
    expect(findCanary(redactError(exception))).toEqual([]);
    expect(findCanary(JSON.stringify(redactValue({ error: exception })))).toEqual([]);
  });
});
