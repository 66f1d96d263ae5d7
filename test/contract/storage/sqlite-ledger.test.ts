import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openSqliteLedger } from '../../../runtime/adapters/sqlite-ledger.ts';
import type { RowOutcome, RowWrite } from '../../../runtime/ports.ts';

// Child processes and servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const WRITER = join(import.meta.dirname, 'ledger-writer.ts');

let dir: string;
let file: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'adit-ledger-'));
  file = join(dir, 'ledger.db');
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe('SQLite ledger', () => {
  it('keeps its tables apart, and all of them over a restart', async () => {
    const tables = ['items', 'envelopes', 'runs', 'users', 'control'] as const;
    const ledger = openSqliteLedger({ file });
    await Promise.all(tables.map((table) => ledger[table].write([insert('a', table)])));
    await ledger.close();
    const again = openSqliteLedger({ file });
    const read = await Promise.all(tables.map((table) => again[table].read([{ partition: 'p', row: 'a' }])));
    await again.close();
    expect(read.map(([row]) => row?.value)).toEqual(tables);
  });

  it('never gives an etag again, over a restart either', async () => {
    const etags: string[] = [];
    for (let round = 0; round < 3; round += 1) {
      const ledger = openSqliteLedger({ file });
      const [outcome] = await ledger.items.write([{ ...insert('a', '1'), ifMatch: 'any' }]);
      etags.push(etagOf(outcome));
      await ledger.items.write([{ ...insert('a', '1'), value: null, ifMatch: 'any' }]);
      await ledger.close();
    }
    expect(new Set(etags).size).toBe(3);
  });

  it('shares one commit among the writes of one turn of the event loop', async () => {
    const ledger = openSqliteLedger({ file });
    const before = (await stat(`${file}-wal`)).size;
    await Promise.all(Array.from({ length: 200 }, (_, index) => ledger.items.write([insert(`${index}`, 'x')])));
    const pages = ((await stat(`${file}-wal`)).size - before) / 4_096;
    await ledger.close();
    // Each commit writes every page that it touched: 200 commits would write 400 pages and more.
    expect(pages).toBeLessThan(40);
  });

  it('answers each of the calls that share a commit by its own conditions', async () => {
    const ledger = openSqliteLedger({ file });
    const outcomes = await Promise.all(['1', '2', '3'].map((value) => ledger.items.write([insert('a', value)])));
    const [row] = await ledger.items.read([{ partition: 'p', row: 'a' }]);
    await ledger.close();
    expect(outcomes.flat().map(({ ok }) => ok)).toEqual([true, false, false]);
    expect(row?.value).toBe('1');
  });

  it('commits what still waits when it is closed, and rejects what comes later', async () => {
    const ledger = openSqliteLedger({ file });
    const written = ledger.items.write([insert('a', '1')]);
    await ledger.close();
    await ledger.close();
    expect((await written)[0]?.ok).toBe(true);
    await expect(ledger.items.write([insert('b', '1')])).rejects.toMatchObject({ code: 'LEDGER_CLOSED' });
    await expect(ledger.items.read([{ partition: 'p', row: 'a' }])).rejects.toMatchObject({ code: 'LEDGER_CLOSED' });
    await expect(ledger.items.scan('p')[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      code: 'LEDGER_CLOSED',
    });
  });

  it('rejects a whole group that cannot be committed, writes nothing of it, and works again afterwards', async () => {
    const ledger = openSqliteLedger({ file });
    const other = new DatabaseSync(file);
    other.exec(
      `CREATE TRIGGER no_bad BEFORE INSERT ON items WHEN new.row = 'bad' BEGIN SELECT RAISE(ABORT, 'bad'); END`,
    );
    const group = ['good', 'bad', 'late'].map((row) => ledger.items.write([insert(row, '1')]));
    const ended = await Promise.allSettled(group);
    expect(ended.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
    await expect(group[0]).rejects.toMatchObject({ code: 'LEDGER_FAILED' });
    expect(await ledger.items.read([{ partition: 'p', row: 'good' }])).toEqual([undefined]);
    expect((await ledger.items.write([insert('good', '1')]))[0]?.ok).toBe(true);
    other.close();
    await ledger.close();
  });

  it('is refused a file that is not a ledger', async () => {
    await writeFile(file, 'this is no database '.repeat(100));
    expect(() => openSqliteLedger({ file })).toThrow('not a database');
  });

  it.each([1, 20])('holds every acknowledged call whole after its writer is killed (%i calls)', async (count) => {
    const acknowledged = await writeUntilKilled(count);
    const ledger = openSqliteLedger({ file });
    const rows = new Map<string, number>();
    for await (const { row } of ledger.items.scan('p')) {
      const call = row.split('-')[0] ?? '';
      rows.set(call, (rows.get(call) ?? 0) + 1);
    }
    await ledger.close();
    expect(acknowledged.filter((call) => rows.get(call) !== 50)).toEqual([]);
    expect([...rows.values()].every((found) => found === 50)).toBe(true);
  });
});

async function writeUntilKilled(count: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [WRITER, file], { stdio: ['ignore', 'pipe', 'inherit'] });
  const closed = once(child, 'close');
  const acknowledged: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(line);
    if (acknowledged.length >= count) child.kill('SIGKILL');
  }
  await closed;
  expect(acknowledged.length).toBeGreaterThanOrEqual(count);
  return acknowledged;
}

function insert(row: string, value: string): RowWrite {
  return { partition: 'p', row, value, ifMatch: 'absent' };
}

function etagOf(outcome: RowOutcome | undefined): string {
  if (outcome?.ok !== true) throw new Error('the write was refused');
  return outcome.etag;
}
