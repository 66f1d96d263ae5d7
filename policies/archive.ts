import { readFileSync } from 'node:fs';
import { inflateRawSync } from 'node:zlib';

// Signatures and offsets of the ZIP format (PKWARE, "APPNOTE", sections 4.3.7, 4.3.12 and 4.3.16).
const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_BYTES = 30;
const STORED = 0;
const DEFLATED = 8;

/** Text of a file in a ZIP archive; undefined when there is no such archive or no such file in it. */
export function readArchived(archivePath: string, name: string): string | undefined {
  const zip = readBytes(archivePath);
  const end = zip?.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06])) ?? -1;
  if (zip === undefined || end < 0 || end + END_BYTES > zip.length || zip.readUInt32LE(end) !== END_SIGNATURE) {
    return undefined;
  }
  const count = zip.readUInt16LE(end + 10);
  let at = zip.readUInt32LE(end + 16);
  for (let entry = 0; entry < count && at + ENTRY_BYTES <= zip.length; entry += 1) {
    if (zip.readUInt32LE(at) !== ENTRY_SIGNATURE) return undefined;
    const nameBytes = zip.readUInt16LE(at + 28);
    if (zip.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes) === name) return contentOf(zip, at);
    at += ENTRY_BYTES + nameBytes + zip.readUInt16LE(at + 30) + zip.readUInt16LE(at + 32);
  }
  return undefined;
}

function contentOf(zip: Buffer, entry: number): string | undefined {
  const method = zip.readUInt16LE(entry + 10);
  const sizeBytes = zip.readUInt32LE(entry + 20);
  const local = zip.readUInt32LE(entry + 42);
  const start = local + LOCAL_BYTES + zip.readUInt16LE(local + 26) + zip.readUInt16LE(local + 28);
  const packed = zip.subarray(start, start + sizeBytes);
  if (method === STORED) return packed.toString('utf8');
  return method === DEFLATED ? inflateRawSync(packed).toString('utf8') : undefined;
}

function readBytes(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
