import { sha256Digest } from '../../../runtime/adapters/system.ts';
import { rateOf } from '../../../runtime/core/budget.ts';
import { entitiesOf } from '../../../runtime/core/route.ts';
import type { Run } from '../../../runtime/core/run.ts';
import { Runs } from '../../../runtime/engine/runs.ts';
import { Users } from '../../../runtime/engine/users.ts';
import { Dice } from '../../fakes/dice.ts';
import { userNamed } from '../../fakes/engine-rig.ts';
import { MemoryBroker } from '../../fakes/memory-broker.ts';
import { MemoryCache } from '../../fakes/memory-cache.ts';
import { MemoryLake } from '../../fakes/memory-lake.ts';
import { MemorySharedBudgets, type MemorySharedBudgetsOptions } from '../../fakes/memory-shared-budgets.ts';
import { memoryLedger, type MemoryLedger } from '../../fakes/memory-rows.ts';
import { plainSealing } from '../../fakes/plain-sealing.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { BudgetWitness } from './budget-witness.ts';
import type { Mutant } from './mutants.ts';
import type { Plan } from './plan.ts';
import { Scheduler } from './scheduler.ts';
import type { SiteBook } from './site-book.ts';
import type { Trace } from './trace.ts';
import { UpstreamWorld } from './upstream-world.ts';
import { type PlannedKill, Wire } from './wire.ts';
import { Witness } from './witness.ts';

/** What a simulation is given. */
export interface WorldOptions {
  readonly plan: Plan;
  readonly sites: SiteBook;
  readonly trace: Trace;
  readonly plannedKills?: readonly PlannedKill[];
  readonly mutant?: Mutant | undefined;
}

/** Everything that outlives a process, and the chance of it all. */
export class World {
  readonly plan: Plan;
  readonly trace: Trace;
  readonly mutant: Mutant | undefined;
  readonly dice: Dice;
  readonly random: ReturnType<typeof seededRandom>;
  readonly scheduler: Scheduler;
  readonly wire: Wire;
  readonly broker: MemoryBroker;
  readonly ledger: MemoryLedger;
  readonly lake = new MemoryLake();
  redis: MemoryCache;
  readonly upstream: UpstreamWorld;
  readonly witness: Witness;
  readonly budgets: BudgetWitness;
  readonly sharedBudgets: MemorySharedBudgets;
  /** The operator's own view of the tables, past every fault. */
  readonly users: Users;
  readonly #runs: Runs;

  constructor({ plan, sites, trace, plannedKills = [], mutant }: WorldOptions) {
    this.plan = plan;
    this.trace = trace;
    this.mutant = mutant;
    this.dice = new Dice(plan.seed);
    this.random = seededRandom(plan.seed ^ 0x5eed);
    this.scheduler = new Scheduler(this.dice);
    const now = (): number => this.scheduler.now();
    this.wire = new Wire({ plan, dice: this.dice, scheduler: this.scheduler, sites, trace, plannedKills });
    this.broker = new MemoryBroker({
      clock: this.scheduler.clock(),
      entities: mutant?.entities?.(entitiesOf(plan.miners)) ?? entitiesOf(plan.miners),
      pick: (count) => (plan.pickOldest ? 0 : this.dice.upTo(count)),
    });
    this.ledger = memoryLedger();
    this.redis = new MemoryCache(this.scheduler.clock());
    this.upstream = new UpstreamWorld(plan, this.dice, now);
    this.witness = new Witness(this.upstream);
    this.sharedBudgets = new MemorySharedBudgets({
      now,
      rates: ratesOf(plan.settings),
      breakerOpenMs: plan.settings.breakerOpenMs,
      onBreaker: (call, before, after) => this.budgets.breakerChanged(call, before, after),
    });
    this.budgets = new BudgetWitness({
      ...{ plan, now, violate: (text) => this.witness.violate(text) },
      breaker: (call) => this.sharedBudgets.breaker(call),
      redisAwaySinceMs: () => this.wire.awaySinceMs('redis'),
      redisAwayUntilMs: () => this.wire.awayUntilMs('redis'),
    });
    this.users = new Users({ rows: this.ledger.users, digest: sha256Digest, sealing: plainSealing });
    this.#runs = new Runs({ rows: this.ledger.runs, digest: sha256Digest });
  }

  userIds(): readonly string[] {
    return Array.from({ length: this.plan.users }, (_, index) => `u${index}`);
  }

  /** Every user with a token that nobody has refused yet. */
  importUsers(token: 'first' | 'fresh'): Promise<void> {
    const users = this.userIds().map((userId, at) => {
      const proxy = at % (this.plan.proxies + 1);
      const proxyUrl = proxy === 0 ? null : `http://proxy${proxy}`;
      return userNamed(userId, { accessToken: `${userId} ${token}`, proxyUrl });
    });
    return this.users.import(users);
  }

  /** Redis loses everything that it knew. */
  flushRedis(): void {
    this.redis.clear();
    this.sharedBudgets.clear();
    this.budgets.flushed();
  }

  async runs(): Promise<readonly Run[]> {
    const found: Run[] = [];
    for (const miner of this.plan.miners) {
      for await (const { run } of this.#runs.scan(miner.name)) found.push(run);
    }
    return found;
  }

  /** `adit resume` of every run that was set aside: the next firing starts it anew. */
  async resumeAll(): Promise<void> {
    for (const miner of this.plan.miners) {
      for await (const { run, etag } of this.#runs.scan(miner.name)) {
        if (run.state === 'quarantined') await this.#runs.write([{ run: { ...run, state: 'failed' }, etag }]);
      }
    }
  }

  /** Messages that somebody has yet to settle, dead letters apart. */
  waiting(): number {
    let waiting = 0;
    for (const queue of this.broker.queues()) {
      if (queue.deadLetters !== undefined) waiting += queue.ready.length + queue.locked.size + queue.scheduled;
    }
    return waiting;
  }

  /** Counts the messages of every run that nobody holds. */
  countRuns(): void {
    const counts = new Map<unknown, number>();
    for (const queue of this.broker.queues()) {
      if (queue.deadLetters === undefined) continue;
      for (const { message } of queue.ready) {
        const { runId } = message.properties;
        if (runId !== undefined) counts.set(runId, (counts.get(runId) ?? 0) + 1);
      }
    }
    for (const count of counts.values()) this.witness.waitingOfRun(count);
  }

  /** `adit redrive`: every dead letter goes back to its queue under a new id. How many there were. */
  redrive(): number {
    let redriven = 0;
    for (const queue of this.broker.queues()) {
      for (const stored of queue.deadLetters?.ready.splice(0) ?? []) {
        const message = { ...stored.message, messageId: this.random.uuid() };
        redriven += 1;
        this.witness.deadLetter(stored.deadLetter?.DeadLetterReason ?? 'unknown');
        queue.add({ message, enqueuedAtMs: this.scheduler.now(), expiresAtMs: Infinity, deliveryCount: 0 });
      }
    }
    return redriven;
  }
}

function ratesOf(limits: Plan['settings']): MemorySharedBudgetsOptions['rates'] {
  return {
    upstream: rateOf(limits.upstreamCallsPerSecond),
    user: rateOf(limits.userCallsPerSecond),
    proxy: rateOf(limits.proxyCallsPerSecond),
  };
}
