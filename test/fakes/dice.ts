import type { Random } from '../../runtime/ports.ts';
import { seededRandom } from './seeded-random.ts';

/** Chance of a test: the same seed throws the same dice. */
export class Dice {
  readonly #random: Random;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  /** A whole number of 0..below-1. */
  upTo(below: number): number {
    return Math.floor(this.#random.next() * below);
  }

  /** A whole number of min..max. */
  between(min: number, max: number): number {
    return min + this.upTo(max - min + 1);
  }

  chance(share: number): boolean {
    return this.#random.next() < share;
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.upTo(choices.length)]!;
  }

  /** The same items in another order. */
  shuffled<T>(items: readonly T[]): readonly T[] {
    return items
      .map((item) => ({ item, at: this.#random.next() }))
      .toSorted((left, right) => left.at - right.at)
      .map(({ item }) => item);
  }

  uuid(): string {
    return this.#random.uuid();
  }
}
