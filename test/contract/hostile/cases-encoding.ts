import { brotliCompressSync, constants, gzipSync, deflateSync, zstdCompressSync } from 'node:zlib';
import { always, type HostileCase, type HostileReply, once, pageText, PLAIN } from './hostile-case.ts';

const BODY = pageText(PLAIN);

/** More than fits into a page of this area, by far. */
const BOMB = Buffer.alloc(20_000_000, ' ');

const encoded = (encoding: string, body: Uint8Array): HostileReply => ({
  headers: { 'content-encoding': encoding },
  body,
});

const passing = (name: string, encoding: string, body: Uint8Array): HostileCase => ({
  name,
  answer: always(encoded(encoding, body)),
  outcome: { state: 'done' },
});

const transient = (name: string, encoding: string, body: Uint8Array): HostileCase => ({
  name,
  answer: once(encoded(encoding, body)),
  outcome: { state: 'done', fault: 'transient' },
});

const bomb = (name: string, encoding: string, body: Uint8Array): HostileCase => ({
  name,
  answer: once(encoded(encoding, body)),
  outcome: { state: 'done', fault: 'page-too-large' },
});

/** Node's default takes seconds for a bomb. */
const quickBrotli = (bytes: Buffer | string): Buffer =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } });

const ENCODERS = [
  ['gzip', gzipSync],
  ['br', quickBrotli],
  ['zstd', zstdCompressSync],
] as const;

/** Every encoder meets the same accidents. */
const EACH = ENCODERS.flatMap(([encoding, encode]): HostileCase[] => {
  const whole = encode(BODY);
  const flipped = Buffer.from(whole);
  flipped.writeUInt8(flipped.readUInt8(flipped.length >> 1) ^ 0xff, flipped.length >> 1);
  return [
    passing(encoding, encoding, whole),
    transient(`${encoding} cut in the middle`, encoding, whole.subarray(0, whole.length >> 1)),
    transient(`${encoding} cut before its last byte`, encoding, whole.subarray(0, -1)),
    transient(`${encoding} of one byte`, encoding, whole.subarray(0, 1)),
    {
      name: `${encoding} with a flipped byte`,
      answer: encoding === 'gzip' ? once(encoded(encoding, flipped)) : always(encoded(encoding, flipped)),
      // Only gzip has a checksum here; the others decode to something that is no page.
      outcome:
        encoding === 'gzip'
          ? { state: 'done', fault: 'transient' }
          : { state: 'quarantined', fault: 'page-shape', items: [] },
    },
    transient(`${encoding} that is plain text`, encoding, Buffer.from(BODY)),
    bomb(`a ${encoding} bomb`, encoding, encode(BOMB)),
    bomb(`a ${encoding} bomb inside gzip`, `${encoding}, gzip`, gzipSync(encode(BOMB))),
  ];
});

/** One raw block in a frame whose head asks for a window of 2^log bytes (RFC 8878, section 3.1.1). */
function frameOfWindow(log: number): Buffer {
  const block = Buffer.from([((BODY.length << 3) | 1) & 0xff, BODY.length >> 5, 0]);
  return Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3]), block, Buffer.from(BODY)]);
}

/** A gzip head that announces a file name which never ends. */
const ENDLESS_NAME = Buffer.concat([Buffer.from([0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3]), Buffer.alloc(500_000, 'x')]);

/** Encoded bodies, in trouble or in bad faith. */
export const ENCODING_CASES: readonly HostileCase[] = [
  ...EACH,
  passing('gzip twice', 'gzip, gzip', gzipSync(gzipSync(BODY))),
  passing('br over gzip, said in capitals', 'GZIP, BR', brotliCompressSync(gzipSync(BODY))),
  passing('identity', 'identity', Buffer.from(BODY)),
  passing('an encoding that is empty', '', Buffer.from(BODY)),
  passing('gzip and identity', 'gzip,identity,', gzipSync(BODY)),
  passing('gzip in two members', 'gzip', Buffer.concat([gzipSync(BODY.slice(0, 9)), gzipSync(BODY.slice(9))])),
  transient('gzip three times', 'gzip, gzip, gzip', gzipSync(gzipSync(gzipSync(BODY)))),
  transient('a hundred encodings', Array.from({ length: 100 }, () => 'gzip').join(','), gzipSync(BODY)),
  transient('an encoding that nobody knows', 'rot13', Buffer.from(BODY)),
  transient('an encoding that was not asked for', 'deflate', deflateSync(BODY)),
  transient('the encoding __proto__', '__proto__', Buffer.from(BODY)),
  transient('the encoding constructor', 'constructor', Buffer.from(BODY)),
  transient('gzip said to be br', 'br', gzipSync(BODY)),
  transient('br said to be zstd', 'zstd', brotliCompressSync(BODY)),
  transient('encodings in the wrong order', 'br, gzip', brotliCompressSync(gzipSync(BODY))),
  transient('gzip with a head that does not end', 'gzip', ENDLESS_NAME),
  transient('br with garbage behind its end', 'br', Buffer.concat([brotliCompressSync(BODY), Buffer.from('garbage')])),
  transient(
    'zstd with a second frame behind its end',
    'zstd',
    Buffer.concat([zstdCompressSync(BODY), zstdCompressSync(BODY)]),
  ),
  passing('zstd with a window of 8 MB', 'zstd', frameOfWindow(23)),
  transient('zstd with a window of 2 GB', 'zstd', frameOfWindow(31)),
  bomb(
    'a gzip bomb of a thousand members',
    'gzip',
    Buffer.concat(Array.from({ length: 1000 }, () => gzipSync(Buffer.alloc(100_000)))),
  ),
  {
    name: 'a bomb for every limit',
    answer: always(encoded('gzip', gzipSync(BOMB))),
    outcome: { state: 'quarantined', fault: 'page-too-large', items: [], callsMax: 10 },
  },
  {
    name: 'an encoding that never gets better',
    answer: always(encoded('rot13', Buffer.from(BODY))),
    outcome: { state: 'failed', fault: 'transient', items: [] },
  },
  {
    name: 'an encoded body that is empty',
    answer: always(encoded('gzip', Buffer.alloc(0))),
    outcome: { state: 'quarantined', fault: 'page-shape', items: [] },
  },
];
