import type { Clock, Log, Random, SharedBudgets } from '../ports.ts';
import type { Settings } from '../settings.ts';
import type { Budgets } from './budgets.ts';
import { FleetBudgets } from './fleet-budgets.ts';
import { LocalBudgets } from './local-budgets.ts';

/** What budgets are opened with. */
export interface OpenBudgetsDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Absent: this process calls on its share of the limits. */
  readonly sharedBudgets?: SharedBudgets;
  readonly log: Log;
}

/** Of all processes where there is something to share them by. A process that nobody has given a seat takes any. */
export function openBudgets({ clock, random, sharedBudgets, log }: OpenBudgetsDeps, settings: Settings): Budgets {
  const seat = Math.floor(random.next() * settings.instances);
  const local = new LocalBudgets({ clock, seat }, settings);
  if (sharedBudgets === undefined) return local;
  const onState = (state: string, upstream: string, reason?: string): void =>
    log.warn('budgets', { state, upstream, reason });
  return new FleetBudgets({ clock, shared: sharedBudgets, local, onState }, settings);
}
