import type { Command } from 'commander';
import { EXIT } from '../host/bad-input.ts';
import { print, printJson } from '../host/exits.ts';
import type { RedriveReport, RedriveWish } from '../host/redrive-command.ts';
import {
  addLetterFlags,
  checkQueue,
  filterOf,
  followed,
  type LetterFlags,
  limitOf,
  sourcesJson,
  sourcesText,
  totalsOf,
} from './dead-letters.ts';
import { placeOf } from './where.ts';

interface RedriveFlags extends LetterFlags {
  readonly force: boolean;
}

/** `adit redrive`. `exit` is told an exit code other than 0. */
export function addRedrive(command: Command, exit: (code: number) => void): void {
  addLetterFlags(command, 'say what would be sent again and change nothing')
    .option('--force', 'also envelope-conflict, which comes back as often as it is sent', false)
    .action(async (queue: string | undefined, flags: RedriveFlags) => {
      const wish = wishOf(queue, flags);
      // The client of the bus takes longer to load than any other command to run.
      const { redrive } = await import('../host/redrive-command.ts');
      const reports = await followed('dead letters are sent again', (watch) => redrive(placeOf(flags), wish, watch));
      if (flags.json) printJson(jsonOf(reports, wish));
      else print(textOf(reports, wish));
      if (reports.some(({ error }) => error !== undefined)) exit(EXIT.incomplete);
    });
}

function wishOf(queue: string | undefined, flags: RedriveFlags): RedriveWish {
  checkQueue('redrive', queue, flags);
  return { queue, filter: filterOf(flags, flags.force), limit: limitOf(flags.limit), isDry: flags.dryRun };
}

function jsonOf(reports: readonly RedriveReport[], wish: RedriveWish): Readonly<Record<string, unknown>> {
  const { selected, sent, found } = totalsOf(reports);
  return { dryRun: wish.isDry, found, selected, sent, sources: sourcesJson(reports) };
}

function textOf(reports: readonly RedriveReport[], wish: RedriveWish): string {
  const { selected, sent, found } = totalsOf(reports);
  if (found === 0) return 'There are no dead letters.\n';
  const lines = [...sourcesText(reports)];
  const wanted = Math.min(selected, wish.limit);
  if (wish.isDry) lines.push(`${wanted} of ${found} would be sent again. Nothing was changed.`);
  else lines.push(`${sent} of ${found} were sent again.`);
  if (!wish.isDry && sent < wanted) lines.push('Not all that were meant. Next: the same command goes on.');
  if (reports.some(({ groups }) => groups.some(({ verdict }) => verdict === 'forced-only'))) {
    lines.push('An envelope-conflict comes back as often as it is sent: it is left out without --force.');
  }
  return `${lines.join('\n')}\n`;
}
