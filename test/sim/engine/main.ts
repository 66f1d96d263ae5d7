// Simulates the whole engine, seed by seed: faults, kills, healing, verdict. Then kills a process at every crash site that the
// seeds have found, and explores every interleaving of ingest. Run: npm run sim -- --seeds 2000
import { appendFileSync } from 'node:fs';
import { IngestModel } from '../../engine/ingest-model.ts';
import { INGEST_SCENARIOS } from '../../engine/ingest-scenarios.ts';
import { Crew } from './crew.ts';
import { type Job, type JobResult, runJob } from './job.ts';
import { MUTANTS } from './mutants.ts';
import { readSimOptions, type SimOptions } from './options.ts';
import { SiteRegister } from './site-register.ts';
import { Tally } from './tally.ts';

/** Sites are looked for in so many seeds from the first on, and in every tenth after them. */
const SEEDS_LOOKED_AT = 300;
const LOOK_AT_EVERY = 10;

/** Rounds of killing at sites; a kill may lead to sites that no seed has met before. */
const KILL_ROUNDS = 10;

/** Every so many seeds one is run twice: the same seed and commit must leave the same trace. */
const REPLAY_EVERY = 50;

/** Failed seeds that are printed whole. */
const FAILURES_SHOWN = 5;

/** Bars (anchors, section 3). */
const SITES_BAR = 150;

/** Fewer seeds than this say nothing of what the seeds reach. */
const SEEDS_TELLING = 500;

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function replayOf({ seed, kills = [], mutant, hours }: Job): string {
  const flags = [
    `--seed ${seed}`,
    ...kills.map(({ when, call }) => `--kill ${when}:${call}`),
    ...(mutant === undefined ? [] : [`--mutant ${mutant}`]),
    ...(hours === undefined ? [] : [`--hours ${hours}`]),
  ];
  return `npm run sim -- ${flags.join(' ')} --trace`;
}

function showFailure({ job, outcome }: JobResult): void {
  say(`FAILED: seed ${job.seed}${(job.kills ?? []).map(({ when, call }) => `, killed ${when} call ${call}`).join('')}`);
  for (const wrong of outcome.wrong.slice(0, 10)) say(`  ${wrong}`);
  say('  the last events:');
  for (const line of outcome.lastLines.slice(-25)) say(`    ${line}`);
  say(`  Replay: ${replayOf(job)}`);
}

/** One seed, with everything that it shows. */
async function one(options: SimOptions, seed: number): Promise<boolean> {
  const job: Job = {
    ...{ seed, looks: true, kills: options.kills, mutant: options.mutant },
    hours: options.hours === 0 ? undefined : options.hours,
  };
  const result = await runJob(job, options.trace ? say : undefined);
  const { wrong, lastLines: _, ...figures } = result.outcome;
  say(JSON.stringify({ ...figures, sites: result.sites.length }));
  if (wrong.length > 0) showFailure(result);
  return wrong.length === 0;
}

/** Whether the checkers find a deliberate bug, and after how many seeds. */
async function hunt(name: string, { from, seeds }: SimOptions): Promise<boolean> {
  const mutant = MUTANTS[name]!;
  for (let seed = from; seed < from + seeds; seed += 1) {
    const { outcome } = await runJob({ seed, looks: false, mutant: name });
    const found = outcome.wrong.find((wrong) => mutant.found.test(wrong));
    if (found === undefined) continue;
    say(`mutant ${name}: found in seed ${seed}: ${found}`);
    return true;
  }
  say(`mutant ${name}: NOT FOUND in seeds ${from}..${from + seeds - 1}`);
  return false;
}

async function sweep(options: SimOptions, crew: Crew, register: SiteRegister, tally: Tally): Promise<void> {
  const jobs: Job[] = [];
  for (let at = 0; at < options.seeds; at += 1) {
    const seed = options.from + at;
    const looks = at < SEEDS_LOOKED_AT || at % LOOK_AT_EVERY === 0;
    jobs.push({ seed, looks });
    if (at % REPLAY_EVERY === 0) jobs.push({ seed, looks });
  }
  await crew.run(jobs, (result) => take(result, register, tally));
  for (let round = 0; round < KILL_ROUNDS; round += 1) {
    const kills = register.plan();
    if (kills.length === 0) break;
    await crew.run(kills, (result) => take(result, register, tally));
  }
}

function take(result: JobResult, register: SiteRegister, tally: Tally): void {
  register.note(result);
  tally.add(result);
  if (result.outcome.wrong.length > 0 && tally.failed <= FAILURES_SHOWN) showFailure(result);
  if (process.stdout.isTTY) process.stderr.write(`\r${tally.runs} simulations, ${tally.failed} failed `);
}

/** Every interleaving of ingest, by the model that the tests hold to the code. */
function exploreIngest(): { readonly states: number; readonly wrong: readonly string[] } {
  let states = 0;
  const wrong: string[] = [];
  for (const [name, scenario] of INGEST_SCENARIOS) {
    const result = new IngestModel(scenario).run();
    states += result.states;
    if (result.violation !== undefined) wrong.push(`${name}: ${result.violation}`);
  }
  return { states, wrong };
}

async function all(options: SimOptions): Promise<boolean> {
  const register = new SiteRegister();
  const tally = new Tally();
  const crew = new Crew(options.workers);
  const startedAt = performance.now();
  try {
    await sweep(options, crew, register, tally);
  } finally {
    await crew.close();
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const ingest = exploreIngest();
  for (const wrong of ingest.wrong) say(`FAILED: ingest, every interleaving: ${wrong}`);
  const spared = register.spared();
  for (const name of spared) say(`FAILED: nobody has died at ${name}`);
  if (process.stdout.isTTY) process.stderr.write('\r');
  const figures = {
    ...tally.figures(seconds),
    sites: register.found,
    sitesKilled: register.killed(),
    seedsLookedAt: register.seedsLookedAt,
    ingestStates: ingest.states,
    ingestSeconds: Math.round((performance.now() - startedAt) / 1000 - seconds),
  };
  if (options.json) say(JSON.stringify(figures));
  else for (const line of tally.lines(options, seconds)) say(line);
  say(
    `sites: ${register.found} found in ${register.seedsLookedAt} simulations, ${register.killed()} killed before and after their effect` +
      (register.found < SITES_BAR && options.seeds >= SEEDS_TELLING ? `; fewer than ${SITES_BAR}` : ''),
  );
  say(
    `ingest: every interleaving of ${INGEST_SCENARIOS.length} scenarios, ${ingest.states} states, ${ingest.wrong.length} wrong`,
  );
  const isVacuous = options.seeds >= SEEDS_TELLING && !tally.hasSeenBudgets;
  if (isVacuous)
    say('FAILED: too few fleets were judged to the letter, or no shared breaker opened, or no window was full');
  return !isVacuous && tally.failed === 0 && tally.unequal === 0 && ingest.wrong.length === 0 && spared.length === 0;
}

async function main(): Promise<boolean> {
  const options = readSimOptions(process.argv.slice(2));
  if (options.seed !== undefined) return one(options, options.seed);
  if (options.mutant !== undefined) return hunt(options.mutant, options);
  if (options.hours > 0) return one(options, options.from);
  return all(options);
}

let isFine = false;
try {
  isFine = await main();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
}
process.exitCode = isFine ? 0 : 1;
const countsFile = process.env['TEST_COUNTS_FILE'];
// For .ci/run: passed, failed and skipped of this run.
if (countsFile !== undefined) appendFileSync(countsFile, isFine ? '1 0 0\n' : '0 1 0\n');
