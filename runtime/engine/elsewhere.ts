import type { Ledger } from '../ports.ts';
import type { Completeness } from './completeness.ts';
import { ownedOf } from './ingest.ts';
import type { Progress } from './progress.ts';
import type { Runs } from './runs.ts';

/** Runs looked up in one read. */
const RUNS_PER_READ = 500;

/** Tells `progress` of the runs of a miner that it follows and that another process has ended. */
export async function noticeEnds(deps: { runs: Runs; progress: Progress }, minerName: string): Promise<void> {
  const open = deps.progress.waiting().filter((run) => run.minerName === minerName);
  for (let at = 0; at < open.length; at += RUNS_PER_READ) {
    const userIds = open.slice(at, at + RUNS_PER_READ).map(({ userId }) => userId);
    const stored = await deps.runs.read(minerName, userIds);
    for (const row of stored) if (row !== undefined && row.run.state !== 'live') deps.progress.ended(row.run);
  }
}

/** Tells `completeness` of the envelopes that are ingested, though this process has not heard of their settlement. */
export function noticeIngested(deps: { completeness: Completeness; ledger: Ledger }): Promise<void> {
  return deps.completeness.settledByLedger((envelopeId) => ownedOf(deps.ledger, envelopeId));
}
