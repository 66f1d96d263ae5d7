// Kills the whole process tree at random moments until enough kills have hit a page, a send or an ingest; then lets it finish
// and compares the lake with what the upstream served. The seed decides the moments. Run: npm run chaos -- --kills 30 --seed 7
import { appendFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChild } from '../../runtime/host/child.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { type ChaosOptions, readChaosOptions } from './options.ts';
import { RedisUnderFire } from './redis-under-fire.ts';
import { judge } from './verdict.ts';
import { Victim, type VictimEnd } from './victim.ts';

/** Longest life of a victim after its first page, in ms. */
const LIFE_LIMIT_MS = 1500;

/** Victims without a hit in a row before the run is given up. */
const MISSES_LIMIT = 50;

/** Kills in a row that found nothing new to lose before the upstream gets new work. */
const IDLE_LIMIT = 2;

interface Tally {
  kills: number;
  idle: number;
  misses: number;
  finished: number;
  readonly byPhase: { page: number; send: number; ingest: number };
}

async function main(): Promise<number> {
  const options = readChaosOptions(process.argv.slice(2));
  const dir = await mkdtemp(join(tmpdir(), 'adit-chaos-'));
  const usersFile = join(dir, 'users.ndjson');
  const simulator = await startChild('simulator', 'local/upstream/main.ts', {
    port: 0,
    seed: options.seed,
    users: options.users,
    // Each epoch is a lot of work: half of the items change, and new ones come.
    scenario: { name: options.scenario, editShare: 0.5, insertsPerEpoch: 30 },
    usersFile,
  });
  const redis = await RedisUnderFire.start(options.redis);
  try {
    const url = String(simulator.ready['url']);
    const args = ['--upstream', url, '--users-file', usersFile, '--state', join(dir, 'state')];
    const tally = await killUntilEnough(options, url, args, redis);
    const last = await finish(args, redis);
    return await report(options, tally, last, url, join(dir, 'state'));
  } finally {
    await redis.stop();
    await simulator.stop();
    if (!options.keep) await rm(dir, { recursive: true, force: true });
  }
}

async function killUntilEnough(
  options: ChaosOptions,
  url: string,
  args: readonly string[],
  redis: RedisUnderFire,
): Promise<Tally> {
  const random = seededRandom(options.seed);
  const tally: Tally = { kills: 0, idle: 0, misses: 0, finished: 0, byPhase: { page: 0, send: 0, ingest: 0 } };
  while (tally.kills < options.kills) {
    if (tally.misses > MISSES_LIMIT) throw new Error(`${MISSES_LIMIT} kills in a row hit nothing`);
    if (tally.idle >= IDLE_LIMIT) await addWork(tally, await finish(args, redis), url);
    const victim = new Victim(args, redis.variables);
    await victim.begun();
    const lifeMs = random.next() * LIFE_LIMIT_MS;
    const fire = redis.disturb(lifeMs * random.next());
    await Promise.race([sleep(lifeMs), victim.ended()]);
    victim.kill();
    const end = await victim.ended();
    await fire;
    if (end.exitCode === null) count(tally, end);
    else await addWork(tally, end, url);
  }
  return tally;
}

function count(tally: Tally, end: VictimEnd): void {
  const { page, send, ingest } = end.hit;
  if (page + send + ingest === 0) {
    tally.misses += 1;
    return;
  }
  tally.misses = 0;
  tally.idle = send + ingest === 0 ? tally.idle + 1 : 0;
  tally.kills += 1;
  tally.byPhase.page += page > 0 ? 1 : 0;
  tally.byPhase.send += send > 0 ? 1 : 0;
  tally.byPhase.ingest += ingest > 0 ? 1 : 0;
  process.stderr.write(`kill ${tally.kills}: pages ${page}, sends ${send}, ingests ${ingest} under way\n`);
}

/** It finished before it was killed: everything served is in the lake, so the upstream may move on. */
async function addWork(tally: Tally, end: VictimEnd, url: string): Promise<void> {
  if (end.exitCode !== 0) throw new Error(`npm start ended with ${end.exitCode}\n${end.stderr}`);
  tally.finished += 1;
  tally.idle = 0;
  process.stderr.write(`run ${tally.finished} finished; the upstream gets new work\n`);
  await fetch(`${url}/_sim/epoch`, { method: 'POST', body: JSON.stringify({ advance: 1 }) });
}

/** A run that is left alone has to end by itself with every number adding up. */
async function finish(args: readonly string[], redis: RedisUnderFire): Promise<VictimEnd> {
  const end = await new Victim(args, redis.variables).ended();
  if (end.exitCode !== 0)
    throw new Error(`a run that was left alone ended with ${end.exitCode}\n${end.stdout}\n${end.stderr}`);
  return end;
}

async function report(
  options: ChaosOptions,
  tally: Tally,
  last: VictimEnd,
  url: string,
  state: string,
): Promise<number> {
  const verdict = await judge(url, state);
  const stats = (await (await fetch(`${url}/_sim/stats`)).json()) as Readonly<Record<string, unknown>>;
  const result = {
    seed: options.seed,
    users: options.users,
    redis: options.redis,
    kills: tally.kills,
    byPhase: tally.byPhase,
    finishedRuns: tally.finished + 1,
    ...verdict,
    pagesAgain: stats['pagesAgain'],
    itemsAgain: stats['itemsAgain'],
    last: JSON.parse(last.stdout.trim().split('\n').at(-1) ?? '{}') as unknown,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  const isWhole = verdict.lost === 0 && verdict.duplicate === 0 && verdict.invented === 0 && verdict.served > 0;
  process.stderr.write(
    `${isWhole ? 'ok' : 'FAILED'}: ${tally.kills} kills, served ${verdict.served}, lost ${verdict.lost}, duplicate ${verdict.duplicate}. Replay: npm run chaos -- --kills ${options.kills} --seed ${options.seed} --users ${options.users} --redis ${options.redis}\n`,
  );
  return isWhole ? 0 : 1;
}

process.exitCode = await main();
const countsFile = process.env['TEST_COUNTS_FILE'];
// For .ci/run: passed, failed and skipped of this run.
if (countsFile !== undefined) appendFileSync(countsFile, process.exitCode === 0 ? '1 0 0\n' : '0 1 0\n');
