import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ProgramFault } from './program-fault.ts';

const LOCKFILE = 'package-lock.json';

/** A commit in a folder of its own, with the packages of the repository it is from. */
export interface Worktree {
  readonly dir: string;
  /** The commit, in short. */
  readonly commit: string;
  /** Its lockfile is another one, so that its own packages may differ from those that it runs on here. */
  readonly hasOtherPackages: boolean;
}

const run = promisify(execFile);

/** Checks a commit out into a temporary folder, hands it to `use`, and takes the folder away again. */
export async function withWorktree<T>(
  repository: string,
  commit: string,
  use: (worktree: Worktree) => Promise<T>,
): Promise<T> {
  const parent = await mkdtemp(join(tmpdir(), 'adit-against-'));
  const dir = join(parent, 'tree');
  try {
    await git(repository, ['worktree', 'add', '--detach', '--quiet', dir, commit]);
    const modules = join(repository, 'node_modules');
    if (existsSync(modules)) await symlink(modules, join(dir, 'node_modules'));
    const [here, there] = await Promise.all([lockfileOf(repository), lockfileOf(dir)]);
    return await use({ dir, commit: commit.slice(0, 10), hasOtherPackages: here !== there });
  } finally {
    await rm(parent, { recursive: true, force: true });
    // Git forgets a worktree whose folder is gone.
    await git(repository, ['worktree', 'prune']);
  }
}

/**
 * The commit that a git ref names.
 * @throws ProgramFault when there is no such ref, or no repository.
 */
export async function commitOf(repository: string, ref: string): Promise<string> {
  try {
    // The end of options: a ref that begins with a hyphen is none.
    return await git(repository, ['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`]);
  } catch (error) {
    throw new ProgramFault(
      'refused',
      `--against must name a git ref of this repository or a file, got ${JSON.stringify(ref)}. Example: --against main`,
      { cause: error },
    );
  }
}

async function git(repository: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run('git', ['-C', repository, ...args]);
  return stdout.trim();
}

async function lockfileOf(dir: string): Promise<string> {
  return existsSync(join(dir, LOCKFILE)) ? readFile(join(dir, LOCKFILE), 'utf8') : '';
}
