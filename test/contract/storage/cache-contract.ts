import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Cache } from '../../../runtime/ports.ts';

/** One implementation under test. */
export interface CacheUnderTest {
  readonly cache: Cache;
  /** Lets at least `ms` pass for the cache: by moving its clock, or by waiting. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

const LONG_MS = 600_000;

/** What every `Cache` does: run on the fake and on a real Redis. `open` is called once; the suite closes the cache itself. */
export function describeCache(name: string, open: () => Promise<CacheUnderTest>): void {
  describe(`cache contract: ${name}`, () => {
    let opened: CacheUnderTest;
    let cache: Cache;
    beforeAll(async () => {
      opened = await open();
      cache = opened.cache;
    });
    afterAll(async () => {
      await opened.close();
    });

    entries(() => cache);
    lifetimes(() => opened);
  });
}

function entries(cache: () => Cache): void {
  it('answers nothing for no keys and undefined for keys that are not there', async () => {
    expect(await cache().getMany([])).toEqual([]);
    expect(await cache().getMany([newKey(), newKey()])).toEqual([undefined, undefined]);
  });

  it('does nothing for no entries and no keys to delete', async () => {
    await cache().setMany([], LONG_MS);
    await cache().deleteMany([]);
  });

  it('gives what was set, in the order asked, also when asked twice', async () => {
    const [a, b, none] = [newKey(), newKey(), newKey()];
    await cache().setMany(
      [
        [a, '1'],
        [b, '2'],
      ],
      LONG_MS,
    );
    expect(await cache().getMany([b, none, a, b])).toEqual(['2', undefined, '1', '2']);
  });

  it('keeps the last of two values for one key', async () => {
    const key = newKey();
    await cache().setMany(
      [
        [key, '1'],
        [key, '2'],
      ],
      LONG_MS,
    );
    expect(await cache().getMany([key])).toEqual(['2']);
  });

  it('keeps the greater of two values that are equally long, whoever comes last', async () => {
    const key = newKey();
    for (const value of ['2.b', '1.z', '2.a']) await cache().setMany([[key, value]], LONG_MS);
    expect(await cache().getMany([key])).toEqual(['2.b']);
    await cache().setMany([[key, '1']], LONG_MS);
    expect(await cache().getMany([key])).toEqual(['1']);
  });

  it('keeps empty values, unicode, line ends and 1 MB', async () => {
    const values = ['', 'é😀\u2028', '\r\n$3\r\n', '\u0000', 'x'.repeat(1_000_000)];
    const keys = values.map(() => newKey());
    await cache().setMany(
      values.map((value, index) => [keys[index] ?? '', value] as const),
      LONG_MS,
    );
    expect((await cache().getMany(keys)).map((value, index) => value === values[index])).toEqual(
      values.map(() => true),
    );
  });

  it('tells keys apart that differ only in case', async () => {
    const key = newKey();
    await cache().setMany(
      [
        [`${key}a`, 'lower'],
        [`${key}A`, 'upper'],
      ],
      LONG_MS,
    );
    expect(await cache().getMany([`${key}A`, `${key}a`])).toEqual(['upper', 'lower']);
  });

  it('sets and gets 1,000 entries at once', async () => {
    const key = newKey();
    const many = Array.from({ length: 1_000 }, (_, index) => [`${key}:${index}`, `${index}`] as const);
    await cache().setMany(many, LONG_MS);
    expect(await cache().getMany(many.map(([name]) => name))).toEqual(many.map(([, value]) => value));
  });

  it('deletes keys, there or not', async () => {
    const [a, b, c] = [newKey(), newKey(), newKey()];
    await cache().setMany(
      [
        [a, '1'],
        [b, '2'],
      ],
      LONG_MS,
    );
    await cache().deleteMany([a, c]);
    expect(await cache().getMany([a, b, c])).toEqual([undefined, '2', undefined]);
  });
}

function lifetimes(opened: () => CacheUnderTest): void {
  it('forgets an entry after its time, and counts the time from the last set', async () => {
    const { cache, pass } = opened();
    const [short, long, renewed] = [newKey(), newKey(), newKey()];
    await cache.setMany(
      [
        [short, '1'],
        [renewed, '1'],
      ],
      20,
    );
    await cache.setMany(
      [
        [long, '2'],
        [renewed, '2'],
      ],
      LONG_MS,
    );
    await pass(20);
    expect(await cache.getMany([short, long, renewed])).toEqual([undefined, '2', '2']);
  });

  it.each([0, -1, Number.NaN])('rejects a time to live of %d ms', async (ttlMs) => {
    await expect(opened().cache.setMany([[newKey(), '1']], ttlMs)).rejects.toThrow(RangeError);
  });

  it('rejects calls after close, which may be called twice', async () => {
    const { cache } = opened();
    await cache.close();
    await cache.close();
    await expect(cache.getMany([newKey()])).rejects.toThrow();
    await expect(cache.setMany([[newKey(), '1']], LONG_MS)).rejects.toThrow();
    await expect(cache.deleteMany([newKey()])).rejects.toThrow();
  });
}

function newKey(): string {
  return `test:${randomUUID()}`;
}
