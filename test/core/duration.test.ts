import { describe, expect, it } from 'vitest';
import { durationText, parseDuration } from '../../runtime/core/duration.ts';

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['0s', 0],
    ['30s', 30_000],
    ['10m', 600_000],
    ['2h', 7_200_000],
  ])('reads %s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '5', 's', '1.5s', '-1s', '1 s', ' 1s', '1s ', '1d', '1S', '1e3s', '0x1s', '1s1m', '1234567890s', '١s'])(
    'refuses %j',
    (text) => expect(parseDuration(text)).toBeUndefined(),
  );
});

describe('durationText', () => {
  it.each([
    [0, '0 ms'],
    [0.4, '0 ms'],
    [999, '999 ms'],
    [1000, '1.0 s'],
    [12_345, '12.3 s'],
    [59_949, '59.9 s'],
    [60_000, '1 m 0 s'],
    [250_000, '4 m 10 s'],
    [7_200_000, '120 m 0 s'],
  ])('%d ms reads %s', (ms, text) => expect(durationText(ms)).toBe(text));

  it('never shows a thousand milliseconds, sixty seconds, or a unit too small', () => {
    expect(durationText(999.6)).toBe('1.0 s');
    expect(durationText(59_999)).toBe('1 m 0 s');
    expect(durationText(119_600)).toBe('2 m 0 s');
  });
});
