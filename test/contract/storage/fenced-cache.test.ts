import { describe, expect, it } from 'vitest';
import { fenceCache } from '../../../runtime/adapters/fenced-cache.ts';
import { MemoryCache } from '../../fakes/memory-cache.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { describeCache } from './cache-contract.ts';

const TTL_MS = 60_000;

function prefixes(name: string): () => string {
  let count = 0;
  return () => `${name}${(count += 1)}:`;
}

describeCache('fenced', async () => {
  const clock = new TestClock();
  const cache = fenceCache(new MemoryCache(clock), prefixes('p'));
  return { cache, pass: (ms) => clock.advance(ms), close: () => cache.close() };
});

describe('a fenced cache', () => {
  it('does not see what was stored before it was opened', async () => {
    const shared = new MemoryCache(new TestClock());
    const before = fenceCache(shared, prefixes('a'));
    await before.setMany([['x', 'A']], TTL_MS);
    expect(await fenceCache(shared, prefixes('b')).getMany(['x'])).toEqual([undefined]);
    expect(await before.getMany(['x'])).toEqual(['A']);
  });

  it('forgets everything when it could not be told something', async () => {
    const shared = new MemoryCache(new TestClock());
    const cache = fenceCache(shared, prefixes('a'));
    await cache.setMany(
      [
        ['x', 'A'],
        ['y', 'A'],
      ],
      TTL_MS,
    );
    shared.isDown = true;
    await expect(cache.setMany([['x', 'B']], TTL_MS)).rejects.toThrow('down');
    await expect(cache.getMany(['x'])).rejects.toThrow('down');
    shared.isDown = false;
    expect(await cache.getMany(['x', 'y'])).toEqual([undefined, undefined]);
    await cache.setMany([['x', 'B']], TTL_MS);
    expect(await cache.getMany(['x'])).toEqual(['B']);
    shared.isDown = true;
    await expect(cache.deleteMany(['x'])).rejects.toThrow('down');
    shared.isDown = false;
    expect(await cache.getMany(['x'])).toEqual([undefined]);
  });

  it('keeps what it knows when only a question was not answered', async () => {
    const shared = new MemoryCache(new TestClock());
    const cache = fenceCache(shared, prefixes('a'));
    await cache.setMany([['x', 'A']], TTL_MS);
    shared.isDown = true;
    await expect(cache.getMany(['x'])).rejects.toThrow('down');
    shared.isDown = false;
    expect(await cache.getMany(['x'])).toEqual(['A']);
  });
});
