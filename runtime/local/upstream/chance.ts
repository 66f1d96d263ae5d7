/** Seeded chance: pure functions of integers, so that no draw depends on when or in which order others were made. */

const UNIT = 2 ** 32;

/** Mixes two 32-bit integers into one. */
export function mix(left: number, right: number): number {
  let hash = (left ^ Math.imul(right ^ (right >>> 16), 0x85ebca6b)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a2d39);
  return (hash ^ (hash >>> 15)) >>> 0;
}

/** A 32-bit integer for a text (FNV-1a, mixed). */
export function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return mix(hash, text.length);
}

/** 0 <= n < 1 from a mixed integer. */
export function unit(hash: number): number {
  return hash / UNIT;
}

/** One of `values`, chosen by a mixed integer. */
export function choose<T>(values: readonly [T, ...T[]], hash: number): T {
  return values[hash % values.length] ?? values[0];
}

/** True for a share of `count` numbered things, at least one of them when the share is above 0. `number` is from 1. */
export function isPicked(hash: number, number: number, count: number, share: number): boolean {
  return share > 0 && (unit(mix(hash, number)) < share || number === 1 + (hash % count));
}
