import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Lake } from '../../../runtime/ports.ts';

/** One implementation under test. */
export interface LakeUnderTest {
  readonly lake: Lake;
  close(): Promise<void>;
}

/** What every `Lake` does: run on the fake, on files and on Azure blobs. `open` is called once. */
export function describeLake(name: string, open: () => Promise<LakeUnderTest>): void {
  describe(`lake contract: ${name}`, () => {
    let opened: LakeUnderTest;
    let lake: Lake;
    beforeAll(async () => {
      opened = await open();
      lake = opened.lake;
    });
    afterAll(async () => {
      await opened.close();
    });

    objects(() => lake);
    lists(() => lake);
  });
}

function objects(lake: () => Lake): void {
  it('answers undefined for an object that is not there', async () => {
    expect(await lake().read(`${newFolder()}/none.ndjson.gz`)).toBeUndefined();
  });

  const texts: readonly (readonly [name: string, text: string])[] = [
    ['an empty text', ''],
    ['lines with unicode', '{"a":"é😀\u2028"}\r\n{"b":"\u0001\ufeff"}\n'],
    ['a text of 5 MB', `${JSON.stringify({ text: 'wörds '.repeat(200) })}\n`.repeat(4_000)],
  ];
  it.each(texts)('keeps %s as it is', async (_, text) => {
    const name = `${newFolder()}/object.ndjson.gz`;
    await lake().write(name, text);
    expect((await lake().read(name)) === text).toBe(true);
  });

  it('changes nothing when the same name is written again with the same text', async () => {
    const folder = newFolder();
    for (let round = 0; round < 3; round += 1) await lake().write(`${folder}/a.ndjson.gz`, '{"a":1}\n');
    expect(await lake().read(`${folder}/a.ndjson.gz`)).toBe('{"a":1}\n');
    expect(await namesOf(lake().list(folder))).toEqual([`${folder}/a.ndjson.gz`]);
  });

  it('replaces an object whole when the same name is written with another text', async () => {
    const name = `${newFolder()}/a.ndjson.gz`;
    await lake().write(name, 'long line\n'.repeat(1_000));
    await lake().write(name, 'short\n');
    expect(await lake().read(name)).toBe('short\n');
  });

  it('creates an object only where there is none, and leaves the one that is there as it is', async () => {
    const name = `${newFolder()}/a.ndjson.gz`;
    expect(await lake().create(name, '')).toBe(true);
    expect(await lake().create(name, '{"a":1}\n')).toBe(false);
    expect(await lake().read(name)).toBe('');
    const other = `${newFolder()}/b.ndjson.gz`;
    await lake().write(other, '{"b":1}\n');
    expect(await lake().create(other, '{"b":1}\n')).toBe(false);
    await expect(lake().create('../a', '')).rejects.toThrow(RangeError);
  });

  it('lets one of many create an object, and shows its text whole', async () => {
    for (let round = 0; round < 10; round += 1) {
      const name = `${newFolder()}/a.ndjson.gz`;
      const texts = ['1', '2', '3', '4', '5'].map((line) => `${line.repeat(100)}\n`.repeat(200));
      const made = await Promise.all(texts.map((text) => lake().create(name, text)));
      expect(made.filter(Boolean)).toHaveLength(1);
      expect(await lake().read(name)).toBe(texts[made.indexOf(true)]);
    }
  });

  it('shows one whole text to readers while many write the same name', async () => {
    const name = `${newFolder()}/a.ndjson.gz`;
    const texts = ['1', '2', '3', '4'].map((line) => `${line.repeat(100)}\n`.repeat(1_000));
    await Promise.all([
      ...texts.map((text) => lake().write(name, text)),
      ...texts.map(async () => {
        const seen = await lake().read(name);
        expect(seen === undefined || texts.includes(seen)).toBe(true);
      }),
    ]);
    expect(texts).toContain(await lake().read(name));
  });

  it('takes names of every allowed character and of 512 characters', async () => {
    const folder = newFolder();
    const head = `${folder}/miner=posts/dt=2026-01-01/A.b_c-d=e/`;
    const names = [`${head}x`, `${head}${'y'.repeat(120)}/${'z/'.repeat(100)}end`.padEnd(512, '0').slice(0, 512)];
    for (const name of names) await lake().write(name, `${name}\n`);
    for (const name of names) expect(await lake().read(name)).toBe(`${name}\n`);
  });

  it('rejects names that could leave the lake or hide in it', async () => {
    const bad = [
      '',
      '/a',
      'a/',
      'a//b',
      '../a',
      'a/../b',
      'a/..',
      './a',
      '.tmp/a',
      'a/.b',
      'a b',
      'a\\b',
      'ü',
      'a%2e',
      'x'.repeat(513),
    ];
    for (const name of bad) {
      await expect(lake().write(name, ''), name).rejects.toThrow(RangeError);
      await expect(lake().read(name), name).rejects.toThrow(RangeError);
    }
  });
}

function lists(lake: () => Lake): void {
  it('lists names that start with a prefix in byte order, over all folders', async () => {
    const folder = newFolder();
    // A slash sorts after a dash and a dot, and before digits: a folder is not listed where its own name would be.
    const names = ['A', 'a-b', 'a.b', 'a/b', 'a0', 'a=b', 'aa/1/2/3', 'aa/1/20', 'b/c'];
    const stored = names.map((name) => `${folder}/${name}`);
    for (const name of stored.toReversed()) await lake().write(name, '');
    expect(await namesOf(lake().list(`${folder}/`))).toEqual(stored);
    for (const prefix of ['a', 'a/', 'aa/1/2', 'aa/1/20', 'b/c', 'B']) {
      const expected = stored.filter((name) => name.startsWith(`${folder}/${prefix}`));
      expect(await namesOf(lake().list(`${folder}/${prefix}`)), prefix).toEqual(expected);
    }
    expect(await namesOf(lake().list(`${folder}.none/`))).toEqual([]);
  });

  it('lists everything for an empty prefix, and can be left early', async () => {
    const folder = newFolder();
    await lake().write(`${folder}/a`, '');
    await lake().write(`${folder}/b`, '');
    expect(await namesOf(lake().list(''))).toEqual(expect.arrayContaining([`${folder}/a`, `${folder}/b`]));
    for await (const name of lake().list(`${folder}/`)) {
      expect(name).toBe(`${folder}/a`);
      break;
    }
  });
}

function newFolder(): string {
  return `test-${randomUUID()}`;
}

async function namesOf(list: AsyncIterable<string>): Promise<string[]> {
  const names: string[] = [];
  for await (const name of list) names.push(name);
  return names;
}
