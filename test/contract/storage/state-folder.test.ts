import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openStateFolder, StateFolderError } from '../../../runtime/local/state-folder.ts';

// Child processes and servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const HOLDER = join(import.meta.dirname, 'state-folder-holder.ts');

describe('state folder', () => {
  let base: string;
  let dir: string;
  beforeEach(async () => {
    base = await mkdtemp(join(tmpdir(), 'adit-state-'));
    dir = join(base, 'deep', 'state');
  });
  afterEach(async () => {
    await rm(base, { recursive: true });
  });

  it('makes the folder for its user alone, with a version and no probe left', async () => {
    const folder = await openStateFolder(dir);
    expect(folder.dir).toBe(dir);
    expect((await stat(dir)).mode & 0o777).toBe(0o700);
    expect(JSON.parse(await readFile(join(dir, 'version.json'), 'utf8'))).toEqual({ stateVersion: 1 });
    await folder.close();
    expect((await readdir(dir)).toSorted()).toEqual(['lock.db', 'version.json']);
  });

  it('opens again after close, which may be called twice', async () => {
    const first = await openStateFolder(dir);
    await first.close();
    await first.close();
    const second = await openStateFolder(dir);
    await first.close();
    await expectCode(openStateFolder(dir), 'STATE_IN_USE');
    await second.close();
  });

  it('is one process alone, and is free when that process was killed', async () => {
    const holder = spawn(process.execPath, [HOLDER, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
    const closed = once(holder, 'close');
    await once(holder.stdout, 'data');
    await expectCode(openStateFolder(dir), 'STATE_IN_USE');
    holder.kill('SIGKILL');
    await closed;
    const folder = await openStateFolder(dir);
    await folder.close();
  });

  it('lets one of many that open at once through', async () => {
    await mkdir(dir, { recursive: true });
    const opened = await Promise.allSettled(Array.from({ length: 5 }, () => openStateFolder(dir)));
    const winners = opened.filter((result) => result.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    for (const { value } of winners) await value.close();
  });

  it('is shared by those who say so, and by nobody else meanwhile', async () => {
    const members = await Promise.all([1, 2, 3].map(() => openStateFolder(dir, { isShared: true })));
    await expectCode(openStateFolder(dir), 'STATE_IN_USE');
    await expect(openStateFolder(dir)).rejects.toThrow('join them by setting ADIT_SERVICE_BUS_CONNECTION_STRING');
    for (const member of members) await member.close();
    const alone = await openStateFolder(dir);
    await expectCode(openStateFolder(dir, { isShared: true }), 'STATE_IN_USE');
    await expect(openStateFolder(dir, { isShared: true })).rejects.toThrow(
      /for itself.*ADIT_SERVICE_BUS_CONNECTION_STRING/,
    );
    await alone.close();
    await (await openStateFolder(dir, { isShared: true })).close();
  });

  it('is shared with other processes, and free for one alone when they were killed', async () => {
    const holder = spawn(process.execPath, [HOLDER, dir, 'shared'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const closed = once(holder, 'close');
    await once(holder.stdout, 'data');
    const member = await openStateFolder(dir, { isShared: true });
    await member.close();
    await expectCode(openStateFolder(dir), 'STATE_IN_USE');
    holder.kill('SIGKILL');
    await closed;
    await (await openStateFolder(dir)).close();
  });

  it('lets one member after the other make what they share', async () => {
    const members = await Promise.all([1, 2, 3].map(() => openStateFolder(dir, { isShared: true })));
    let inside = 0;
    let most = 0;
    const turn = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setTimeout(resolve, 5));
      inside -= 1;
    };
    await Promise.all(members.map((member) => member.exclusively(turn)));
    expect(most).toBe(1);
    for (const member of members) await member.close();
  });

  it('refuses the state of a newer program, and releases the folder', async () => {
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'version.json'), '{"stateVersion":2}');
    await expectCode(openStateFolder(dir), 'STATE_NEWER');
    await writeFile(join(dir, 'version.json'), '{"stateVersion":1}');
    await (await openStateFolder(dir)).close();
  });

  it.each(['', '{', 'null', '{}', '{"stateVersion":"1"}', '{"stateVersion":0}', '{"stateVersion":1.5}'])(
    'refuses a version file with %j in it',
    async (text) => {
      await mkdir(dir, { recursive: true });
      await writeFile(join(dir, 'version.json'), text);
      await expectCode(openStateFolder(dir), 'STATE_BROKEN');
    },
  );

  it('refuses a lock file that is something else', async () => {
    await mkdir(dir, { recursive: true });
    await writeFile(join(dir, 'lock.db'), 'no database '.repeat(100));
    await expectCode(openStateFolder(dir), 'STATE_BROKEN');
  });

  it('refuses a path that is a file or lies below one', async () => {
    await writeFile(join(base, 'file'), '');
    await expectCode(openStateFolder(join(base, 'file')), 'STATE_NOT_A_FOLDER');
    await expectCode(openStateFolder(join(base, 'file', 'state')), 'STATE_NOT_A_FOLDER');
  });

  it('refuses a folder that it may not write to', async () => {
    await mkdir(dir, { recursive: true });
    await chmod(dir, 0o500);
    await asOrdinaryUser([base, join(base, 'deep'), dir], async () => {
      await expectCode(openStateFolder(dir), 'STATE_NOT_WRITABLE');
      await expectCode(openStateFolder(join(dir, 'below')), 'STATE_NOT_WRITABLE');
    });
    await chmod(dir, 0o700);
  });

  it.runIf(process.platform === 'linux')('refuses a folder where nobody may write', async () => {
    await expectCode(openStateFolder('/proc'), 'STATE_NOT_WRITABLE');
  });
});

/** Any user that is not root. */
const ORDINARY_USER = 65_534;

/** Permissions do not stop root: as root, `work` runs as another user, who owns `folders`. */
async function asOrdinaryUser(folders: readonly string[], work: () => Promise<void>): Promise<void> {
  if (process.geteuid?.() !== 0) return work();
  for (const folder of folders) await chown(folder, ORDINARY_USER, ORDINARY_USER);
  process.seteuid?.(ORDINARY_USER);
  try {
    await work();
  } finally {
    process.seteuid?.(0);
  }
}

async function expectCode(opening: Promise<unknown>, code: StateFolderError['code']): Promise<void> {
  const error = await opening.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StateFolderError)) throw new Error(`expected ${code}`, { cause: error });
  expect(error.code).toBe(code);
  expect(error.message).toMatch(/^.*\/.*; .*npm start -- --state DIR$/s);
}
