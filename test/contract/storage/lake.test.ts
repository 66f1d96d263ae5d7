import { ContainerClient } from '@azure/storage-blob';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openBlobLake } from '../../../runtime/adapters/blob-lake.ts';
import { openFileLake } from '../../../runtime/adapters/file-lake.ts';
import { startAzurite } from '../../azurite/start.ts';
import { MemoryLake } from '../../fakes/memory-lake.ts';
import { isAzuriteHere } from '../../fakes/servers.ts';
import { describeLake } from './lake-contract.ts';

// Child processes and servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const WRITER = join(import.meta.dirname, 'lake-writer.ts');

describeLake('memory', async () => ({ lake: new MemoryLake(), close: () => Promise.resolve() }));

describeLake('files', async () => {
  const dir = await newDir();
  return { lake: openFileLake({ dir }), close: () => rm(dir, { recursive: true }) };
});

describe.runIf(isAzuriteHere())('Azure', () => {
  describeLake('Azure blobs', async () => {
    const azurite = await startAzurite();
    if (azurite === undefined) throw new Error('Azurite is not installed');
    const container = new ContainerClient(azurite.connectionString, 'lake');
    await container.create();
    return { lake: openBlobLake({ container }), close: () => azurite.stop() };
  });

  it('rejects when the container is missing, which is not "no such object"', async () => {
    const azurite = await startAzurite();
    if (azurite === undefined) throw new Error('Azurite is not installed');
    try {
      const lake = openBlobLake({ container: new ContainerClient(azurite.connectionString, 'none') });
      await expect(lake.read('a')).rejects.toMatchObject({ code: 'ContainerNotFound' });
      await expect(lake.write('a', '')).rejects.toMatchObject({ code: 'ContainerNotFound' });
    } finally {
      await azurite.stop();
    }
  });

  it('writes a blob again only when its text differs', async () => {
    const azurite = await startAzurite();
    if (azurite === undefined) throw new Error('Azurite is not installed');
    try {
      const container = new ContainerClient(azurite.connectionString, 'lake');
      await container.create();
      const lake = openBlobLake({ container });
      const etag = async (): Promise<string | undefined> => (await container.getBlobClient('a').getProperties()).etag;
      await lake.write('a', 'one\n');
      const first = await etag();
      await lake.write('a', 'one\n');
      expect(await etag()).toBe(first);
      await lake.write('a', 'two\n');
      expect(await etag()).not.toBe(first);
      const { contentType, contentEncoding } = await container.getBlobClient('a').getProperties();
      expect({ contentType, contentEncoding }).toEqual({
        contentType: 'application/x-ndjson',
        contentEncoding: undefined,
      });
    } finally {
      await azurite.stop();
    }
  });
});

describe('file lake', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await newDir();
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  it('writes plain gzip files under the names of the objects, with the same bytes for the same text', async () => {
    const lake = openFileLake({ dir });
    await lake.write('dt=1/a.ndjson.gz', '{"a":1}\n');
    await lake.write('dt=1/b.ndjson.gz', '{"a":1}\n');
    const bytes = await readFile(join(dir, 'dt=1/a.ndjson.gz'));
    expect(gunzipSync(bytes).toString()).toBe('{"a":1}\n');
    expect(bytes.equals(await readFile(join(dir, 'dt=1/b.ndjson.gz')))).toBe(true);
  });

  it('leaves the file as it is when the text is the same, and replaces it when not', async () => {
    const lake = openFileLake({ dir });
    const inode = async (): Promise<number> => (await stat(join(dir, 'a'))).ino;
    await lake.write('a', 'one');
    const first = await inode();
    await lake.write('a', 'one');
    expect(await inode()).toBe(first);
    await lake.write('a', 'two');
    expect(await inode()).not.toBe(first);
  });

  it('removes temporary files of dead processes on open, and only those', async () => {
    openFileLake({ dir });
    const dead = `${await deadPid()}-00000000-0000-4000-8000-000000000000-1`;
    const earlier = `${process.pid}-00000000-0000-4000-8000-000000000000-1`;
    const alive = `${process.ppid}-00000000-0000-4000-8000-000000000000-1`;
    for (const name of [dead, earlier, alive, 'not-ours']) await writeFile(join(dir, '.tmp', name), 'half');
    openFileLake({ dir });
    expect((await readdir(join(dir, '.tmp'))).toSorted()).toEqual([alive, 'not-ours'].toSorted());
  });

  it('rejects an object that is the folder of another one and leaves no temporary file', async () => {
    const lake = openFileLake({ dir });
    await lake.write('a/b', '1');
    await expect(lake.write('a', '2')).rejects.toThrow();
    expect(await readdir(join(dir, '.tmp'))).toEqual([]);
    expect(await lake.read('a/b')).toBe('1');
  });

  it.each([1, 6, 15])(
    'holds only whole objects, and all that were acknowledged, after its writer is killed (%i writes)',
    async (count) => {
      const lines = 60_000;
      const acknowledged = await writeUntilKilled(dir, lines, count);
      const lake = openFileLake({ dir });
      const names: string[] = [];
      for await (const name of lake.list('')) {
        names.push(name);
        expect((await lake.read(name)) === `${name}\n`.repeat(lines), name).toBe(true);
      }
      expect(names).toEqual(expect.arrayContaining([...acknowledged]));
      expect(await readdir(join(dir, '.tmp'))).toEqual([]);
    },
  );
});

/** Starts a writer, kills it right after `count` acknowledgements and gives what it acknowledged. */
async function writeUntilKilled(dir: string, lines: number, count: number): Promise<readonly string[]> {
  const child = spawn(process.execPath, [WRITER, dir, String(lines)], { stdio: ['ignore', 'pipe', 'inherit'] });
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

async function deadPid(): Promise<number> {
  const child = spawn('true', { stdio: 'ignore' });
  await once(child, 'close');
  return child.pid ?? 0;
}

function newDir(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'adit-lake-'));
}
