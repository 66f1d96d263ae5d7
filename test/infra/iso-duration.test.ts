import { describe, expect, it } from 'vitest';
import { isoDuration } from '../../infra/iso-duration.ts';

describe('isoDuration', () => {
  it.each([
    [1, 'PT0.001S'],
    [1500, 'PT1.5S'],
    [60_000, 'PT1M'],
    [300_000, 'PT5M'],
    [3_661_000, 'PT1H1M1S'],
    [86_400_000, 'P1D'],
    [7 * 86_400_000 + 3_600_000, 'P7DT1H'],
  ])('writes %d ms as %s', (durationMs, text) => {
    expect(isoDuration(durationMs)).toBe(text);
  });

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])('refuses %d', (durationMs) => {
    expect(() => isoDuration(durationMs)).toThrow(`got ${durationMs}`);
  });
});
