import { itemId } from './items.ts';
import type { Lists } from './lists.ts';

/** One content of one item that was served. `data` is its JSON text as served. */
export interface ServedItem {
  readonly miner: string;
  readonly userId: string;
  readonly id: string;
  readonly data: string;
}

/**
 * `distinct`: each content of an item once, in the order of first service. `sequence`: contents in the order of service,
 * equal neighbours of one item once (A, B, A are three).
 */
export type TruthView = 'distinct' | 'sequence';

export interface TruthFilter {
  readonly miner?: string | undefined;
  readonly userNumber?: number | undefined;
}

/** A page that was delivered whole. `from` is the place behind which it began, Infinity = the head of the list. */
export interface DeliveredPage {
  readonly miner: string;
  readonly userNumber: number;
  readonly ordinals: readonly number[];
  readonly contents: readonly number[];
  readonly from: number;
  readonly isEnd: boolean;
}

/** What one list has served: two numbers for each change of content that a client could see. */
interface ListTruth {
  readonly miner: string;
  readonly userNumber: number;
  /** Places and contents by turns, in the order of service. */
  readonly changes: number[];
  /** Where the newest page began; -1 before the first one, and behind the end of a list that was read from its head at once. */
  lastFrom: number;
  /** Last content of each place. */
  readonly last: Map<number, number>;
  /** Contents of the places that have had more than one. */
  readonly many: Map<number, Set<number>>;
}

/** Everything that was served in completely delivered pages. Bounded by the size of the data, as texts are made anew. */
export class Truth {
  readonly #lists = new Map<string, ListTruth>();
  #changes = 0;
  #distinct = 0;
  #pagesAgain = 0;
  #itemsAgain = 0;

  /** Contents served, equal neighbours of one item counted once. */
  get changes(): number {
    return this.#changes;
  }

  /** Distinct (id, content) served. */
  get distinct(): number {
    return this.#distinct;
  }

  /** Pages asked for again right after they had been delivered, as a client does that died before it kept them. */
  get pagesAgain(): number {
    return this.#pagesAgain;
  }

  /** Items on those pages. */
  get itemsAgain(): number {
    return this.#itemsAgain;
  }

  /** Notes a page that was delivered: places and their contents, in page order. */
  record({ miner, userNumber, ordinals, contents, from, isEnd }: DeliveredPage): void {
    const list = this.#listOf(miner, userNumber);
    if (list.lastFrom === from) {
      this.#pagesAgain += 1;
      this.#itemsAgain += ordinals.length;
    }
    // A list of one page is read from its head by every firing: that is no repetition.
    list.lastFrom = isEnd && from === Number.POSITIVE_INFINITY ? -1 : from;
    for (const [index, ordinal] of ordinals.entries()) {
      const content = contents[index] ?? 0;
      const last = list.last.get(ordinal);
      if (last === content) continue;
      list.last.set(ordinal, content);
      list.changes.push(ordinal, content);
      this.#changes += 1;
      if (last === undefined || isNew(list, ordinal, last, content)) this.#distinct += 1;
    }
  }

  /** What was served, list by list in the order of their first page. */
  *items(lists: Lists, filter: TruthFilter, view: TruthView): Generator<ServedItem> {
    for (const list of this.#lists.values()) {
      const { miner, userNumber } = list;
      if ((filter.miner ?? miner) !== miner || (filter.userNumber ?? userNumber) !== userNumber) continue;
      const told = new Set<string>();
      for (let index = 0; index < list.changes.length; index += 2) {
        const ordinal = list.changes[index] ?? 0;
        const content = list.changes[index + 1] ?? 0;
        if (view === 'distinct' && list.many.has(ordinal)) {
          const name = `${ordinal} ${content}`;
          if (told.has(name)) continue;
          told.add(name);
        }
        const data = lists.textOf(miner, userNumber, ordinal, content);
        yield { miner, userId: `u${userNumber}`, id: itemId({ miner, userNumber, ordinal }), data };
      }
    }
  }

  #listOf(miner: string, userNumber: number): ListTruth {
    const name = `${miner}\n${userNumber}`;
    let list = this.#lists.get(name);
    if (list === undefined) {
      list = { miner, userNumber, changes: [], lastFrom: -1, last: new Map(), many: new Map() };
      this.#lists.set(name, list);
    }
    return list;
  }
}

function isNew(list: ListTruth, ordinal: number, last: number, content: number): boolean {
  let contents = list.many.get(ordinal);
  if (contents === undefined) {
    contents = new Set([last]);
    list.many.set(ordinal, contents);
  }
  if (contents.has(content)) return false;
  contents.add(content);
  return true;
}
