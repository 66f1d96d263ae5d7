import { describe, expect, it } from 'vitest';
import { trimOldest } from '../../runtime/core/bounded.ts';

describe('trimOldest', () => {
  it('lets a collection outgrow its limit by a tenth, then cuts it back in one sweep, oldest first', () => {
    const held = new Set<string>();
    let most = 0;
    for (let at = 0; at < 1000; at += 1) {
      held.add(String(at));
      trimOldest(held, 100);
      most = Math.max(most, held.size);
    }
    expect(most).toBe(110);
    expect(held.has('999')).toBe(true);
    expect([...held]).toEqual(Array.from({ length: held.size }, (_, at) => String(1000 - held.size + at)));
  });

  it('knows the order of the newest insertion in a map', () => {
    const held = new Map(Array.from({ length: 12 }, (_, at) => [String(at), at] as const));
    held.delete('0');
    held.set('0', 0);
    trimOldest(held, 10);
    expect([...held.keys()]).toEqual(['2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '0'].slice(1));
  });

  it('leaves alone what is within its limit', () => {
    const held = new Map([['a', 1]]);
    trimOldest(held, 1);
    expect(held.size).toBe(1);
  });
});
