import type { Command } from 'commander';
import { EXIT } from '../host/bad-input.ts';
import type { DiscardReport, DiscardWish } from '../host/discard-command.ts';
import { print, printJson } from '../host/exits.ts';
import { placeFlags, shellWord } from '../host/stack-storage.ts';
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

interface DiscardFlags extends LetterFlags {
  readonly id: readonly string[];
  readonly yes: boolean;
}

/** `adit discard`. Data is given up, so that without `--yes` it only says what it would do. `exit` is told an exit code other than 0. */
export function addDiscard(command: Command, exit: (code: number) => void): void {
  const collect = (id: string, before: readonly string[]): readonly string[] => [...before, id];
  addLetterFlags(command, 'say what would be given up and change nothing, as without --yes')
    .option('--id <id>', 'only this message or envelope; may be repeated', collect, [])
    .option('--yes', 'do it', false)
    .action(async (queue: string | undefined, flags: DiscardFlags) => {
      const wish = wishOf(queue, flags);
      // The client of the bus takes longer to load than any other command to run.
      const { discard } = await import('../host/discard-command.ts');
      const ended = await followed('dead letters are discarded', (watch) => discard(placeOf(flags), wish, watch));
      if (flags.json) printJson(jsonOf(ended, wish));
      else print(textOf(ended, wish, commandOf(queue, flags)));
      if (ended.reports.some(({ error }) => error !== undefined)) exit(EXIT.incomplete);
    });
}

function wishOf(queue: string | undefined, flags: DiscardFlags): DiscardWish {
  checkQueue('discard', queue, flags);
  const isDry = flags.dryRun || !flags.yes;
  return { queue, ids: flags.id, filter: filterOf(flags, true), limit: limitOf(flags.limit), isDry };
}

function jsonOf({ reports, counts }: DiscardReport, wish: DiscardWish): Readonly<Record<string, unknown>> {
  const { selected, sent, found } = totalsOf(reports);
  return { dryRun: wish.isDry, found, selected, discarded: sent, ...counts, sources: sourcesJson(reports) };
}

function textOf({ reports, counts }: DiscardReport, wish: DiscardWish, command: string): string {
  const { selected, sent, found } = totalsOf(reports);
  if (found === 0) return 'There are no dead letters.\n';
  const lines = [...sourcesText(reports)];
  const wanted = Math.min(selected, wish.limit);
  if (wish.isDry) {
    lines.push(
      `${wanted} of ${found} would be given up for good. Nothing was changed.`,
      'Items of an envelope that is not in the lake are mined as new when they are served again; what is not served any more is lost.',
    );
    if (wanted > 0) lines.push(`Next: ${command}`);
    return `${lines.join('\n')}\n`;
  }
  const { released, settled, others } = counts;
  lines.push(
    `${sent} of ${found} were given up: ${released} envelopes to be released, ${settled} that were in the lake or released before, ${others} that are no envelope.`,
  );
  if (released > 0)
    lines.push('Whoever ingests releases them, npm start or the deployed functions; then their items count as new.');
  if (sent < wanted) lines.push('Not all that were meant. Next: the same command goes on.');
  return `${lines.join('\n')}\n`;
}

/** The same command, so that it does it. */
function commandOf(queue: string | undefined, flags: DiscardFlags): string {
  const { state, stack } = placeOf(flags);
  const option = (name: string, value: string | undefined): string =>
    value === undefined ? '' : ` ${name} ${shellWord(value)}`;
  return [
    `npm run adit -- discard ${queue === undefined ? '--all' : shellWord(queue)}`,
    ...flags.id.map((id) => option('--id', id)),
    ...[option('--reason', flags.reason), option('--miner', flags.miner)],
    ...[
      option('--older-than', flags.olderThan),
      option('--newer-than', flags.newerThan),
      option('--limit', flags.limit),
    ],
    `${placeFlags({ state, stack })} --yes`,
  ].join('');
}
