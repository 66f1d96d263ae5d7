import { describe, expect, it } from 'vitest';
import { backoffMs, withJitter } from '../../runtime/core/backoff.ts';

describe('backoffMs', () => {
  const plain = { firstMs: 100, maxMs: 5000, jitter: 0 };

  it('doubles from the first wait and stays at the longest', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8].map((attempt) => backoffMs(plain, attempt, 0.9))).toEqual([
      100, 200, 400, 800, 1600, 3200, 5000, 5000,
    ]);
  });

  it('stays a finite whole number for any attempt', () => {
    for (const attempt of [31, 32, 1000, 1_000_000]) expect(backoffMs(plain, attempt, 0.5)).toBe(5000);
    const huge = { firstMs: 1, maxMs: Number.MAX_SAFE_INTEGER, jitter: 1 };
    expect(Number.isInteger(backoffMs(huge, 1_000_000, 0.123))).toBe(true);
  });

  it('spreads the wait below the full one by its jitter', () => {
    const half = { ...plain, jitter: 0.5 };
    expect([0, 0.5, 0.999_999].map((random) => backoffMs(half, 2, random))).toEqual([100, 150, 200]);
    expect(backoffMs({ ...plain, jitter: 1 }, 2, 0)).toBe(0);
  });
});

describe('withJitter', () => {
  it('lengthens, never shortens', () => {
    expect([0, 0.5, 1].map((random) => withJitter(1000, 0.2, random))).toEqual([1000, 1100, 1200]);
    expect(withJitter(0, 0.2, 0.9)).toBe(0);
  });
});
