import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { emptyFolder, REPOSITORY } from './adit.ts';

/** A copy of the product that a test may damage. Removed after the test. */
export async function copyOfProduct(): Promise<string> {
  const root = await emptyFolder();
  await cp(join(REPOSITORY, 'runtime'), join(root, 'runtime'), { recursive: true });
  await cp(join(REPOSITORY, 'package.json'), join(root, 'package.json'));
  await symlink(join(REPOSITORY, 'node_modules'), join(root, 'node_modules'));
  return root;
}

/** Replaces `what`, which must occur exactly once, so that a test never passes because its damage has missed. */
export async function damage(root: string, path: string, what: RegExp, by: string): Promise<void> {
  const file = join(root, path);
  const text = await readFile(file, 'utf8');
  const found = text.match(new RegExp(what.source, 'g'))?.length ?? 0;
  if (found !== 1) throw new Error(`${path}: ${what.source} occurs ${found} times, the damage wants it once`);
  const damaged = text.replace(what, by);
  if (damaged === text) throw new Error(`${path}: ${what.source} was replaced by itself`);
  await writeFile(file, damaged);
}
