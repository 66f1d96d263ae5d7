import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Azurite, startAzurite } from '../azurite/start.ts';
import { isAzuriteHere } from '../fakes/servers.ts';
import { adit, emptyFolder, lastJson } from './adit.ts';
import { exportRows } from './lake-rows.ts';

describe.runIf(isAzuriteHere())('npm start with Azure storage', () => {
  let azurite: Azurite | undefined;

  beforeAll(async () => {
    azurite = await startAzurite();
  });

  afterAll(async () => azurite?.stop());

  it('keeps ledger and lake there: complete, nothing new the second time, exported, and nothing of it on this machine', async () => {
    const connectionString = azurite?.connectionString ?? '';
    const env = { ADIT_STORAGE_CONNECTION_STRING: connectionString };
    const state = join(await emptyFolder(), 'state');
    const args = ['--once', '--json', '--users', '5', '--seed', '4', '--state', state];
    const first = await adit('start', args, { env });
    expect(first.code, first.stderr).toBe(0);
    const counts = lastJson(first);
    expect(counts).toMatchObject({ lost: 0, duplicate: 0, failed: 0, quarantined: 0 });
    expect(counts['lake']).toBeGreaterThan(1000);

    const again = await adit('start', args, { env });
    expect(again.code, again.stderr).toBe(0);
    expect(lastJson(again)).toMatchObject({ new: 0, lake: 0, lost: 0, duplicate: 0, seen: counts['fetched'] });

    const rows = await exportRows(state, env);
    expect(rows).toHaveLength(Number(counts['lake']));
    expect(new Set(rows.map((row) => row.userId)).size).toBe(5);

    const files = await readdir(state, { recursive: true });
    expect(files.filter((file) => /ledger|\.gz$/.test(file))).toEqual([]);
    const key = /AccountKey=([^;]+)/.exec(connectionString)?.[1] ?? '';
    for (const text of [first.stderr, first.stdout, again.stderr]) expect(text).not.toContain(key);
  });

  it('says in one line that the storage cannot be reached, or that the connection string is none', async () => {
    const state = join(await emptyFolder(), 'state');
    const args = ['--once', '--users', '1', '--state', state];
    const away = azurite?.connectionString.replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:1') ?? '';
    for (const [text, says] of [
      [away, /storage[^]*cannot be reached/i],
      ['nonsense', /ADIT_STORAGE_CONNECTION_STRING/],
    ] as const) {
      const ended = await adit('start', args, { env: { ADIT_STORAGE_CONNECTION_STRING: text } });
      expect(ended.stderr).toMatch(says);
      expect(ended.stderr).not.toMatch(/\n +at /);
      expect(ended.code).toBe(2);
    }
  });
});
