import { always, type HostileCase, type HostileReply, once, page, pageText, PLAIN, refusal } from './hostile-case.ts';

const HTML = '<!doctype html><h1>Something went wrong</h1>';

/** It goes wrong once, and then well. */
const passes = (
  name: string,
  reply: HostileReply,
  fault: 'rate-limit-user' | 'rate-limit-upstream' | 'transient',
): HostileCase => ({
  name,
  answer: once(reply),
  outcome: { state: 'done', fault },
});

const ends = (
  name: string,
  reply: HostileReply,
  outcome: Pick<HostileCase['outcome'], 'state' | 'fault'>,
): HostileCase => ({
  name,
  answer: always(reply),
  outcome: { ...outcome, items: [], callsMax: 1 },
});

const USER_CODES = [17, 32, 613, 80001, 80002, 80003, 80004, 80005, 80006];
const UPSTREAM_CODES = [4, 341];

const LIMITS: readonly HostileCase[] = [
  passes('429 alone', { status: 429 }, 'rate-limit-user'),
  passes('429 with a web page', { status: 429, body: HTML }, 'rate-limit-user'),
  passes('429 with code 17', refusal(429, { code: 17 }), 'rate-limit-user'),
  passes('429 with code 190', refusal(429, { code: 190 }), 'rate-limit-user'),
  ...[400, 403].flatMap((status) =>
    USER_CODES.map((code) => passes(`${status} with code ${code}`, refusal(status, { code }), 'rate-limit-user')),
  ),
  ...[400, 403, 429].flatMap((status) =>
    UPSTREAM_CODES.map((code) =>
      passes(`${status} with code ${code}`, refusal(status, { code }), 'rate-limit-upstream'),
    ),
  ),
];

const TRANSIENT: readonly HostileCase[] = [
  ...[500, 501, 502, 503, 504, 507, 508, 511, 520, 599].map((status) =>
    passes(`${status} with a web page`, { status, body: HTML }, 'transient'),
  ),
  passes('500 with the envelope of an expired token', refusal(500, { code: 190 }), 'transient'),
  passes('503 with an empty body', { status: 503 }, 'transient'),
  passes('408', { status: 408 }, 'transient'),
  ...[1, 2].map((code) => passes(`400 with code ${code}`, refusal(400, { code }), 'transient')),
  passes('400 that says it is transient', refusal(400, { code: 9999, is_transient: true }), 'transient'),
  {
    name: '500 for ever',
    answer: always({ status: 500 }),
    outcome: { state: 'failed', fault: 'transient', items: [] },
  },
];

const PERMISSION: readonly HostileCase[] = [10, 200, 250, 299].map((code) =>
  ends(`403 with code ${code}`, refusal(403, { code }), { state: 'failed', fault: 'permission' }),
);

const ADDRESS: readonly HostileCase[] = [
  ends('404 with a web page', { status: 404, body: HTML }, { state: 'quarantined', fault: 'wrong-address' }),
  ends('404 with nothing', { status: 404 }, { state: 'quarantined', fault: 'wrong-address' }),
  ends(
    '404 with another JSON',
    { status: 404, body: '{"error":"Not Found"}' },
    { state: 'quarantined', fault: 'wrong-address' },
  ),
  ...[300, 301, 302, 303, 304, 305, 307, 308, 399].map((status) =>
    ends(
      `${status} to another host`,
      { status, headers: { location: 'http://elsewhere.invalid/?x=1' }, body: pageText(PLAIN) },
      { state: 'quarantined', fault: 'wrong-address' },
    ),
  ),
  ends('302 to itself', { status: 302, headers: { location: '' } }, { state: 'quarantined', fault: 'wrong-address' }),
  ends('302 without a location', { status: 302 }, { state: 'quarantined', fault: 'wrong-address' }),
];

const MARKER: readonly HostileCase[] = [
  {
    name: '400 with code 100 for a marker, once',
    answer: ({ after, earlier }) => {
      if (after === 'm1') return earlier === 0 ? refusal(400, { code: 100 }) : page([PLAIN[1] ?? '']);
      return { body: pageText([PLAIN[0] ?? ''], 'm1') };
    },
    outcome: { state: 'done', fault: 'dead-marker', callsMax: 4 },
  },
  {
    name: '400 with code 100 for a marker, always',
    answer: ({ after }) => (after === 'm1' ? refusal(400, { code: 100 }) : { body: pageText(PLAIN, 'm1') }),
    outcome: { state: 'quarantined', fault: 'dead-marker', callsMax: 4 },
  },
  ends('400 with code 100 without a marker', refusal(400, { code: 100 }), { state: 'quarantined', fault: 'refused' }),
];

const REFUSED_STATUSES = [
  402, 405, 406, 407, 409, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 424, 425, 426, 428, 431, 451,
  499,
];

const REFUSED: readonly HostileCase[] = [
  ...REFUSED_STATUSES.map((status) =>
    ends(`${status}`, { status, body: HTML }, { state: 'quarantined', fault: 'refused' }),
  ),
  ends('400 alone', { status: 400 }, { state: 'quarantined', fault: 'refused' }),
  ends('403 alone', { status: 403 }, { state: 'quarantined', fault: 'refused' }),
  ends('403 with code 300', refusal(403, { code: 300 }), { state: 'quarantined', fault: 'refused' }),
  ends('400 with a code of the future', refusal(400, { code: 80007 }), { state: 'quarantined', fault: 'refused' }),
  ends('400 with a code that is a text', refusal(400, { code: '17' }), { state: 'quarantined', fault: 'refused' }),
  ends('400 with a code that is an object', refusal(400, { code: { code: 17 } }), {
    state: 'quarantined',
    fault: 'refused',
  }),
  ...[
    '{"error":null}',
    '{"error":[]}',
    '{"error":"x"}',
    '{"error":{}}',
    '{"__proto__":{"error":{"code":4}}}',
    'null',
    '[]',
    '{',
  ].map((body) => ends(`400 with the body ${body}`, { status: 400, body }, { state: 'quarantined', fault: 'refused' })),
  ends('400 with a message of 900 KB', refusal(400, { message: 'x y '.repeat(225_000) }), {
    state: 'quarantined',
    fault: 'refused',
  }),
  ends('400 with control characters in its message', refusal(400, { message: '\u001b[2J\u0007\0\ud800' }), {
    state: 'quarantined',
    fault: 'refused',
  }),
];

const OTHER: readonly HostileCase[] = [
  ...[201, 202, 203, 206, 207, 226].map((status) =>
    ends(`${status} with a page`, { status, body: pageText(PLAIN) }, { state: 'quarantined', fault: 'page-shape' }),
  ),
  ends('204', { status: 204 }, { state: 'quarantined', fault: 'page-shape' }),
  ends('205', { status: 205 }, { state: 'quarantined', fault: 'page-shape' }),
  ends('200 with the envelope of an error', refusal(200, { code: 190 }), { state: 'quarantined', fault: 'page-shape' }),
  { name: 'status 999', answer: always({ status: 999 }), outcome: { state: 'failed', fault: 'transient', items: [] } },
];

/** Every line of the contract's table of errors, each code by itself; tokens and users that are gone have areas of their own. */
export const ERROR_CASES: readonly HostileCase[] = [
  ...LIMITS,
  ...TRANSIENT,
  ...PERMISSION,
  ...ADDRESS,
  ...MARKER,
  ...REFUSED,
  ...OTHER,
];

/** Few, because many at once are the upstream's fault and not the users'. */
export const TOKEN_CASES: readonly HostileCase[] = [
  ends('401 alone', { status: 401 }, { state: 'paused', fault: 'token' }),
  ends('401 with code 190', refusal(401, { code: 190, error_subcode: 463 }), { state: 'paused', fault: 'token' }),
  ends('400 with code 190', refusal(400, { code: 190 }), { state: 'paused', fault: 'token' }),
  ends('400 with code 102', refusal(400, { code: 102 }), { state: 'paused', fault: 'token' }),
  ends('403 with code 190', refusal(403, { code: 190 }), { state: 'paused', fault: 'token' }),
];

/** Few, for the same reason. */
export const GONE_CASES: readonly HostileCase[] = [
  ends('404 with the envelope', refusal(404, { code: 100 }), { state: 'failed', fault: 'user-gone' }),
  ends('404 with code 803', refusal(404, { code: 803 }), { state: 'failed', fault: 'user-gone' }),
  ends('400 with code 803', refusal(400, { code: 803 }), { state: 'failed', fault: 'user-gone' }),
  ends(
    '404 with an envelope of a message alone',
    { status: 404, body: '{"error":{"message":"gone"}}' },
    { state: 'failed', fault: 'user-gone' },
  ),
];
