import type { Dice } from './dice.ts';

/** One page of a generated list. `next`: marker of the page behind it; null at the end. */
export interface ListPage {
  readonly ids: readonly string[];
  readonly next: string | null;
}

/** How the ids of one list look. */
export function idMaker(dice: Dice): (at: number) => string {
  const start = dice.upTo(1e9);
  return dice.of<(at: number) => string>([
    (at) => String(start + at),
    (at) => `${start}_${at}`,
    (at) => `urn:item:${'0'.repeat(20)}${at.toString(16)}`,
    (at) => `é漢${at}😀`,
  ]);
}

/** How the markers of one list look: never twice the same in a row, as in a list without faults. */
export function markerMaker(dice: Dice): (page: number) => string {
  const start = dice.upTo(1e9);
  return dice.of<(page: number) => string>([
    () => dice.uuid(),
    (page) => String(start + page * 100),
    (page) => btoa(`{"offset":${start + page},"dir":"next"}`),
  ]);
}

/** Puts markers to pages. */
export function withMarkers(pages: readonly (readonly string[])[], dice: Dice): readonly ListPage[] {
  const marker = markerMaker(dice);
  return pages.map((ids, at) => ({ ids, next: at + 1 < pages.length ? marker(at) : null }));
}

/** A healthy list: how it is odd, and its pages. */
export interface HealthyList {
  readonly kind: string;
  readonly pages: readonly ListPage[];
}

type Pages = readonly (readonly string[])[];

interface Shape {
  readonly count: number;
  readonly size: number;
  readonly id: (at: number) => string;
}

/** Every way in which a healthy list is odd in the field: each is a generator of its pages. */
const HEALTHY: Readonly<Record<string, (dice: Dice, shape: Shape) => Pages>> = {
  plain: (dice, { count, size, id }) => cut(count, () => dice.between(1, size), id),
  'full pages': (_, { count, size, id }) => cut(count, () => size, id),
  'pages of one item': (dice, { count, id }) => cut(count * dice.between(1, 3), () => 1, id),
  'pages that shrink to one item': (_, { count, size, id }) =>
    cut(count, (at) => Math.max(1, Math.floor(size / 2 ** Math.floor((8 * at) / count))), id),
  'neighbours that share items': (dice, { count, size, id }) => {
    const shared = dice.upTo(size);
    return Array.from({ length: count }, (_, page) => range(page * (size - shared), size, id));
  },
  'an inclusive boundary': (_, { count, size, id }) =>
    Array.from({ length: count }, (_page, page) => range(page * size, size + 1, id)),
  'growth at the head, read by offset': (dice, { count, size, id }) => {
    const most = dice.upTo(size);
    return readByOffset(count, size, id, () => (dice.chance(0.7) ? dice.between(0, most) : most));
  },
  'bursts of growth at the head, read by offset': (dice, { count, size, id }) => {
    // In whole pages every page of a burst equals one before it: four of them are the most that is healthy, else nine.
    const isWhole = size === 1 || dice.chance(0.5);
    return readByOffset(count, size, id, (page) => {
      if (page % 20 !== 0 || dice.chance(0.3)) return 0;
      return isWhole ? size * dice.between(1, 4) : size * dice.between(0, 8) + dice.between(1, size - 1);
    });
  },
  'items that go while it is read, by offset': (dice, { count, size, id }) =>
    readByOffset(count, size, id, () => -dice.upTo(Math.ceil(size / 2))),
  'empty middle pages': (dice, { count, size, id }) =>
    cut(count, () => (dice.chance(0.4) ? 0 : dice.between(1, size)), id),
  'hundreds of empty pages': (dice, { count, size, id }) => [
    ...cut(Math.min(count, 20), () => size, id),
    ...Array.from({ length: dice.between(100, 999) }, () => []),
    ...cut(
      Math.min(count, 20),
      () => size,
      (at) => id(at + 1e6),
    ),
  ],
  'pages that come up to five times': (dice, { count, size, id }) =>
    cut(Math.ceil(count / 3), () => dice.between(1, size), id).flatMap((page) =>
      Array.from({ length: dice.between(1, 5) }, () => dice.shuffled(page)),
    ),
  'pinned items on every page': (dice, { count, size, id }) => {
    const pinned = range(1e6, Math.ceil(size / dice.between(2, 10)), id);
    return cut(count, () => size, id).map((page) => dice.shuffled([...pinned, ...page]));
  },
  'promoted items that take turns': (dice, { count, size, id }) => {
    const promoted = range(1e6, 20, id);
    return cut(count, () => size, id).map((page) => [dice.of(promoted), ...page, dice.of(promoted)]);
  },
  'an item several times on one page': (dice, { count, size, id }) =>
    cut(count, () => size, id).map((page) => [...page, ...page.filter(() => dice.chance(0.3))]),
  'items that come back ten pages later': (dice, { count, size, id }) => {
    const pages = cut(count, () => size, id);
    return pages.map((page, at) => [...page, ...(pages[at - 10] ?? []).filter(() => dice.chance(0.5))]);
  },
  'items without an id on some pages': (dice, { count, size, id }) =>
    cut(count, () => size, id).map((page) => (dice.chance(0.2) ? [] : page)),
  'no item at all': () => [[]],
};

export const HEALTHY_KINDS = Object.keys(HEALTHY);

/** One of the kinds of healthy lists, most of them short, one in two hundred of thousands of pages. */
export function healthyList(dice: Dice, kind = dice.of(HEALTHY_KINDS)): HealthyList {
  const isLong = dice.chance(0.005);
  const count = isLong ? dice.between(1000, 4000) : dice.between(1, dice.of([3, 20, 90]));
  const size = isLong ? dice.between(1, 10) : dice.of([1, 2, 5, 25, 50, dice.between(1, 100)]);
  const pages = HEALTHY[kind]!(dice, { count, size, id: idMaker(dice) });
  return { kind, pages: withMarkers(pages, dice) };
}

/** `count` ids from place `from` on. */
export function range(from: number, count: number, id: (at: number) => string): readonly string[] {
  return Array.from({ length: count }, (_, at) => id(from + at));
}

function cut(count: number, sizeOf: (page: number) => number, id: (at: number) => string): Pages {
  let next = 0;
  return Array.from({ length: count }, (_, page) => {
    const ids = range(next, sizeOf(page), id);
    next += ids.length;
    return ids;
  });
}

/** A list read by offset while items come at its head, or go from it (negative), before each page. */
function readByOffset(count: number, size: number, id: (at: number) => string, comes: (page: number) => number): Pages {
  let shift = 0;
  return Array.from({ length: count }, (_, page) => {
    if (page > 0) shift = Math.min(shift + comes(page), (page - 1) * size + shift);
    // Never further back than the head: ids below nought are those that came meanwhile.
    return range(page * size - shift + 1e7, size, id);
  });
}
