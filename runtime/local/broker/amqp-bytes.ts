/**
 * AMQP 1.0 values as bytes. The broker walks encoded messages without decoding them, because a decode and encode round
 * trip through JavaScript loses types (int, long, symbol) and a message must leave the broker as it came.
 */

/** A place in encoded bytes. Every reader moves `at` behind what it read. */
export interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

/** A value with a descriptor, which says what the value means. */
export interface Described {
  readonly descriptor: AmqpValue;
  readonly value: AmqpValue;
}

/** A decoded value. A map is a `Map`, list and array are arrays, integers outside the safe range are bigints. */
export type AmqpValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Buffer
  | Date
  | readonly AmqpValue[]
  | ReadonlyMap<AmqpValue, AmqpValue>
  | Described;

/** Bytes that are not AMQP 1.0. */
export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DecodeError';
  }
}

/** Nesting of lists and maps that is still read; deeper is refused, so that a hostile message cannot overflow the stack. */
const DEPTH_LIMIT = 64;

const FIXED_WIDTHS: readonly number[] = [0, 1, 2, 4, 8, 16];

/** The value when it is a list or an array. */
export function asList(value: AmqpValue): readonly AmqpValue[] | undefined {
  return Array.isArray(value) ? (value as readonly AmqpValue[]) : undefined;
}

/** The value when it is a map. */
export function asMap(value: AmqpValue): ReadonlyMap<AmqpValue, AmqpValue> | undefined {
  return value instanceof Map ? (value as ReadonlyMap<AmqpValue, AmqpValue>) : undefined;
}

/** Moves behind one value. @throws DecodeError when the bytes end early. */
export function skipValue(cursor: Cursor, depth = 0): void {
  const code = readByte(cursor);
  if (code === 0x00) {
    if (depth > DEPTH_LIMIT) throw new DecodeError('values are nested too deep');
    skipValue(cursor, depth + 1);
    skipValue(cursor, depth + 1);
    return;
  }
  const category = code >>> 4;
  const fixed = FIXED_WIDTHS[category - 4];
  if (fixed !== undefined) return advance(cursor, fixed);
  if (category < 0xa) throw new DecodeError(`unknown type code 0x${code.toString(16)}`);
  advance(cursor, (category & 1) === 0 ? readByte(cursor) : readUint32(cursor));
}

/** Head of a list or map: how many values follow, and where the next value after it starts. */
export function readCompound(cursor: Cursor): { readonly count: number; readonly end: number } {
  const code = readByte(cursor);
  if (code === 0x45) return { count: 0, end: cursor.at };
  const isSmall = code === 0xc0 || code === 0xc1;
  if (!isSmall && code !== 0xd0 && code !== 0xd1)
    throw new DecodeError(`expected list or map, got 0x${code.toString(16)}`);
  const sizeBytes = isSmall ? readByte(cursor) : readUint32(cursor);
  const end = cursor.at + sizeBytes;
  if (end > cursor.bytes.length) throw new DecodeError('a list or map ends behind the message');
  const count = isSmall ? readByte(cursor) : readUint32(cursor);
  return { count, end };
}

/** Reads the descriptor code of a section; the cursor then stands at the section's value. */
export function readSectionCode(cursor: Cursor): number {
  if (readByte(cursor) !== 0x00) throw new DecodeError('expected a message section');
  const code = readValue(cursor);
  if (typeof code !== 'number') throw new DecodeError('expected a numeric section descriptor');
  return code;
}

/** Decodes one value. @throws DecodeError */
export function readValue(cursor: Cursor, depth = 0): AmqpValue {
  if (depth > DEPTH_LIMIT) throw new DecodeError('values are nested too deep');
  const code = cursor.bytes[cursor.at];
  if (code === undefined) throw new DecodeError('a value is cut off');
  if (code === 0x00) {
    cursor.at += 1;
    const descriptor = readValue(cursor, depth + 1);
    return { descriptor, value: readValue(cursor, depth + 1) };
  }
  if (code === 0x45 || code === 0xc0 || code === 0xd0) return readList(cursor, depth);
  if (code === 0xc1 || code === 0xd1) return readMap(cursor, depth);
  cursor.at += 1;
  if (code === 0xe0 || code === 0xf0) return readArray(cursor, code, depth);
  return readScalar(cursor, code);
}

function readList(cursor: Cursor, depth: number): readonly AmqpValue[] {
  const { count, end } = readCompound(cursor);
  const values: AmqpValue[] = [];
  for (let index = 0; index < count; index++) values.push(readValue(cursor, depth + 1));
  cursor.at = end;
  return values;
}

function readMap(cursor: Cursor, depth: number): ReadonlyMap<AmqpValue, AmqpValue> {
  const { count, end } = readCompound(cursor);
  const map = new Map<AmqpValue, AmqpValue>();
  for (let index = 0; index + 1 < count; index += 2) {
    const key = readValue(cursor, depth + 1);
    map.set(key, readValue(cursor, depth + 1));
  }
  cursor.at = end;
  return map;
}

function readArray(cursor: Cursor, code: number, depth: number): readonly AmqpValue[] {
  const isSmall = code === 0xe0;
  const sizeBytes = isSmall ? readByte(cursor) : readUint32(cursor);
  const end = cursor.at + sizeBytes;
  const count = isSmall ? readByte(cursor) : readUint32(cursor);
  const itemCode = readByte(cursor);
  const values: AmqpValue[] = [];
  // Zero-width items occupy no bytes, so the count alone would bound the loop: it is bounded by the size instead.
  for (let index = 0; index < count && cursor.at < end; index++) values.push(readItem(cursor, itemCode, depth));
  cursor.at = end;
  return values;
}

function readItem(cursor: Cursor, code: number, depth: number): AmqpValue {
  if (code >>> 4 < 0xc) return readScalar(cursor, code);
  throw new DecodeError(`arrays of type 0x${code.toString(16)} at depth ${depth} are not supported`);
}

function readScalar(cursor: Cursor, code: number): AmqpValue {
  const category = code >>> 4;
  const start = cursor.at;
  const fixed = FIXED_WIDTHS[category - 4];
  if (fixed !== undefined) {
    advance(cursor, fixed);
    return readFixed(cursor.bytes, start, code, fixed);
  }
  if (category !== 0xa && category !== 0xb) throw new DecodeError(`unknown type code 0x${code.toString(16)}`);
  const sizeBytes = category === 0xa ? readByte(cursor) : readUint32(cursor);
  const from = cursor.at;
  advance(cursor, sizeBytes);
  const isText = (code & 0x0f) === 1 || (code & 0x0f) === 3;
  return isText ? cursor.bytes.toString('utf8', from, cursor.at) : cursor.bytes.subarray(from, cursor.at);
}

function readFixed(bytes: Buffer, at: number, code: number, width: number): AmqpValue {
  switch (code) {
    case 0x40:
      return null;
    case 0x41:
      return true;
    case 0x42:
      return false;
    case 0x43:
    case 0x44:
      return 0;
    case 0x56:
      return bytes[at] === 1;
    case 0x50:
    case 0x52:
    case 0x53:
    case 0x60:
    case 0x70:
      return bytes.readUIntBE(at, width);
    case 0x51:
    case 0x54:
    case 0x55:
    case 0x61:
    case 0x71:
      return bytes.readIntBE(at, width);
    case 0x80:
      return safeInteger(bytes.readBigUInt64BE(at));
    case 0x81:
      return safeInteger(bytes.readBigInt64BE(at));
    case 0x72:
      return bytes.readFloatBE(at);
    case 0x82:
      return bytes.readDoubleBE(at);
    case 0x73:
      return String.fromCodePoint(bytes.readUInt32BE(at));
    case 0x83:
      return new Date(Number(bytes.readBigInt64BE(at)));
    default:
      return bytes.subarray(at, at + width);
  }
}

function safeInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

function readByte(cursor: Cursor): number {
  const byte = cursor.bytes[cursor.at];
  if (byte === undefined) throw new DecodeError('a value is cut off');
  cursor.at += 1;
  return byte;
}

function readUint32(cursor: Cursor): number {
  if (cursor.at + 4 > cursor.bytes.length) throw new DecodeError('a value is cut off');
  cursor.at += 4;
  return cursor.bytes.readUInt32BE(cursor.at - 4);
}

function advance(cursor: Cursor, count: number): void {
  cursor.at += count;
  if (cursor.at > cursor.bytes.length) throw new DecodeError('a value is cut off');
}

/** A UTF-8 string. */
export function encodeString(text: string): Buffer {
  return encodeVariable(0xa1, Buffer.from(text, 'utf8'));
}

/** A symbol (ASCII). */
export function encodeSymbol(text: string): Buffer {
  return encodeVariable(0xa3, Buffer.from(text, 'latin1'));
}

/** `smallCode` is the type's code for up to 255 bytes; the code for longer ones is 0x10 higher. */
function encodeVariable(smallCode: number, content: Buffer): Buffer {
  if (content.length <= 0xff) return Buffer.concat([Buffer.from([smallCode, content.length]), content]);
  const head = Buffer.alloc(5, smallCode + 0x10);
  head.writeUInt32BE(content.length, 1);
  return Buffer.concat([head, content]);
}

/** Encodes a JavaScript value that a client gave: integers as long, other numbers as double, objects as JSON text. */
export function encodeValue(value: unknown): Buffer {
  if (value === null || value === undefined) return Buffer.from([0x40]);
  if (typeof value === 'boolean') return Buffer.from([value ? 0x41 : 0x42]);
  if (typeof value === 'string') return encodeString(value);
  if (typeof value === 'number') return Number.isSafeInteger(value) ? encodeLong(value) : encodeDouble(value);
  if (typeof value === 'bigint')
    return encodeEight(0x81, (bytes) => bytes.writeBigInt64BE(BigInt.asIntN(64, value), 1));
  if (value instanceof Date) return encodeEight(0x83, (bytes) => bytes.writeBigInt64BE(BigInt(value.getTime()), 1));
  if (value instanceof Uint8Array) return encodeVariable(0xa0, Buffer.from(value));
  return encodeString(JSON.stringify(value));
}

/** A 64-bit integer, from a safe one. */
export function encodeLong(value: number): Buffer {
  return encodeEight(0x81, (bytes) => bytes.writeBigInt64BE(BigInt(value), 1));
}

function encodeDouble(value: number): Buffer {
  return encodeEight(0x82, (bytes) => bytes.writeDoubleBE(value, 1));
}

function encodeEight(code: number, write: (bytes: Buffer) => void): Buffer {
  const bytes = Buffer.alloc(9, code);
  write(bytes);
  return bytes;
}

/** A list (0xd0) or map (0xd1) from values that are encoded already. */
export function encodeCompound(code: 0xd0 | 0xd1, values: readonly Buffer[], count: number): Buffer {
  const sizeBytes = values.reduce((sum, value) => sum + value.length, 0);
  const head = Buffer.alloc(9, code);
  head.writeUInt32BE(sizeBytes + 4, 1);
  head.writeUInt32BE(count, 5);
  return Buffer.concat([head, ...values]);
}

/** A message section: descriptor and value. */
export function encodeSection(code: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([0x00, 0x53, code]), value]);
}
