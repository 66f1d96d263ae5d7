import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

/** Raise when a newer program writes what an older one cannot read. */
const STATE_VERSION = 1;

/** Only the user reads it: the ledger holds what users' data is about. */
const FOLDER_MODE = 0o700;

const LOCK_FILE = 'lock.db';
const VERSION_FILE = 'version.json';

/** SQLite's result codes (sqlite.org/rescode.html). */
const SQLITE_BUSY = 5;

export type StateFolderCode =
  | 'STATE_NOT_A_FOLDER'
  | 'STATE_NOT_WRITABLE'
  | 'STATE_IN_USE'
  | 'STATE_NEWER'
  | 'STATE_BROKEN';

/** Why a folder cannot hold the state. The message names the folder, the rule and the next command. */
export class StateFolderError extends Error {
  readonly code: StateFolderCode;

  constructor(code: StateFolderCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StateFolderError';
    this.code = code;
  }
}

/** The folder of one running Adit. */
export interface StateFolder {
  /** Absolute. */
  readonly dir: string;
  /** Releases the folder. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens the folder that holds everything Adit keeps on this machine, for this process alone; makes it when it is missing.
 * The lock is the operating system's, so that it ends with the process, however that ends. It does not hold between machines that
 * share a network folder.
 * @throws StateFolderError
 */
export async function openStateFolder(dir: string): Promise<StateFolder> {
  const absolute = resolve(dir);
  await makeFolder(absolute);
  await assertWritable(absolute);
  const lock = takeLock(absolute);
  try {
    await checkVersion(absolute);
  } catch (error) {
    lock.close();
    throw error;
  }
  const close = async (): Promise<void> => {
    if (lock.isOpen) lock.close();
  };
  return { dir: absolute, close };
}

async function makeFolder(dir: string): Promise<void> {
  try {
    await mkdir(dir, { recursive: true, mode: FOLDER_MODE });
  } catch (error) {
    if (codeOf(error) === 'EEXIST' || codeOf(error) === 'ENOTDIR') throw notAFolder(dir, error);
    throw notWritable(dir, error);
  }
  if (!(await stat(dir)).isDirectory()) throw notAFolder(dir);
}

/** By writing: permissions alone do not tell about read-only file systems and full disks. */
async function assertWritable(dir: string): Promise<void> {
  const probe = join(dir, `.probe-${process.pid}`);
  try {
    await writeAndSync(probe, 'x');
  } catch (error) {
    throw notWritable(dir, error);
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
}

function takeLock(dir: string): DatabaseSync {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(dir, LOCK_FILE));
    lock.exec('PRAGMA busy_timeout = 0; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;');
    return lock;
  } catch (error) {
    lock?.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) throw inUse(dir, error);
    throw broken(dir, LOCK_FILE, error);
  }
}

async function checkVersion(dir: string): Promise<void> {
  const file = join(dir, VERSION_FILE);
  const found = await readVersion(dir, file);
  if (found === undefined) await writeVersion(dir, file);
  else if (found > STATE_VERSION) throw newer(dir, found);
}

async function readVersion(dir: string, file: string): Promise<number | undefined> {
  try {
    const { stateVersion } = JSON.parse(await readFile(file, 'utf8')) as { stateVersion?: unknown };
    if (typeof stateVersion === 'number' && Number.isInteger(stateVersion) && stateVersion >= 1) return stateVersion;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw broken(dir, VERSION_FILE, error);
  }
  throw broken(dir, VERSION_FILE);
}

async function writeVersion(dir: string, file: string): Promise<void> {
  const temporary = `${file}.tmp`;
  try {
    await writeAndSync(temporary, `${JSON.stringify({ stateVersion: STATE_VERSION })}\n`);
    await rename(temporary, file);
  } catch (error) {
    throw notWritable(dir, error);
  }
}

async function writeAndSync(file: string, text: string): Promise<void> {
  const handle = await open(file, 'w', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

// ---------------------------------------------------------------- errors

const OTHER_FOLDER = 'use another folder: npm start -- --state DIR';

function notAFolder(dir: string, cause?: unknown): StateFolderError {
  return new StateFolderError('STATE_NOT_A_FOLDER', `${dir} is not a folder; ${OTHER_FOLDER}`, cause);
}

function notWritable(dir: string, cause: unknown): StateFolderError {
  const rule = `${dir} must be a folder that you may write to (${codeOf(cause) ?? 'failed'})`;
  return new StateFolderError('STATE_NOT_WRITABLE', `${rule}; ${OTHER_FOLDER}`, cause);
}

function inUse(dir: string, cause: unknown): StateFolderError {
  const rule = `${dir} is in use by another Adit, and only one may use a folder`;
  return new StateFolderError('STATE_IN_USE', `${rule}; stop the other one with Ctrl-C, or ${OTHER_FOLDER}`, cause);
}

function newer(dir: string, found: number): StateFolderError {
  const rule = `${dir} was written by a newer Adit (state version ${found}, this one reads up to ${STATE_VERSION})`;
  return new StateFolderError('STATE_NEWER', `${rule}; update with git pull and npm ci, or ${OTHER_FOLDER}`);
}

function broken(dir: string, file: string, cause?: unknown): StateFolderError {
  const rule = `${file} in ${dir} is not what Adit wrote there`;
  return new StateFolderError('STATE_BROKEN', `${rule}; restore the folder from a copy, or ${OTHER_FOLDER}`, cause);
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code;
}
