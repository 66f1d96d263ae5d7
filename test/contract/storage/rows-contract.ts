import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RowOutcome, Rows, RowWrite, StoredRow } from '../../../runtime/ports.ts';

/** One implementation under test. */
export interface RowsUnderTest {
  readonly rows: Rows;
  close(): Promise<void>;
}

const RETRY_ROUNDS = 200;

/** What every `Rows` does: run on the fake, on SQLite and on Azure Tables. `open` is called once. */
export function describeRows(name: string, open: () => Promise<RowsUnderTest>): void {
  describe(`rows contract: ${name}`, () => {
    let opened: RowsUnderTest;
    let rows: Rows;
    beforeAll(async () => {
      opened = await open();
      rows = opened.rows;
    });
    afterAll(async () => {
      await opened.close();
    });

    conditions(() => rows);
    values(() => rows);
    manyRows(() => rows);
    scans(() => rows);
  });
}

function conditions(rows: () => Rows): void {
  it('answers undefined for rows that are not there and nothing for no keys', async () => {
    const partition = newPartition();
    expect(await rows().read([])).toEqual([]);
    expect(await rows().read([{ partition, row: 'a' }])).toEqual([undefined]);
  });

  it('inserts only when the row is absent', async () => {
    const key = { partition: newPartition(), row: 'a' };
    const first = await writeOne(rows(), { ...key, value: '1', ifMatch: 'absent' });
    expect(first.ok).toBe(true);
    expect(await writeOne(rows(), { ...key, value: '2', ifMatch: 'absent' })).toEqual({ ok: false });
    expect(await readOne(rows(), key)).toEqual({ ...key, value: '1', etag: etagOf(first) });
  });

  it('updates only with the etag of the last write', async () => {
    const key = { partition: newPartition(), row: 'a' };
    const first = etagOf(await writeOne(rows(), { ...key, value: '1', ifMatch: 'absent' }));
    const second = etagOf(await writeOne(rows(), { ...key, value: '2', ifMatch: first }));
    expect(second).not.toBe(first);
    expect(await writeOne(rows(), { ...key, value: '3', ifMatch: first })).toEqual({ ok: false });
    expect(await readOne(rows(), key)).toEqual({ ...key, value: '2', etag: second });
  });

  it('does not create a row by an update', async () => {
    const partition = newPartition();
    const etag = etagOf(await writeOne(rows(), { partition, row: 'other', value: '1', ifMatch: 'absent' }));
    expect(await writeOne(rows(), { partition, row: 'a', value: '1', ifMatch: etag })).toEqual({ ok: false });
    expect(await readOne(rows(), { partition, row: 'a' })).toBeUndefined();
  });

  it('writes over anything or nothing with the condition any', async () => {
    const key = { partition: newPartition(), row: 'a' };
    expect((await writeOne(rows(), { ...key, value: '1', ifMatch: 'any' })).ok).toBe(true);
    const second = await writeOne(rows(), { ...key, value: '2', ifMatch: 'any' });
    expect(await readOne(rows(), key)).toEqual({ ...key, value: '2', etag: etagOf(second) });
  });

  it('deletes only with the right etag, and a deleted row is absent', async () => {
    const key = { partition: newPartition(), row: 'a' };
    const first = etagOf(await writeOne(rows(), { ...key, value: '1', ifMatch: 'absent' }));
    const second = etagOf(await writeOne(rows(), { ...key, value: '2', ifMatch: first }));
    expect(await writeOne(rows(), { ...key, value: null, ifMatch: first })).toEqual({ ok: false });
    expect((await readOne(rows(), key))?.value).toBe('2');
    expect((await writeOne(rows(), { ...key, value: null, ifMatch: second })).ok).toBe(true);
    expect(await readOne(rows(), key)).toBeUndefined();
    expect(await writeOne(rows(), { ...key, value: null, ifMatch: second })).toEqual({ ok: false });
  });

  it('deletes anything or nothing with the condition any', async () => {
    const key = { partition: newPartition(), row: 'a' };
    await writeOne(rows(), { ...key, value: '1', ifMatch: 'absent' });
    expect((await writeOne(rows(), { ...key, value: null, ifMatch: 'any' })).ok).toBe(true);
    expect((await writeOne(rows(), { ...key, value: null, ifMatch: 'any' })).ok).toBe(true);
  });

  it('never matches the etag of a row that was deleted and came back', async () => {
    const key = { partition: newPartition(), row: 'a' };
    const first = etagOf(await writeOne(rows(), { ...key, value: '1', ifMatch: 'absent' }));
    await writeOne(rows(), { ...key, value: null, ifMatch: first });
    await writeOne(rows(), { ...key, value: '1', ifMatch: 'absent' });
    expect(await writeOne(rows(), { ...key, value: '9', ifMatch: first })).toEqual({ ok: false });
  });

  it('lets one of many concurrent updates through', async () => {
    const key = { partition: newPartition(), row: 'a' };
    const etag = etagOf(await writeOne(rows(), { ...key, value: '0', ifMatch: 'absent' }));
    const racers = Array.from({ length: 8 }, (_, index) => `${index}`);
    const outcomes = await Promise.all(racers.map((value) => writeOne(rows(), { ...key, value, ifMatch: etag })));
    expect(outcomes.filter(({ ok }) => ok)).toHaveLength(1);
    expect((await readOne(rows(), key))?.value).toBe(racers[outcomes.findIndex(({ ok }) => ok)]);
  });

  it('counts right when many increment one row by compare-and-set', async () => {
    const key = { partition: newPartition(), row: 'a' };
    await writeOne(rows(), { ...key, value: '0', ifMatch: 'absent' });
    const increment = async (): Promise<void> => {
      for (let round = 0; round < RETRY_ROUNDS; round += 1) {
        const stored = await readOne(rows(), key);
        if (stored === undefined) throw new Error('the row is gone');
        const write = { ...key, value: `${Number(stored.value) + 1}`, ifMatch: stored.etag };
        if ((await writeOne(rows(), write)).ok) return;
      }
      throw new Error('no progress');
    };
    await Promise.all(Array.from({ length: 10 }, increment));
    expect((await readOne(rows(), key))?.value).toBe('10');
  });

  it('rejects a key or value outside the limits and writes none of that call', async () => {
    const partition = newPartition();
    const good: RowWrite = { partition, row: 'good', value: '1', ifMatch: 'absent' };
    for (const row of ['', 'a/b', 'a\\b', 'a#b', 'a?b', "a'b", 'ü', 'x'.repeat(513)]) {
      await expect(rows().write([good, { ...good, row }]), row).rejects.toThrow(RangeError);
    }
    await expect(rows().write([good, { ...good, row: 'b', value: 'x'.repeat(60_001) }])).rejects.toThrow(RangeError);
    await expect(rows().write([good, { ...good, row: 'b', value: null }])).rejects.toThrow(RangeError);
    expect(await readOne(rows(), good)).toBeUndefined();
  });
}

function values(rows: () => Rows): void {
  const samples: readonly (readonly [name: string, value: string])[] = [
    ['an empty value', ''],
    ['a value of 60,000 ASCII bytes', 'x'.repeat(60_000)],
    ['a value of 60,000 bytes of quotes', '"'.repeat(60_000)],
    ['a value of 60,000 bytes in characters of three bytes', '€'.repeat(20_000)],
    ['a value of 60,000 bytes in characters of four bytes', '😀'.repeat(15_000)],
    ['combining marks, controls and line separators', 'e\u0301 \u0001\t\r\n\u2028\u2029 \\ "\' %41 \ufeff'],
    [
      'text that looks like an answer of the service',
      '{"odata.error":{"code":"x"}}\r\nETag: W/"1"\r\n--changesetresponse_1',
    ],
  ];
  it.each(samples)('keeps %s as it is', async (_, value) => {
    const partition = newPartition();
    const outcomes = await rows().write([
      { partition, row: 'a', value, ifMatch: 'absent' },
      { partition, row: 'b', value, ifMatch: 'any' },
    ]);
    expect(outcomes.every(({ ok }) => ok)).toBe(true);
    const [a, b] = await rows().read(['a', 'b'].map((row) => ({ partition, row })));
    expect(a?.value === value && b?.value === value).toBe(true);
  });

  it('replaces a long value by a short one and a short by a long one', async () => {
    const key = { partition: newPartition(), row: 'a' };
    for (const value of ['x'.repeat(60_000), 'short', 'y'.repeat(60_000)]) {
      await writeOne(rows(), { ...key, value, ifMatch: 'any' });
      expect((await readOne(rows(), key))?.value === value).toBe(true);
    }
  });

  it('tells keys apart that differ only in case, and takes every allowed character', async () => {
    const partition = newPartition();
    const names = ['key', 'KEY', 'Key', 'a.b_c:d|e-f', '0', 'x'.repeat(512), 'absent', 'any'];
    const writes = names.map((row) => ({ partition, row, value: `v ${row}`, ifMatch: 'absent' }));
    expect((await rows().write(writes)).every(({ ok }) => ok)).toBe(true);
    const read = await rows().read(names.map((row) => ({ partition, row })));
    expect(read.map((row) => row?.value)).toEqual(names.map((row) => `v ${row}`));
  });
}

function manyRows(rows: () => Rows): void {
  it('writes nothing for no writes', async () => {
    expect(await rows().write([])).toEqual([]);
  });

  it('writes 250 rows across partitions and reads them in the order asked', async () => {
    const base = newPartition();
    const writes = Array.from({ length: 250 }, (_, index) => ({
      partition: `${base}.${index % 3}`,
      row: `row-${index}`,
      value: `${index}`,
      ifMatch: 'absent',
    }));
    const outcomes = await rows().write(writes);
    const read = await rows().read([...writes.toReversed(), { partition: base, row: 'none' }]);
    expect(read.map((row) => row?.value)).toEqual([...writes.map(({ value }) => value).toReversed(), undefined]);
    expect(read.slice(0, 250).map((row) => row?.etag)).toEqual(outcomes.map(etagOf).toReversed());
  });

  it('writes 100 rows of 60,000 bytes in one call', async () => {
    const partition = newPartition();
    const value = '"'.repeat(60_000);
    const writes = Array.from({ length: 100 }, (_, index) => ({
      partition,
      row: `${index}`,
      value,
      ifMatch: 'absent',
    }));
    expect((await rows().write(writes)).filter(({ ok }) => ok)).toHaveLength(100);
  });

  it('takes writes of the same row in one call in their order', async () => {
    const partition = newPartition();
    const at = (row: string, value: string | null, ifMatch: string): RowWrite => ({ partition, row, value, ifMatch });
    const outcomes = await rows().write([
      at('a', '1', 'absent'),
      at('b', '1', 'absent'),
      at('a', '2', 'absent'),
      at('a', '3', 'any'),
      at('b', null, 'any'),
      at('b', '4', 'absent'),
    ]);
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, false, true, true, true]);
    const read = await rows().read(['a', 'b'].map((row) => ({ partition, row })));
    expect(read.map((row) => row?.value)).toEqual(['3', '4']);
  });

  it('lets the rows through whose condition holds when few of the call conflict', async () => {
    const partition = newPartition();
    const taken = ['row-3', 'row-40', 'row-99'];
    await rows().write(taken.map((row) => ({ partition, row, value: 'old', ifMatch: 'absent' })));
    const writes = Array.from({ length: 100 }, (_, index) => insertOf(partition, `row-${index}`));
    const outcomes = await rows().write(writes);
    expect(writes.filter((_, index) => outcomes[index]?.ok === false).map(({ row }) => row)).toEqual(taken);
  });

  it('never says yes to a row whose condition fails, and a caller that reads again always ends', async () => {
    const partition = newPartition();
    const names = Array.from({ length: 120 }, (_, index) => `row-${index}`);
    const taken = new Set(names.filter((_, index) => index % 2 === 0));
    await rows().write([...taken].map((row) => ({ partition, row, value: 'old', ifMatch: 'absent' })));
    let open = names;
    for (let round = 0; open.length > 0; round += 1) {
      expect(round).toBeLessThan(3);
      const outcomes = await rows().write(open.map((row) => insertOf(partition, row)));
      const refused = open.filter((_, index) => outcomes[index]?.ok === false);
      const stored = await rows().read(refused.map((row) => ({ partition, row })));
      open = refused.filter((_, index) => stored[index] === undefined);
    }
    const stored = await rows().read(names.map((row) => ({ partition, row })));
    expect(stored.map((row) => row?.value)).toEqual(names.map((row) => (taken.has(row) ? 'old' : 'new')));
  });

  it('mixes inserts, updates and deletes with right and wrong conditions in one call', async () => {
    const partition = newPartition();
    const seed = ['a', 'b', 'c', 'd'].map((row) => ({ partition, row, value: 'old', ifMatch: 'absent' }));
    const [a = '', b = '', c = '', d = ''] = (await rows().write(seed)).map(etagOf);
    await rows().write(['b', 'd'].map((row) => ({ partition, row, value: 'old', ifMatch: 'any' })));
    const outcomes = await rows().write([
      { partition, row: 'a', value: 'new', ifMatch: a },
      { partition, row: 'b', value: 'new', ifMatch: b },
      { partition, row: 'c', value: null, ifMatch: c },
      { partition, row: 'd', value: null, ifMatch: d },
      { partition, row: 'e', value: 'new', ifMatch: 'absent' },
    ]);
    expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, false, true]);
    const read = await rows().read(['a', 'b', 'c', 'd', 'e'].map((row) => ({ partition, row })));
    expect(read.map((row) => row?.value)).toEqual(['new', 'old', undefined, 'old', 'new']);
  });
}

function scans(rows: () => Rows): void {
  it('scans ranges of one partition in byte order, with limits', async () => {
    const partition = newPartition();
    const names = ['B', 'a', 'a-', 'a.', 'a0', 'a:', 'aa', 'b', 'c'];
    await rows().write(names.map((row) => insertOf(partition, row)));
    await rows().write([insertOf(`${partition}.0`, 'a5'), insertOf(partition.toUpperCase(), 'a6')]);
    expect(await rowsOf(rows().scan(partition))).toEqual(names);
    expect(await rowsOf(rows().scan(partition, { from: 'a', to: 'b' }))).toEqual(['a', 'a-', 'a.', 'a0', 'a:', 'aa']);
    expect(await rowsOf(rows().scan(partition, { from: 'a0' }))).toEqual(['a0', 'a:', 'aa', 'b', 'c']);
    expect(await rowsOf(rows().scan(partition, { to: 'a' }))).toEqual(['B']);
    expect(await rowsOf(rows().scan(partition, { from: 'a', limit: 2 }))).toEqual(['a', 'a-']);
    expect(await rowsOf(rows().scan(partition, { limit: 0 }))).toEqual([]);
    expect(await rowsOf(rows().scan(partition, { from: 'b', to: 'a' }))).toEqual([]);
    expect(await rowsOf(rows().scan(`${partition}.none`))).toEqual([]);
  });

  it('scans more rows than one page holds, whole, with etags that can be used', async () => {
    const partition = newPartition();
    const names = Array.from({ length: 1_203 }, (_, index) => `row-${String(index).padStart(5, '0')}`);
    await rows().write(names.map((row) => insertOf(partition, row)));
    expect(await rowsOf(rows().scan(partition))).toEqual(names);
    expect(await rowsOf(rows().scan(partition, { limit: 1_100 }))).toEqual(names.slice(0, 1_100));
    const [first] = await listOf(rows().scan(partition, { limit: 1 }));
    expect(first?.value).toBe('new');
    expect(
      (await writeOne(rows(), { partition, row: names[0] ?? '', value: '2', ifMatch: first?.etag ?? '' })).ok,
    ).toBe(true);
  });

  it('can be left early and written to while it runs', async () => {
    const partition = newPartition();
    await rows().write(['a', 'b', 'c'].map((row) => insertOf(partition, row)));
    const seen: string[] = [];
    for await (const { row, etag } of rows().scan(partition)) {
      seen.push(row);
      expect((await writeOne(rows(), { partition, row, value: null, ifMatch: etag })).ok).toBe(true);
      if (row === 'b') break;
    }
    expect(seen).toEqual(['a', 'b']);
    expect(await rowsOf(rows().scan(partition))).toEqual(['c']);
  });
}

function newPartition(): string {
  return `p.${randomUUID()}`;
}

function insertOf(partition: string, row: string): RowWrite {
  return { partition, row, value: 'new', ifMatch: 'absent' };
}

async function writeOne(rows: Rows, write: RowWrite): Promise<RowOutcome> {
  const [outcome] = await rows.write([write]);
  if (outcome === undefined) throw new Error('a write must have an outcome');
  return outcome;
}

async function readOne(rows: Rows, key: { partition: string; row: string }): Promise<StoredRow | undefined> {
  const [row] = await rows.read([{ partition: key.partition, row: key.row }]);
  return row;
}

function etagOf(outcome: RowOutcome): string {
  if (!outcome.ok) throw new Error('the write was refused');
  return outcome.etag;
}

async function listOf(scan: AsyncIterable<StoredRow>): Promise<StoredRow[]> {
  const list: StoredRow[] = [];
  for await (const row of scan) list.push(row);
  return list;
}

async function rowsOf(scan: AsyncIterable<StoredRow>): Promise<string[]> {
  return (await listOf(scan)).map(({ row }) => row);
}
