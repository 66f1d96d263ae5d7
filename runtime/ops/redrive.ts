import type { Command } from 'commander';
import { parseDuration } from '../core/duration.ts';
import { BadInput, EXIT } from '../host/bad-input.ts';
import { print, printJson, STDERR } from '../host/exits.ts';
import { ProgressLine } from '../host/progress-line.ts';
import type { LetterGroup, RedriveReport, RedriveWish } from '../host/redrive-command.ts';
import { addPlace, type PlaceFlags, placeOf } from './where.ts';

/** Fewer are sent before anybody could read a line about it. */
const WORTH_TELLING = 200;

/** Dead letters sent again by one command when nobody says, and at most. */
const LIMIT = { usual: 10_000, max: 20_000 } as const;

/** Longest description that is printed, in characters. */
const DESCRIPTION_SHOWN = 160;

interface RedriveFlags extends PlaceFlags {
  readonly all: boolean;
  readonly reason?: string;
  readonly miner?: string;
  readonly olderThan?: string;
  readonly newerThan?: string;
  readonly limit?: string;
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** `adit redrive`. `exit` is told an exit code other than 0. */
export function addRedrive(command: Command, exit: (code: number) => void): void {
  addPlace(command)
    .argument('[queue]', 'a queue, or topic/Subscriptions/name')
    .option('--all', 'every queue and subscription', false)
    .option('--reason <text>', 'only dead letters with this reason')
    .option('--miner <name>', 'only this data type')
    .option('--older-than <time>', 'only what was sent longer ago, such as 30m or 2h')
    .option('--newer-than <time>', 'only what was sent since')
    .option('--limit <n>', `at most so many (default: ${LIMIT.usual})`)
    .option('--force', 'also envelope-conflict, which comes back as often as it is sent', false)
    .option('--dry-run', 'say what would be sent again and change nothing', false)
    .option('--json', 'one JSON object on stdout', false)
    .action(async (queue: string | undefined, flags: RedriveFlags) => {
      const wish = wishOf(queue, flags);
      const reports = await run(flags, wish);
      if (flags.json) printJson(jsonOf(reports, wish));
      else print(textOf(reports, wish));
      if (reports.some(({ error }) => error !== undefined)) exit(EXIT.incomplete);
    });
}

async function run(flags: RedriveFlags, wish: RedriveWish): Promise<readonly RedriveReport[]> {
  // The client of the bus takes longer to load than any other command to run.
  const { redrive } = await import('../host/redrive-command.ts');
  const progress = new ProgressLine(STDERR, 'dead letters are sent again', WORTH_TELLING);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new Error('stopped by a signal'));
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    return await redrive(placeOf(flags), wish, {
      onProgress: (sent, total) => progress.show(sent, total),
      stop: stop.signal,
    });
  } finally {
    progress.end();
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

function wishOf(queue: string | undefined, flags: RedriveFlags): RedriveWish {
  if ((queue === undefined) !== flags.all) {
    throw new BadInput('redrive needs a queue or --all, one of them. Example: npm run adit -- redrive --all --dry-run');
  }
  const { reason, miner, olderThan, newerThan, force, dryRun } = flags;
  return {
    queue,
    filter: {
      isForced: force,
      ...(reason === undefined ? {} : { reason }),
      ...(miner === undefined ? {} : { minerName: miner }),
      ...(olderThan === undefined ? {} : { olderThanMs: timeOf('--older-than', olderThan) }),
      ...(newerThan === undefined ? {} : { newerThanMs: timeOf('--newer-than', newerThan) }),
    },
    limit: limitOf(flags.limit),
    isDry: dryRun,
  };
}

function timeOf(flag: string, text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new BadInput(
    `${flag} must be a time such as 30s, 10m or 2h, got ${JSON.stringify(text)}. Example: ${flag} 30m`,
  );
}

function limitOf(text: string | undefined): number {
  if (text === undefined) return LIMIT.usual;
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= LIMIT.max) return limit;
  throw new BadInput(
    `--limit must be a whole number 1..${LIMIT.max}, got ${JSON.stringify(text)}. Example: --limit 100`,
  );
}

interface Totals {
  readonly selected: number;
  readonly sent: number;
  readonly found: number;
}

function totalsOf(reports: readonly RedriveReport[]): Totals {
  const sum = (one: (report: RedriveReport) => number): number => reports.reduce((all, report) => all + one(report), 0);
  return {
    selected: sum(({ selected }) => selected),
    sent: sum(({ sent }) => sent),
    found: sum(({ groups }) => groups.reduce((all, { count }) => all + count, 0)),
  };
}

function jsonOf(reports: readonly RedriveReport[], wish: RedriveWish): Readonly<Record<string, unknown>> {
  const { selected, sent, found } = totalsOf(reports);
  const sources = reports
    .filter(({ groups }) => groups.length > 0)
    .map(({ groups, error, ...rest }) => ({ ...rest, error: error ?? null, groups: groups.map(groupJson) }));
  return { dryRun: wish.isDry, found, selected, sent, sources };
}

function groupJson({ oldestMs, newestMs, ...group }: LetterGroup): Readonly<Record<string, unknown>> {
  return { ...group, oldest: new Date(oldestMs).toISOString(), newest: new Date(newestMs).toISOString() };
}

function textOf(reports: readonly RedriveReport[], wish: RedriveWish): string {
  const { selected, sent, found } = totalsOf(reports);
  if (found === 0) return 'There are no dead letters.\n';
  const lines = reports.filter(({ groups }) => groups.length > 0).flatMap(sourceLines);
  const wanted = Math.min(selected, wish.limit);
  if (wish.isDry) lines.push(`${wanted} of ${found} would be sent again. Nothing was changed.`);
  else lines.push(`${sent} of ${found} were sent again.`);
  if (!wish.isDry && sent < wanted) lines.push('Not all that were meant. Next: the same command goes on.');
  if (reports.some(({ groups }) => groups.some(({ verdict }) => verdict === 'forced-only'))) {
    lines.push('An envelope-conflict comes back as often as it is sent: it is left out without --force.');
  }
  return `${lines.join('\n')}\n`;
}

function sourceLines({ name, groups, error }: RedriveReport): readonly string[] {
  const lines = groups.map(({ reason, minerName, verdict, count, oldestMs, description }) => {
    const mark = verdict === 'selected' ? '' : ' (left)';
    const since = new Date(oldestMs).toISOString();
    return `  ${String(count).padStart(6)}  ${reason}${mark}  ${minerName}  oldest ${since}  ${description.slice(0, DESCRIPTION_SHOWN)}`;
  });
  return [
    `${name}:`,
    ...lines.map((line) => line.trimEnd()),
    ...(error === undefined ? [] : [`  ended early: ${error}`]),
  ];
}
