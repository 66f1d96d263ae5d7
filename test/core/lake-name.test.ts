import { describe, expect, it } from 'vitest';
import { envelopeObject, lakePrefix, oversizeObject, rejectedObject } from '../../runtime/core/lake-name.ts';

const NAME = /^(?!.*(?:^|\/)\.)[A-Za-z0-9=._-]+(?:\/[A-Za-z0-9=._-]+)*$/;
const lastMomentMs = Date.UTC(2026, 1, 28, 23, 59, 59, 999);

describe('names of lake objects', () => {
  it('name the day in UTC, to the millisecond', () => {
    expect(envelopeObject('chats', lastMomentMs, 'e1')).toBe('lake/chats/dt=2026-02-28/e1.ndjson.gz');
    expect(envelopeObject('chats', lastMomentMs + 1, 'e1')).toBe('lake/chats/dt=2026-03-01/e1.ndjson.gz');
  });

  it('lie below the prefix of their miner', () => {
    expect(envelopeObject('fans', 0, 'e1').startsWith(lakePrefix('fans'))).toBe(true);
    expect(envelopeObject('fans', 0, 'e1').startsWith(lakePrefix())).toBe(true);
    expect(envelopeObject('fans-2', 0, 'e1').startsWith(lakePrefix('fans'))).toBe(false);
  });

  it('keep what was rejected and what was too large out of the lake prefix', () => {
    expect(rejectedObject('fans', 0, 'abc')).toBe('rejected/fans/dt=1970-01-01/abc.ndjson.gz');
    expect(oversizeObject('fans', 'abc', 'v1')).toBe('oversize/fans/abc-v1.ndjson.gz');
  });

  it('are names that every lake takes', () => {
    const uuid = '3b1f0d3e-0000-4000-8000-000000000001';
    for (const name of [
      envelopeObject('wall-posts', lastMomentMs, uuid),
      rejectedObject('wall-posts', lastMomentMs, 'c'.repeat(32)),
      oversizeObject('wall-posts', 'a'.repeat(52), 'b'.repeat(32)),
    ]) {
      expect(name).toMatch(NAME);
      expect(name.length).toBeLessThan(512);
    }
  });
});
