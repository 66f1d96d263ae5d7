import { always, type HostileCase, page, pageText } from './hostile-case.ts';

const LONGEST = 'x'.repeat(4095);

/** Texts that names are made of, and must not be taken for anything else. Not two of them may fall together. */
const NAMES: Readonly<Record<string, string>> = {
  'lower case': 'case',
  'upper case': 'CASE',
  'mixed case': 'Case',
  'a slash': 'a/b',
  'slashes alone': '///',
  'an escaped slash': 'a%2Fb',
  'an escaped slash in lower case': 'a%2fb',
  'a backslash': 'a\\b',
  'three dots': '...',
  'a way up': '../../etc/passwd',
  'a way up in the middle': 'a/../b',
  'an escaped way up': '%2e%2e%2f',
  'a blank': ' ',
  'a blank in front': ' a',
  'a blank behind': 'a ',
  'no blank': 'a',
  'a no-break space': '\u00a0a',
  'a plus': 'a+b',
  'an escaped blank': 'a%20b',
  'a question': 'a?limit=1&after=x',
  'a fragment': 'a#b',
  'a colon and a bar': 'a|b:c',
  'a quote': '"',
  'an escaped quote': '\\"',
  'the form of an item': '{"id":"a"}',
  'the form of a row': '","data":{},"x":"',
  'a wild card': '*',
  'a drive': 'C:\\con',
  'a device': 'nul',
  'a hidden file': '.tmp',
  'a semicolon': "'; DROP TABLE items; --",
  'a template': '${7*7}',
  NFC: 'é',
  NFD: 'e\u0301',
  'an emoji': '🙈',
  'a family': '👨‍👩‍👧',
  'from right to left': 'שלום',
  'a mark that turns the text': '\u202ea',
  'nothing to see': '\u200b',
  'a soft hyphen': '\u00ad',
  'a Kelvin sign': '\u212a',
  'a K': 'K',
  'a dotless i': 'ı',
  'a dotted I': 'İ',
  'full width': 'ａ',
  'a noncharacter': '\uffff',
  'the replacement character': '\ufffd',
  __proto__name: '__proto__',
  constructor: 'constructor',
  hasOwnProperty: 'hasOwnProperty',
  'a number': '7',
  'the same number': '7.0',
  'null, as a text': 'null',
  'a number of a million digits, nearly': '9'.repeat(4096),
};

/** A user's name travels in a path, so that these can be no users. */
const NO_USERS: Readonly<Record<string, string>> = {
  NUL: '\0',
  'a NUL inside': 'a\0b',
  'a line break': 'a\nb',
  'a carriage return and a line break': 'a\r\nb',
  'a tab': 'a\tb',
  'an escape sequence': '\u001b[2J',
  delete: '\u007f',
  'a lone high surrogate': '\ud800',
  'another lone high surrogate': '\ud801',
  'a lone low surrogate': '\udfff',
  'a pair the wrong way round': '\ude48\ud83d',
  'a dot': '.',
  'two dots': '..',
  'the longest': `${LONGEST}a`,
  'the longest, with another end': `${LONGEST}b`,
};

const IDS = { ...NAMES, ...NO_USERS };
const idItems = Object.values(IDS).map((id, n) => JSON.stringify({ id, n }));

const ids: readonly HostileCase[] = Object.entries(IDS).map(([name, id]) => ({
  name: `id: ${name}`,
  answer: always({ body: pageText([JSON.stringify({ id })]) }),
  outcome: { state: 'done', items: [JSON.stringify({ id })] },
}));

const BAD_IDS: Readonly<Record<string, string>> = {
  'no id': '{"n":1}',
  'an empty id': '{"id":""}',
  'an id of null': '{"id":null}',
  'an id that is a number': '{"id":7}',
  'an id that is an odd number': '{"id":7.0}',
  'an id that is true': '{"id":true}',
  'an id that is a list': '{"id":["a"]}',
  'an id that is an object': '{"id":{"id":"a"}}',
  'an id of 4097 characters': `{"id":"${LONGEST}ab"}`,
  'an id of 500 KB': `{"id":"${'x'.repeat(500_000)}"}`,
  'an id in the prototype': '{"__proto__":{"id":"a"}}',
  'an id with a blank in its key': '{"id ":"a"}',
  'an id in capitals': '{"ID":"a"}',
  'an item that is null': 'null',
  'an item that is a text': '"a"',
  'an item that is an odd number': '12.50',
  'an item that is a list': '[{"id":"a"}]',
  'an item that is an empty list': '[]',
  'an item that is 100,000 lists': '['.repeat(100_000) + ']'.repeat(100_000),
};

/** Each stands between two good ones, which are mined. */
const bad: readonly HostileCase[] = Object.entries(BAD_IDS).map(([name, item]) => ({
  name: `set aside: ${name}`,
  answer: always({ body: pageText(['{"id":"before"}', item, '{"id":"after"}']) }),
  outcome: { state: 'done', items: ['{"id":"before"}', '{"id":"after"}'], rejected: [item] },
}));

/** The same items for every one of these users: what falls together in a key, a path or a folder is missing here. */
const users: readonly HostileCase[] = Object.entries(NAMES)
  .filter(([, userId]) => userId.length <= 256)
  .map(([name, userId]) => ({
    name: `user: ${name}`,
    userId,
    answer: always({ body: pageText(['{"id":"same"}', '{"id":"SAME"}']) }),
    outcome: { state: 'done', items: ['{"id":"same"}', '{"id":"SAME"}'], callsMax: 1 },
  }));

/** The users file refuses them; a table may hold them all the same. */
const noUsers: readonly HostileCase[] = (['a dot', 'two dots'] as const).map((name) => ({
  name: `no user: ${name}`,
  userId: NO_USERS[name] ?? '',
  answer: always(page()),
  outcome: { state: 'quarantined', fault: 'refused', items: [], callsMax: 0 },
}));

/** Ids and user ids of every kind. */
export const NAME_CASES: readonly HostileCase[] = [
  ...ids,
  ...bad,
  ...users,
  ...noUsers,
  {
    name: 'id: all of them in one list',
    answer: always({ body: pageText(idItems) }),
    outcome: { state: 'done', items: idItems },
  },
];
