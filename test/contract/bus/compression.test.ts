import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { brotli } from '../../../runtime/adapters/compression.ts';

describe('brotli', () => {
  it.each([
    ['nothing', ''],
    ['unicode', '{"a":"é😀\u2028"}\r\n\ufeff'],
    [
      '1 MB of JSON',
      JSON.stringify(Array.from({ length: 10_000 }, (_, id) => ({ id: `item-${id}`, name: 'a'.repeat(80) }))),
    ],
  ])('gives back %s', async (_, text) => {
    const bytes = await brotli.compress(text);
    expect((await brotli.decompress(bytes, 4_000_000)) === text).toBe(true);
  });

  it('makes JSON a lot smaller', async () => {
    const text = JSON.stringify(Array.from({ length: 2000 }, (_, id) => ({ id, kind: 'transaction', amount: id * 3 })));
    expect((await brotli.compress(text)).length).toBeLessThan(text.length / 4);
  });

  it('stops at the limit of the decoded text', async () => {
    const bytes = await brotli.compress('a'.repeat(1_000_000));
    await expect(brotli.decompress(bytes, 999_999)).rejects.toMatchObject({ code: 'TOO_LARGE' });
    expect(await brotli.decompress(bytes, 1_000_000)).toHaveLength(1_000_000);
  });

  it.each([
    // Not chance: some random bytes are an empty Brotli stream.
    ['bytes that are no Brotli', async () => Buffer.alloc(1000, 0xff)],
    ['a cut end', async () => (await brotli.compress('some text that is long enough')).subarray(0, 10)],
    ['nothing at all', async () => new Uint8Array(0)],
  ])('refuses %s', async (_, bytes) => {
    await expect(brotli.decompress(await bytes(), 10_000)).rejects.toMatchObject({ code: 'UNDECODABLE' });
  });

  it('refuses bytes that decode to something else than UTF-8', async () => {
    const { brotliCompressSync } = await import('node:zlib');
    const bytes = brotliCompressSync(Buffer.from([0xff, 0xfe, 0x80]));
    await expect(brotli.decompress(bytes, 100)).rejects.toMatchObject({ code: 'UNDECODABLE' });
  });

  it('leaves the event loop free', async () => {
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 1);
    const text = randomBytes(2_000_000).toString('base64');
    await brotli.decompress(await brotli.compress(text), 10_000_000);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(1);
  });
});
