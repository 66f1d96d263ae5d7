import { Heap } from './heap.ts';

interface Sequenced {
  readonly seq: number;
}

/** Dropped entries at the front of the array before it is cut. */
const CUT_AT = 1_024;

/**
 * Items in the order of their sequence number. New ones, whose numbers grow, go to the end of an array; returned ones go
 * to a heap. Adding and taking are O(1) for the first and O(log n) for the second.
 */
export class ReadyList<Item extends Sequenced> {
  #items: (Item | undefined)[] = [];
  #head = 0;
  readonly #returned = new Heap<Item>((item) => item.seq);

  get size(): number {
    return this.#items.length - this.#head + this.#returned.size;
  }

  add(item: Item): void {
    const last = this.#items[this.#items.length - 1];
    if (last === undefined || last.seq < item.seq) this.#items.push(item);
    else this.#returned.add(item);
  }

  /** The first item, which stays. */
  first(): Item | undefined {
    const fresh = this.#items[this.#head];
    const returned = this.#returned.first();
    if (fresh === undefined) return returned;
    return returned !== undefined && returned.seq < fresh.seq ? returned : fresh;
  }

  take(): Item | undefined {
    const item = this.first();
    if (item === undefined) return undefined;
    if (item === this.#returned.first()) return this.#returned.take();
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length) this.#cut(this.#head);
    else if (this.#head >= CUT_AT && this.#head * 2 >= this.#items.length) this.#cut(this.#head);
    return item;
  }

  #cut(count: number): void {
    this.#items = this.#items.slice(count);
    this.#head = 0;
  }
}
