import { hash32, mix32 } from './hash32.ts';
import { type Ring, ringDistance, ringEntry, ringPush, ringValues } from './ring.ts';

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

/** Sampled items that are remembered: all that were met, and later about three of each of the last 64 pages. */
const ITEMS_REMEMBERED = 196;

/** Characters of a page's hash and of a sampled item's: 24 bits each. */
const WIDTH = 4;
const RANGE = 2 ** 24;

/** Sampled items of the page before that are known as such: four times the mean. */
const LAST_REMEMBERED = 12;

/** What is left of the sample when it becomes too large. */
const THINNING = 0.75;

/** Makes the hash that an item is sampled by independent of the one that its page is known by. */
const ITEM_SALT = 0x9e3779b9;

/** What a run remembers of the items that it has met; travels in the run row. At most 1.2 KB. */
export interface ContentState {
  /** Hashes of the newest pages' sets of item ids. */
  readonly pages: Ring;
  /** Hashes of the sampled item ids. */
  readonly items: Ring;
  /** Those of them that were on the page before. */
  readonly last: Ring;
  /** Times that the sample was thinned: an item is in it when its hash is below `0.75 ** thinned` of the range. */
  readonly thinned: number;
  /** Pages with new items that the sample reaches back over. */
  readonly span: number;
  /** Pages in a row that repeated an earlier page. */
  readonly samePages: number;
  /** Pages in a row on which a sampled item was met before, and none was new. */
  readonly oldPages: number;
  /** Pages in a row without an item. */
  readonly emptyPages: number;
}

/** Nothing was met yet. */
export const FRESH_CONTENT: ContentState = {
  ...{ pages: '', items: '', last: '', thinned: 0, span: 0 },
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
 * no progress. A page with one new id equals none, whatever it shares with its neighbours. Items: a sample by hash, all of them
 * at first and thinned as the list goes on, for loops that cut their pages elsewhere each time round; twelve pages in a row with
 * old and without new sampled items are no progress. Items of the page before count as neither, so that overlaps and lists that
 * grow at their head never look old.
 *
 * By chance a new page equals one of 64 with 64 / 2^24 = 3.8e-6, five in a row with 8e-28. A page of new items looks old when all
 * its sampled items are taken for others: 196 / 2^24 = 1.2e-5 for the smallest pages, below 1e-3 for pages of 1,000 (whose
 * sample fills 196 of 2^24 * 0.75^20 hashes); twelve in a row with less than 1e-36. Over 10^6 pages both stay below 1e-21.
 */
export function guardContent(state: ContentState, ids: readonly string[]): ContentDecision {
  const hashes = new Set(ids.map(hash32));
  if (hashes.size === 0) return judged({ ...state, emptyPages: state.emptyPages + 1 });
  const page = ringEntry(setHash(hashes), WIDTH);
  const isRepeat = ringDistance(state.pages, page) > 0;
  const sampled = sampleOf(hashes, state.thinned);
  const others = sampled.filter((item) => ringDistance(state.last, item) === 0);
  const fresh = others.filter((item) => ringDistance(state.items, item) === 0);
  return judged({
    ...remember(state, fresh),
    pages: isRepeat ? state.pages : ringPush(state.pages, page, PAGES_REMEMBERED),
    last: sampled.slice(0, LAST_REMEMBERED).join(''),
    samePages: isRepeat ? state.samePages + 1 : 0,
    oldPages: oldPagesAfter(state.oldPages, fresh.length, others.length),
    emptyPages: 0,
  });
}

/**
 * Takes new items into the sample. Too large, it is thinned while it reaches back over fewer pages than are to be remembered, and
 * forgets its oldest when it does reach so far. A page without new items changes nothing: in a loop the sample stays as it is.
 */
function remember(state: ContentState, fresh: readonly string[]): ContentState {
  if (fresh.length === 0) return state;
  const span = state.span + 1;
  const items = state.items + fresh.join('');
  const count = items.length / WIDTH;
  if (count <= ITEMS_REMEMBERED) return { ...state, items, span };
  const { kept, thinned } = span <= PAGES_REMEMBERED ? thin(items, state.thinned) : { kept: items, ...state };
  const left = kept.slice(-ITEMS_REMEMBERED * WIDTH);
  return { ...state, items: left, thinned, span: Math.round((10 * span * left.length) / kept.length) / 10 };
}

/** Leaves out the highest hashes until the sample fits. */
function thin(items: Ring, thinnedBefore: number): { readonly kept: Ring; readonly thinned: number } {
  let values = ringValues(items, WIDTH);
  let thinned = thinnedBefore;
  while (values.length > ITEMS_REMEMBERED) {
    thinned += 1;
    const below = sampledBelow(thinned);
    values = values.filter((item) => item < below);
  }
  return { kept: values.map((item) => ringEntry(item, WIDTH)).join(''), thinned };
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

/** Whether an item is in the sample depends on its id alone, so that it is again wherever it comes. Lowest hashes first. */
function sampleOf(hashes: ReadonlySet<number>, thinned: number): readonly string[] {
  const below = sampledBelow(thinned);
  const sampled = new Set<number>();
  for (const hash of hashes) {
    const item = mix32(hash ^ ITEM_SALT) % RANGE;
    if (item < below) sampled.add(item);
  }
  return [...sampled].sort((left, right) => left - right).map((item) => ringEntry(item, WIDTH));
}

function sampledBelow(thinned: number): number {
  return RANGE * THINNING ** thinned;
}
