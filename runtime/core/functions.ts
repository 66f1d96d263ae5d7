import type { Lane, Miner } from './miner.ts';
import { INGESTION_QUEUE, routeOf } from './route.ts';

/** What one function of the deployed app does, and what starts it. Names have letters and digits only. */
export type FunctionDeclaration =
  | { readonly kind: 'timer'; readonly name: string; readonly schedule: string; readonly task: TimerTask }
  | { readonly kind: 'queue'; readonly name: string; readonly queue: string; readonly task: QueueTask }
  | { readonly kind: 'http'; readonly name: string; readonly route: string; readonly isAnonymous: boolean };

/** `fire`: one marker message per user · `monitor`: a sign of life, and silent runs are sent again. */
export type TimerTask =
  | { readonly kind: 'fire'; readonly minerName: string; readonly lane: Lane }
  | { readonly kind: 'monitor' };

/** `mine`: one slice · `ingest`: one envelope into the lake. */
export type QueueTask =
  | { readonly kind: 'mine'; readonly minerName: string; readonly lane: Lane }
  | { readonly kind: 'ingest' };

/** When the monitor looks: every minute, away from the full minute at which schedules fire. */
export const MONITOR_SCHEDULE = '30 * * * * *';

/** Every function that a list of miners needs. A retired miner is mined to its end and not fired. */
export function functionsOf(miners: readonly Miner[]): readonly FunctionDeclaration[] {
  const functions: FunctionDeclaration[] = [
    { kind: 'http', name: 'health', route: 'health', isAnonymous: false },
    { kind: 'http', name: 'version', route: 'version', isAnonymous: true },
    { kind: 'timer', name: 'monitor', schedule: MONITOR_SCHEDULE, task: { kind: 'monitor' } },
    { kind: 'queue', name: 'ingest', queue: INGESTION_QUEUE, task: { kind: 'ingest' } },
  ];
  for (const miner of miners) {
    const { name: minerName, lane, schedule } = miner;
    const suffix = pascalCase(minerName);
    const queue = routeOf(miner).miningQueue;
    functions.push({ kind: 'queue', name: `mine${suffix}`, queue, task: { kind: 'mine', minerName, lane } });
    if (miner.retired === true) continue;
    functions.push({ kind: 'timer', name: `fire${suffix}`, schedule, task: { kind: 'fire', minerName, lane } });
  }
  return functions;
}

function pascalCase(kebab: string): string {
  return kebab
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
}
