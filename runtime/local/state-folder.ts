import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

/** Raise when a newer program writes what an older one cannot read. */
const STATE_VERSION = 1;

/** Only the user reads it: the ledger holds what users' data is about. */
const FOLDER_MODE = 0o700;

const LOCK_FILE = 'lock.db';

/** Held by one member of a shared folder at a time, for as long as its `exclusively` runs. */
const TURN_FILE = 'turn.db';

/** Longest wait for another member's turn to end, in ms, and time between two looks. */
const TURN_LIMIT_MS = 30_000;
const TURN_LOOK_MS = 20;

/** A lone process that finds the folder shared holds members off for a moment while it looks, in ms. */
const SHARED_LOCK_WAIT_MS = 500;
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

/** The folder of one running Adit, or of several that share it. */
export interface StateFolder {
  /** Absolute. */
  readonly dir: string;
  /**
   * Runs `work` while no other process of this folder runs its own: for files that the first one makes and the others read.
   * @throws StateFolderError `STATE_IN_USE` when others take longer than 30 s, and what `work` throws.
   */
  exclusively<T>(work: () => T | Promise<T>): Promise<T>;
  /** Releases the folder. Idempotent. */
  close(): Promise<void>;
}

/** Who else may use the folder meanwhile. */
export interface StateFolderOptions {
  /** True: other processes that say so too, because a broker of their own stands beside them. Default: nobody. */
  readonly isShared?: boolean;
}

/**
 * Opens the folder that holds everything Adit keeps on this machine; makes it when it is missing. The lock is the operating system's, so that it ends with the process, however that ends. It does not hold between machines that
 * share a network folder.
 * @throws StateFolderError
 */
export async function openStateFolder(dir: string, options: StateFolderOptions = {}): Promise<StateFolder> {
  const { isShared = false } = options;
  const absolute = resolve(dir);
  await makeFolder(absolute);
  await assertWritable(absolute);
  const lock = takeLock(absolute, isShared);
  const exclusively = async <T>(work: () => T | Promise<T>): Promise<T> => (isShared ? inTurn(absolute, work) : work());
  try {
    await exclusively(() => checkVersion(absolute));
  } catch (error) {
    lock.close();
    throw error;
  }
  const close = async (): Promise<void> => {
    if (lock.isOpen) lock.close();
  };
  return { dir: absolute, exclusively, close };
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

/** A read transaction of SQLite is a shared lock of the operating system on the file, a write transaction an exclusive one. */
const SHARED_LOCK = 'BEGIN; SELECT count(*) FROM sqlite_schema;';
const LOCK_ALONE = 'PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE;';

function takeLock(dir: string, isShared: boolean): DatabaseSync {
  const patience = `PRAGMA busy_timeout = ${SHARED_LOCK_WAIT_MS};`;
  const lock = tryLock(dir, LOCK_FILE, isShared ? `${patience} ${SHARED_LOCK}` : LOCK_ALONE);
  if (lock !== undefined) return lock;
  if (isShared) throw notShared(dir);
  const beside = tryLock(dir, LOCK_FILE, SHARED_LOCK);
  beside?.close();
  throw beside === undefined ? inUse(dir) : onlyShared(dir);
}

async function inTurn<T>(dir: string, work: () => T | Promise<T>): Promise<T> {
  const untilMs = Date.now() + TURN_LIMIT_MS;
  for (;;) {
    const turn = tryLock(dir, TURN_FILE, LOCK_ALONE);
    if (turn === undefined) {
      if (Date.now() > untilMs) throw inUse(dir);
      await sleep(TURN_LOOK_MS);
      continue;
    }
    try {
      return await work();
    } finally {
      turn.close();
    }
  }
}

/** Undefined: others hold a lock that does not go with this one. */
function tryLock(dir: string, file: string, statements: string): DatabaseSync | undefined {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(dir, file));
    lock.exec(`PRAGMA busy_timeout = 0; ${statements}`);
    return lock;
  } catch (error) {
    lock?.close();
    if (((error as { errcode?: number }).errcode ?? 0) % 256 === SQLITE_BUSY) return undefined;
    throw broken(dir, file, error);
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

function inUse(dir: string): StateFolderError {
  const rule = `${dir} is in use by another Adit, and only one may use a folder`;
  return new StateFolderError('STATE_IN_USE', `${rule}; stop the other one with Ctrl-C, or ${OTHER_FOLDER}`);
}

function notShared(dir: string): StateFolderError {
  const rule = `${dir} is in use by an Adit that has it for itself, with a broker of its own`;
  return new StateFolderError(
    'STATE_IN_USE',
    `${rule}; stop that one with Ctrl-C and start it again with ADIT_SERVICE_BUS_CONNECTION_STRING, as this one, or ${OTHER_FOLDER}`,
  );
}

function onlyShared(dir: string): StateFolderError {
  const rule = `${dir} is shared by processes that use one broker`;
  return new StateFolderError(
    'STATE_IN_USE',
    `${rule}; join them by setting ADIT_SERVICE_BUS_CONNECTION_STRING as they do, stop them all with Ctrl-C, or ${OTHER_FOLDER}`,
  );
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
