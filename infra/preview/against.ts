import { resolve } from 'node:path';
import { hasPack } from './analyzer.ts';
import { monthlyCostOf } from './cost.ts';
import { type Difference, differenceOf } from './difference.ts';
import { ProgramFault } from './program-fault.ts';
import { readSavedPreview } from './saved-preview.ts';
import { previewStack, type StackPreviewOptions } from './stack-preview.ts';
import { jsonOf, type PreviewJson } from './tree.ts';
import { commitOf, withWorktree } from './worktree.ts';

/** What a stack is compared with: found before anything is planned, so that a slip costs no time. */
export type Against =
  | { readonly kind: 'saved'; readonly name: string; readonly preview: PreviewJson }
  | { readonly kind: 'commit'; readonly name: string; readonly commit: string };

/**
 * Finds what a person named: a file that ends in `.json`, or a git ref.
 * @throws ProgramFault when there is none, or the file holds no preview.
 */
export async function findAgainst(dir: string, name: string): Promise<Against> {
  if (name.endsWith('.json')) return { kind: 'saved', name, preview: await readSavedPreview(resolve(dir, name)) };
  return { kind: 'commit', name, commit: await commitOf(dir, name) };
}

/**
 * What a change does to a stack.
 * @throws ProgramFault when the other side cannot be planned.
 */
export async function differenceAgainst(
  against: Against,
  options: StackPreviewOptions,
  after: PreviewJson,
): Promise<Difference> {
  const { name } = against;
  if (against.kind === 'saved') return differenceOf(`\`${name}\``, against.preview, after);
  return withWorktree(options.dir, against.commit, async ({ dir, commit, hasOtherPackages }) => {
    const packages = 'another package-lock.json; it is planned with the packages that are installed here';
    if (hasOtherPackages) options.onNote(`${name} has ${packages}`);
    options.onNote(`now the same for ${name} (${commit})`);
    const before = await plannedThere(name, { ...options, dir });
    return differenceOf(`\`${name}\` (${commit}${hasOtherPackages ? `, which has ${packages}` : ''})`, before, after);
  });
}

async function plannedThere(name: string, options: StackPreviewOptions): Promise<PreviewJson> {
  try {
    const planned = await previewStack(options);
    const json = jsonOf(planned);
    // A ref from before the policies has a bill all the same.
    return hasPack(options.dir) ? json : { ...json, monthlyCost: monthlyCostOf(json.resources, planned.config) };
  } catch (error) {
    if (!(error instanceof ProgramFault)) throw error;
    throw new ProgramFault(error.kind, `${name} cannot be planned: ${error.message}`, { cause: error });
  }
}
