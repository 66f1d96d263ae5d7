import {
  asList,
  asMap,
  DecodeError,
  encodeCompound,
  encodeSection,
  encodeString,
  encodeSymbol,
  encodeValue,
  readCompound,
  readSectionCode,
  readValue,
  skipValue,
  type AmqpValue,
  type Cursor,
} from './amqp-bytes.ts';

/** Section descriptors of an AMQP 1.0 message (OASIS AMQP 1.0 part 3, section 3.2). */
const HEADER = 0x70;
const DELIVERY_ANNOTATIONS = 0x71;
const MESSAGE_ANNOTATIONS = 0x72;
const PROPERTIES = 0x73;
const APPLICATION_PROPERTIES = 0x74;
const DATA = 0x75;

/** Message format of a transfer that carries many messages, each as one data section. */
export const BATCH_FORMAT = 0x80013700;

/** Messages in one batch transfer. The size limit of a transfer allows fewer than this of the smallest useful size. */
const BATCH_LIMIT = 100_000;

/** Annotations that only the broker writes: whatever a sender put there is dropped. */
const BROKER_ANNOTATIONS: ReadonlySet<string> = new Set([
  'x-opt-sequence-number',
  'x-opt-enqueue-sequence-number',
  'x-opt-enqueued-time',
  'x-opt-locked-until',
  'x-opt-message-state',
  'x-opt-deadletter-source',
  'x-opt-lock-token',
]);

/** A message as a sender gave it, taken apart once. */
export interface Draft {
  /** Text form, also of ids that are numbers or uuids. */
  readonly messageId: string;
  readonly sessionId: string | undefined;
  readonly isDurable: boolean;
  readonly priority: number | undefined;
  /** `undefined`: lives as long as the entity allows. */
  readonly ttlMs: number | undefined;
  /** Epoch in ms: not delivered before. */
  readonly scheduledAtMs: number | undefined;
  /** Encoded key and value of every message annotation that is kept, one after the other. */
  readonly notes: Buffer;
  /** The exact bytes from the properties section to the end of the message. */
  readonly raw: Buffer;
}

/**
 * Takes one encoded message apart. `raw` and `notes` are copies, so that a small message does not keep the network
 * chunk that it came in. A message without message-id gets one from `mintId`: clients cannot settle without.
 * @throws DecodeError
 */
export function readDraft(bytes: Buffer, mintId: () => string): Draft {
  const cursor: Cursor = { bytes, at: 0 };
  let header: readonly AmqpValue[] = [];
  let annotations: Annotations = { notes: Buffer.alloc(0), scheduledAtMs: undefined };
  let rawFrom = 0;
  while (cursor.at < bytes.length) {
    rawFrom = cursor.at;
    const code = readSectionCode(cursor);
    if (code >= PROPERTIES) break;
    if (code === HEADER) header = readRecord(cursor);
    else if (code === MESSAGE_ANNOTATIONS) annotations = readAnnotations(cursor);
    else if (code === DELIVERY_ANNOTATIONS) skipValue(cursor);
    else throw new DecodeError(`unknown message section 0x${code.toString(16)}`);
    rawFrom = cursor.at;
  }
  const { raw, messageId, sessionId } = withMessageId(Buffer.from(bytes.subarray(rawFrom)), mintId);
  const [durable, priority, ttlMs] = header;
  return {
    messageId,
    sessionId,
    isDurable: durable === true,
    priority: typeof priority === 'number' ? priority : undefined,
    ttlMs: typeof ttlMs === 'number' ? ttlMs : undefined,
    ...annotations,
    raw,
  };
}

/** The encoded messages inside a batch transfer. @throws DecodeError */
export function readBatch(bytes: Buffer): readonly Buffer[] {
  const cursor: Cursor = { bytes, at: 0 };
  const messages: Buffer[] = [];
  while (cursor.at < bytes.length) {
    if (readSectionCode(cursor) !== DATA) {
      skipValue(cursor);
      continue;
    }
    const content = readValue(cursor);
    if (!Buffer.isBuffer(content)) throw new DecodeError('a batch holds a section that is not binary');
    if (messages.push(content) > BATCH_LIMIT) throw new DecodeError(`a batch holds more than ${BATCH_LIMIT} messages`);
  }
  return messages;
}

interface Annotations {
  readonly notes: Buffer;
  readonly scheduledAtMs: number | undefined;
}

function readAnnotations(cursor: Cursor): Annotations {
  const { count, end } = readCompound(cursor);
  const kept: Buffer[] = [];
  let scheduledAtMs: number | undefined;
  for (let index = 0; index + 1 < count; index += 2) {
    const from = cursor.at;
    const key = readValue(cursor);
    const valueAt = cursor.at;
    skipValue(cursor);
    if (typeof key === 'string' && BROKER_ANNOTATIONS.has(key)) continue;
    kept.push(cursor.bytes.subarray(from, cursor.at));
    if (key !== 'x-opt-scheduled-enqueue-time') continue;
    const value = readValue({ bytes: cursor.bytes, at: valueAt });
    scheduledAtMs = value instanceof Date ? value.getTime() : typeof value === 'number' ? value : undefined;
  }
  cursor.at = end;
  return { notes: Buffer.concat(kept), scheduledAtMs };
}

function readRecord(cursor: Cursor): readonly AmqpValue[] {
  const list = asList(readValue(cursor));
  if (list === undefined) throw new DecodeError('expected a list');
  return list;
}

interface Identified {
  readonly raw: Buffer;
  readonly messageId: string;
  readonly sessionId: string | undefined;
}

/** Finds message id and session id, and writes a new id into the properties section when there is none. */
function withMessageId(raw: Buffer, mintId: () => string): Identified {
  const fields = sliceProperties(raw);
  const at = (index: number): AmqpValue => {
    const field = fields.values[index];
    return field === undefined ? null : readValue({ bytes: field, at: 0 });
  };
  const group = at(10);
  const sessionId = typeof group === 'string' && group !== '' ? group : undefined;
  const given = idText(at(0));
  if (given !== undefined) return { raw, messageId: given, sessionId };
  const messageId = mintId();
  const values = [encodeString(messageId), ...fields.values.slice(1)];
  const section = encodeSection(PROPERTIES, encodeCompound(0xd0, values, values.length));
  return { raw: Buffer.concat([section, raw.subarray(fields.end)]), messageId, sessionId };
}

function idText(value: AmqpValue): string | undefined {
  if (typeof value === 'string') return value === '' ? undefined : value;
  if (typeof value === 'number' || typeof value === 'bigint') return value.toString();
  return Buffer.isBuffer(value) ? value.toString('hex') : undefined;
}

/** The encoded fields of the properties section that `raw` starts with; none when it starts with another section. */
function sliceProperties(raw: Buffer): { readonly values: readonly Buffer[]; readonly end: number } {
  const cursor: Cursor = { bytes: raw, at: 0 };
  if (raw.length === 0 || readSectionCode(cursor) !== PROPERTIES) return { values: [], end: 0 };
  const { count, end } = readCompound(cursor);
  const values: Buffer[] = [];
  for (let index = 0; index < count; index++) {
    const from = cursor.at;
    skipValue(cursor);
    values.push(raw.subarray(from, cursor.at));
  }
  return { values, end };
}

/** The id of a message that is in the journal. */
export function readMessageId(raw: Buffer): string {
  return withMessageId(raw, () => '').messageId;
}

/** What rules look at. Fields are `undefined` when the message does not carry them. */
export interface Facts {
  readonly fields: ReadonlyMap<string, AmqpValue>;
  readonly properties: ReadonlyMap<string, AmqpValue>;
}

const PROPERTY_NAMES: readonly string[] = [
  'message-id',
  'user-id',
  'to',
  'label',
  'reply-to',
  'correlation-id',
  'content-type',
  'content-encoding',
  'absolute-expiry-time',
  'creation-time',
  'session-id',
  'group-sequence',
  'reply-to-session-id',
];

/** Decodes the properties and application properties of a message's raw bytes. @throws DecodeError */
export function readFacts(raw: Buffer): Facts {
  const cursor: Cursor = { bytes: raw, at: 0 };
  const fields = new Map<string, AmqpValue>();
  const properties = new Map<string, AmqpValue>();
  while (cursor.at < raw.length) {
    const code = readSectionCode(cursor);
    if (code > APPLICATION_PROPERTIES) break;
    const value = readValue(cursor);
    if (code === PROPERTIES) {
      const list = asList(value) ?? [];
      for (const [index, name] of PROPERTY_NAMES.entries()) fields.set(name, list[index] ?? null);
    } else {
      for (const [key, item] of asMap(value) ?? []) if (typeof key === 'string') properties.set(key, item);
    }
  }
  return { fields, properties };
}

/** Sets application properties and leaves every other byte of the message as it is. */
export function withProperties(raw: Buffer, changes: Readonly<Record<string, unknown>>): Buffer {
  const names = Object.keys(changes);
  if (names.length === 0) return raw;
  const cursor: Cursor = { bytes: raw, at: 0 };
  if (raw.length > 0 && readSectionCode(cursor) === PROPERTIES) skipValue(cursor);
  else cursor.at = 0;
  const from = cursor.at;
  const kept: Buffer[] = [];
  if (from < raw.length && readSectionCode(cursor) === APPLICATION_PROPERTIES) keepPairs(cursor, changes, kept);
  else cursor.at = from;
  const added = names.flatMap((name) => [encodeString(name), encodeValue(changes[name])]);
  const map = encodeCompound(0xd1, [...kept, ...added], kept.length * 2 + added.length);
  return Buffer.concat([raw.subarray(0, from), encodeSection(APPLICATION_PROPERTIES, map), raw.subarray(cursor.at)]);
}

function keepPairs(cursor: Cursor, changes: Readonly<Record<string, unknown>>, kept: Buffer[]): void {
  const { count, end } = readCompound(cursor);
  for (let index = 0; index + 1 < count; index += 2) {
    const from = cursor.at;
    const key = readValue(cursor);
    skipValue(cursor);
    if (typeof key !== 'string' || !Object.hasOwn(changes, key)) kept.push(cursor.bytes.subarray(from, cursor.at));
  }
  cursor.at = end;
}

/** Appends one text annotation to encoded notes. */
export function withNote(notes: Buffer, name: string, text: string): Buffer {
  return Buffer.concat([notes, encodeSymbol(name), encodeString(text)]);
}

/** What the broker adds when it hands a message out. Times are epochs in ms. */
export interface Stamp {
  readonly seq: number;
  readonly enqueueSeq: number;
  readonly enqueuedAtMs: number;
  readonly deliveryCount: number;
  /** 0 active, 1 deferred, 2 scheduled. */
  readonly state: number;
  readonly isDurable: boolean;
  readonly priority: number | undefined;
  readonly ttlMs: number | undefined;
  readonly notes: Buffer;
}

const KEY_SEQ = Buffer.concat([encodeSymbol('x-opt-sequence-number'), Buffer.from([0x81])]);
const KEY_ENQUEUE_SEQ = Buffer.concat([encodeSymbol('x-opt-enqueue-sequence-number'), Buffer.from([0x81])]);
const KEY_ENQUEUED = Buffer.concat([encodeSymbol('x-opt-enqueued-time'), Buffer.from([0x83])]);
const KEY_LOCKED = Buffer.concat([encodeSymbol('x-opt-locked-until'), Buffer.from([0x83])]);
const KEY_STATE = Buffer.concat([encodeSymbol('x-opt-message-state'), Buffer.from([0x54])]);
const HEADER_BYTES = 16;
/** More bytes of the header section when it carries a time to live. */
const TTL_BYTES = 4;
const ANNOTATIONS_HEAD_BYTES = 12;

/**
 * The bytes that a receiver gets: fresh header and annotations, then the message as it was sent.
 * `lockedUntilMs` is absent for a message that is not locked (peek, receive and delete).
 */
export function encodeDelivery(stamp: Stamp, raw: Buffer, lockedUntilMs?: number): Buffer {
  const lockBytes = lockedUntilMs === undefined ? 0 : KEY_LOCKED.length + 8;
  const fixedBytes = KEY_SEQ.length + KEY_ENQUEUE_SEQ.length + KEY_ENQUEUED.length + 24 + KEY_STATE.length + 1;
  const mapBytes = fixedBytes + lockBytes + stamp.notes.length;
  const headerBytes = HEADER_BYTES + (stamp.ttlMs === undefined ? 0 : TTL_BYTES);
  const bytes = Buffer.allocUnsafe(headerBytes + ANNOTATIONS_HEAD_BYTES + mapBytes + raw.length);
  let at = writeHeader(bytes, stamp);
  at = writeAnnotationsHead(bytes, at, mapBytes, (lockedUntilMs === undefined ? 8 : 10) + countValues(stamp.notes));
  at = writeEight(bytes, at, KEY_SEQ, stamp.seq);
  at = writeEight(bytes, at, KEY_ENQUEUE_SEQ, stamp.enqueueSeq);
  at = writeEight(bytes, at, KEY_ENQUEUED, stamp.enqueuedAtMs);
  if (lockedUntilMs !== undefined) at = writeEight(bytes, at, KEY_LOCKED, lockedUntilMs);
  at += KEY_STATE.copy(bytes, at);
  at = bytes.writeInt8(stamp.state, at);
  at += stamp.notes.copy(bytes, at);
  raw.copy(bytes, at);
  return bytes;
}

function writeHeader(bytes: Buffer, stamp: Stamp): number {
  const { priority, ttlMs } = stamp;
  // A list of durable, priority, ttl, first-acquirer and delivery-count; its size counts the bytes behind the size.
  const sizeBytes = ttlMs === undefined ? 11 : 11 + TTL_BYTES;
  bytes.set([0x00, 0x53, HEADER, 0xc0, sizeBytes, 5, stamp.isDurable ? 0x41 : 0x42, 0x50, priority ?? 4], 0);
  let at = 9;
  if (ttlMs === undefined) {
    bytes[at++] = 0x40;
  } else {
    bytes[at++] = 0x70;
    at = bytes.writeUInt32BE(ttlMs, at);
  }
  bytes[at++] = 0x42;
  bytes[at++] = 0x70;
  return bytes.writeUInt32BE(stamp.deliveryCount, at);
}

function writeAnnotationsHead(bytes: Buffer, from: number, mapBytes: number, count: number): number {
  bytes.set([0x00, 0x53, MESSAGE_ANNOTATIONS, 0xd1], from);
  const at = bytes.writeUInt32BE(mapBytes + 4, from + 4);
  return bytes.writeUInt32BE(count, at);
}

function writeEight(bytes: Buffer, at: number, key: Buffer, value: number): number {
  const next = at + key.copy(bytes, at);
  bytes.writeUInt32BE(Math.floor(value / 0x1_0000_0000), next);
  return bytes.writeUInt32BE(value >>> 0, next + 4);
}

function countValues(encoded: Buffer): number {
  const cursor: Cursor = { bytes: encoded, at: 0 };
  let count = 0;
  for (; cursor.at < encoded.length; count++) skipValue(cursor);
  return count;
}
