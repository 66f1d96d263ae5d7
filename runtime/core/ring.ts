/** Base64url (RFC 4648 section 5): six bits a character, none of which JSON escapes. */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

/** The newest entries of something, oldest first, each `width` characters, in one text: nothing smaller travels in JSON. */
export type Ring = string;

/** An entry of `width` characters: the low `6 * width` bits of a number of 32 bits. */
export function ringEntry(value: number, width: number): string {
  let text = '';
  for (let rest = value >>> 0, at = 0; at < width; at += 1, rest >>>= 6) text += ALPHABET.charAt(rest & 63);
  return text;
}

/** How many entries ago the ring took an entry: 1 = it is the newest, 0 = it is not there. */
export function ringDistance(ring: Ring, entry: string): number {
  const { length: width } = entry;
  let at = ring.lastIndexOf(entry);
  // What lies across two entries is none.
  while (at >= 0 && at % width !== 0) at = at === 0 ? -1 : ring.lastIndexOf(entry, at - 1);
  return at < 0 ? 0 : (ring.length - at) / width;
}

/** The ring with one more entry, and at most `limit` of them. */
export function ringPush(ring: Ring, entry: string, limit: number): Ring {
  return (ring + entry).slice(-limit * entry.length);
}

/** The numbers in a ring whose entries are `width` characters, oldest first. */
export function ringValues(ring: Ring, width: number): readonly number[] {
  return Array.from({ length: ring.length / width }, (_, entry) => {
    let value = 0;
    for (let at = width - 1; at >= 0; at -= 1) value = value * 64 + ALPHABET.indexOf(ring.charAt(entry * width + at));
    return value;
  });
}
