import type { Miner, User } from '../core/miner.ts';
import { decideFiring, decideRevival, type FiringVerdict, type Run, silentUntilMs } from '../core/run.ts';
import type { Clock, Digest } from '../ports.ts';
import { type MarkerSenderDeps, sendMarkers } from './marker-sender.ts';
import type { Progress } from './progress.ts';
import type { Runs, StoredRun } from './runs.ts';

/** What firing and reviving work with. */
export interface ScheduleDeps extends MarkerSenderDeps {
  readonly clock: Clock;
  readonly digest: Digest;
  readonly runs: Runs;
  readonly progress: Progress;
  readonly reviveAfterMs: number;
}

/** What one firing did, in users. */
export interface FiringCount {
  started: number;
  coalesced: number;
  revived: number;
  setAside: number;
}

/** Users handled in one read, one write and one send. */
const FAN_OUT_BATCH = 100;

/** Rounds of read, decide, write for users whose rows were moved by others, or shared a transaction with such a row. */
const FIRING_ROUNDS_LIMIT = 5;

/** Items asked for per page when the miner does not say. */
export const PAGE_LIMIT_DEFAULT = 100;

/**
 * Fan-out: one firing of a miner becomes one marker message per active user. Rows are written before messages are sent, so a
 * crash between the two leaves a live run without a message, which the next firing or monitor tick revives.
 */
export async function fire(
  deps: ScheduleDeps,
  miner: Miner,
  users: AsyncIterable<User> | Iterable<User>,
  signal: AbortSignal,
): Promise<FiringCount> {
  const count: FiringCount = { started: 0, coalesced: 0, revived: 0, setAside: 0 };
  let batch: User[] = [];
  for await (const user of users) {
    if (user.status !== 'active') continue;
    batch.push(user);
    if (batch.length < FAN_OUT_BATCH) continue;
    if (signal.aborted) return count;
    await fireBatch(deps, miner, batch, count);
    batch = [];
  }
  if (batch.length > 0) await fireBatch(deps, miner, batch, count);
  return count;
}

async function fireBatch(deps: ScheduleDeps, miner: Miner, users: readonly User[], count: FiringCount): Promise<void> {
  let open = users;
  for (let round = 0; round < FIRING_ROUNDS_LIMIT && open.length > 0; round += 1) {
    const lost = await fireOnce(deps, miner, open, count);
    open = open.filter((user) => lost.has(user.userId));
  }
}

/** Ids of the users whose write was lost. */
async function fireOnce(
  deps: ScheduleDeps,
  miner: Miner,
  users: readonly User[],
  count: FiringCount,
): Promise<ReadonlySet<string>> {
  const stored = await deps.runs.read(
    miner.name,
    users.map((user) => user.userId),
  );
  const verdicts = users.map((user, index) => ({
    stored: stored[index],
    verdict: decideFiring(stored[index]?.run, {
      runId: deps.random.uuid(),
      userId: user.userId,
      minerName: miner.name,
      pageLimit: miner.pageLimit ?? PAGE_LIMIT_DEFAULT,
      tokenHash: deps.digest.sha256(user.accessToken, 32),
      nowMs: deps.clock.now(),
      reviveAfterMs: deps.reviveAfterMs,
    }),
  }));
  for (const { verdict } of verdicts) {
    if (verdict.kind === 'coalesce') deps.progress.opened(verdict.run, 'joined a run that is still live');
    if (verdict.kind === 'set-aside') deps.progress.leftAside(verdict.run);
    if (verdict.kind === 'coalesce') count.coalesced += 1;
    if (verdict.kind === 'set-aside') count.setAside += 1;
  }
  return carryOut(deps, miner.name, verdicts, count);
}

/** Writes the rows that change and sends the marker messages of those that were won. Ids of the users of the others. */
async function carryOut(
  deps: ScheduleDeps,
  minerName: string,
  verdicts: readonly { readonly stored: StoredRun | undefined; readonly verdict: FiringVerdict }[],
  count: FiringCount,
): Promise<ReadonlySet<string>> {
  const changes = verdicts.filter(({ verdict }) => verdict.kind !== 'coalesce' && verdict.kind !== 'set-aside');
  if (changes.length === 0) return new Set();
  const etags = await deps.runs.write(changes.map(({ verdict, stored }) => ({ run: verdict.run, etag: stored?.etag })));
  const won = changes.filter((_, index) => etags[index] !== undefined).map(({ verdict }) => verdict);
  const lost = changes.filter((_, index) => etags[index] === undefined).map(({ verdict }) => verdict.run.userId);
  const live: Run[] = [];
  for (const verdict of won) {
    if (verdict.kind === 'quarantine') {
      deps.progress.ended(verdict.run);
      count.setAside += 1;
      continue;
    }
    deps.progress.opened(verdict.run, 'queued');
    live.push(verdict.run);
    if (verdict.kind === 'start') count.started += 1;
    else count.revived += 1;
  }
  await sendMarkers(deps, minerName, live);
  return new Set(lost);
}

/** Runs revived in one look of the monitor. */
const REVIVE_BATCH = 100;

/**
 * Sends the marker messages of silent live runs again.
 * @param silentForMs - a run counts as silent when it has not moved, and did not wait, for this long; twice as long after each revival.
 */
export async function revive(deps: ScheduleDeps, minerName: string, silentForMs: number): Promise<number> {
  const nowMs = deps.clock.now();
  const count: FiringCount = { started: 0, coalesced: 0, revived: 0, setAside: 0 };
  let batch: { stored: StoredRun; verdict: FiringVerdict }[] = [];
  for await (const stored of deps.runs.scan(minerName)) {
    const { run } = stored;
    if (run.state !== 'live' || nowMs < silentUntilMs(run, silentForMs)) continue;
    batch.push({ stored, verdict: decideRevival(run, nowMs) });
    if (batch.length < REVIVE_BATCH) continue;
    await carryOut(deps, minerName, batch, count);
    batch = [];
  }
  await carryOut(deps, minerName, batch, count);
  return count.revived;
}
