/** Stands in some bodies and headers: an upstream may quote what it was sent. */
export const TOKEN = 'canary-4f9X.q~2_Zz-of-hostile';

/** Texts that odd answers are made of. JSON texts, but for those of headers. */

export const NUMBERS = [
  ...['0', '-0', '1', '-1', '1.0', '0.10', '-0.0', '1e2', '1E+2', '1e-7', '1e400', '-1e400', '5e-324', '1e-400'],
  ...[
    '9007199254740991',
    '9007199254740992',
    '9007199254740993',
    '-9007199254740993',
    '123456789012345678901234567890',
  ],
  ...['0.1000000000000000055511151231257827', '190.0', '4.0'],
] as const;

export const LONG_NUMBERS = [
  `1${'0'.repeat(400)}`,
  `0.${'3'.repeat(500)}`,
  `-${'9'.repeat(300)}e-${'1'.repeat(20)}`,
] as const;

/** Beginnings of other notations, which JSON does not have. */
export const NO_NUMBERS = [
  'NaN',
  'Infinity',
  '01',
  '.5',
  '1.',
  '+1',
  '0x10',
  '1e',
  '--1',
  'undefined',
  "'a'",
  '1_000',
] as const;

/** JSON texts of ids: look-alikes, names of prototypes and of paths, and what no id can be. */
export const IDS = [
  ...['"a"', '"A"', '"\\u0061"', '"a "', '" a"', '"a\\u0000"', '"\\u00e9"', '"e\\u0301"', '"é"', '"É"', '"ﬁ"', '"fi"'],
  ...['"K"', '"\u212a"', '"ß"', '"ss"', '"İ"', '"i"', '"1"', '"1.0"', '"01"', '"-0"', '"null"', '"true"', '"[]"'],
  ...['"."', '".."', '"../.."', '"/"', '"a/b"', '"a\\/b"', '"a\\\\b"', '"a%2Fb"', '"#"', '"?"', '"|"', '":"', '"\\""'],
  ...[
    '"__proto__"',
    '"constructor"',
    '"toString"',
    '"hasOwnProperty"',
    '"\\ud800"',
    '"\\ud801"',
    '"\\udfff"',
    '"\ufffd"',
  ],
  ...[
    '"\\ud83d\\ude48"',
    '"🙈"',
    '"\u2028"',
    '"\u200b"',
    '"\\n"',
    '"\\r\\n"',
    '"\\u007f"',
    '"\\u0085"',
    '",\\"data\\":"',
  ],
  ...['"}"', '"]}"', '"\\\\"', '"\\\\\\""', '"<b>"', '"$&"', '"a,b"'],
] as const;

export const NO_IDS = [
  '""',
  '0',
  '1',
  '-0',
  '1e400',
  '1.0',
  'null',
  'true',
  '[]',
  '["a"]',
  '{}',
  '{"id":"a"}',
] as const;

export const STRINGS = [
  ...[
    '""',
    '"x"',
    '"\\u0000"',
    '"\\ud800x"',
    '"x\\udc00"',
    '"\\ud83d\\ude00"',
    '"\u2028\u2029"',
    '"\\\\"',
    '"\\""',
    '"\\/"',
  ],
  ...[
    '"1.0"',
    '"[{"',
    '"}]"',
    '"\\u005f_proto__"',
    '",\\"data\\":null"',
    '"eyJhbGciOi.eyJzdWIi.c2ln"',
    '"2026-01-02T03:04:05.670Z"',
  ],
  ...[`"Bearer ${TOKEN}"`, '"https://u:p@h/x?access_token=abcdef123"', '"\ufeff"', '"\\b\\f\\n\\r\\t"', '"İ"'],
] as const;

export const KEYS = [
  ...[
    '"n"',
    '"a"',
    '"b"',
    '"id"',
    '"data"',
    '"paging"',
    '"error"',
    '"code"',
    '""',
    '"0"',
    '"1"',
    '"10"',
    '"2"',
    '"-1"',
  ],
  ...['"__proto__"', '"constructor"', '"prototype"', '"toString"', '"valueOf"', '"toJSON"', '"rawJSON"', '"length"'],
  ...['"\\u0061"', '"\\ud800"', '"\u2028"', '"hasOwnProperty"', '"then"', '"\\\\"', '"\\n"', '"a\\\\"', '"a\\u0062"'],
] as const;

export const CODES = [
  ...['100', '100', '100'],
  ...[
    '1',
    '2',
    '4',
    '10',
    '10',
    '17',
    '32',
    '100',
    '102',
    '190',
    '200',
    '250',
    '299',
    '300',
    '341',
    '613',
    '803',
    '80001',
    '80006',
  ],
  ...[
    '"190"',
    '190.0',
    '1.9e2',
    '4.0',
    '-0',
    '-1',
    '1e400',
    '9007199254740993',
    'null',
    '[190]',
    '{}',
    'true',
    '""',
    '0',
  ],
] as const;

export const STATUSES = [
  ...[
    201, 204, 206, 226, 299, 300, 301, 304, 307, 399, 400, 400, 400, 401, 403, 403, 404, 404, 408, 409, 410, 418, 422,
  ],
  ...[429, 429, 451, 499, 500, 502, 503, 504, 599, 600, 999, 100, 199, 0],
] as const;

export const WAITS = [
  ...[
    '0',
    '1',
    '120',
    '-1',
    '1.5',
    '1e3',
    '1e400',
    '9'.repeat(400),
    ' 7 ',
    '',
    'soon',
    '0x10',
    'NaN',
    '1, 2',
    '٣',
    '1\u00a0',
  ],
  ...['Wed, 21 Oct 2026 07:28:00 GMT', 'Wednesday, 21-Oct-26 07:28:00 GMT', 'Wed Oct 21 07:28:00 2026'],
  ...[
    'Wed, 99 Xxx 9999 99:99:99 GMT',
    'Wed, 21 Oct 1900 07:28:00 GMT',
    'Fri, 31 Dec 9999 23:59:59 GMT',
    'Thu, 01 Jan 1970',
  ],
] as const;

export const CONTENT_TYPES = [
  'application/json',
  'text/html',
  'text/plain; charset=utf-16',
  'image/png',
  '',
  'json',
  '*/*',
] as const;

export const OTHER_BODIES = [
  ...[
    '',
    ' ',
    '{}',
    '[]',
    'null',
    'true',
    '0',
    '"data"',
    '<html><body>502</body></html>',
    '{"data":[',
    ']',
    '\ufeff',
    '\0',
  ],
  ...[
    '{"data":[]}{"data":[]}',
    'data: {}\n\n',
    '{"error":null}',
    '{"error":"no"}',
    '{"error":[]}',
    '{"error":{}}',
    '{"errors":[]}',
  ],
] as const;

export const SPLINTERS = [
  '{',
  '}',
  '[',
  ']',
  '"',
  ',',
  ':',
  '\\',
  '\\u',
  '\\ud800',
  '-',
  '.',
  'e',
  '0',
  '\0',
  '\ufeff',
  '\u2028',
  '/**/',
] as const;
