import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { credentialsIn, proxyCredentialsIn } from '../../runtime/core/credentials-in.ts';
import { KnownSecrets } from '../../runtime/core/known-secrets.ts';
import { MASK, redactText, TEXT_LIMIT, withoutValues } from '../../runtime/core/redact.ts';
import { secretForms } from '../../runtime/core/secret-forms.ts';
import { CANARY, KNOWN_FORMS, NAMED_FORMS, READABLE } from './secret-samples.ts';
import { findCanary } from './secret-search.ts';

/** A secret with what every encoding has to escape. */
const SECRET = `${CANARY}/s+l=a&s"h<e>s%20 ü-42`;

/** One that stands in a header or an address without escapes, as most credentials do. */
const PLAIN_SECRET = `${CANARY}-4f9X.q~2_Zz`;

function knowing(...values: readonly string[]): KnownSecrets {
  const known = new KnownSecrets(Math.max(1, values.length));
  for (const value of values) known.know(value);
  return known;
}

describe('a known value', () => {
  it.each(KNOWN_FORMS.map(({ name, text }) => [name, text] as const))('is found %s', (_, text) => {
    for (const secret of [SECRET, PLAIN_SECRET, `${CANARY} with spaces and; semicolons`]) {
      const safe = redactText(text(secret), knowing(secret));
      expect(findCanary(safe), safe).toEqual([]);
      expect(safe).toContain(MASK);
    }
  });

  it.each(KNOWN_FORMS.map(({ name, text }) => [name, text] as const))('is seen by the search %s', (_, text) => {
    expect(findCanary(text(PLAIN_SECRET))).not.toEqual([]);
  });

  it('is found whatever it is and wherever it stands, and the rest stays as it is', () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 8, maxLength: 60, unit: 'binary' }),
        fc.string({ unit: 'grapheme' }),
        fc.nat(100),
        (secret, around, pick) => {
          const forms = secretForms(secret).filter(({ kind }) => kind !== 'head');
          const form = forms[pick % forms.length]?.text ?? secret;
          const safe = withoutValues(`${around} ${form} ${around}`, [secret]);
          expect(safe).not.toContain(form);
          if (!around.includes(form)) expect(safe.startsWith(`${around} `)).toBe(true);
        },
      ),
    );
  });

  it('costs no more when there are 4,000 of them, and the last ones are kept', () => {
    const known = new KnownSecrets();
    for (let n = 0; n < 9_000; n += 1) known.know(`${CANARY}-token-of-user-${n}`);
    expect(known.size).toBe(4_000);
    expect(redactText(`a ${CANARY}-token-of-user-8999 b`, known)).toBe('a [masked] b');
    expect(known.find(`nothing of ${CANARY}`)).toEqual([]);
  });

  it('is forgotten when it is the oldest, known again when it is used, and kept for good when it is the process’s own', () => {
    const known = new KnownSecrets(2);
    known.keep('own-password');
    known.know('first-secret');
    known.know('second-secret');
    known.know('first-secret');
    known.know('third-secret');
    const text = 'own-password first-secret second-secret third-secret';
    expect(redactText(text, known)).toBe('[masked] [masked] second-secret [masked]');
  });

  it('shorter than 8 characters is a word of the text', () => {
    expect(withoutValues('the user is short', ['short', ''])).toBe('the user is short');
  });

  it('leaves nothing behind when it goes, although others share its forms', () => {
    const known = new KnownSecrets(1);
    known.know('prefixed-one');
    known.know('prefixed-two');
    expect(redactText('prefixed-one prefixed-two', known)).toBe('prefixed-one [masked]');
  });
});

describe('a value that nobody knows', () => {
  it.each(NAMED_FORMS.map(({ name, text }) => [name, text] as const))('is masked by what it is: %s', (_, text) => {
    const given = text(PLAIN_SECRET);
    const safe = redactText(given);
    expect(findCanary(safe), safe).toEqual([]);
    expect(safe).toContain(MASK);
    expect(findCanary(given)).not.toEqual([]);
  });

  it('is masked once: redacting again changes nothing', () => {
    for (const { text } of [...KNOWN_FORMS, ...NAMED_FORMS]) {
      const safe = redactText(text(PLAIN_SECRET), knowing(PLAIN_SECRET));
      expect(redactText(safe, knowing(PLAIN_SECRET))).toBe(safe);
    }
  });

  it('keeps a JSON text a JSON text', () => {
    const text = JSON.stringify({
      password: 'a"b\\',
      'set-cookie': ['a=b', 'c'],
      url: 'http://u:p@h',
      n: { token: 'x', ok: 1 },
    });
    expect(JSON.parse(redactText(text))).toEqual({
      password: MASK,
      'set-cookie': [MASK, 'c'],
      url: 'http://[masked]@h',
      n: { token: MASK, ok: 1 },
    });
  });
});

describe('a JSON text', () => {
  const names = [
    'password',
    'token',
    'authorization',
    'enableRbacAuthorization',
    'cookie',
    'sign',
    'key',
    'code',
    'x-bc',
    'a',
  ];
  const texts = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.constantFrom(...[...KNOWN_FORMS, ...NAMED_FORMS].map(({ text }) => text(PLAIN_SECRET))),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.oneof(
        texts,
        fc.integer(),
        fc.double({ noNaN: true, noDefaultInfinity: true }),
        fc.boolean(),
        fc.constant(null),
      ),
      fc.array(tie('value'), { maxLength: 4 }),
      fc.dictionary(fc.oneof(fc.constantFrom(...names), texts), tie('value'), { maxKeys: 4 }),
    ),
  }));

  it('is a JSON text afterwards, whatever is masked in it', () => {
    const known = knowing(PLAIN_SECRET);
    fc.assert(
      fc.property(value, fc.constantFrom(undefined, 1), (given, indent) => {
        const safe = redactText(JSON.stringify(given, null, indent), known);
        expect(() => JSON.parse(safe) as unknown, safe).not.toThrow();
        expect(findCanary(safe)).toEqual([]);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('what is no secret', () => {
  it.each(READABLE)('stays readable: %s', (text) => {
    expect(redactText(text, knowing(SECRET, PLAIN_SECRET))).toBe(text);
  });
});

describe('a long text', () => {
  it('is cut at its limit and says so', () => {
    const safe = redactText('word '.repeat(10_000));
    expect(safe.length).toBeLessThan(TEXT_LIMIT + 40);
    expect(safe).toMatch(/ \[33616 characters more\]$/);
  });

  it('shows no part of a secret that the cut goes through, wherever that is and in whatever form', () => {
    const limit = 120;
    const known = knowing(PLAIN_SECRET);
    for (const { text } of KNOWN_FORMS) {
      const given = text(PLAIN_SECRET);
      for (let before = 0; before <= limit; before += 1) {
        const safe = redactText(`${'a '.repeat(limit).slice(0, before)}${given}${' b'.repeat(limit)}`, known, limit);
        expect(findCanary(safe), safe).toEqual([]);
      }
    }
  });
});

/** Texts that make a careless expression look again and again. */
const HOSTILE = [
  ...['a', ' ', '"', "'", '\\', '\\"', '%22', '=', ':', '/', '@', '.', '-', '\0', '{"', '[masked]'],
  ...['eyJ', 'eyJa.', '://', '://a', '://a@', '%3A%2F%2F', 'password="', "password='", 'password:\\"', 'password='],
  ...['cookie: ', 'cookie: "', 'bearer ', 'basic ', 'authorization: ', 'token:', 'token=', '?code=', 'sign', 'AUTH '],
  ...[
    '-----BEGIN PRIVATE KEY-----',
    '-----BEGIN A',
    'SharedAccessSignature ',
    'EAA',
    '1',
    '1|',
    '\0a',
    `${CANARY}-`,
    'access_token%3D',
  ],
] as const;

describe('the time that it takes', () => {
  // Not by the clock, which says little on a busy machine: an expression that looks back over what it has read would take minutes
  // for the longest text, and this test would not end in time.
  it.each(HOSTILE)('grows with the length of the text: %j for 300,000 characters', (piece) => {
    const text = piece.repeat(Math.ceil(300_000 / piece.length));
    expect(redactText(text, knowing(SECRET, PLAIN_SECRET), 2_000_000)).toBeTypeOf('string');
    expect(redactText(`password="${text}`, knowing(SECRET), 2_000_000)).toBeTypeOf('string');
  });
});

describe('the secrets in a text that a process was given', () => {
  it.each([
    [
      'a Service Bus',
      'Endpoint=sb://h:1;SharedAccessKeyName=Root;SharedAccessKey=abc+/=;UseDevelopmentEmulator=true',
      ['abc+/='],
    ],
    ['a storage account', 'DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k==;EndpointSuffix=x', ['k==']],
    ['an emulator', 'UseDevelopmentStorage=true', []],
    [
      'a signed bus',
      'Endpoint=sb://h;SharedAccessSignature=SharedAccessSignature sr=x&sig=s%3D&se=1',
      ['SharedAccessSignature sr=x&sig=s%3D&se=1', 's%3D', 's='],
    ],
    ['a signed address', 'https://a.blob.core.windows.net/lake?sv=1&sig=s%2F', ['s%2F', 's/']],
    ['a Redis without a password', 'redis://127.0.0.1:6379', []],
    ['a Redis', 'redis://default:p%40ss@127.0.0.1:6379/0', ['p%40ss', 'p@ss', 'default:p@ss', 'default:p%40ss']],
    ['a ring of keys', `k2:${'A'.repeat(43)}=,k1:${'B'.repeat(43)}=`, [`${'A'.repeat(43)}=`, `${'B'.repeat(43)}=`]],
    ['something else', 'opaque', ['opaque']],
  ])('of %s are its keys and passwords, not its hosts', (_, text, secrets) => {
    expect([...new Set(credentialsIn(text))].toSorted()).toEqual(secrets.toSorted());
  });

  it('of a proxy are its user, its password, and both as it is sent them', () => {
    expect(proxyCredentialsIn('http://cust%2B1:p%40ss@h:1')).toEqual(
      expect.arrayContaining(['cust%2B1', 'cust+1', 'p%40ss', 'p@ss', 'cust+1:p@ss']),
    );
    expect(proxyCredentialsIn('http://h:1')).toEqual([]);
  });
});

describe('article, chapter 7', () => {
  /** `SanitizeLogMessage` of the article, in its own patterns. */
  const PRINTED = [
    /access_token=[\w-]+/gi,
    /authorization:\s*bearer\s+[\w-]+/gi,
    /x-bc=[\w-]+/gi,
    /cookie:\s*[^;]+auth[^;]*/gi,
    /sign=[\w+/=]+/gi,
  ];
  const printed = (message: string): string =>
    PRINTED.reduce((text, pattern) => text.replaceAll(pattern, '[REDACTED]'), message);
  const jwt = `eyJhbGciOiJIUzI1NiJ9.${Buffer.from(`{"sub":"${CANARY}"}`).toString('base64url')}.${CANARY}-signature`;

  it('stops at the first dot of a JWT; ours masks all of it', () => {
    for (const message of [`authorization: Bearer ${jwt}`, `GET /me?access_token=${jwt}&limit=1`]) {
      expect(printed(message)).toContain(`${CANARY}-signature`);
      expect(findCanary(redactText(message))).toEqual([]);
    }
  });

  it('sees neither JSON nor a header of another spelling; ours does', () => {
    for (const message of [
      `{"access_token":"${jwt}"}`,
      `x-bc: ${CANARY}1`,
      `proxy-authorization: Basic ${Buffer.from(CANARY).toString('base64')}`,
    ]) {
      expect(findCanary(printed(message))).not.toEqual([]);
      expect(findCanary(redactText(message))).toEqual([]);
    }
  });
});
