import { MUTANTS } from './mutants.ts';
import { planOf, soakPlanOf } from './plan.ts';
import { simulate, type Outcome } from './simulation.ts';
import { SiteBook, type KillMoment } from './site-book.ts';
import type { PlannedKill } from './wire.ts';

/** One simulation, as it is handed to a worker. */
export interface Job {
  readonly seed: number;
  /** Whether the sites of its calls are looked at. */
  readonly looks: boolean;
  /** Kills at calls, in the order of the calls. Default: none. */
  readonly kills?: readonly PlannedKill[];
  /** A name of `MUTANTS`. */
  readonly mutant?: string | undefined;
  /** Simulated hours of a soak instead of the plan of the seed. */
  readonly hours?: number | undefined;
}

/** A site as one seed has met it. */
export interface MetSite {
  readonly name: string;
  readonly firstCall: number;
  readonly killed: readonly KillMoment[];
}

/** What a worker answers. */
export interface JobResult {
  readonly job: Job;
  readonly outcome: Outcome;
  readonly sites: readonly MetSite[];
}

const book = new SiteBook();

/** Runs one job. A simulation that throws has found something too. */
export async function runJob(job: Job, echo?: (line: string) => void): Promise<JobResult> {
  book.isLooking = job.looks;
  const { seed, kills = [], hours } = job;
  const plan = hours === undefined ? planOf(seed) : soakPlanOf(seed, hours);
  const mutant = job.mutant === undefined ? undefined : MUTANTS[job.mutant];
  const outcome = await simulate({ seed, plan, sites: book, plannedKills: kills, mutant, echo });
  const sites = book.sites().flatMap(({ name, firstCall, calls, killed }): MetSite[] => {
    return calls === 0 ? [] : [{ name, firstCall, killed: [...killed] }];
  });
  return { job, outcome, sites };
}
