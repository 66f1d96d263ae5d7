import type { Run } from '../../runtime/core/run.ts';
import { equationsOf } from '../../runtime/engine/completeness.ts';
import { EngineProcess, MINING_QUEUE, newWorld, type ProcessOptions, type World } from '../fakes/engine-rig.ts';
import type { HeldMessage } from '../fakes/hand-bus.ts';
import { type Script, ScriptedUpstream } from '../fakes/scripted-upstream.ts';

/** `count` pages with two items each. */
export const pagesOf = (count: number, prefix = 'i'): readonly (readonly unknown[])[] =>
  Array.from({ length: count }, (_, at) => [{ id: `${prefix}${2 * at}` }, { id: `${prefix}${2 * at + 1}` }]);

/** `user/id` of every item of a list, sorted. */
export const idsOf = (userId: string, pages: readonly (readonly unknown[])[]): readonly string[] =>
  pages
    .flat()
    .map((item) => `${userId}/${(item as { id: string }).id}`)
    .toSorted();

/** A process that mines from a script. */
export interface Rig {
  readonly world: World;
  readonly upstream: ScriptedUpstream;
  readonly process: EngineProcess;
  /** Another process over the same world. */
  readonly restart: (options?: Partial<ProcessOptions>) => EngineProcess;
}

/** A process over a fresh world whose upstream answers by `script`. */
export function rig(script: Script, options: Partial<ProcessOptions> = {}, world = newWorld()): Rig {
  const upstream = new ScriptedUpstream(script);
  const restart = (changes: Partial<ProcessOptions> = {}) =>
    new EngineProcess(world, { upstream, ...options, ...changes });
  return { world, upstream, process: restart(), restart };
}

/** Fires for `u1` and mines until nothing is left. */
export async function mineAll({ process }: Rig, ...userIds: readonly string[]): Promise<Run> {
  await process.start(...(userIds.length === 0 ? ['u1'] : userIds));
  await process.drain();
  return (await process.run('u1'))!;
}

/** The oldest marker message that is not settled. */
export const marker = (world: World): HeldMessage => world.bus.in(MINING_QUEUE)[0]!;

/** The equations of completeness that do not hold. */
export async function brokenEquations(process: EngineProcess): Promise<readonly string[]> {
  await process.completeness.audit();
  return equationsOf(process.completeness.counters)
    .filter(({ holds }) => !holds)
    .map(({ text, left, right }) => `${text}: ${left} and ${right}`);
}
