import { Dice } from '../fakes/dice.ts';
import {
  CODES,
  CONTENT_TYPES,
  IDS,
  KEYS,
  LONG_NUMBERS,
  NO_IDS,
  NO_NUMBERS,
  NUMBERS,
  OTHER_BODIES,
  SPLINTERS,
  STATUSES,
  STRINGS,
  TOKEN,
  WAITS,
} from './hostile-words.ts';
import { PAGE_ITEMS_LIMIT } from '../../runtime/engine/fetch-page.ts';
import type { UpstreamAnswer } from '../../runtime/ports.ts';

/** One answer that an upstream could give, and what it was asked for. */
export interface HostilePage {
  readonly answer: UpstreamAnswer;
  /** Marker of the page that was asked for; null = head of the list. */
  readonly marker: string | null;
  readonly userId: string;
}

/** Every page is made of its own seed alone, so that one page can be replayed without those before it. */
export function hostilePage(seed: number): HostilePage {
  const dice = new Dice(seed);
  const marker = dice.chance(0.6) ? null : dice.of(['m1', 'a', '', 'é', 'x'.repeat(900)]);
  const userId = dice.chance(0.02) ? dice.of(['..', '.', '\ud800', 'a/b', ' ', '🙈', 'u'.repeat(2000)]) : 'u1';
  return { answer: answerOf(dice), marker, userId };
}

/** One item more than is taken from one page. */
const TOO_MANY = `{"data":[${'{},'.repeat(PAGE_ITEMS_LIMIT)}{}]}`;

function answerOf(dice: Dice): UpstreamAnswer {
  const isPage = dice.chance(0.75);
  const status = dice.chance(isPage ? 0.96 : 0.1) ? 200 : dice.of(STATUSES);
  if (isPage && dice.chance(0.000_1)) return { status: 200, headers: {}, text: TOO_MANY };
  const body = isPage ? pageText(dice) : dice.chance(0.75) ? errorText(dice) : dice.of(OTHER_BODIES);
  const text = dice.chance(isPage ? 0.3 : 0.2) ? mutated(dice, body) : body;
  const answer = { status, headers: headersOf(dice), text };
  return dice.chance(0.05) ? { ...answer, mayBeCut: true } : answer;
}

// ---------------------------------------------------------------- pages

function pageText(dice: Dice): string {
  const size = dice.chance(0.004) ? dice.upTo(300) : dice.upTo(5);
  // Few ids on many pages, so that the same item, and one like it, is often twice on a page.
  const ids = Array.from({ length: 1 + dice.upTo(5) }, () => idText(dice));
  const data = dice.chance(0.04)
    ? valueText(dice, 2)
    : listText(Array.from({ length: size }, () => (dice.chance(0.06) ? valueText(dice, 2) : itemText(dice, ids))));
  const members = [`"data":${data}`];
  if (dice.chance(0.6)) members.push(`"paging":${pagingText(dice)}`);
  while (dice.chance(0.1)) members.push(`${dice.of(KEYS)}:${valueText(dice, 2)}`);
  return `{${inSomeOrder(dice, members).join(',')}}`;
}

function pagingText(dice: Dice): string {
  if (dice.chance(0.06)) return valueText(dice, 2);
  const members: string[] = [];
  if (!dice.chance(0.06)) members.push(`"cursors":${dice.chance(0.05) ? valueText(dice, 1) : cursorsText(dice)}`);
  if (!dice.chance(0.3))
    members.push(`"next":${dice.of(['"http://elsewhere.invalid/"', '""', 'null', '0', '{}', 'true'])}`);
  return `{${inSomeOrder(dice, members).join(',')}}`;
}

function cursorsText(dice: Dice): string {
  if (dice.chance(0.06)) return '{}';
  const sizes = [997, 998, 999, 1_000, 4_096, 4_097];
  const after = dice.chance(0.03)
    ? `"${'m'.repeat(dice.of(sizes))}"`
    : dice.of([...STRINGS, ...IDS, '"m1"', '"m2"', '5', 'null']);
  return `{"after":${after}}`;
}

function itemText(dice: Dice, ids: readonly string[]): string {
  const members = dice.chance(0.03) ? [] : [`"id":${dice.chance(0.06) ? dice.of(NO_IDS) : dice.of(ids)}`];
  const size = dice.chance(0.004) ? dice.upTo(80) : dice.upTo(4);
  for (let at = 0; at < size; at += 1) members.push(`${dice.of(KEYS)}:${valueText(dice, 3)}`);
  if (dice.chance(0.05)) members.push(`"id":${dice.of([...ids, ...NO_IDS])}`);
  return `{${inSomeOrder(dice, members).join(dice.chance(0.1) ? ' ,\n' : ',')}}`;
}

function idText(dice: Dice): string {
  if (dice.chance(0.004))
    return `"${dice.of(['x', '\u20ac', '\\u0001']).repeat(dice.of([4_095, 4_096, 4_097, 9_000]))}"`;
  return dice.chance(0.3) ? `"i${dice.upTo(1_000)}"` : dice.of(IDS);
}

function valueText(dice: Dice, depth: number): string {
  const kind = dice.upTo(depth > 0 ? 10 : 7);
  if (kind < 3) return dice.chance(0.005) ? dice.of(LONG_NUMBERS) : dice.of(NUMBERS);
  if (kind < 5) return dice.of(STRINGS);
  if (kind === 5) return dice.of(['null', 'true', 'false', '{}', '[]']);
  if (kind === 6) return dice.chance(0.04) ? dice.of(NO_NUMBERS) : dice.chance(0.02) ? deepText(dice) : '0';
  const parts = Array.from({ length: dice.upTo(4) }, () => valueText(dice, depth - 1));
  return kind === 7 ? listText(parts) : `{${parts.map((part) => `${dice.of(KEYS)}:${part}`).join(',')}}`;
}

/** Deeper than a recursive reader or writer goes. */
function deepText(dice: Dice): string {
  const depth = dice.chance(0.03) ? 12_000 : dice.upTo(100);
  const [open, close] = dice.of([
    ['[', ']'],
    ['{"a":', '}'],
    ['[{"__proto__":', '}]'],
  ] as const);
  return `${open.repeat(depth)}${dice.of(['1', '1.0', '"]"'])}${close.repeat(depth)}`;
}

/** Mostly as it is, because a shuffle costs more than the rest of an object. */
function inSomeOrder(dice: Dice, members: readonly string[]): readonly string[] {
  return dice.chance(0.1) ? dice.shuffled(members) : members;
}

function listText(parts: readonly string[]): string {
  return `[${parts.join(',')}]`;
}

// ---------------------------------------------------------------- errors and headers

function errorText(dice: Dice): string {
  const members: string[] = [];
  if (!dice.chance(0.1)) members.push(`"code":${dice.of(CODES)}`);
  if (!dice.chance(0.3))
    members.push(`"message":${dice.chance(0.01) ? longText(dice) : dice.of([...STRINGS, 'null', '5', '{}'])}`);
  if (dice.chance(0.5)) members.push(`"type":${dice.of(['"OAuthException"', '""', '7', 'null', ...STRINGS])}`);
  if (dice.chance(0.3)) members.push(`"is_transient":${dice.of(['true', 'false', '"true"', '1'])}`);
  while (dice.chance(0.1)) members.push(`${dice.of(KEYS)}:${valueText(dice, 2)}`);
  return `{"error":{${inSomeOrder(dice, members).join(',')}}}`;
}

/** What a careless expression that looks for secrets would read again and again. */
function longText(dice: Dice): string {
  const part = dice.of([
    'token=',
    'a',
    ' ',
    '\\\\',
    '%22',
    'Bearer ',
    'eyJ',
    '://a:',
    '\\u0000',
    'cookie: ',
    `${TOKEN} `,
    '1|',
    '-----BEGIN ',
  ]);
  return `"${part.repeat(dice.upTo(4_000))}"`;
}

function headersOf(dice: Dice): Readonly<Record<string, string>> {
  const headers: Record<string, string> = {};
  if (dice.chance(0.9)) headers['content-type'] = dice.of(CONTENT_TYPES);
  if (dice.chance(0.3)) headers['retry-after'] = dice.of(WAITS);
  if (dice.chance(0.3)) headers['x-app-usage'] = usageText(dice);
  if (dice.chance(0.3)) headers['x-business-use-case-usage'] = dice.chance(0.7) ? businessText(dice) : usageText(dice);
  if (dice.chance(0.1)) headers['location'] = dice.of(['http://evil.invalid/', '//', 'javascript:0']);
  return headers;
}

function usageText(dice: Dice): string {
  if (dice.chance(0.2))
    return dice.of(['', 'no', '[]', 'null', '5', '"x"', '{', '['.repeat(500), '{"__proto__":{"call_count":99}}']);
  const names = ['call_count', 'total_time', 'total_cputime', '__proto__', 'estimated_time_to_regain_access'];
  const values = ['0', '28', '75', '95', '100', '1e9', '1e400', '-5', '"99"', 'null', '99.5', '[100]', '-0', '1e308'];
  const members = Array.from({ length: dice.upTo(5) }, () => `"${dice.of(names)}":${dice.of(values)}`);
  return `{${members.join(',')}}`;
}

function businessText(dice: Dice): string {
  const list = (): string => listText(Array.from({ length: dice.upTo(4) }, () => usageText(dice)));
  return `{${dice.of(['"1"', '"__proto__"', '""'])}:${list()},"2":${dice.of(['[]', '{}', 'null', '7', list()])}}`;
}

// ---------------------------------------------------------------- mutations

/** One token of JSON that is not a key; every alternative reads a character once. */
const VALUES = /(?<=[:[,]\s?)(?:"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null)/g;

function mutated(dice: Dice, body: string): string {
  let text = body;
  const rounds = 1 + (dice.chance(0.3) ? dice.upTo(4) : 0);
  for (let round = 0; round < rounds; round += 1) text = mutatedOnce(dice, text);
  return text;
}

function mutatedOnce(dice: Dice, text: string): string {
  const from = dice.upTo(text.length + 1);
  const to = Math.min(text.length, from + dice.upTo(40));
  switch (dice.upTo(8)) {
    case 0:
      return text.slice(0, from);
    case 1:
      return text.slice(0, from) + text.slice(to);
    case 2:
      return text.slice(0, to) + text.slice(from);
    case 3:
      return text.slice(0, from) + dice.of(SPLINTERS) + text.slice(from + dice.upTo(2));
    case 4:
      return text.slice(0, from) + pageText(dice).slice(dice.upTo(20)) + text.slice(to);
    case 5:
      return dice.of(['\ufeff', ' ', '\n', '\0', '/**/', ")]}',\n"]) + text;
    case 6:
      return text + dice.of(['\n', ' ', '\0', '}', ',', '{}', '\ufeff']);
    default:
      return wrongType(dice, text);
  }
}

/** Another value where there was one, wherever that is. */
function wrongType(dice: Dice, text: string): string {
  const found = [...text.slice(0, 5_000).matchAll(VALUES)];
  if (found.length === 0) return text;
  const { 0: value, index } = dice.of(found);
  return text.slice(0, index) + valueText(dice, 2) + text.slice(index + value.length);
}
