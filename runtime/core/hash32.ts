/**
 * A 32-bit hash of a text: FNV-1a with the finisher of MurmurHash3, so that texts that differ in one character differ in every
 * bit. Short enough to be kept many times over in a row; not for keys, which two texts must never share.
 */
export function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return mix32(hash);
}

/** Spreads a number of 32 bits: two inputs that differ in one bit differ in half of them. Different inputs stay different. */
export function mix32(value: number): number {
  let mixed = value ^ (value >>> 16);
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
