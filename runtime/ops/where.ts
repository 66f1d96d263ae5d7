import type { Command } from 'commander';
import { BadInput } from '../host/bad-input.ts';
import { readEnvironment } from '../host/config.ts';
import { STATE_FOLDER_DEFAULT } from '../host/options.ts';
import type { Whereabouts } from '../host/stack-storage.ts';

/** The flags that choose a place. */
export interface PlaceFlags {
  readonly state?: string;
  readonly stack?: string;
}

/** Adds the flags that choose a state folder or a deployed stack. */
export function addPlace(command: Command): Command {
  return command
    .option('--state <dir>', `state folder (default: ${STATE_FOLDER_DEFAULT})`)
    .option('--stack <name>', 'this deployed stack instead (default: ADIT_STACK)');
}

/** A flag wins over the variable. @throws BadInput when both flags are there. */
export function placeOf({ state, stack }: PlaceFlags): Whereabouts {
  if (state !== undefined && stack !== undefined) {
    throw new BadInput('--state and --stack name two places. Next: give one of them');
  }
  const environment = readEnvironment();
  const fallback = state === undefined ? environment.stack : undefined;
  return { state: state ?? STATE_FOLDER_DEFAULT, stack: stack ?? fallback, environment };
}
