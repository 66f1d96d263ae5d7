import type { Run } from '../core/run.ts';

/** Why a run of this firing is not over yet. */
export interface Waiting {
  readonly userId: string;
  readonly minerName: string;
  readonly reason: string;
}

/** What one miner has done since this process started. Users who are not done are waiting or being mined. */
export interface MinerProgress {
  users: number;
  usersDone: number;
  pages: number;
  itemsNew: number;
}

/** Follows the runs of this process for people and for `--once`. Holds one entry per live run. */
export class Progress {
  readonly miners: ReadonlyMap<string, MinerProgress>;
  readonly #open = new Map<string, Waiting>();
  readonly #setAside = new Map<string, { userId: string; minerName: string; state: string; reason: string }>();
  #firstItemAtMs = 0;
  #followsRuns = true;

  constructor(minerNames: readonly string[]) {
    this.miners = new Map(minerNames.map((name) => [name, { users: 0, usersDone: 0, pages: 0, itemsNew: 0 }]));
  }

  /** From now on runs are not followed, because they may end in another process: pages and items are counted still. */
  countOnly(): void {
    this.#followsRuns = false;
  }

  /** A run that this process knows to be live. */
  opened(run: Run, reason: string): void {
    if (!this.#followsRuns) return;
    const key = keyOf(run);
    if (!this.#open.has(key)) this.#miner(run.minerName).users += 1;
    this.#open.set(key, {
      userId: run.userId,
      minerName: run.minerName,
      reason,
    });
  }

  page(minerName: string, itemsNew: number, nowMs: number): void {
    const miner = this.#miner(minerName);
    miner.pages += 1;
    miner.itemsNew += itemsNew;
    if (this.#firstItemAtMs === 0 && itemsNew > 0) this.#firstItemAtMs = nowMs;
  }

  /** A run that is over or set aside. */
  ended(run: Run): void {
    if (!this.#followsRuns) return;
    const miner = this.#miner(run.minerName);
    if (this.#open.delete(keyOf(run))) miner.usersDone += 1;
    this.#setAside.delete(keyOf(run));
    if (run.state === 'done' || run.state === 'live') return;
    const { userId, minerName, state } = run;
    this.#setAside.set(keyOf(run), { userId, minerName, state, reason: run.reason ?? state });
  }

  /** A run that was ended and is given back. */
  reopened(run: Run, reason: string): void {
    if (!this.#followsRuns) return;
    const key = keyOf(run);
    // It was counted when it was opened first.
    if (this.#setAside.delete(key) && !this.#open.has(key)) {
      this.#miner(run.minerName).users -= 1;
      this.#miner(run.minerName).usersDone -= 1;
    }
    this.opened(run, reason);
  }

  /** A user who was set aside before this firing and stays so. */
  leftAside(run: Run): void {
    if (!this.#followsRuns) return;
    this.#miner(run.minerName).users += 1;
    this.#miner(run.minerName).usersDone += 1;
    this.ended(run);
  }

  /** Counts of users set aside, by state. */
  setAside(): { quarantined: number; paused: number; failed: number } {
    const counts = { quarantined: 0, paused: 0, failed: 0 };
    for (const { state } of this.#setAside.values()) counts[state as keyof typeof counts] += 1;
    return counts;
  }

  setAsideList(): readonly { userId: string; minerName: string; state: string; reason: string }[] {
    return [...this.#setAside.values()];
  }

  waiting(): readonly Waiting[] {
    return [...this.#open.values()];
  }

  /** Runs that are neither over nor set aside. */
  openRuns(): number {
    return this.#open.size;
  }

  /** Those of them of one miner. */
  openRunsOf(minerName: string): number {
    const { users, usersDone } = this.#miner(minerName);
    return users - usersDone;
  }

  /** Epoch in ms of the first delivered new item, 0 before it. */
  firstItemAtMs(): number {
    return this.#firstItemAtMs;
  }

  #miner(name: string): MinerProgress {
    const miner = this.miners.get(name);
    if (miner === undefined) throw new Error(`miner ${name} is not in the catalog of this process`);
    return miner;
  }
}

function keyOf(run: Run): string {
  return `${run.minerName}\n${run.userId}`;
}
