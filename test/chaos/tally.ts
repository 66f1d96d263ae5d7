import type { Hit } from './victim.ts';

/** What a run of kills has hit so far. */
export interface Tally {
  /** Processes that died with work under way. */
  kills: number;
  /** Kills in a row that found nothing new to lose. */
  idle: number;
  /** Kills in a row that found nothing under way at all. */
  misses: number;
  /** Runs that ended by themselves with everything in the lake. */
  finished: number;
  /** Kills that found at least one of these under way. */
  readonly byPhase: { page: number; send: number; ingest: number };
  /** What was killed: one victim, all of them at once, or the broker. */
  readonly byTarget: { one: number; all: number; broker: number };
  /** Faults of the network, by `peer kind`. */
  readonly cuts: Record<string, number>;
  redisRestarts: number;
  /** Runs that were being mined when something was killed or cut: so many pages may be asked for again, one each. */
  usersInFlight: number;
  /** From the start of a process to its first acknowledged envelope, in ms. */
  readonly firstItemMs: number[];
}

export function newTally(): Tally {
  return {
    ...{ kills: 0, idle: 0, misses: 0, finished: 0, redisRestarts: 0, usersInFlight: 0 },
    byPhase: { page: 0, send: 0, ingest: 0 },
    byTarget: { one: 0, all: 0, broker: 0 },
    cuts: {},
    firstItemMs: [],
  };
}

/** Counts one process that was killed, or a broker that was killed under several, with what was under way. */
export function countKill(tally: Tally, hit: Hit, target: keyof Tally['byTarget']): void {
  const { page, send, ingest } = hit;
  tally.usersInFlight += hit.slice;
  if (page + send + ingest === 0) {
    tally.misses += 1;
    return;
  }
  tally.misses = 0;
  tally.idle = send + ingest === 0 ? tally.idle + 1 : 0;
  tally.kills += 1;
  tally.byTarget[target] += 1;
  tally.byPhase.page += page > 0 ? 1 : 0;
  tally.byPhase.send += send > 0 ? 1 : 0;
  tally.byPhase.ingest += ingest > 0 ? 1 : 0;
  const text = `kill ${tally.kills} (${target}): pages ${page}, sends ${send}, ingests ${ingest} under way`;
  process.stderr.write(`${text}\n`);
}
