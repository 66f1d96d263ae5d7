import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeMarkerMessage,
  MARKER_MESSAGE_SCHEMA_VERSION,
  markerMessageOf,
} from '../../runtime/core/marker-message.ts';
import { decideFiring } from '../../runtime/core/run.ts';

const { run } = decideFiring(undefined, {
  ...{ runId: 'r1', userId: 'u "é" \ud800', minerName: 'chats', pageLimit: 100 },
  ...{ tokenHash: 't', nowMs: 1, reviveAfterMs: 1 },
});

const message = markerMessageOf({ ...run, slice: 3, marker: 'm', pages: 7 });

describe('a marker message', () => {
  it('is read as it was written', () => {
    expect(decodeMarkerMessage(JSON.stringify(message))).toEqual({ kind: 'message', message });
    expect(message).toEqual({
      ...{ schemaVersion: MARKER_MESSAGE_SCHEMA_VERSION, minerName: 'chats', userId: run.userId, runId: 'r1' },
      ...{ slice: 3, marker: 'm', pages: 7, repeats: 0 },
    });
  });

  it('carries no token and nothing else that the run row knows', () => {
    expect(Object.keys(message).toSorted()).toEqual(
      ['marker', 'minerName', 'pages', 'repeats', 'runId', 'schemaVersion', 'slice', 'userId'].toSorted(),
    );
  });

  it('is newer, not malformed, when newer code wrote it', () => {
    const text = JSON.stringify({ schemaVersion: MARKER_MESSAGE_SCHEMA_VERSION + 1, else: 'unknown' });
    expect(decodeMarkerMessage(text)).toEqual({ kind: 'newer', schemaVersion: MARKER_MESSAGE_SCHEMA_VERSION + 1 });
  });

  it.each([
    ['empty', ''],
    ['not JSON', '{'],
    ['null', 'null'],
    ['a number', '5'],
    ['a text', '"schemaVersion"'],
    ['a list', '[1]'],
    ['without a schema version', JSON.stringify({ ...message, schemaVersion: undefined })],
    ['with a text for the schema version', JSON.stringify({ ...message, schemaVersion: '1' })],
    ['without a miner', JSON.stringify({ ...message, minerName: undefined })],
    ['with a number for the user', JSON.stringify({ ...message, userId: 5 })],
    ['with null for the run', JSON.stringify({ ...message, runId: null })],
    ['without a slice', JSON.stringify({ ...message, slice: undefined })],
    ['with half a slice', JSON.stringify({ ...message, slice: 0.5 })],
  ])('is malformed when it is %s', (_, text) => {
    expect(decodeMarkerMessage(text).kind).toBe('malformed');
  });

  it('never throws', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        decodeMarkerMessage(text);
      }),
      { numRuns: 500 },
    );
  });
});
