import { randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { type FileHandle, mkdir, link, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { assertObjectName } from '../core/lake-name.ts';
import type { Lake } from '../ports.ts';

const gzipAsync = promisify(gzip);
const gunzipAsync = promisify(gunzip);

const GZIP_LEVEL = 6;

/** Byte of the gzip header that names the operating system, and its value for "unknown": the same text gives the same bytes anywhere. */
const GZIP_OS_OFFSET = 9;
const GZIP_OS_UNKNOWN = 255;

/** Folders known to be on the disk, so that their entries are not synchronised again for each object. */
const KNOWN_FOLDERS_LIMIT = 10_000;

const TEMPORARY_FOLDER = '.tmp';
const TEMPORARY_NAME = /^(\d+)-([0-9a-f-]{36})-\d+$/;

/** Tells this process from an earlier one with the same pid, which is common in containers. */
const PROCESS_ID = randomUUID();

/** Of the whole process, so that two lakes on one folder never meet in one temporary file. */
let temporaryFiles = 0;

/**
 * The lake as a folder of gzip files: `<dir>/<name>`, which zcat and DuckDB read. An object appears whole or not at all,
 * and is on the disk when `write` resolves. Temporary files that a killed process left in `<dir>/.tmp` are removed now.
 * Names that differ only in case are one object where the file system says so (macOS), and a name cannot be the folder of another one.
 * Calls reject with a `RangeError` for a bad name, and `write` with an `Error` with code `DISK_FULL`, which leaves nothing behind.
 * @throws Error when `dir` cannot be made or read.
 */
export function openFileLake(options: { dir: string }): Lake {
  const dir = resolve(options.dir);
  const temporaryDir = join(dir, TEMPORARY_FOLDER);
  mkdirSync(temporaryDir, { recursive: true });
  for (const name of readdirSync(temporaryDir)) {
    if (isLeftOver(name)) rmSync(join(temporaryDir, name), { force: true });
  }
  return new FileLake(dir, temporaryDir);
}

class FileLake implements Lake {
  readonly #dir: string;
  readonly #temporaryDir: string;
  readonly #folders = new Map<string, Promise<void>>();

  constructor(dir: string, temporaryDir: string) {
    this.#dir = dir;
    this.#temporaryDir = temporaryDir;
  }

  async write(name: string, text: string): Promise<void> {
    const file = this.#fileOf(name);
    const bytes = await compressed(text);
    const stored = await readIfThere(file);
    if (stored?.equals(bytes) === true) return;
    await this.#put(file, bytes, rename);
  }

  async create(name: string, text: string): Promise<boolean> {
    const file = this.#fileOf(name);
    if ((await readIfThere(file)) !== undefined) return false;
    try {
      // A link is made only where there is no such name yet.
      await this.#put(file, await compressed(text), link);
      return true;
    } catch (error) {
      if (codeOf(error) === 'EEXIST') return false;
      throw error;
    }
  }

  async read(name: string): Promise<string | undefined> {
    const bytes = await readIfThere(this.#fileOf(name));
    return bytes && (await gunzipAsync(bytes)).toString();
  }

  /** Walks folder by folder: only the names of the folders on the way are in memory. */
  list(prefix: string): AsyncIterable<string> {
    return this.#walk('', prefix);
  }

  async #put(file: string, bytes: Uint8Array, place: (from: string, to: string) => Promise<void>): Promise<void> {
    try {
      await this.#place(file, bytes, place);
    } catch (error) {
      this.#folders.delete(dirname(file));
      throw isDiskFull(error) ? diskFull(this.#dir, error) : error;
    }
  }

  async #place(file: string, bytes: Uint8Array, place: (from: string, to: string) => Promise<void>): Promise<void> {
    const folder = dirname(file);
    await this.#ensureFolder(folder);
    temporaryFiles += 1;
    const temporary = join(this.#temporaryDir, `${process.pid}-${PROCESS_ID}-${temporaryFiles}`);
    try {
      await writeAndSync(temporary, bytes);
      await place(temporary, file);
    } finally {
      // Gone already after a rename.
      await rm(temporary, { force: true });
    }
    await sync(folder);
  }

  async *#walk(folder: string, prefix: string): AsyncGenerator<string> {
    for (const entry of await entriesOf(join(this.#dir, folder))) {
      const name = folder + entry;
      if (!entry.endsWith('/')) {
        if (name.startsWith(prefix)) yield name;
      } else if (name.startsWith(prefix) || prefix.startsWith(name)) {
        yield* this.#walk(name, prefix);
      }
    }
  }

  /** Makes the folder and puts its name, and those of the folders above it, on the disk. Once per folder and process. */
  async #ensureFolder(folder: string): Promise<void> {
    const known = this.#folders.get(folder);
    if (known !== undefined) return known;
    if (this.#folders.size >= KNOWN_FOLDERS_LIMIT) this.#folders.clear();
    const made = this.#makeFolder(folder);
    this.#folders.set(folder, made);
    return made;
  }

  async #makeFolder(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true });
    for (let parent = folder; parent.length >= this.#dir.length; parent = dirname(parent)) await sync(parent);
  }

  #fileOf(name: string): string {
    assertObjectName(name);
    return join(this.#dir, name);
  }
}

async function compressed(text: string): Promise<Buffer> {
  const bytes = await gzipAsync(text, { level: GZIP_LEVEL });
  bytes[GZIP_OS_OFFSET] = GZIP_OS_UNKNOWN;
  return bytes;
}

async function writeAndSync(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, 'wx');
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A rename is on the disk only when its folder is. */
async function sync(folder: string): Promise<void> {
  const handle: FileHandle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Names of a folder in byte order of the whole names, where a folder stands for what starts with its name and a slash. */
async function entriesOf(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const names = entries.filter(({ name }) => !name.startsWith('.'));
    return names.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).toSorted(byBytes);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Names are ASCII, so the order of characters is the order of bytes. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function isLeftOver(name: string): boolean {
  const [, pid, processId] = TEMPORARY_NAME.exec(name) ?? [];
  if (pid === undefined) return false;
  return Number(pid) === process.pid ? processId !== PROCESS_ID : !isAlive(Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

function isDiskFull(error: unknown): boolean {
  const code = codeOf(error);
  return code === 'ENOSPC' || code === 'EDQUOT';
}

function diskFull(dir: string, cause: unknown): Error {
  const message = `the disk of the lake ${dir} is full: free some space, then try again`;
  return Object.assign(new Error(message, { cause }), { code: 'DISK_FULL' });
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}
