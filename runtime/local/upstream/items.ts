import { choose, mix } from './chance.ts';

/** Which content of which item. The text is a pure function of it. */
export interface ItemKey {
  readonly miner: string;
  /** 1 for u1. */
  readonly userNumber: number;
  /** Position by age: 0 is the oldest item of the list. */
  readonly ordinal: number;
  /** 0 for the content that it was created with, else the epoch of the edit. */
  readonly variant: number;
  /** Mixed from everything above and the seed. */
  readonly hash: number;
}

/** The members of an item in front of and behind its free text, which fills it up to the size asked for. */
type Template = (key: ItemKey, draw: (salt: number) => number) => readonly [before: string, after: string];

const WORDS_LENGTH = 1 << 15;

/** Age 0 of every list. */
const FIRST_MS = Date.UTC(2025, 0, 1);

const DAY_MINUTES = 1_440;

const DAYS_KEPT_MAX = 10_000;

const days: string[] = [];

const CLOCK = Array.from({ length: DAY_MINUTES }, (_, minute) => new Date(minute * 60_000).toISOString().slice(11, 16));

const latinWords = repeated(
  'market opens early rain on the quay new prints in the shop thanks for coming tonight see the list below '.concat(
    'invoice for march two tickets left half price until friday the boat leaves at nine please bring your own cup ',
  ),
);

const worldWords = repeated(
  'schöne Grüße aus Köln, до завтра, 明日また会いましょう, ça va bien, Ελλάδα, نلتقي غدا, 감사합니다, dobrą noc, não sei; ',
);

const PREFIXES: Readonly<Record<string, string>> = {
  transactions: 'txn',
  'wall-posts': 'post',
  earnings: 'earn',
  chats: 'msg',
  fans: 'fan',
};

const WORLD_BYTES_PER_CHARACTER = Buffer.byteLength(worldWords) / worldWords.length;

const NAMES = [
  'Ada Núñez',
  'Bo Lind',
  'Chen Wei',
  'Dana Kovac',
  'Eero Mäki',
  'Fatou Diop',
  'Gil Ørsted',
  'Hana Sato',
] as const;
const CURRENCIES = ['EUR', 'USD', 'GBP', 'JPY', 'PLN'] as const;
const CITIES = [
  'Lisbon","country":"PT',
  'Kraków","country":"PL',
  'Osaka","country":"JP',
  'Lagos","country":"NG',
] as const;

/** By the catalog's names; a miner that is not here gets generic items. */
const TEMPLATES: Readonly<Record<string, Template>> = {
  transactions: (key, draw) => [
    `{${identity(key)},"type":"${choose(['payment', 'payout', 'refund', 'fee'], draw(1))}","status":"${status(key)}",` +
      // Two digits always, so that many amounts differ from how a double prints; some references are beyond 2^53.
      `"amount":${draw(2) % 900}.${twoDigits(draw(3))},"fee":0.${twoDigits(draw(4) % 40)},"currency":"${choose(CURRENCIES, draw(5))}",` +
      `"reference":${draw(6) % 8 === 0 ? `900719925474${1001 + (draw(7) % 8998)}` : draw(7)},` +
      `"counterparty":{"name":"${choose(NAMES, draw(8))}","account":"DE${draw(9)}${draw(10)}"},"createdAt":"${createdAt(key)}",` +
      `"updatedAt":"${updatedAt(key)}","description":"`,
    '"}',
  ],
  'wall-posts': (key, draw) => [
    `{${identity(key)},"message":"`,
    `","from":{"id":"${key.userNumber}","name":"${choose(NAMES, key.userNumber)}"},"createdTime":"${createdAt(key)}","updatedTime":"${updatedAt(key)}",` +
      `"reactions":{"like":${draw(1) % 500},"love":${draw(2) % 60}},"isPinned":${draw(3) % 50 === 0},"place":null,` +
      `"attachments":[${draw(4) % 3 === 0 ? `{"type":"photo","url":"https://cdn.invalid/${draw(5)}.jpg","width":1080,"height":${720 + (draw(6) % 720)}}` : ''}]}`,
  ],
  earnings: (key, draw) => [
    `{${identity(key)},"source":"${choose(['subscriptions', 'tips', 'posts', 'referrals'], draw(1))}","period":{"from":"${createdAt(key)}","to":"${at(key, 43_200)}"},` +
      `"gross":${draw(2) % 5000}.${twoDigits(draw(3))},"net":"${draw(4) % 4000}.${twoDigits(draw(5))}","currency":"${choose(CURRENCIES, draw(6))}",` +
      `"rate":${(draw(7) % 1000) / 10_000},"breakdown":[{"kind":"base","count":${draw(8) % 90}},{"kind":"bonus","count":${draw(9) % 9}}],` +
      `"updatedAt":"${updatedAt(key)}","note":"`,
    '"}',
  ],
  chats: (key, draw) => [
    `{${identity(key)},"threadId":"t_${key.userNumber}_${draw(1) % 20}","from":{"id":"${draw(2) % 10_000}","name":"${choose(NAMES, draw(3))}"},"text":"`,
    ` ${choose(['👍', '🎉🎉', '👩‍👩‍👧', 'ok', '\\n\\"so\\" \\\\o/'], draw(4))}","sentAt":"${createdAt(key)}","editedAt":${key.variant === 0 ? 'null' : `"${updatedAt(key)}"`},` +
      `"reactions":${draw(5) % 4 === 0 ? '["❤️","😂"]' : '[]'},"isSeen":${draw(6) % 2 === 0},"replyTo":${draw(7) % 5 === 0 ? `{"id":"${draw(8)}","quote":{"text":"…","depth":1}}` : 'null'}}`,
  ],
  fans: (key, draw) => [
    `{${identity(key)},"name":"${choose(NAMES, draw(1))}","tier":"${choose(['free', 'bronze', 'silver', 'gold'], draw(2))}","joinedAt":"${createdAt(key)}","updatedAt":"${updatedAt(key)}",` +
      `"location":{"city":"${choose(CITIES, draw(3))}"},"stats":{"messages":${draw(4) % 4000},"spent":{"amount":${draw(5) % 300}.${1 + (draw(6) % 9)},"currency":"${choose(CURRENCIES, draw(7))}"}},"bio":"`,
    '"}',
  ],
};

const generic: Template = (key, draw) => [
  `{${identity(key)},"kind":"${key.miner}","createdAt":"${createdAt(key)}","updatedAt":"${updatedAt(key)}","value":${draw(1)},"text":"`,
  '"}',
];

/** The id of an item, unique within its list. */
export function itemId(key: Pick<ItemKey, 'miner' | 'userNumber' | 'ordinal'>): string {
  return `${PREFIXES[key.miner] ?? 'item'}_${key.userNumber}_${key.ordinal}`;
}

/** JSON text of an item of about `sizeBytes` bytes. */
export function itemText(key: ItemKey, sizeBytes: number): string {
  const draw = (salt: number): number => mix(key.hash, salt);
  const [before, after] = (TEMPLATES[key.miner] ?? generic)(key, draw);
  const [words, bytesPerCharacter] = key.miner === 'chats' ? [worldWords, WORLD_BYTES_PER_CHARACTER] : [latinWords, 1];
  const length = Math.max(0, Math.round((sizeBytes - before.length - after.length) / bytesPerCharacter));
  const start = draw(99) % (words.length / 2);
  const text = length <= words.length / 2 ? words : words.repeat(Math.ceil((2 * length) / words.length));
  return `${before}${text.slice(start, start + length)}${after}`;
}

/** The same item with members that parsers stumble over: NUL, a lone surrogate, `__proto__`, a duplicate key, odd numbers. */
export function strangeText(text: string): string {
  return `${text.slice(0, -1)},"nul":"a\\u0000b","lone":"\\ud800","__proto__":{"isAdmin":true},"twice":1,"twice":2,"huge":1e400,"zero":-0,"exponent":1E5,"deep":${'['.repeat(60)}${']'.repeat(60)}}`;
}

function identity(key: ItemKey): string {
  return `"id":"${itemId(key)}"`;
}

function status(key: ItemKey): string {
  return choose(['settled', 'pending', 'disputed'], key.variant);
}

function createdAt(key: ItemKey): string {
  return at(key, 0);
}

function updatedAt(key: ItemKey): string {
  return at(key, key.variant * 360);
}

/** ISO text without a Date for each: three of them are a fifth of the work on an item otherwise. */
function at(key: ItemKey, minutesLater: number): string {
  const minutes = key.ordinal * 97 + (key.userNumber % 97) + minutesLater;
  return `${dayText(Math.floor(minutes / DAY_MINUTES))}T${CLOCK[minutes % DAY_MINUTES] ?? ''}:00.000Z`;
}

function dayText(day: number): string {
  let text = days[day];
  if (text === undefined) {
    text = new Date(FIRST_MS + day * DAY_MINUTES * 60_000).toISOString().slice(0, 10);
    if (day < DAYS_KEPT_MAX) days[day] = text;
  }
  return text;
}

function twoDigits(hash: number): string {
  const value = hash % 100;
  return value < 10 ? `0${value}` : String(value);
}

/** Long enough that a slice from any place of the first half is full. */
function repeated(text: string): string {
  return text.repeat(2 * Math.ceil(WORDS_LENGTH / text.length));
}
