// Kills process trees at random moments until enough kills have hit a page, a send or an ingest; then lets one finish and compares
// the lake with what the upstream served. With --processes several of them fight for the same users, over a network that is cut,
// and a broker and a Redis that are killed too. The seed decides what is done. Run: npm run chaos -- --kills 30 --seed 7
import { appendFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from '../../runtime/host/child.ts';
import { deadLetters, foughtOver } from './aftermath.ts';
import { killAlone } from './alone.ts';
import { BrokerUnderFire } from './broker-under-fire.ts';
import { Fight } from './fight.ts';
import { type ChaosOptions, readChaosOptions, replayText } from './options.ts';
import { percentile } from './percentile.ts';
import { RedisUnderFire } from './redis-under-fire.ts';
import type { Tally } from './tally.ts';
import { judge } from './verdict.ts';
import { finish, killVictims, type VictimEnd } from './victim.ts';

/** What is left after the last run. */
interface Outcome {
  readonly tally: Tally;
  readonly last: VictimEnd;
  readonly deadLetters: Readonly<Record<string, number>>;
}

async function main(): Promise<number> {
  const startedAtMs = performance.now();
  const options = readChaosOptions(process.argv.slice(2));
  const dir = await mkdtemp(join(tmpdir(), 'adit-chaos-'));
  const state = join(dir, 'state');
  const usersFile = join(dir, 'users.ndjson');
  let isWhole = false;
  const simulator = await startChild('simulator', 'local/upstream/main.ts', {
    port: 0,
    seed: options.seed,
    users: options.users,
    // Each epoch is a lot of work: half of the items change, and new ones come.
    scenario: { name: options.scenario, editShare: 0.5, insertsPerEpoch: 30 },
    usersFile,
  });
  try {
    const url = String(simulator.ready['url']);
    const args = ['--users-file', usersFile, '--state', state];
    const outcome = await (options.processes === 1 ? alone : together)(options, url, args, state);
    isWhole = await report(options, outcome, { url, state, startedAtMs });
  } finally {
    await killVictims();
    await simulator.stop();
    if (options.keep || !isWhole) process.stderr.write(`kept: ${dir} (log: ${join(state, 'adit.log')})\n`);
    else await rm(dir, { recursive: true, force: true });
    if (!isWhole) process.stderr.write(`Replay: ${replayText(options)}\n`);
  }
  return isWhole ? 0 : 1;
}

async function alone(options: ChaosOptions, url: string, args: readonly string[], state: string): Promise<Outcome> {
  const redis = await RedisUnderFire.start(options.redis);
  const all = ['--upstream', url, ...args];
  try {
    const tally = await killAlone(options, url, all, redis);
    const last = await finish(all, redis.variables);
    // The broker has ended with the last run; its journal has not.
    const broker = await BrokerUnderFire.start(state);
    try {
      return { tally, last, deadLetters: await deadLetters(broker.connectionString()) };
    } finally {
      await broker.stop();
    }
  } finally {
    await redis.stop();
  }
}

async function together(options: ChaosOptions, url: string, args: readonly string[], state: string): Promise<Outcome> {
  const redis = await RedisUnderFire.start(options.redis, true);
  const broker = await BrokerUnderFire.start(state);
  try {
    const fight = new Fight({ options, upstreamUrl: url, broker, redis, args });
    await fight.run();
    const last = await fight.finish();
    return { tally: fight.tally, last, deadLetters: await deadLetters(broker.connectionString()) };
  } finally {
    await killVictims();
    await broker.stop();
    await redis.stop();
  }
}

async function report(
  options: ChaosOptions,
  { tally, last, deadLetters: dead }: Outcome,
  { url, state, startedAtMs }: { url: string; state: string; startedAtMs: number },
): Promise<boolean> {
  const verdict = await judge(url, state);
  const stats = (await (await fetch(`${url}/_sim/stats`)).json()) as { pagesAgain: number; itemsAgain: number };
  const { pagesAgain, itemsAgain } = stats;
  const { seed, users, processes, redis } = options;
  const { firstItemMs, finished, idle: _idle, misses: _misses, ...counted } = tally;
  const [p50, p95] = [percentile(firstItemMs, 0.5), percentile(firstItemMs, 0.95)];
  const result = {
    ...{ seed, users, processes, redis, ...counted, finishedRuns: finished + 1, ...verdict },
    ...{ pagesAgain, itemsAgain, pagesAgainPerKill: round(pagesAgain / Math.max(1, tally.kills)) },
    ...{ pagesAgainPerUserInFlight: round(pagesAgain / Math.max(1, tally.usersInFlight)) },
    firstItemMs: { samples: firstItemMs.length, p50, p95, max: percentile(firstItemMs, 1) },
    ...foughtOver(state),
    deadLetters: dead,
    durationSeconds: Math.round((performance.now() - startedAtMs) / 1000),
    last: JSON.parse(last.stdout.trim().split('\n').at(-1) ?? '{}') as unknown,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  const isExact = verdict.lost === 0 && verdict.duplicate === 0 && verdict.invented === 0 && verdict.served > 0;
  const isThrifty = pagesAgain <= tally.usersInFlight;
  const isWhole = isExact && isThrifty && Object.keys(dead).length === 0;
  process.stderr.write(
    `${isWhole ? 'ok' : 'FAILED'}: ${tally.kills} kills of ${processes} processes, served ${verdict.served}, lost ${verdict.lost}, duplicate ${verdict.duplicate}, invented ${verdict.invented}; ` +
      `restart to first new item p50 ${p50} ms, p95 ${p95} ms; ${result.pagesAgainPerUserInFlight} pages again per user in flight. ${replayText(options)}\n`,
  );
  return isWhole;
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

process.exitCode = await main();
const countsFile = process.env['TEST_COUNTS_FILE'];
// For .ci/run: passed, failed and skipped of this run.
if (countsFile !== undefined) appendFileSync(countsFile, process.exitCode === 0 ? '1 0 0\n' : '0 1 0\n');
