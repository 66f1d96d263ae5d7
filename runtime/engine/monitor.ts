import type { Miner } from '../core/miner.ts';
import { INGESTION_QUEUE, routeOf } from '../core/route.ts';
import type { Depths, Ledger, Log } from '../ports.ts';
import type { Settings } from '../settings.ts';
import type { Brakes } from './brakes.ts';
import type { Completeness } from './completeness.ts';
import { noticeEnds, noticeIngested } from './elsewhere.ts';
import type { MassFaults } from './mass-faults.ts';
import { textOf } from './paced.ts';
import type { Redriver } from './redrive.ts';
import { revive, type ScheduleDeps } from './schedule.ts';

/** What the monitor works with. */
export interface MonitorDeps extends ScheduleDeps {
  readonly depths: Depths;
  readonly log: Log;
  readonly ledger: Ledger;
  readonly completeness: Completeness;
  readonly brakes: Brakes;
  readonly mass: MassFaults;
  readonly redriver: Redriver;
  readonly miners: readonly Miner[];
  readonly settings: Settings;
  /** Messages of a queue in a handler of this process now. */
  readonly inFlight: (queue: string) => number;
}

/** A silent run whose queue is empty and whom nobody holds is sent again after this long, in ms. */
const LOST_MESSAGE_MS = 2000;

/** Looks after runs that have lost their message, envelopes whose deliveries crashed, and users to give back. */
export class Monitor {
  readonly #deps: MonitorDeps;
  readonly #lastMoves = new Map<string, { pages: number; atMs: number }>();
  #watchedAtMs: number;

  constructor(deps: MonitorDeps) {
    this.#deps = deps;
    this.#watchedAtMs = deps.clock.now();
  }

  /**
   * One look of a process that knows every open run of its own: silent ones are sent again. Now and then it watches like one that
   * does not: an earlier process may have left runs of users whom nobody fires any more.
   * @param isShared - others mine the same users, so the ledger is asked for runs and envelopes that ended elsewhere.
   */
  async tick(isShared: boolean): Promise<void> {
    const { miners, progress, runs, completeness, ledger, brakes } = this.#deps;
    if (isShared) await noticeIngested({ completeness, ledger });
    for (const miner of miners) {
      if (progress.openRunsOf(miner.name) === 0 || this.#hasMoved(miner.name)) continue;
      if (isShared) await noticeEnds({ runs, progress }, miner.name);
      if (progress.openRunsOf(miner.name) === 0 || (await this.#isStill(miner))) continue;
      await this.#sendAgain(miner);
    }
    if (brakes.hasUnfinished()) await this.#deps.mass.finish();
    const nowMs = this.#deps.clock.now();
    if (nowMs - this.#watchedAtMs < this.#deps.settings.reviveAfterMs) return;
    this.#watchedAtMs = nowMs;
    await this.watch();
  }

  async #sendAgain(miner: Miner): Promise<void> {
    const { progress, depths, settings, inFlight } = this.#deps;
    const queue = routeOf(miner).miningQueue;
    const depth = await depths.depth(queue);
    // Every open run has its message: nobody is lost, the queue is just long.
    if (depth.active + depth.scheduled >= progress.openRunsOf(miner.name)) return;
    const isIdle = depth.active + depth.scheduled === 0 && inFlight(queue) === 0;
    await this.#revive(miner, isIdle ? LOST_MESSAGE_MS : settings.reviveAfterMs);
  }

  /**
   * One look of a monitor that has not seen the firings: where a mining queue holds nothing at all, whoever is still live has
   * lost its message, and is sent again once it has been silent for `reviveAfterMs`. Retired miners too. Runs revived.
   * Costs one question for a depth per miner, and a scan of the runs of each miner whose queue is empty.
   * @throws the first error, after everything had its look.
   */
  async watch(): Promise<number> {
    const failures: unknown[] = [];
    let revived = 0;
    for (const miner of this.#deps.miners) {
      await this.#look(`the miner ${miner.name}`, failures, async () => (revived += await this.#watchMiner(miner)));
    }
    await this.#look('users to give back', failures, () => this.#deps.mass.finish());
    await this.#look('the dead letters', failures, () => this.#redriveCrashed());
    if (failures.length > 0) throw failures[0];
    return revived;
  }

  async #watchMiner(miner: Miner): Promise<number> {
    if (await this.#isStill(miner)) return 0;
    const depth = await this.#deps.depths.depth(routeOf(miner).miningQueue);
    if (depth.active + depth.scheduled > 0) return 0;
    return this.#revive(miner, this.#deps.settings.reviveAfterMs);
  }

  async #redriveCrashed(): Promise<number> {
    const { deadLetter } = await this.#deps.depths.depth(INGESTION_QUEUE);
    return deadLetter === 0 ? 0 : this.#deps.redriver.redriveCrashed();
  }

  /** Whether runs of a miner stand still because of a brake: they must not count as lost. */
  async #isStill(miner: Miner): Promise<boolean> {
    const { brakes, settings } = this.#deps;
    return (await brakes.on(miner)) !== undefined || brakes.isWaking(miner, settings.brakeLookMs);
  }

  async #look(what: string, failures: unknown[], work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#deps.log.warn(`the monitor could not look after ${what}`, { error: textOf(error) });
      failures.push(error);
    }
  }

  async #revive(miner: Miner, silentForMs: number): Promise<number> {
    const revived = await revive(this.#deps, miner.name, silentForMs);
    if (revived > 0) this.#deps.log.warn('silent runs were sent again', { minerName: miner.name, revived });
    return revived;
  }

  /** Whether a miner has read a page lately: then nobody needs to ask, and pay, for the depth of its queue. */
  #hasMoved(minerName: string): boolean {
    const nowMs = this.#deps.clock.now();
    const pages = this.#deps.progress.miners.get(minerName)?.pages ?? 0;
    const last = this.#lastMoves.get(minerName);
    if (last?.pages !== pages) this.#lastMoves.set(minerName, { pages, atMs: nowMs });
    return last === undefined || last.pages !== pages || nowMs - last.atMs < LOST_MESSAGE_MS;
  }
}
