import { createHash } from 'node:crypto';
import { zipSync, type Zippable } from 'fflate';

/** Files of an archive by name. */
export type ArchiveFiles = Readonly<Record<string, Uint8Array>>;

/** The oldest moment that a ZIP can hold. Its fields are local time, so this is built from local fields as well. */
const ZIP_EPOCH = new Date(1980, 0, 1);

const UNIX = 3;

/** Regular file, readable by everybody, in the upper half of the external attributes. */
const REGULAR_FILE = 0o100644 << 16;

const VERSION_DIGITS = 12;

/** A ZIP whose bytes depend on the names and contents alone: not on time, time zone, machine or order. */
export function zipArchive(files: ArchiveFiles): Uint8Array {
  const entries: Zippable = {};
  for (const name of Object.keys(files).toSorted()) {
    entries[name] = [files[name]!, { level: 9, mtime: ZIP_EPOCH, os: UNIX, attrs: REGULAR_FILE }];
  }
  return zipSync(entries);
}

/** SHA-256 in lower-case hexadecimal. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Version of a set of files: the first 12 hexadecimal digits of the SHA-256 over names, lengths and contents. */
export function versionOf(files: ArchiveFiles): string {
  const hash = createHash('sha256');
  for (const name of Object.keys(files).toSorted()) {
    const bytes = files[name]!;
    // With the length in front, no two different sets of files give the same stream.
    hash.update(`${name}\0${bytes.byteLength}\0`).update(bytes);
  }
  return hash.digest('hex').slice(0, VERSION_DIGITS);
}
