import rhea from 'rhea';
import { describe, expect, test } from 'vitest';
import { DecodeError, encodeValue, readValue } from '../../../runtime/local/broker/amqp-bytes.ts';
import {
  encodeDelivery,
  readBatch,
  readDraft,
  readFacts,
  withProperties,
} from '../../../runtime/local/broker/message-codec.ts';

const { types, message } = rhea;
const mintId = (): string => 'minted';

function roundTrip(value: unknown): unknown {
  return readValue({ bytes: encodeValue(value), at: 0 });
}

describe('values', () => {
  test('are read as rhea writes them', () => {
    const { Writer } = types as unknown as { Writer: new () => { write(value: unknown): void; toBuffer(): Buffer } };
    const writer = new Writer();
    const value = {
      text: 'ä'.repeat(200),
      small: 1,
      large: 2 ** 40,
      negative: -7,
      half: 0.5,
      yes: true,
      none: null,
      when: new Date(1_700_000_000_000),
      bytes: Buffer.from([1, 2]),
      list: [1, 'two'],
      array: types.wrap_array([1, 2], 0x81, undefined),
      described: types.wrap_described('x', 0x137000000c),
    };
    writer.write(types.wrap_map(value));
    const map = readValue({ bytes: writer.toBuffer(), at: 0 });
    expect(map).toEqual(
      new Map<unknown, unknown>([
        ...Object.entries(value).filter(([key]) => !['array', 'described'].includes(key)),
        ['array', [1, 2]],
        ['described', { descriptor: 0x137000000c, value: 'x' }],
      ]),
    );
  });

  test('survive their own encoding', () => {
    const when = new Date(5);
    for (const value of [null, true, false, 0, -1, 2 ** 53 - 1, 1.25, 'text', 'x'.repeat(300), when]) {
      expect(roundTrip(value)).toEqual(value);
    }
    expect(roundTrip(2n ** 62n)).toBe(2n ** 62n);
    expect(roundTrip({ a: 1 })).toBe('{"a":1}');
  });

  test('that are cut, unknown or nested without end are refused', () => {
    const cut = ['a105', 'd0000000ff', 'c1', '81000000', 'b0ffffffff', '00', '005370', '1f'];
    for (const hex of cut) expect(() => readValue({ bytes: Buffer.from(hex, 'hex'), at: 0 })).toThrow(DecodeError);
    const nested = Buffer.from('c00201'.repeat(100) + '40', 'hex');
    expect(() => readValue({ bytes: nested, at: 0 })).toThrow(DecodeError);
    const described = Buffer.alloc(10_000, 0);
    expect(() => readValue({ bytes: described, at: 0 })).toThrow(DecodeError);
    expect(() => readDraft(described, mintId)).toThrow(DecodeError);
  });
});

describe('a draft', () => {
  test('has what the broker needs and keeps the bytes from the properties on', () => {
    const bytes = message.encode({
      durable: true,
      ttl: 5_000,
      priority: 7,
      message_annotations: {
        'x-opt-partition-key': 'k',
        'x-opt-sequence-number': 99,
        'x-opt-scheduled-enqueue-time': types.wrap_timestamp(1_700_000_000_000),
      },
      message_id: 'id',
      group_id: 'session',
      application_properties: { a: 1 },
      body: 'b',
    });
    const draft = readDraft(bytes, mintId);
    expect(draft).toMatchObject({ messageId: 'id', sessionId: 'session', isDurable: true, ttlMs: 5_000, priority: 7 });
    expect(draft.scheduledAtMs).toBe(1_700_000_000_000);
    expect(bytes.subarray(-draft.raw.length)).toEqual(draft.raw);
    expect(draft.raw[2]).toBe(0x73);
    expect(draft.notes.includes('x-opt-partition-key')).toBe(true);
    expect(draft.notes.includes('x-opt-sequence-number')).toBe(false);
  });

  test('gets an id when it has none, and nothing else changes', () => {
    for (const extra of [{}, { subject: 's', group_id: 'g' }]) {
      const { raw, messageId } = readDraft(message.encode({ ...extra, body: [1] }), mintId);
      expect(messageId).toBe('minted');
      expect(message.decode(raw)).toMatchObject({ ...extra, message_id: 'minted', body: [1] });
    }
    const bare = readDraft(Buffer.from('005375a00101', 'hex'), mintId);
    expect(message.decode(bare.raw)['message_id']).toBe('minted');
  });

  test('knows ids that are no text', () => {
    const uuid = Buffer.alloc(16, 3);
    expect(readDraft(message.encode({ message_id: 12, body: 1 }), mintId).messageId).toBe('12');
    expect(readDraft(message.encode({ message_id: uuid, body: 1 }), mintId).messageId).toBe(uuid.toString('hex'));
  });
});

test('a batch is taken apart', () => {
  const parts = [message.encode({ body: 1 }), message.encode({ body: 2 })];
  const batch = message.encode({ message_id: 'first', body: message.data_sections(parts) as unknown });
  expect(readBatch(batch)).toEqual(parts);
});

test('properties are set, replaced and kept beside each other', () => {
  const encoded = message.encode({
    message_id: 'm',
    application_properties: { a: types.wrap_int(-3), b: 'old' },
    body: 'x',
  });
  const { raw } = readDraft(encoded, mintId);
  const changed = withProperties(raw, { b: 'new', c: 4, d: true });
  expect(message.decode(changed)).toMatchObject({ message_id: 'm', body: 'x' });
  expect(message.decode(changed)['application_properties']).toEqual({ a: -3, b: 'new', c: 4, d: true });
  const { raw: plain } = readDraft(message.encode({ body: 'x' }), mintId);
  expect(message.decode(withProperties(plain, { b: 1 }))).toMatchObject({
    body: 'x',
    application_properties: { b: 1 },
  });
  expect(withProperties(plain, {})).toBe(plain);
});

test('a delivery carries header and annotations of the broker', () => {
  const draft = readDraft(message.encode({ message_annotations: { 'x-opt-partition-key': 'k' }, body: 'b' }), mintId);
  const stamp = {
    ...draft,
    seq: 2 ** 40 + 1,
    enqueueSeq: 3,
    enqueuedAtMs: 1_700_000_000_123,
    deliveryCount: 300,
    state: 1,
  };
  for (const ttlMs of [undefined, 70_000]) {
    const decoded = message.decode(encodeDelivery({ ...stamp, ttlMs, priority: 5 }, draft.raw, 1_700_000_000_999));
    expect(decoded).toMatchObject({
      delivery_count: 300,
      priority: 5,
      body: 'b',
      ...(ttlMs === undefined ? {} : { ttl: ttlMs }),
    });
    expect(decoded['message_annotations']).toEqual({
      'x-opt-sequence-number': 2 ** 40 + 1,
      'x-opt-enqueue-sequence-number': 3,
      'x-opt-enqueued-time': new Date(1_700_000_000_123),
      'x-opt-locked-until': new Date(1_700_000_000_999),
      'x-opt-message-state': 1,
      'x-opt-partition-key': 'k',
    });
  }
});

test('facts for rules are the properties by name', () => {
  const { raw } = readDraft(
    message.encode({ message_id: 'm', subject: 's', application_properties: { n: 1 }, body: 1 }),
    mintId,
  );
  const { fields, properties } = readFacts(raw);
  expect([fields.get('message-id'), fields.get('label'), properties.get('n')]).toEqual(['m', 's', 1]);
});
