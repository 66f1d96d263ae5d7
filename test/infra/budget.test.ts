import { describe, expect, it } from 'vitest';
import { firstOfMonth } from '../../infra/budget.ts';

describe('the start of a budget', () => {
  it.each([
    ['2026-11-23T15:04:05.678Z', '2026-11-01T00:00:00Z'],
    ['2026-12-31T23:59:59.999Z', '2026-12-01T00:00:00Z'],
    ['2027-01-01T00:00:00.000Z', '2027-01-01T00:00:00Z'],
  ])('is, at %s, %s', (now, start) => {
    expect(firstOfMonth(new Date(now))).toBe(start);
  });
});
