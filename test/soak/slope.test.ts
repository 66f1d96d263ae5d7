import { describe, expect, it } from 'vitest';
import { seededRandom } from '../fakes/seeded-random.ts';
import { slopeOf } from './slope.ts';

const HOUR_MS = 3_600_000;

/** A series of ten minutes. */
function series(count: number, valueAt: (atMs: number) => number) {
  return Array.from({ length: count }, (_, index) => {
    const atMs = (index * HOUR_MS) / 6 / count;
    return { atMs, value: valueAt(atMs) };
  });
}

describe('slopeOf', () => {
  it('is exact on a straight line', () => {
    const slope = slopeOf(series(40, (atMs) => 5 + (3 * atMs) / HOUR_MS));
    expect(slope.perHour).toBeCloseTo(3, 6);
    expect(slope.low).toBeCloseTo(3, 6);
    expect(slope.high).toBeCloseTo(3, 6);
  });

  it('holds the true slope of noise in about 95 of 100 intervals', () => {
    let holds = 0;
    for (let seed = 1; seed <= 400; seed += 1) {
      const random = seededRandom(seed);
      const { low, high } = slopeOf(series(120, (atMs) => (2 * atMs) / HOUR_MS + random.next() + random.next()));
      if (low <= 2 && 2 <= high) holds += 1;
    }
    expect(holds).toBeGreaterThan(360);
  });

  it('is not made sure of itself by noise that wanders', () => {
    let falseAlarms = 0;
    for (let seed = 1; seed <= 400; seed += 1) {
      const random = seededRandom(seed);
      let level = 0;
      const points = series(120, () => (level = level * 0.8 + random.next() - 0.5));
      if (slopeOf(points).low > 0) falseAlarms += 1;
    }
    expect(falseAlarms).toBeLessThan(40);
  });

  it('sees a leak of 3 % in noise of 5 %', () => {
    const random = seededRandom(1);
    const points = series(120, (atMs) => 100 + (18 * atMs) / HOUR_MS + 5 * (random.next() - 0.5));
    expect(slopeOf(points).low).toBeGreaterThan(0);
  });

  it('refuses three points', () => {
    expect(() => slopeOf(series(3, () => 1))).toThrow('at least 4 points, got 3');
  });
});
