import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeEnvelope,
  encodeEnvelope,
  type Envelope,
  ENVELOPE_SCHEMA_VERSION,
  EnvelopeError,
  type EnvelopeItem,
  versionText,
} from '../../runtime/core/envelope.ts';
import { parseServed, stringifyServed } from '../../runtime/core/served-json.ts';

const item: EnvelopeItem = {
  ...{ userId: 'u1', runId: 'r1', id: 'i1', version: 'ab12', observedAtMs: 1_760_000_000_000 },
  dataText: '{"id":"i1","amount":12.50}',
};

const envelope: Envelope = {
  schemaVersion: ENVELOPE_SCHEMA_VERSION,
  envelopeId: '3b1f0d3e-0000-4000-8000-000000000001',
  minerName: 'wall-posts',
  source: 'mine',
  composedAtMs: 1_760_000_000_001,
  items: [item],
};

const withItem = (changes: Partial<EnvelopeItem>): Envelope => ({ ...envelope, items: [{ ...item, ...changes }] });

/** The error of a body that is refused. */
function refusal(text: string): EnvelopeError {
  try {
    decodeEnvelope(text);
  } catch (error) {
    if (error instanceof EnvelopeError) return error;
    throw error;
  }
  throw new Error('the body was taken');
}

describe('an envelope', () => {
  it('is read as it was written', () => {
    const many = { ...envelope, items: [item, { ...item, id: 'i2' }, { ...item, userId: 'u2' }] };
    expect(decodeEnvelope(encodeEnvelope(many))).toEqual(many);
  });

  it.each([
    '9007199254740993',
    '1e400',
    '-1e400',
    '-0',
    '1.0',
    '12.50',
    '1E5',
    '0.1e1',
    '123456789012345678901234567890.123456789',
    'null',
    'true',
    '"text"',
    '[]',
    '[1.0,{"a":-0}]',
    '{"__proto__":{"polluted":1.0},"id":"i1"}',
    '{"constructor":{"prototype":1},"id":"i1"}',
    '{"a":"\\u0000\\ud800","b":"\u2028é😀"}',
    '{"1":1,"b":2,"a":3}',
  ])('keeps the text %s as it was served', (dataText) => {
    expect(decodeEnvelope(encodeEnvelope(withItem({ dataText }))).items[0]?.dataText).toBe(dataText);
  });

  it('never touches the prototype', () => {
    decodeEnvelope(encodeEnvelope(withItem({ dataText: '{"__proto__":{"polluted":1}}' })));
    const body = encodeEnvelope(envelope).replace('{', '{"__proto__":{"polluted":1.0},');
    expect(decodeEnvelope(body)).toEqual(envelope);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  it('is not misled by a field that only a prototype has', () => {
    const { dataText: _, ...meta } = item;
    const bare = JSON.stringify({ ...envelope, items: [meta] });
    expect(refusal(bare.replace('"userId":"u1",', '"__proto__":{"userId":"u1"},')).kind).toBe('malformed');
    expect(refusal(bare.replace('"userId":"u1",', '"userId":"u1","__proto__":{"data":1},')).kind).toBe('malformed');
  });

  it('carries items as deep as the upstream may nest them', () => {
    const dataText = `${'['.repeat(20_000)}1.0${']'.repeat(20_000)}`;
    expect(decodeEnvelope(encodeEnvelope(withItem({ dataText }))).items[0]?.dataText).toBe(dataText);
  });

  it('carries a pointer instead of an item that is too large', () => {
    const { dataText: _, ...meta } = item;
    const pointing = { ...envelope, items: [{ ...meta, dataRef: 'oversize/wall-posts/ab-cd.ndjson.gz' }] };
    expect(decodeEnvelope(encodeEnvelope(pointing))).toEqual(pointing);
  });

  it('may come from capture', () => {
    expect(decodeEnvelope(encodeEnvelope({ ...envelope, source: 'capture' })).source).toBe('capture');
  });

  it('is one JSON value with one item a line', () => {
    const text = encodeEnvelope({ ...envelope, items: [item, { ...item, id: 'i2' }] });
    expect(text.split('\n')).toHaveLength(4);
    expect(JSON.parse(text)).toMatchObject({ items: [{ data: { amount: 12.5 } }, { id: 'i2' }] });
  });

  it('round trips whatever JSON an upstream serves', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.string({ minLength: 1, unit: 'binary' }), (json, id) => {
        const dataText = stringifyServed(parseServed(json));
        const sent = withItem({ dataText, id });
        expect(decodeEnvelope(encodeEnvelope(sent))).toEqual(sent);
      }),
      { numRuns: 500 },
    );
  });
});

describe('a body that is no envelope', () => {
  const changed = (changes: Record<string, unknown>): string => {
    const { items, ...header } = envelope;
    return JSON.stringify({
      ...header,
      items: items.map(({ dataText, ...meta }) => ({ ...meta, data: dataText })),
      ...changes,
    });
  };
  const changedItem = (changes: Record<string, unknown>): string => {
    const { dataText, ...meta } = item;
    return changed({ items: [{ ...meta, data: dataText, ...changes }] });
  };
  const twice = JSON.parse(changed({})) as { items: unknown[] };

  const malformed: readonly [name: string, text: string][] = [
    ['empty', ''],
    ['not JSON', '{"schemaVersion":1'],
    ['a list', '[]'],
    ['null', 'null'],
    ['a number', '1'],
    ['a text', '"x"'],
    ['without a schema version', changed({ schemaVersion: undefined })],
    ['with a text for the schema version', changed({ schemaVersion: '1' })],
    ['of schema version 0', changed({ schemaVersion: 0 })],
    ['without an id', changed({ envelopeId: undefined })],
    ['with an empty id', changed({ envelopeId: '' })],
    ['with an id that is no key', changed({ envelopeId: 'a/b' })],
    ['with an id that is too long', changed({ envelopeId: 'a'.repeat(129) })],
    ['with a number for its id', changed({ envelopeId: 7 })],
    ['without a miner', changed({ minerName: undefined })],
    ['with a miner that leaves its folder', changed({ minerName: '../runs' })],
    ['from an unknown source', changed({ source: 'elsewhere' })],
    ['without a time', changed({ composedAtMs: undefined })],
    ['with a time that no date holds', changed({ composedAtMs: 8_640_000_000_000_001 })],
    ['with a time before the epoch', changed({ composedAtMs: -1 })],
    ['with a time that is no double', changed({}).replace('1760000000001', '1e400')],
    ['without items', changed({ items: undefined })],
    ['with an empty list of items', changed({ items: [] })],
    ['with an object for its items', changed({ items: { 0: item } })],
    ['with an item that is null', changed({ items: [null] })],
    ['with an item that is a list', changed({ items: [[]] })],
    ['with an item twice', changed({ items: [...twice.items, ...twice.items] })],
    ['with an item without a user', changedItem({ userId: undefined })],
    ['with an item with an empty user', changedItem({ userId: '' })],
    ['with an item without a run', changedItem({ runId: undefined })],
    ['with an item without an id', changedItem({ id: undefined })],
    ['with an item with a number for its id', changedItem({ id: 5 })],
    ['with an item without a version', changedItem({ version: undefined })],
    ['with an item with an endless version', changedItem({ version: 'a'.repeat(65) })],
    ['with an item without a time', changedItem({ observedAtMs: undefined })],
    ['with an item with a time that no date holds', changedItem({ observedAtMs: 1e300 })],
    ['with an item with null for its time', changedItem({ observedAtMs: null })],
    ['with an item without data', changedItem({ data: undefined })],
    ['with an item that points at nothing', changedItem({ dataRef: '' })],
    ['with an item that points with a number', changedItem({ dataRef: 5 })],
    ['with an item that points outside oversize/', changedItem({ dataRef: 'lake/chats/dt=2026-01-01/x.ndjson.gz' })],
    ['with an item that points to a parent folder', changedItem({ dataRef: 'oversize/../lake/x' })],
    ['with an item that points to a name that is too long', changedItem({ dataRef: `oversize/${'a'.repeat(512)}` })],
  ];

  it.each(malformed)('is malformed when it is %s', (_, text) => {
    expect(refusal(text).kind).toBe('malformed');
  });

  it.each([2, 1.5, 99, 1e9])('is newer, not malformed, when its schema version is %d', (schemaVersion) => {
    expect(refusal(JSON.stringify({ schemaVersion })).kind).toBe('newer');
  });

  it('is never anything but an EnvelopeError', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.json(),
      fc.json().map((json) => `{"schemaVersion":1,"items":[${json}]}`),
    );
    fc.assert(
      fc.property(texts, (text) => ['malformed', 'newer'].includes(refusal(text).kind)),
      { numRuns: 500 },
    );
  });

  it('names its cause when it is not JSON', () => {
    expect(refusal('{').cause).toBeInstanceOf(SyntaxError);
  });
});

describe('versionText', () => {
  it('is equal for equal content, whatever the order of keys', () => {
    expect(versionText(parseServed('{"b":[1,{"d":1,"c":2}],"a":1.0}'))).toBe(
      versionText(parseServed('{"a":1.0,"b":[1,{"c":2,"d":1}]}')),
    );
  });

  it('differs when a value, an order in a list, or the text of a number differs', () => {
    const texts = ['{"a":1}', '{"a":1.0}', '{"a":"1"}', '{"a":[1,2]}', '{"a":[2,1]}', '{"a":null}', '{}', '{"A":1}'];
    expect(new Set(texts.map((text) => versionText(parseServed(text)))).size).toBe(texts.length);
  });
});
