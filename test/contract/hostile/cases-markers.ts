import { always, type HostileCase, pageText } from './hostile-case.ts';

const FIRST = '{"id":"first"}';
const SECOND = '{"id":"second"}';

/** A first page whose next one has this marker: it must come back just as it is. */
const carried = (name: string, marker: string): HostileCase => ({
  name: `marker: ${name}`,
  answer: ({ after }) => {
    if (after === null) return { body: pageText([FIRST], marker) };
    return after === marker ? { body: pageText([SECOND]) } : { status: 422 };
  },
  outcome: { state: 'done', items: [FIRST, SECOND], callsMax: 2 },
});

/** A page whose paging is this text. */
const paged = (name: string, paging: string, outcome: HostileCase['outcome']): HostileCase => ({
  name: `paging: ${name}`,
  answer: ({ after }) => ({
    body: after === null ? `{"data":[${FIRST}],"paging":${paging}}` : pageText([SECOND]),
  }),
  outcome: { callsMax: 2, ...outcome },
});

const ENDS: HostileCase['outcome'] = { state: 'done', items: [FIRST], callsMax: 1 };
const MISSING: HostileCase['outcome'] = { state: 'quarantined', fault: 'marker-missing', items: [], callsMax: 1 };
const TOO_LONG: HostileCase['outcome'] = { state: 'quarantined', fault: 'page-shape', items: [], callsMax: 1 };
const GOES_ON: HostileCase['outcome'] = { state: 'done', items: [FIRST, SECOND] };

const CARRIED: readonly HostileCase[] = [
  carried('of 1000 bytes of JSON', 'm'.repeat(998)),
  carried('of 1000 bytes of JSON, two a character', 'é'.repeat(499)),
  carried('an emoji', '🙈'),
  carried('a slash, a plus and an equals sign', 'QVFI/x+y=='),
  carried('another parameter', 'x&limit=1&after=y'),
  carried('a fragment', 'x#y'),
  carried('escapes', '%00%2F%25'),
  carried('blanks', '  x  '),
  carried('NUL', 'a\0b'),
  carried('a line break and a header', 'a\r\nx-evil: 1'),
  carried('control characters', '\u0001\u001b[2J\u007f'),
  carried('a quote', '"},{"'),
  carried('NFD', 'e\u0301'),
  carried('from right to left', '\u202eabc'),
  carried('__proto__', '__proto__'),
  carried('null, as a text', 'null'),
  carried('a URL', 'http://elsewhere.invalid/?a=b'),
  carried('the replacement character', '\ufffd'),
];

const next = (cursors: string, url = '"http://x/"'): string => `{"cursors":${cursors},"next":${url}}`;

const PAGING: readonly HostileCase[] = [
  paged('null', 'null', ENDS),
  paged('a text', '"more"', ENDS),
  paged('a list', '[]', ENDS),
  paged('a number', '7', ENDS),
  paged('a marker without next', '{"cursors":{"after":"m"}}', ENDS),
  paged('next is null', next('{"after":"m"}', 'null'), ENDS),
  paged('next is empty', next('{"after":"m"}', '""'), ENDS),
  paged('next in the prototype', '{"__proto__":{"next":"x"},"cursors":{"after":"m"}}', ENDS),
  paged('next on another host', next('{"after":"m"}', '"http://elsewhere.invalid/?access_token=x"'), GOES_ON),
  paged('next with another marker', next('{"after":"m"}', '"/?after=other"'), GOES_ON),
  paged('next that is no URL', next('{"after":"m"}', '"::::"'), GOES_ON),
  paged('next is true', next('{"after":"m"}', 'true'), GOES_ON),
  paged('next is an object', next('{"after":"m"}', '{}'), GOES_ON),
  paged('no cursors', '{"next":"x"}', MISSING),
  paged('cursors is a list', next('["m"]'), MISSING),
  paged('cursors is a text', next('"m"'), MISSING),
  paged('no marker', next('{}'), MISSING),
  paged('the marker is null', next('{"after":null}'), MISSING),
  paged('the marker is a number', next('{"after":7}'), MISSING),
  paged('the marker is an odd number', next('{"after":7.0}'), MISSING),
  paged('the marker is an object', next('{"after":{"after":"m"}}'), MISSING),
  paged('the marker is empty', next('{"after":""}'), MISSING),
  paged('the marker is in the prototype', next('{"__proto__":{"after":"m"}}'), MISSING),
  paged('a marker of 1001 bytes of JSON', next(`{"after":"${'m'.repeat(999)}"}`), TOO_LONG),
  paged('a marker of 1002 bytes of JSON, two a character', next(`{"after":"${'é'.repeat(500)}"}`), TOO_LONG),
  paged('a marker of 4096 characters', next(`{"after":"${'m'.repeat(4096)}"}`), TOO_LONG),
  paged('a marker of 4097 characters', next(`{"after":"${'m'.repeat(4097)}"}`), MISSING),
  paged('a marker of 500 KB', next(`{"after":"${'m'.repeat(500_000)}"}`), MISSING),
  paged('a lone surrogate in the marker', next('{"after":"a\\ud800"}'), MISSING),
];

const cycle = (length: number): HostileCase => ({
  name: `markers that come back after ${length}`,
  answer: ({ after }) => {
    const at = after === null ? 0 : Number(after);
    return { body: pageText([`{"id":"i${at}"}`], String(at + 1 > length ? 1 : at + 1)) };
  },
  outcome: {
    state: 'quarantined',
    fault: 'marker-stuck',
    items: Array.from({ length: length + 1 }, (_, at) => `{"id":"i${at}"}`),
    callsMax: length + 10,
  },
});

/** Legal, and looks like trouble. */
const HEALTHY: readonly HostileCase[] = [
  {
    name: 'empty pages in the middle',
    answer: ({ after }) => {
      const at = Number(after ?? 0);
      return { body: pageText(at % 4 === 0 ? [`{"id":"i${at}"}`] : [], at < 12 ? String(at + 1) : undefined) };
    },
    outcome: { state: 'done', items: ['{"id":"i0"}', '{"id":"i4"}', '{"id":"i8"}', '{"id":"i12"}'], callsMax: 13 },
  },
  {
    name: 'the last item of a page again on the next one',
    answer: ({ after }) => {
      const at = Number(after ?? 0);
      return { body: pageText([`{"id":"i${at}"}`, `{"id":"i${at + 1}"}`], at < 5 ? String(at + 1) : undefined) };
    },
    outcome: { state: 'done', items: Array.from({ length: 7 }, (_, at) => `{"id":"i${at}"}`), callsMax: 6 },
  },
  {
    name: 'an item that changes from page to page',
    answer: ({ after }) => {
      const at = Number(after ?? 0);
      return { body: pageText([`{"id":"same","n":${at % 2}}`], at < 2 ? String(at + 1) : undefined) };
    },
    outcome: {
      state: 'done',
      items: ['{"id":"same","n":0}', '{"id":"same","n":1}', '{"id":"same","n":0}'],
      callsMax: 3,
    },
  },
  {
    name: 'a page larger than was asked for, and then one that is smaller',
    answer: ({ after, limit }) => {
      const count = after === null ? limit * 3 : 1;
      const items = Array.from({ length: count }, (_, at) => `{"id":"${after ?? 'head'}-${at}"}`);
      return { body: pageText(items, after === null ? 'm' : undefined) };
    },
    outcome: {
      state: 'done',
      items: [...Array.from({ length: 300 }, (_, at) => `{"id":"head-${at}"}`), '{"id":"m-0"}'],
      callsMax: 2,
    },
  },
];

/** Markers, and the paging around them. */
export const MARKER_CASES: readonly HostileCase[] = [
  ...CARRIED,
  ...PAGING,
  ...HEALTHY,
  ...[1, 2, 3, 7, 63, 64].map(cycle),
  {
    name: 'new markers over the same items for ever',
    answer: ({ index }) => ({ body: pageText([FIRST, SECOND], `m${index}`) }),
    outcome: { state: 'quarantined', fault: 'no-progress', items: [FIRST, SECOND], callsMax: 10 },
  },
  {
    name: 'the marker that was sent comes back',
    answer: always({ body: pageText([FIRST], 'm') }),
    outcome: { state: 'quarantined', fault: 'marker-stuck', items: [FIRST], callsMax: 10 },
  },
];
