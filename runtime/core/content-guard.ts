import { hash32, mix32 } from './hash32.ts';
import { type Ring, ringDistance, ringEntry, ringPush } from './ring.ts';

/** Pages in a row that repeat the items of an earlier page, and set the run aside. */
export const SAME_PAGES_LIMIT = 5;

/**
 * Pages in a row that bring only items met before on other pages than the one before, and set the run aside. More than
 * `SAME_PAGES_LIMIT`, because these pages are judged by a sample, and because a list into which some pages of items are put at
 * once shows so many again to whoever reads it by offset.
 */
export const OLD_PAGES_LIMIT = 12;

/**
 * Pages without an item in a row that set the run aside. Filtered lists show hundreds of them (a scan that filters behind its
 * page limit answers with nothing and a next). A thousand are 17 minutes of one user's calls, and `resume` goes on.
 */
export const EMPTY_PAGES_LIMIT = 1000;

/** Earlier pages that a page is compared with. */
export const PAGES_REMEMBERED = 64;

/** Sampled items that are remembered: about 3.75 of each of the last 64 pages. */
export const ITEMS_REMEMBERED = 240;

/** Characters of a page's hash (30 bits), and of a sampled item's (18 bits). */
const PAGE_WIDTH = 5;
const ITEM_WIDTH = 3;

/** Sampled items of the page before that are known as such: five times the mean. */
const LAST_REMEMBERED = 20;

/** Share of the size of the largest page that is forgotten with each page, so that a list whose pages have become small is sampled densely again. */
const LARGEST_DECAY = 1 / PAGES_REMEMBERED;

const UINT32_RANGE = 2 ** 32;

/** Makes the hash that a sampled item is remembered by independent of the one that it was sampled by. */
const ITEM_SALT = 0x9e3779b9;

/** What a run remembers of the items that it has met; travels in the run row. At most 1.2 KB. */
export interface ContentState {
  /** Hashes of the newest pages' sets of item ids. */
  readonly pages: Ring;
  /** Hashes of the newest sampled item ids. */
  readonly items: Ring;
  /** Those of them that were on the page before. */
  readonly last: Ring;
  /** Items on the largest page of late. */
  readonly largest: number;
  /** Pages in a row that repeated an earlier page. */
  readonly samePages: number;
  /** Pages in a row on which a sampled item was met before, and none was new. */
  readonly oldPages: number;
  /** Pages in a row without an item. */
  readonly emptyPages: number;
}

/** Nothing was met yet. */
export const FRESH_CONTENT: ContentState = {
  ...{ pages: '', items: '', last: '', largest: 0 },
  ...{ samePages: 0, oldPages: 0, emptyPages: 0 },
};

/** What the guard says of a page, and what it remembers then. */
export interface ContentDecision {
  readonly state: ContentState;
  /** Why the list makes no progress; undefined = it may go on. For people. */
  readonly stuck: string | undefined;
}

/**
 * Judges the items of a page against those that this run has met before: new markers over old items for ever are no progress.
 * Never asks ledger or cache: a second firing over unchanged data is healthy. By id, not by content: items whose content changes
 * with every answer (signed links, counters) are the same items still.
 *
 * Two memories. Pages: the set of ids of each of the last 64 pages, as a hash; five pages in a row that equal an earlier one are
 * no progress. A page with one new id equals none, whatever it shares with its neighbours; chance makes a new page equal with
 * 64 / 2^30 = 6e-8, five in a row with 8e-37. Items: a sample by hash, about 3.75 of a page, for loops that cut their pages
 * elsewhere each time round; twelve pages in a row with old and without new sampled items are no progress. Items of the page
 * before count as neither, so that overlaps and lists that grow at their head never look old. Chance makes a sampled new item old
 * with 240 / 2^18 = 9e-4, twelve pages in a row with less than 3e-37; over a list of 10^6 pages both stay below 1e-30.
 */
export function guardContent(state: ContentState, ids: readonly string[]): ContentDecision {
  const hashes = new Set(ids.map(hash32));
  if (hashes.size === 0) return judged({ ...state, emptyPages: state.emptyPages + 1 });
  const page = ringEntry(setHash(hashes), PAGE_WIDTH);
  const isRepeat = ringDistance(state.pages, page) > 0;
  const largest = Math.max(hashes.size, Math.floor(state.largest * (1 - LARGEST_DECAY)));
  const sampled = sample(hashes, ITEMS_REMEMBERED / (PAGES_REMEMBERED * largest));
  const others = sampled.filter((item) => ringDistance(state.last, item) === 0);
  const fresh = others.filter((item) => ringDistance(state.items, item) === 0);
  return judged({
    pages: isRepeat ? state.pages : ringPush(state.pages, page, PAGES_REMEMBERED),
    items: fresh.reduce((ring, item) => ringPush(ring, item, ITEMS_REMEMBERED), state.items),
    last: sampled.slice(-LAST_REMEMBERED).join(''),
    largest,
    samePages: isRepeat ? state.samePages + 1 : 0,
    oldPages: oldPagesAfter(state.oldPages, fresh.length, others.length),
    emptyPages: 0,
  });
}

/** A page that shows neither a new nor an old item says nothing. */
function oldPagesAfter(before: number, fresh: number, others: number): number {
  if (fresh > 0) return 0;
  return others > 0 ? before + 1 : before;
}

function judged(state: ContentState): ContentDecision {
  return { state, stuck: whyStuck(state) };
}

function whyStuck({ samePages, oldPages, emptyPages }: ContentState): string | undefined {
  if (samePages >= SAME_PAGES_LIMIT) return `${samePages} pages in a row repeat the items of earlier pages`;
  if (oldPages >= OLD_PAGES_LIMIT) return `${oldPages} pages in a row bring items of earlier pages only`;
  if (emptyPages >= EMPTY_PAGES_LIMIT) return `${emptyPages} pages in a row have no item`;
  return undefined;
}

/** The order of a page does not count. */
function setHash(hashes: ReadonlySet<number>): number {
  let sum = hashes.size;
  for (const hash of hashes) sum = (sum + mix32(hash)) >>> 0;
  return mix32(sum);
}

/** Whether an item is in the sample depends on its id alone, so that it is again wherever it comes. */
function sample(hashes: ReadonlySet<number>, share: number): readonly string[] {
  const below = share * UINT32_RANGE;
  const found = [...hashes]
    .filter((hash) => hash < below)
    .map((hash) => ringEntry(mix32(hash ^ ITEM_SALT), ITEM_WIDTH));
  return [...new Set(found)];
}
