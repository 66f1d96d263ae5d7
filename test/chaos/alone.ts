import { seededRandom } from '../fakes/seeded-random.ts';
import type { ChaosOptions } from './options.ts';
import type { RedisUnderFire } from './redis-under-fire.ts';
import { countKill, newTally, type Tally } from './tally.ts';
import { finish, Victim, type VictimEnd } from './victim.ts';
import { advanceEpoch, AWAY_LIMIT_MS, IDLE_LIMIT, LIFE_LIMIT_MS, LIFE_LIMIT_PHASES, MISSES_LIMIT } from './world.ts';

/** Kills the one process tree, broker and all, until enough kills have hit something. */
export async function killAlone(
  options: ChaosOptions,
  url: string,
  args: readonly string[],
  redis: RedisUnderFire,
): Promise<Tally> {
  const random = seededRandom(options.seed);
  const tally = newTally();
  while (tally.kills < options.kills) {
    if (tally.misses > MISSES_LIMIT) throw new Error(`${MISSES_LIMIT} kills in a row hit nothing`);
    if (tally.idle >= IDLE_LIMIT) await addWork(tally, await finish(args, redis.variables), url);
    const victim = new Victim(args, redis.variables);
    await victim.begun();
    const phases = random.next() * LIFE_LIMIT_PHASES;
    const fire = redis.disturb(random.next() * AWAY_LIMIT_MS);
    await victim.lived(phases, LIFE_LIMIT_MS);
    victim.kill();
    const end = await victim.ended();
    if (await fire) tally.redisRestarts += 1;
    if (end.firstItemMs !== undefined) tally.firstItemMs.push(end.firstItemMs);
    if (end.exitCode === null) countKill(tally, end.hit, 'one');
    else await addWork(tally, end, url);
  }
  return tally;
}

/** It finished before it was killed: everything served is in the lake, so the upstream may move on. */
async function addWork(tally: Tally, end: VictimEnd, url: string): Promise<void> {
  if (end.exitCode !== 0) throw new Error(`npm start ended with ${end.exitCode}\n${end.stderr}`);
  tally.finished += 1;
  tally.idle = 0;
  process.stderr.write(`run ${tally.finished} finished; the upstream gets new work\n`);
  await advanceEpoch(url);
}
