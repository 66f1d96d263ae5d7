import type { Command } from 'commander';
import { BadInput } from '../host/bad-input.ts';
import { print, printJson } from '../host/exits.ts';
import { listRuns, steer, type Steered } from '../host/runs-command.ts';
import { placeFlags, shellWord } from '../host/stack-storage.ts';
import type { Whereabouts } from '../host/stack-storage.ts';
import type { Run, RunState } from '../core/run.ts';
import { STEERS, type Steer } from '../core/set-aside.ts';
import { addPlace, type PlaceFlags, placeOf } from './where.ts';

/** States that wait for a person, or for the next firing: what is listed when nobody says which. */
const SET_ASIDE: readonly RunState[] = ['quarantined', 'paused', 'failed'];

interface ListFlags extends PlaceFlags, Partial<Record<RunState | 'all', boolean>> {
  readonly miner?: string;
  readonly user?: string;
  readonly json: boolean;
}

interface SteerFlags extends PlaceFlags {
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** The commands about runs: what is set aside and why, and what a person does about it. */
export function addRuns(program: Command): void {
  const list = addPlace(
    program.command('runs').description('runs that are set aside, with reason, marker and counters'),
  );
  for (const state of SET_ASIDE) list.option(`--${state}`, `only those that are ${state}`, false);
  list
    .option('--all', 'also those that are live or done', false)
    .option('--miner <name>', 'only this data type')
    .option('--user <id>', 'only this user, whatever the state')
    .option('--json', 'NDJSON, one run a line', false)
    .action(printRuns);
  const about: Readonly<Record<Steer, string>> = {
    resume: 'goes on with a run that is set aside, from its marker and with fresh guards',
    skip: 'gives a run up that is set aside: the next firing starts from the head of its list',
  };
  for (const verb of STEERS) {
    addPlace(program.command(`${verb} <user> <miner>`).description(about[verb]))
      .option('--dry-run', 'say what would happen, and change nothing', false)
      .option('--json', 'one JSON object', false)
      .action((userId: string, minerName: string, flags: SteerFlags) => printSteer(verb, { userId, minerName }, flags));
  }
}

async function printRuns(flags: ListFlags): Promise<void> {
  const place = placeOf(flags);
  const named = SET_ASIDE.filter((state) => flags[state] === true);
  if (flags.all === true && named.length > 0)
    throw new BadInput(`--all and --${named[0]} exclude each other. Next: give one`);
  const isAny = flags.all === true || (flags.user !== undefined && named.length === 0);
  const states = isAny ? undefined : named.length > 0 ? named : SET_ASIDE;
  let count = 0;
  for await (const run of listRuns(place, { states, minerName: flags.miner, userId: flags.user })) {
    count += 1;
    if (flags.json) printJson(rowOf(run, place));
    else print(runText(run, place));
  }
  if (count === 0 && !flags.json) print(isAny ? 'There is no such run.\n' : 'No such run is set aside.\n');
}

async function printSteer(
  verb: Steer,
  { userId, minerName }: { readonly userId: string; readonly minerName: string },
  flags: SteerFlags,
): Promise<void> {
  const place = placeOf(flags);
  const isDryRun = flags.dryRun;
  const steered = await steer(place, { steer: verb, userId, minerName, isDryRun });
  const { run, sentTo, notSent } = steered;
  const json = { command: verb, isDryRun, sentTo: sentTo ?? null, notSent: notSent ?? null, ...rowOf(run, place) };
  if (flags.json) printJson(json);
  else print(steeredText(verb, steered, { place, isDryRun }));
}

function rowOf(run: Run, place: Whereabouts): Readonly<Record<string, unknown>> {
  const { userId, minerName, state, code, reason, marker, pages, itemsNew, itemsSeen, itemsRejected } = run;
  return {
    ...{ userId, minerName, state, code: code ?? null, reason: reason ?? null, marker },
    ...{ pages, repeats: repeatsOf(run), itemsNew, itemsSeen, itemsRejected },
    ...{ restarts: run.restarts, revivals: run.revivals, slice: run.slice, runId: run.runId },
    ...{ firstAt: timeText(run.startedAtMs), lastAt: timeText(run.progressAtMs), next: nextOf(run, place) },
  };
}

/** Repeats in a row when the run stopped: of its marker, or of its pages. */
function repeatsOf({ guard, content }: Run): number {
  return Math.max(guard.repeats, content.samePages, content.oldPages);
}

/** Commands that a person may run next. */
function nextOf(run: Run, place: Whereabouts): readonly string[] {
  if (run.state === 'live' || run.state === 'done') return [];
  const verbs = run.state === 'failed' ? STEERS.slice(0, 1) : STEERS;
  const rest = `${shellWord(run.userId)} ${run.minerName}${placeFlags(place)}`;
  return verbs.map((verb) => `npm run adit -- ${verb} ${rest}`);
}

function runText(run: Run, place: Whereabouts): string {
  const { state, code, reason, pages, itemsNew, itemsSeen, itemsRejected, restarts, revivals } = run;
  const counts = [
    `${pages} pages`,
    `${repeatsOf(run)} repeats in a row`,
    `items ${itemsNew} new, ${itemsSeen} seen, ${itemsRejected} rejected`,
    `${restarts} restarts`,
    `${revivals} revivals`,
  ];
  const rows = [
    ...(reason === undefined ? [] : [['reason', reason]]),
    ['marker', markerText(run.marker)],
    ['counted', counts.join(', ')],
    ['time', `${timeText(run.startedAtMs)} to ${timeText(run.progressAtMs)}`],
    ...nextOf(run, place).map((next) => ['next', next]),
  ];
  const head = `${run.userId} ${run.minerName}: ${state}${code === undefined ? '' : ` (${code})`}`;
  return `${head}\n${rows.map(([name = '', text = '']) => `  ${name.padEnd(8)} ${text}\n`).join('')}`;
}

function steeredText(
  verb: Steer,
  { before, run, sentTo, notSent }: Steered,
  { place, isDryRun }: { readonly place: Whereabouts; readonly isDryRun: boolean },
): string {
  const whose = `${run.minerName} of ${run.userId}`;
  const was = `It was ${before.state}${before.reason === undefined ? '' : `: ${before.reason}`}.`;
  const after = `after ${run.pages} pages`;
  const would = isDryRun ? 'would ' : '';
  const unchanged = isDryRun ? 'Nothing was changed.\n' : '';
  if (verb === 'skip') {
    const what = `${whose} ${isDryRun ? 'would be' : 'is'} given up ${after}: what lies behind the marker ${markerText(run.marker)} is not read.`;
    return `${was}\n${what}\nThe next firing ${would}start${isDryRun ? '' : 's'} from the head of the list; what is known is not mined again.\n${unchanged}`;
  }
  const what = `${whose} ${isDryRun ? 'would go' : 'goes'} on from the marker ${markerText(run.marker)} ${after}, with fresh guards.`;
  const flags = placeFlags(place);
  const start = flags === '' ? 'npm start' : `npm start --${flags}`;
  const next = place.stack === undefined ? start : 'nothing: the timers of the stack fire';
  const unsent = `The next firing sends its message. Next: ${next}.`;
  const sent = sentTo === undefined ? unsent : `Its message is in ${sentTo}.`;
  const failed = notSent === undefined ? '' : `Its message could not be sent now (${notSent}). `;
  return `${was}\n${what}\n${isDryRun ? unchanged : `${failed}${sent}\n`}`;
}

/** A marker is whatever an upstream sent: nothing in it may draw on a terminal. */
function markerText(marker: string | null): string {
  return marker === null ? 'none (the head of the list)' : JSON.stringify(marker).replaceAll(/\p{Cc}/gu, '?');
}

function timeText(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
