import { type HostileCase, PLAIN, pageText } from './hostile-case.ts';

const MEGABYTE = 1_000_000;

/** Text that no encoder makes smaller by much. */
function noise(bytes: number): string {
  const parts: string[] = [];
  for (let at = 0, state = 1; at < bytes; at += 8) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9;
    parts.push((state >>> 0).toString(36).padStart(8, 'z'));
  }
  return parts.join('').slice(0, bytes);
}

const [EVEN, ODD, WIDE] = [
  `{"id":"even","t":"${'x'.repeat(10 * MEGABYTE)}"}`,
  `{"id":"odd","t":"${noise(10 * MEGABYTE)}"}`,
  `{"id":"wide","t":"${'漢'.repeat(3 * MEGABYTE)}"}`,
];
const HALF = Array.from({ length: 30 }, (_, at) => `{"id":"half${at}","t":"${'y'.repeat(MEGABYTE / 2)}"}`);

/** A list of items, cut as the limit says. */
const list =
  (items: readonly string[]): HostileCase['answer'] =>
  ({ after, limit }) => {
    const from = Number(after ?? 0);
    const to = from + limit;
    return { body: pageText(items.slice(from, to), to < items.length ? String(to) : undefined) };
  };

const whole = (name: string, items: readonly string[], more: Partial<HostileCase['outcome']> = {}): HostileCase => ({
  name,
  answer: list(items),
  outcome: { state: 'done', items, ...more },
});

const tooMany = (name: string, item: string): HostileCase => ({
  name,
  answer: () => ({ body: `{"data":[${item}${`,${item}`.repeat(Math.floor((3 * MEGABYTE) / (item.length + 1)))}]}` }),
  outcome: { state: 'quarantined', fault: 'page-too-large', items: [], callsMax: 10 },
});

/** Items and pages of many megabytes. */
export const LARGE_CASES: readonly HostileCase[] = [
  whole('an item of 10 MB', [EVEN]),
  whole('an item of 10 MB that does not get smaller (claim check)', [ODD]),
  whole('an item of 9 MB in characters of three bytes', [WIDE]),
  whole('small items around one of 10 MB', [...PLAIN, ODD, '{"id":"c"}']),
  whole('a page of 15 MB is asked for in halves', HALF, { fault: 'page-too-large' }),
  {
    name: 'an item over the limit: down to one item, then set aside, visibly',
    answer: list([...PLAIN, `{"id":"huge","t":"${'x'.repeat(12 * MEGABYTE)}"}`]),
    outcome: { state: 'quarantined', fault: 'page-too-large', callsMax: 12 },
  },
  tooMany('a page of 1.5 million nothings', '0'),
  tooMany('a page of a million items without an id', '{}'),
  {
    name: 'ten thousand versions of one item on one page',
    answer: () => ({ body: pageText(Array.from({ length: 10_000 }, (_, n) => `{"id":"a","n":${n}}`)) }),
    outcome: {
      state: 'done',
      items: Array.from({ length: 100 }, (_, n) => `{"id":"a","n":${n}}`),
      rejected: Array.from({ length: 9900 }, (_, n) => `{"id":"a","n":${n + 100}}`),
    },
  },
  {
    name: 'twelve million open brackets',
    answer: () => ({ body: `{"data":[${'['.repeat(11.9 * MEGABYTE)}` }),
    outcome: { state: 'quarantined', fault: 'page-shape', items: [], callsMax: 1 },
  },
  {
    name: 'an item of five million lists',
    answer: () => ({ body: pageText(['['.repeat(5 * MEGABYTE) + ']'.repeat(5 * MEGABYTE)]) }),
    outcome: { state: 'quarantined', fault: 'page-shape', items: [], callsMax: 1 },
  },
];
