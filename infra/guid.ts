import { createHash } from 'node:crypto';

/**
 * A GUID that is always the same for the same parts, in the form of version 8 (RFC 9562, section 5.8). Azure wants GUIDs as names of role
 * assignments and workbooks; a random one would be another resource in every run.
 */
export function guidOf(...parts: readonly string[]): string {
  // As JSON, because joined text would be the same for ("a", "bc") and ("ab", "c").
  const hash = createHash('sha256').update(JSON.stringify(parts)).digest('hex');
  const variant = ((Number.parseInt(hash.charAt(16), 16) & 0x3) | 0x8).toString(16);
  return [
    hash.slice(0, 8),
    hash.slice(8, 12),
    `8${hash.slice(13, 16)}`,
    `${variant}${hash.slice(17, 20)}`,
    hash.slice(20, 32),
  ].join('-');
}
