import type { BudgetCounts } from './budget-witness.ts';
import { judge, judgeSetAside } from './judge.ts';
import type { Mutant } from './mutants.ts';
import { type Plan, planOf } from './plan.ts';
import { WORLD_START_MS } from './scheduler.ts';
import { SimProcess } from './sim-process.ts';
import { SiteBook } from './site-book.ts';
import { Trace } from './trace.ts';
import type { PlannedKill } from './wire.ts';
import { World } from './world.ts';

export interface SimulationOptions {
  readonly seed: number;
  /** Default: the plan of the seed. */
  readonly plan?: Plan;
  /** Sites of earlier seeds; they are met again. */
  readonly sites?: SiteBook;
  readonly plannedKills?: readonly PlannedKill[];
  readonly mutant?: Mutant | undefined;
  readonly echo?: ((line: string) => void) | undefined;
}

/** What one seed has shown. */
export interface Outcome {
  readonly seed: number;
  readonly wrong: readonly string[];
  readonly traceHash: string;
  readonly lastLines: readonly string[];
  readonly simulatedMs: number;
  readonly steps: number;
  readonly calls: number;
  readonly kills: number;
  readonly upstreamCalls: number;
  readonly budgets: BudgetCounts;
  readonly rows: number;
  /** From the healing to the last run's end. */
  readonly healMs: number;
  readonly runRowMaxBytes: number;
  readonly waitingMax: number;
  /** Messages of one run that waited at once. */
  readonly perRunMax: number;
  readonly deadLetters: Readonly<Record<string, number>>;
}

/** A dead process is started again within this, in ms. */
const RESTART_MS = 60_000;
/** How often the world is looked at for being quiet, in ms. */
const LOOK_MS = 1000;
/** A healed world is quiet within this, in ms, or somebody starves: lost locks, silent runs and their doubled patience, waits. */
export const LIVENESS_LIMIT_MS = 6 * 3_600_000;
/** More steps than this is somebody who runs for ever; a seed takes 3,000 to 30,000. */
const STEPS_LIMIT = 150_000;
/** And so many more for every hour of trouble. */
const STEPS_PER_HOUR = 200_000;
/** Firings of a healed world, in which a planned kill may be. */
const FIRINGS_LIMIT = 4;
/** Memory tiers of other processes believe for a minute. */
const TIERS_SETTLE_MS = 70_000;

/** One seed: trouble, healing, one more firing, and the verdict. */
export async function simulate(options: SimulationOptions): Promise<Outcome> {
  return new Simulation(options).run();
}

class Simulation {
  readonly #plan: Plan;
  readonly #trace: Trace;
  readonly #world: World;
  readonly #slots: { process: SimProcess | undefined; lives: number }[];
  #kills = 0;
  #waitingMax = 0;
  #isOver = false;

  constructor({
    seed,
    plan = planOf(seed),
    sites = new SiteBook(),
    plannedKills = [],
    mutant,
    echo,
  }: SimulationOptions) {
    sites.reset();
    this.#plan = plan;
    this.#trace = new Trace(echo);
    this.#world = new World({ plan, sites, trace: this.#trace, plannedKills, mutant });
    this.#slots = Array.from({ length: plan.processes }, () => ({ process: undefined, lives: 0 }));
  }

  async run(): Promise<Outcome> {
    const { scheduler, witness } = this.#world;
    let healMs = 0;
    const story = async (): Promise<void> => {
      await this.#world.importUsers('first');
      this.#begin();
      await this.#sleep(this.#plan.troubleMs);
      this.#heal();
      const healedAtMs = scheduler.now();
      await this.#untilQuiet('after the healing');
      healMs = scheduler.now() - healedAtMs;
      judgeSetAside(this.#world, await this.#world.runs());
      await this.#world.importUsers('fresh');
      await this.#sleep(TIERS_SETTLE_MS);
      await this.#untilQuiet('before the last firing');
      await this.#world.resumeAll();
      await this.#fireForAll();
    };
    let failure: unknown;
    void story()
      .catch((error: unknown) => (failure = error))
      .finally(() => (this.#isOver = true));
    await scheduler.run(() => this.#isOver || scheduler.steps > this.#stepsLimit());
    if (failure !== undefined) throw failure;
    if (!this.#isOver) witness.violate(`liveness: somebody runs away: no end after ${scheduler.steps} steps`);
    const wrong = await judge(
      this.#world,
      this.#slots.flatMap(({ process }) => process ?? []),
    );
    return {
      seed: this.#plan.seed,
      wrong,
      traceHash: this.#trace.digest(),
      lastLines: this.#trace.last(),
      simulatedMs: scheduler.now() - WORLD_START_MS,
      steps: scheduler.steps,
      calls: this.#world.wire.calls,
      kills: this.#kills,
      upstreamCalls: witness.upstreamCalls,
      budgets: this.#world.budgets.counts(),
      rows: this.#world.lake.objects.size,
      healMs,
      runRowMaxBytes: witness.runRowMaxBytes,
      waitingMax: this.#waitingMax,
      perRunMax: witness.perRunMax,
      deadLetters: Object.fromEntries(witness.deadLetters),
    };
  }

  /** Once more for everybody; when somebody dies meanwhile, the next timer fires again. */
  async #fireForAll(): Promise<void> {
    for (let firing = 0; firing < FIRINGS_LIMIT; firing += 1) {
      const kills = this.#kills;
      for (const { process } of this.#slots) process?.fire();
      await this.#untilQuiet('after the last firing');
      await this.#sleep(this.#plan.settings.monitorEveryMs * 2);
      await this.#drainHome();
      if (this.#kills === kills) return;
    }
  }

  /** A home process hears of the last settlements, unless it is killed on the way. */
  async #drainHome(): Promise<void> {
    const process = this.#slots[0]?.process;
    if (this.#plan.place !== 'home' || process === undefined) return;
    const drain = { isOver: false };
    void process.drain().finally(() => (drain.isOver = true));
    while (!drain.isOver && !process.isGone) await this.#sleep(LOOK_MS);
  }

  #stepsLimit(): number {
    return STEPS_LIMIT + (STEPS_PER_HOUR * this.#plan.troubleMs) / 3_600_000;
  }

  #begin(): void {
    const { scheduler, dice, wire } = this.#world;
    const plan = this.#plan;
    for (const slot of this.#slots.keys()) this.#startProcess(slot);
    const at = (atMs: number, run: () => void): void => void scheduler.after(atMs, run);
    if (plan.place === 'home') this.#fireAgainAndAgain();
    else for (let firing = 0; firing < plan.firings; firing += 1) at(dice.upTo(plan.troubleMs), () => this.#fire());
    for (const atMs of plan.rushes) at(atMs, () => this.#fire());
    for (const { service, atMs, forMs } of plan.outages) at(atMs, () => wire.cut(service, forMs));
    for (const { slot, service, atMs, forMs } of plan.cuts) at(atMs, () => wire.cut(service, forMs, slot));
    for (const { slot, atMs } of plan.kills) at(atMs, () => this.#slots[slot]?.process?.kill('at a moment of chance'));
    for (const { slot, atMs } of plan.deployments) at(atMs, () => this.#slots[slot]?.process?.stop());
    for (const atMs of plan.brokerRestarts) at(atMs, () => this.#restartBroker());
    for (const atMs of plan.redisFlushes) at(atMs, () => this.#world.flushRedis());
    for (const { slot, atMs, byMs } of plan.clockJumps) {
      at(atMs, () => {
        const process = this.#slots[slot]?.process;
        if (process !== undefined) process.skewMs += byMs;
      });
    }
    this.#deliverAgain();
  }

  /** Consumers that could not be reached take up what waits for them. */
  #deliverAgain(): void {
    for (const queue of this.#world.broker.queues()) if (queue.deadLetters !== undefined) queue.deliver();
    this.#waitingMax = Math.max(this.#waitingMax, this.#world.waiting());
    this.#world.countRuns();
    this.#world.scheduler.after(1000, () => this.#deliverAgain());
  }

  /** A home fires by itself, also what an earlier life has left behind. */
  #fireAgainAndAgain(): void {
    if (this.#world.wire.isHealed) return;
    this.#fire();
    this.#world.scheduler.after(this.#plan.settings.fireEveryMs, () => this.#fireAgainAndAgain());
  }

  #startProcess(slot: number): void {
    const held = this.#slots[slot]!;
    held.lives += 1;
    held.process = new SimProcess(this.#world, slot, held.lives, () => {
      this.#kills += 1;
      held.process = undefined;
      this.#world.scheduler.after(this.#world.dice.upTo(RESTART_MS), () => this.#startProcess(slot));
    });
    held.process.start();
  }

  /** A timer fires in one process; now and then in two at once. */
  #fire(): void {
    const { dice } = this.#world;
    const alive = this.#slots.flatMap(({ process }) => process ?? []);
    if (alive.length === 0) return;
    dice.of(alive).fire();
    if (dice.chance(0.1)) dice.of(alive).fire();
  }

  #restartBroker(): void {
    this.#trace.add(this.#world.scheduler.now(), 'the broker restarts');
    for (const { process } of this.#slots) process?.bus.loseLocks();
  }

  #heal(): void {
    this.#trace.add(this.#world.scheduler.now(), 'the world is healed');
    this.#world.wire.isHealed = true;
    this.#world.upstream.heal();
  }

  /** Nothing waits, nobody works, no run is live. */
  async #untilQuiet(when: string): Promise<void> {
    const { scheduler, witness } = this.#world;
    const untilMs = scheduler.now() + LIVENESS_LIMIT_MS;
    let firedAtMs = scheduler.now();
    let everyMs = this.#plan.settings.fireEveryMs;
    for (;;) {
      await this.#sleep(LOOK_MS);
      // What a home process that died has left behind waits for the next firing of its successor.
      if (this.#plan.place === 'home' && scheduler.now() - firedAtMs >= everyMs) {
        firedAtMs = scheduler.now();
        // Firings that come faster than a user's budget lets his lists be read would never leave a quiet moment.
        everyMs *= 2;
        this.#fire();
      }
      this.#world.redrive();
      const isIdle = this.#slots.every(({ process }) => process !== undefined && process.busy === 0);
      if (isIdle && this.#world.waiting() === 0) {
        const live = (await this.#world.runs()).filter(({ state }) => state === 'live');
        if (live.length === 0) return;
      }
      if (scheduler.now() < untilMs) continue;
      witness.violate(`liveness: ${when} there is no quiet within ${LIVENESS_LIMIT_MS / 3_600_000} h`);
      return;
    }
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#world.scheduler.after(ms, resolve);
    });
  }
}
