import type { Random } from '../../runtime/ports.ts';

/** Chance that repeats: the same seed gives the same numbers and UUIDs (mulberry32). Print the seed with a failure. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next32 = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const hex = (): string => next32().toString(16).padStart(8, '0');
  return {
    next: () => next32() / 2 ** 32,
    uuid: () => {
      const digits = hex() + hex() + hex() + hex();
      const variant = '89ab'.charAt(next32() % 4);
      return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-${variant}${digits.slice(17, 20)}-${digits.slice(20)}`;
    },
  };
}
