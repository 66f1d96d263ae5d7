import { describe, expect, it, vi } from 'vitest';
import { FENCE_READ_EVERY_MS, shareFence } from '../../../runtime/adapters/shared-fence.ts';
import type { Cache, DoubtableCache } from '../../../runtime/ports.ts';
import { MemoryCache } from '../../fakes/memory-cache.ts';
import { MemoryRows } from '../../fakes/memory-rows.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { describeCache } from './cache-contract.ts';

const LONG_MS = 3_600_000;

/** A cache that one process cannot reach while `isAway`. */
class Away implements Cache {
  isAway = false;
  readonly #cache: Cache;

  constructor(cache: Cache) {
    this.#cache = cache;
  }

  getMany = (keys: readonly string[]) => this.#here(() => this.#cache.getMany(keys));
  setMany = (entries: readonly (readonly [string, string])[], ttlMs: number) =>
    this.#here(() => this.#cache.setMany(entries, ttlMs));
  deleteMany = (keys: readonly string[]) => this.#here(() => this.#cache.deleteMany(keys));
  close = () => this.#cache.close();

  async #here<T>(work: () => Promise<T>): Promise<T> {
    if (this.isAway) throw new Error('out of reach');
    return work();
  }
}

/** Two processes in front of one cache and one table. */
function stage() {
  const clock = new TestClock();
  const rows = new MemoryRows();
  const shared = new MemoryCache(clock);
  let fences = 0;
  const open = (): { cache: DoubtableCache; wire: Away } => {
    const wire = new Away(shared);
    const newPrefix = (): string => `f${(fences += 1)}:`;
    return { wire, cache: shareFence({ cache: wire, rows, newPrefix, now: () => clock.now() }) };
  };
  return { clock, rows, one: open(), two: open() };
}

describeCache('shared fence', async () => {
  const clock = new TestClock();
  const cache = shareFence({
    cache: new MemoryCache(clock),
    rows: new MemoryRows(),
    newPrefix: () => 'f:',
    now: () => clock.now(),
  });
  return { cache, pass: (ms) => clock.advance(ms), close: () => cache.close() };
});

describe('a cache that several processes share', () => {
  it('answers each what another has stored', async () => {
    const { one, two } = stage();
    await Promise.all([one.cache.setMany([['a', '1']], LONG_MS), two.cache.setMany([['b', '2']], LONG_MS)]);
    expect(await one.cache.getMany(['a', 'b'])).toEqual(['1', '2']);
    expect(await two.cache.getMany(['a', 'b'])).toEqual(['1', '2']);
  });

  it('answers nothing of before once one of them could not tell it something', async () => {
    const { clock, one, two } = stage();
    await one.cache.setMany([['a', '1']], LONG_MS);
    expect(await two.cache.getMany(['a'])).toEqual(['1']);
    one.wire.isAway = true;
    await expect(one.cache.setMany([['a', '2']], LONG_MS)).rejects.toThrow('out of reach');
    one.wire.isAway = false;
    expect(await one.cache.getMany(['a'])).toEqual([undefined]);
    await clock.advance(FENCE_READ_EVERY_MS);
    expect(await two.cache.getMany(['a'])).toEqual([undefined]);
    await two.cache.setMany([['a', '2']], LONG_MS);
    expect(await one.cache.getMany(['a'])).toEqual(['2']);
  });

  it('answers nothing of before though the clock of the machine was set back', async () => {
    const rows = new MemoryRows();
    const shared = new MemoryCache(new TestClock());
    let fences = 0;
    const open = (): ReturnType<typeof shareFence> =>
      shareFence({ cache: shared, rows, newPrefix: () => `f${(fences += 1)}:` });
    const [one, two] = [open(), open()];
    await one.setMany([['a', '1']], LONG_MS);
    expect(await two.getMany(['a'])).toEqual(['1']);
    one.doubt();
    await one.setMany([['a', '2']], LONG_MS);
    const time = [
      vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000),
      vi.spyOn(performance, 'now').mockReturnValue(performance.now() + FENCE_READ_EVERY_MS),
    ];
    try {
      expect(await two.getMany(['a'])).toEqual(['2']);
    } finally {
      for (const spy of time) spy.mockRestore();
    }
  });

  it('answers nothing of before once it is doubted', async () => {
    const { clock, one, two } = stage();
    await one.cache.setMany([['a', '1']], LONG_MS);
    one.cache.doubt();
    expect(await one.cache.getMany(['a'])).toEqual([undefined]);
    await clock.advance(FENCE_READ_EVERY_MS);
    expect(await two.cache.getMany(['a'])).toEqual([undefined]);
  });

  it('raises one more fence for a failure that comes while one is being raised', async () => {
    const { one, two, clock } = stage();
    await one.cache.setMany([['a', '1']], LONG_MS);
    one.wire.isAway = true;
    const failed = await Promise.allSettled(['2', '3', '4'].map((value) => one.cache.setMany([['a', value]], LONG_MS)));
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    one.wire.isAway = false;
    await clock.advance(FENCE_READ_EVERY_MS);
    expect(await two.cache.getMany(['a'])).toEqual([undefined]);
    expect(await one.cache.getMany(['a'])).toEqual([undefined]);
  });

  it('answers nothing until the fence is up, when the table is away too', async () => {
    const { one, rows } = stage();
    await one.cache.setMany([['a', '1']], LONG_MS);
    one.wire.isAway = true;
    const write = rows.write.bind(rows);
    rows.write = async () => Promise.reject(new Error('no table'));
    await expect(one.cache.setMany([['a', '2']], LONG_MS)).rejects.toThrow();
    one.wire.isAway = false;
    await expect(one.cache.getMany(['a'])).rejects.toThrow('no table');
    rows.write = write;
    expect(await one.cache.getMany(['a'])).toEqual([undefined]);
  });
});
