import { always, type HostileCase, type HostileReply, pageText } from './hostile-case.ts';

const broken = (name: string, body: string | Uint8Array): HostileCase => ({
  name: `no page: ${name}`,
  answer: always({ body }),
  outcome: { state: 'quarantined', fault: 'page-shape', items: [], callsMax: 1 },
});

/** `stored`: what must stand in the lake when that is not what was served. */
const item = (name: string, served: string, stored = served): HostileCase => ({
  name: `value: ${name}`,
  answer: always({ body: pageText([served]) }),
  outcome: { state: 'done', items: [stored] },
});

const nested = (depth: number, open: string, close: string, inside = ''): string =>
  open.repeat(depth) + inside + close.repeat(depth);

const utf16 = (text: string): Buffer => Buffer.from(`\u{feff}${text}`, 'utf16le');

const NO_PAGES: readonly HostileCase[] = [
  broken('nothing', ''),
  broken('blanks', ' \r\n\t'),
  ...[
    'null',
    'true',
    '0',
    '"text"',
    '[]',
    '[{"id":"a"}]',
    '{}',
    '{"data":null}',
    '{"data":{}}',
    '{"data":"[]"}',
    '{"data":0}',
    '{"Data":[]}',
    '{"data ":[]}',
    '{"data":[],"data":null}',
    '{"error":{"code":1}}',
  ].map((body) => broken(body, body)),
  broken('{"__proto__":{"data":[]}}', '{"__proto__":{"data":[{"id":"a"}]}}'),
  broken('{"constructor":{"data":[]}}', '{"constructor":{"data":[{"id":"a"}]}}'),
  broken('a web page', '<!doctype html><title>Log in</title>'),
  broken('a web page with JSON in it', '<script>{"data":[]}</script>'),
  broken('JSON with padding', 'callback({"data":[]})'),
  broken('JSON behind a guard', ')]}\',\n{"data":[]}'),
  broken('JSON that goes on', '{"data":[]}{"data":[]}'),
  broken('NDJSON', '{"id":"a"}\n{"id":"b"}\n'),
  broken('a comma too many', '{"data":[{"id":"a"},]}'),
  broken('single quotes', "{'data':[]}"),
  broken('a comment', '{"data":[]/* nothing */}'),
  broken('NaN', '{"data":[{"id":"a","n":NaN}]}'),
  broken('a number with a leading zero', '{"data":[{"id":"a","n":01}]}'),
  broken('a raw line break in a text', '{"data":[{"id":"a\nb"}]}'),
  broken('a raw NUL in a text', '{"data":[{"id":"a\0b"}]}'),
  broken('NUL behind the page', '{"data":[]}\0'),
  broken('an escape that is none', '{"data":[{"id":"\\x41"}]}'),
  broken('JSON that is cut', '{"data":[{"id":"a"}'),
  broken('UTF-16', utf16('{"data":[]}')),
  broken('UTF-32', Buffer.from('{"data":[]}'.split('').flatMap((letter) => [letter.charCodeAt(0), 0, 0, 0]))),
  broken('two byte order marks', '\u{feff}\u{feff}{"data":[]}'),
  broken('random bytes', Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7919) % 251))),
  broken('half a million open brackets', '['.repeat(500_000)),
  broken('half a million open objects', '{"a":'.repeat(150_000)),
];

const MANY_KEYS = Array.from({ length: 20_000 }, (_, at) => `"k${at}":${at}`).join(',');

const ITEMS: readonly HostileCase[] = [
  item('2^53 + 1', '{"id":"a","n":9007199254740993}'),
  item('1e400', '{"id":"a","n":1e400}'),
  item('-1e400 and 1e-400', '{"id":"a","n":[-1e400,1e-400]}'),
  item('-0', '{"id":"a","n":[-0,-0.0]}'),
  item('1.0 and 12.50', '{"id":"a","n":[1.0,12.50,1E5,0.1e1]}'),
  item('a number of 100,000 digits', `{"id":"a","n":${'7'.repeat(100_000)}}`),
  item('a fraction of 100,000 digits', `{"id":"a","n":0.${'7'.repeat(100_000)}}`),
  item('__proto__ in an item', '{"id":"a","__proto__":{"isAdmin":true}}'),
  item('__proto__ beside an odd number', '{"id":"a","__proto__":{"isAdmin":1.0}}'),
  item('__proto__ deep inside', '{"id":"a","x":[{"__proto__":{"__proto__":null}}]}'),
  item('constructor.prototype', '{"id":"a","constructor":{"prototype":{"isAdmin":true}}}'),
  item('toString, valueOf, toJSON', '{"id":"a","toString":1,"valueOf":null,"toJSON":"x","hasOwnProperty":2}'),
  item('rawJSON', '{"id":"a","rawJSON":"1","n":{"rawJSON":"2"}}'),
  item('a key twice', '{"id":"a","k":1,"k":2}', '{"id":"a","k":2}'),
  item('an id twice', '{"id":"b","id":"a"}', '{"id":"a"}'),
  item('an empty key', '{"id":"a","":{"":""}}'),
  item('keys that are numbers', '{"id":"a","2":1,"1":2}', '{"1":2,"2":1,"id":"a"}'),
  item('20,000 keys', `{"id":"a",${MANY_KEYS}}`),
  item('a key of 500 KB', `{"id":"a","${'k'.repeat(500_000)}":1}`),
  item('a text of 900 KB', `{"id":"a","t":"${'x'.repeat(900_000)}"}`),
  item('900 KB of escapes', `{"id":"a","t":"${'\\\\\\"'.repeat(220_000)}"}`),
  item('100 levels', `{"id":"a","d":${nested(100, '[', ']')}}`),
  item('100 levels of objects', `{"id":"a","d":${nested(100, '{"d":', '}', '1')}}`),
  item('100,000 levels', `{"id":"a","d":${nested(100_000, '[', ']')}}`),
  item('100,000 levels of objects with an odd number', `{"id":"a","d":${nested(100_000, '{"d":', '}', '1.0')}}`),
  item('a lone surrogate in a text', '{"id":"a","t":"\\ud800 x \\udfff"}'),
  item('a lone surrogate in a key', '{"id":"a","\\ud800":1,"\\ud801":2}'),
  item('a pair, escaped', '{"id":"a","t":"\\ud83d\\ude48"}', '{"id":"a","t":"🙈"}'),
  item('NUL, escaped', '{"id":"a","t":"x\\u0000y","\\u0000":1}'),
  item('control characters, escaped', '{"id":"a","t":"\\u0001\\u001f\\b\\f\\n\\r\\t"}'),
  item('line and paragraph separators', '{"id":"a","t":"\u2028\u2029\u0085"}'),
  item('text from right to left, and marks that turn it', '{"id":"a","t":"שלום \u202e\u2066 עולם"}'),
  item('a combining mark a thousand times', `{"id":"a","t":"e${'\u0301'.repeat(1000)}"}`),
  item('noncharacters', '{"id":"a","t":"\ufffe\uffff\u{10ffff}"}'),
  item('a byte order mark in a text', '{"id":"a","t":"\ufeff"}'),
  item('what looks like the end of the row', '{"id":"a","t":"\\"}],\\"data\\":[{\\n,\\n"}'),
  item('the form of a row of the lake', '{"id":"a","data":{"data":1},"dataRef":"oversize/../x","userId":"u"}'),
  item('blanks everywhere', ' { "id" : "a" ,\r\n\t"n" : [ 1 , { } ] } ', '{"id":"a","n":[1,{}]}'),
  item('every kind of value', '{"id":"a","v":[null,true,false,0,-1,1.5,"",[],{}]}'),
  {
    name: 'value: bytes that are not UTF-8',
    answer: always({
      body: Buffer.concat([
        Buffer.from('{"data":[{"id":"a","t":"x'),
        Buffer.from([0xff, 0xc0, 0xaf]),
        Buffer.from('y"}]}'),
      ]),
    }),
    outcome: { state: 'done', items: ['{"id":"a","t":"x\ufffd\ufffd\ufffdy"}'] },
  },
  {
    name: 'value: surrogates written as UTF-8',
    answer: always({
      body: Buffer.concat([
        Buffer.from('{"data":[{"id":"a","t":"'),
        Buffer.from([0xed, 0xa0, 0x80]),
        Buffer.from('"}]}'),
      ]),
    }),
    outcome: { state: 'done', items: ['{"id":"a","t":"\ufffd\ufffd\ufffd"}'] },
  },
];

const PAGES: readonly HostileCase[] = [
  {
    name: 'page: a byte order mark',
    answer: always({ body: `\u{feff}${pageText(['{"id":"a"}'])}` }),
    outcome: { state: 'done', items: ['{"id":"a"}'] },
  },
  {
    name: 'page: data twice, the last counts',
    answer: always({ body: '{"data":[{"id":"x"}],"data":[{"id":"a"}]}' }),
    outcome: { state: 'done', items: ['{"id":"a"}'] },
  },
  {
    name: 'page: __proto__ beside data',
    answer: always({ body: '{"__proto__":{"paging":{"next":"x"}},"data":[{"id":"a"}]}' }),
    outcome: { state: 'done', items: ['{"id":"a"}'] },
  },
  { name: 'page: an empty list', answer: always({ body: '{"data":[]}' }), outcome: { state: 'done', items: [] } },
  {
    name: 'page: the same item a thousand times',
    answer: always({ body: pageText(Array.from({ length: 1000 }, () => '{"id":"a"}')) }),
    outcome: { state: 'done', items: ['{"id":"a"}'] },
  },
  {
    name: 'page: 20,000 items where 100 were asked for',
    answer: always(crowd(20_000)),
    outcome: { state: 'done', items: crowdItems(20_000) },
  },
];

function crowdItems(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `{"id":"i${at}"}`);
}

function crowd(count: number): HostileReply {
  return { body: pageText(crowdItems(count)) };
}

/** Bodies that are no page, and items whose values are hard to keep. */
export const VALUE_CASES: readonly HostileCase[] = [...NO_PAGES, ...ITEMS, ...PAGES];
