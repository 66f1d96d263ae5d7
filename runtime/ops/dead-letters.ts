import type { Command } from 'commander';
import { parseDuration } from '../core/duration.ts';
import type { RedriveFilter } from '../core/redrive.ts';
import { BadInput } from '../host/bad-input.ts';
import { STDERR } from '../host/exits.ts';
import { ProgressLine } from '../host/progress-line.ts';
import type { LetterGroup, RedriveReport, RedriveWatch } from '../host/redrive-command.ts';
import { addPlace, type PlaceFlags } from './where.ts';

/** Fewer are treated before anybody could read a line about it. */
const WORTH_TELLING = 200;

/** Dead letters treated by one command when nobody says, and at most. */
const LIMIT = { usual: 10_000, max: 20_000 } as const;

/** Longest description that is printed, in characters. */
const DESCRIPTION_SHOWN = 160;

/** The flags that choose dead letters. */
export interface LetterFlags extends PlaceFlags {
  readonly all: boolean;
  readonly reason?: string;
  readonly miner?: string;
  readonly olderThan?: string;
  readonly newerThan?: string;
  readonly limit?: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** Adds them. `dry`: what `--dry-run` says. */
export function addLetterFlags(command: Command, dry: string): Command {
  return addPlace(command)
    .argument('[queue]', 'a queue, or topic/Subscriptions/name')
    .option('--all', 'every queue and subscription', false)
    .option('--reason <text>', 'only dead letters with this reason')
    .option('--miner <name>', 'only this data type')
    .option('--older-than <time>', 'only what was sent longer ago, such as 30m or 2h')
    .option('--newer-than <time>', 'only what was sent since')
    .option('--limit <n>', `at most so many (default: ${LIMIT.usual})`)
    .option('--dry-run', dry, false)
    .option('--json', 'one JSON object on stdout', false);
}

/** One queue, or all of them: a person says which. `command`: the one that he has typed. @throws BadInput */
export function checkQueue(command: string, queue: string | undefined, { all }: Pick<LetterFlags, 'all'>): void {
  if ((queue === undefined) === all) return;
  throw new BadInput(
    `${command} needs a queue or --all, one of them. Example: npm run adit -- ${command} --all --dry-run`,
  );
}

/** What the flags choose. @throws BadInput */
export function filterOf({ reason, miner, olderThan, newerThan }: LetterFlags, isForced: boolean): RedriveFilter {
  return {
    isForced,
    ...(reason === undefined ? {} : { reason }),
    ...(miner === undefined ? {} : { minerName: miner }),
    ...(olderThan === undefined ? {} : { olderThanMs: timeOf('--older-than', olderThan) }),
    ...(newerThan === undefined ? {} : { newerThanMs: timeOf('--newer-than', newerThan) }),
  };
}

function timeOf(flag: string, text: string): number {
  const ms = parseDuration(text);
  if (ms !== undefined) return ms;
  throw new BadInput(
    `${flag} must be a time such as 30s, 10m or 2h, got ${JSON.stringify(text)}. Example: ${flag} 30m`,
  );
}

/** At most so many. @throws BadInput */
export function limitOf(text: string | undefined): number {
  if (text === undefined) return LIMIT.usual;
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= LIMIT.max) return limit;
  throw new BadInput(
    `--limit must be a whole number 1..${LIMIT.max}, got ${JSON.stringify(text)}. Example: --limit 100`,
  );
}

/** Runs work that a person follows on a line of stderr, and may stop by a signal. */
export async function followed<T>(what: string, work: (watch: RedriveWatch) => Promise<T>): Promise<T> {
  const progress = new ProgressLine(STDERR, what, WORTH_TELLING);
  const stop = new AbortController();
  const onSignal = (): void => stop.abort(new Error('stopped by a signal'));
  process.once('SIGINT', onSignal);
  process.once('SIGTERM', onSignal);
  try {
    return await work({ onProgress: (done, total) => progress.show(done, total), stop: stop.signal });
  } finally {
    progress.end();
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

/** Sums over all places. */
export interface Totals {
  readonly selected: number;
  readonly sent: number;
  readonly found: number;
}

/** Sums them. */
export function totalsOf(reports: readonly RedriveReport[]): Totals {
  const sum = (one: (report: RedriveReport) => number): number => reports.reduce((all, report) => all + one(report), 0);
  return {
    selected: sum(({ selected }) => selected),
    sent: sum(({ sent }) => sent),
    found: sum(({ groups }) => groups.reduce((all, { count }) => all + count, 0)),
  };
}

/** Places with dead letters, for JSON. */
export function sourcesJson(reports: readonly RedriveReport[]): readonly Readonly<Record<string, unknown>>[] {
  return reports
    .filter(({ groups }) => groups.length > 0)
    .map(({ groups, error, ...rest }) => ({ ...rest, error: error ?? null, groups: groups.map(groupJson) }));
}

function groupJson({ oldestMs, newestMs, ...group }: LetterGroup): Readonly<Record<string, unknown>> {
  return { ...group, oldest: new Date(oldestMs).toISOString(), newest: new Date(newestMs).toISOString() };
}

/** Places with dead letters, for people: a line for each reason and miner. */
export function sourcesText(reports: readonly RedriveReport[]): readonly string[] {
  return reports.filter(({ groups }) => groups.length > 0).flatMap(sourceLines);
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
