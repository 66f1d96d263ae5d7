import { mix, textHash, unit } from './chance.ts';
import { itemText, strangeText } from './items.ts';
import type { Scenario } from './scenarios.ts';

/** Lists whose places are kept. */
const CACHED_LISTS_MAX = 2_000;

/** Longest list, so that a scenario cannot ask for more than a position in a marker can say. */
const LIST_LENGTH_MAX = 10_000_000;

const EDIT = textHash('edit');
const DELETION = textHash('deletion');
const STRANGE = textHash('strange');
const LENGTH = textHash('length');

/** How many items lists have at epoch 0: a mean, spread from none to several times as many, or exactly so many. */
export type ItemsPerList = number | { readonly exactly: number };

export interface DataOptions {
  readonly seed: number;
  readonly itemsPerList: ItemsPerList;
  readonly itemBytes: number;
}

/** What of a scenario shapes the data. */
export type DataShape = Pick<Scenario, 'editShare' | 'deleteShare' | 'insertsPerEpoch' | 'strangeItemShare'>;

/** One user's items of one data type at one epoch. */
export interface List {
  readonly miner: string;
  readonly userNumber: number;
  /** Places of the items that are there, oldest first. Extended at its end while the list is read. */
  readonly alive: number[];
  readonly lengthAtStart: number;
  text(ordinal: number): string;
  /** What the item holds now: equal numbers, equal texts. */
  content(ordinal: number): number;
}

/**
 * All data of the simulated upstream: a pure function of (seed, epoch, user, miner, place), so that a simulator that was
 * restarted serves the same.
 */
export class Lists {
  readonly #options: DataOptions;
  readonly #cache = new Map<string, CachedList>();

  constructor(options: DataOptions) {
    this.#options = options;
  }

  /** The list at an epoch, with `inserted` items that came while it was read. */
  at(miner: string, userNumber: number, epoch: number, shape: DataShape, inserted: number): List {
    const name = `${miner}\n${userNumber}\n${epoch}`;
    let list = this.#cache.get(name);
    if (list?.shape === shape) this.#cache.delete(name);
    else list = new CachedList(miner, userNumber, epoch, shape, this.#options);
    this.#cache.set(name, list);
    if (this.#cache.size > CACHED_LISTS_MAX) this.#cache.delete(this.#cache.keys().next().value ?? '');
    list.growTo(list.lengthAtStart + inserted);
    return list;
  }

  /** The text of a content that was served, made anew. */
  textOf(miner: string, userNumber: number, ordinal: number, content: number): string {
    return textOf(
      listHash(this.#options.seed, miner, userNumber),
      { miner, userNumber, ordinal, content },
      this.#options.itemBytes,
    );
  }
}

class CachedList implements List {
  readonly miner: string;
  readonly userNumber: number;
  readonly shape: DataShape;
  readonly lengthAtStart: number;
  readonly alive: number[] = [];
  readonly #epoch: number;
  readonly #itemBytes: number;
  readonly #hash: number;
  readonly #contents: (number | undefined)[] = [];
  #length = 0;

  constructor(miner: string, userNumber: number, epoch: number, shape: DataShape, options: DataOptions) {
    this.miner = miner;
    this.userNumber = userNumber;
    this.shape = shape;
    this.#epoch = epoch;
    this.#itemBytes = options.itemBytes;
    this.#hash = listHash(options.seed, miner, userNumber);
    const length = lengthOf(this.#hash, options.itemsPerList) + Math.floor(shape.insertsPerEpoch * epoch);
    this.lengthAtStart = Math.min(length, LIST_LENGTH_MAX);
    this.growTo(this.lengthAtStart);
  }

  growTo(length: number): void {
    for (; this.#length < length; this.#length += 1) {
      if (!this.#isDeleted(this.#length)) this.alive.push(this.#length);
    }
  }

  text(ordinal: number): string {
    const { miner, userNumber } = this;
    return textOf(this.#hash, { miner, userNumber, ordinal, content: this.content(ordinal) }, this.#itemBytes);
  }

  content(ordinal: number): number {
    const content = this.#contents[ordinal] ?? contentOf(this.#hash, ordinal, this.#epoch, this.shape);
    this.#contents[ordinal] = content;
    return content;
  }

  #isDeleted(ordinal: number): boolean {
    if (this.shape.deleteShare === 0) return false;
    for (let epoch = 1; epoch <= this.#epoch; epoch += 1) {
      if (unit(mix(mix(mix(this.#hash, DELETION), ordinal), epoch)) < this.shape.deleteShare) return true;
    }
    return false;
  }
}

function listHash(seed: number, miner: string, userNumber: number): number {
  return mix(mix(mix(seed, 1), textHash(miner)), userNumber);
}

/** 5 % of the lists are empty, 3 % several times as long as the mean. */
function lengthOf(hash: number, itemsPerList: ItemsPerList): number {
  if (typeof itemsPerList !== 'number') return itemsPerList.exactly;
  const kind = unit(mix(hash, LENGTH));
  const spread = unit(mix(hash, LENGTH + 1));
  if (kind < 0.05) return 0;
  if (kind < 0.08) return Math.round(itemsPerList * (4 + 4 * spread));
  return Math.round(itemsPerList * (0.2 + 1.382 * spread));
}

/** Epoch of the last edit, or 0; a quarter of the edits bring the first content back (A, B, A). */
function variantOf(hash: number, ordinal: number, epoch: number, editShare: number): number {
  for (let edited = epoch; edited > 0; edited -= 1) {
    const draw = mix(mix(mix(hash, EDIT), ordinal), edited);
    if (unit(draw) < editShare) return mix(draw, 1) % 4 === 0 ? 0 : edited;
  }
  return 0;
}

/** The variant, doubled; odd for a strange item. */
function contentOf(hash: number, ordinal: number, epoch: number, shape: DataShape): number {
  const isStrange = shape.strangeItemShare > 0 && unit(mix(mix(hash, STRANGE), ordinal)) < shape.strangeItemShare;
  return 2 * variantOf(hash, ordinal, epoch, shape.editShare) + (isStrange ? 1 : 0);
}

interface ContentKey {
  readonly miner: string;
  readonly userNumber: number;
  readonly ordinal: number;
  readonly content: number;
}

function textOf(hash: number, { miner, userNumber, ordinal, content }: ContentKey, itemBytes: number): string {
  const variant = content >> 1;
  const text = itemText({ miner, userNumber, ordinal, variant, hash: mix(mix(hash, ordinal), variant) }, itemBytes);
  return content % 2 === 0 ? text : strangeText(text);
}
