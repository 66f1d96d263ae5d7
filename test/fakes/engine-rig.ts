import { sha256Digest } from '../../runtime/adapters/system.ts';
import { decodeEnvelope, type Envelope } from '../../runtime/core/envelope.ts';
import { markerMessageOf } from '../../runtime/core/marker-message.ts';
import type { Miner, User } from '../../runtime/core/miner.ts';
import { dataList, userList } from '../../runtime/core/page.ts';
import { INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import type { Run } from '../../runtime/core/run.ts';
import { Brakes } from '../../runtime/engine/brakes.ts';
import { Checkpoints } from '../../runtime/engine/checkpoints.ts';
import { ClientPool } from '../../runtime/engine/client-pool.ts';
import { Completeness } from '../../runtime/engine/completeness.ts';
import { Packer, type PackerOptions } from '../../runtime/engine/deliver.ts';
import { ingest, type IngestDeps } from '../../runtime/engine/ingest.ts';
import { Limits, type LimitsOptions } from '../../runtime/engine/limits.ts';
import { type BudgetOptions, LocalBudgets } from '../../runtime/engine/local-budgets.ts';
import { MassCount } from '../../runtime/engine/mass-count.ts';
import { MassFaults } from '../../runtime/engine/mass-faults.ts';
import { mine, type MineDeps, type MineSettings } from '../../runtime/engine/mine.ts';
import { Progress } from '../../runtime/engine/progress.ts';
import { Runs } from '../../runtime/engine/runs.ts';
import { fire, type FiringCount, revive, type ScheduleDeps } from '../../runtime/engine/schedule.ts';
import { steadyClock } from '../../runtime/engine/steady-clock.ts';
import { Users } from '../../runtime/engine/users.ts';
import type { Clock, Handled, Meter, Random, Upstream } from '../../runtime/ports.ts';
import { graph } from '../../runtime/upstreams/graph.ts';
import { AutoClock } from './auto-clock.ts';
import { Fuse, type Outside, throughFuse } from './fuse.ts';
import { HandBus, type HeldMessage, incoming } from './hand-bus.ts';
import { MemoryCache } from './memory-cache.ts';
import { MemoryLake } from './memory-lake.ts';
import { memoryLedger, type MemoryLedger } from './memory-rows.ts';
import { plainCompression } from './plain-compression.ts';
import { seededRandom } from './seeded-random.ts';
import { testSealing } from './test-sealing.ts';

export const MINER: Miner = {
  name: 'chats',
  upstream: 'graph',
  lane: 'realtime',
  schedule: '0 0 * * * *',
  cacheTtlMs: 3_600_000,
  request: (userId) => userList(userId, 'chats'),
  page: dataList,
};

export const MINING_QUEUE = routeOf(MINER).miningQueue;

export const NEVER_LOST: AbortSignal = new AbortController().signal;

const SILENT: Meter = { count: () => undefined };

export function userNamed(userId: string, changes: Partial<User> = {}): User {
  return { userId, accessToken: `token of ${userId}`, proxyUrl: null, status: 'active', ...changes };
}

/** What outlives a process. */
export interface World {
  readonly clock: AutoClock;
  readonly random: Random;
  readonly bus: HandBus;
  readonly ledger: MemoryLedger;
  readonly lake: MemoryLake;
  readonly redis: MemoryCache;
}

export function newWorld(seed = 1): World {
  const clock = new AutoClock();
  return {
    clock,
    random: seededRandom(seed),
    bus: new HandBus(clock, { 'chats-data-topic': INGESTION_QUEUE }),
    ledger: memoryLedger(),
    lake: new MemoryLake(),
    redis: new MemoryCache(clock),
  };
}

export interface ProcessOptions {
  readonly upstream: Upstream;
  readonly clock?: Clock;
  readonly fuse?: Fuse;
  readonly miner?: Partial<Miner>;
  readonly settings?: Partial<MineSettings>;
  readonly packer?: Partial<PackerOptions>;
  readonly limits?: Partial<LimitsOptions & BudgetOptions>;
  readonly reviveAfterMs?: number;
  /** As in the cloud: no tier of its own. Default false. */
  readonly isOneOfMany?: boolean;
}

/** One process of the engine over a world: everything in it is gone when it is dropped. */
export class EngineProcess {
  readonly world: World;
  readonly outside: Outside;
  readonly fuse: Fuse;
  readonly miner: Miner;
  readonly memory: MemoryCache;
  readonly tierErrors: unknown[] = [];
  readonly checkpoints: Checkpoints;
  readonly completeness: Completeness;
  readonly packer: Packer;
  readonly limits: Limits;
  readonly clients: ClientPool;
  readonly progress: Progress;
  readonly runs: Runs;
  readonly users: Users;
  readonly brakes: Brakes;
  readonly mass: MassFaults;
  readonly massCount: MassCount;
  /** Warnings about brakes and mass faults. */
  readonly warnings: string[] = [];
  readonly mineDeps: MineDeps;
  readonly ingestDeps: IngestDeps;
  readonly scheduleDeps: ScheduleDeps;

  constructor(world: World, options: ProcessOptions) {
    const { random } = world;
    const clock = options.clock ?? world.clock;
    this.world = world;
    this.miner = { ...MINER, ...options.miner };
    this.fuse = options.fuse ?? new Fuse();
    this.outside = throughFuse({ ...world, upstream: options.upstream }, this.fuse);
    const { bus, ledger, lake, upstream, redis } = this.outside;
    this.memory = new MemoryCache(clock);
    this.checkpoints = new Checkpoints({
      digest: sha256Digest,
      items: ledger.items,
      tiers: options.isOneOfMany === true ? [redis] : [this.memory, redis],
      onTierError: (error) => this.tierErrors.push(error),
    });
    this.completeness = new Completeness({ lake, meter: SILENT });
    const shared = {
      ...{ clock, random, digest: sha256Digest, bus, lake, compression: plainCompression, ledger },
      ...{ checkpoints: this.checkpoints, completeness: this.completeness },
    };
    const { miningQueue, sendTo } = routeOf(this.miner);
    this.packer = new Packer(shared, {
      ...{ minerName: this.miner.name, sendTo, sealedMaxBytes: 200_000, lingerMs: 20 },
      ...options.packer,
    });
    const log = { info: () => undefined, warn: (text: string) => void this.warnings.push(text) };
    this.clients = new ClientPool({ clock, upstream, log }, { idleMs: 300_000 });
    const limits = {
      ...{ userCallsPerSecond: 100_000, upstreamCallsPerSecond: 100_000, proxyCallsPerSecond: 100_000, instances: 1 },
      ...{ concurrency: 64, rateLimitWaitMs: 1000, callTimeoutMs: 1000, breakerOpenMs: 500 },
      ...options.limits,
    };
    const budgets = new LocalBudgets({ clock: steadyClock(clock), seat: 0 }, limits);
    this.limits = new Limits({ clock, random, budgets }, limits);
    this.progress = new Progress([this.miner.name]);
    this.runs = new Runs({ rows: ledger.runs, digest: sha256Digest });
    this.users = new Users({ rows: ledger.users, digest: sha256Digest, sealing: testSealing });
    this.brakes = new Brakes({ control: ledger.control, clock, random, log });
    this.mass = new MassFaults({
      ...{
        ...shared,
        control: ledger.control,
        brakes: this.brakes,
        runs: this.runs,
        users: this.users,
        log,
        progress: this.progress,
      },
      brakeLookMs: 1000,
    });
    this.massCount = new MassCount({ ...shared, control: ledger.control });
    this.ingestDeps = { ...shared, queue: INGESTION_QUEUE, cacheTtlMs: () => this.miner.cacheTtlMs };
    this.mineDeps = {
      ...shared,
      ...{ miner: this.miner, definition: graph, baseUrl: 'http://upstream', queue: miningQueue },
      ...{
        packer: this.packer,
        limits: this.limits,
        clients: this.clients,
        runs: this.runs,
        users: this.users,
        progress: this.progress,
      },
      isStopping: () => false,
      ...{ brakes: this.brakes, mass: this.mass },
      settings: {
        ...{ slicePages: 50, sliceMs: 60_000, pageMaxBytes: 1_000_000, callTimeoutMs: 1000 },
        ...{ rateLimitWaitMs: 1000, inlineWaitMs: 200, retriesLimit: 2 },
        retry: { firstMs: 10, maxMs: 100, jitter: 0 },
        later: { firstMs: 500, maxMs: 5000, jitter: 0 },
        brakeLookMs: 1000,
        ...options.settings,
      },
    };
    this.scheduleDeps = {
      ...shared,
      runs: this.runs,
      progress: this.progress,
      reviveAfterMs: options.reviveAfterMs ?? 60_000,
    };
  }

  fire(users: Iterable<User>): Promise<FiringCount> {
    return fire(this.scheduleDeps, this.miner, users, NEVER_LOST);
  }

  /** Imports users and fires once. */
  async start(...userIds: readonly string[]): Promise<FiringCount> {
    const users = userIds.map((userId) => userNamed(userId));
    await this.users.import(users);
    return this.fire(users);
  }

  revive(silentForMs: number): Promise<number> {
    return revive(this.scheduleDeps, this.miner.name, silentForMs);
  }

  handle(held: HeldMessage, lock: AbortSignal = NEVER_LOST): Promise<Handled> {
    const message = incoming(held);
    return held.entity === INGESTION_QUEUE ? ingest(this.ingestDeps, message) : mine(this.mineDeps, message, lock);
  }

  /** Delivers a message once and settles it as the handler said. */
  async deliver(held: HeldMessage, lock: AbortSignal = NEVER_LOST): Promise<Handled> {
    const handled = await this.handle(held, lock);
    this.world.bus.settle(held, handled);
    return handled;
  }

  /** Handles what is in the queues until they are empty or the process is gone; a handler that throws gives its message back. */
  async drain(options: { readonly concurrency?: number; readonly deliveriesMax?: number } = {}): Promise<void> {
    const { concurrency = 4, deliveriesMax = 5000 } = options;
    const { bus, clock } = this.world;
    const running = new Map<HeldMessage, Promise<void>>();
    for (let deliveries = 0; ;) {
      const waiting = bus.held.filter((held) => !running.has(held));
      const due = waiting.filter(({ message }) => (message.notBeforeMs ?? 0) <= clock.now());
      if (waiting.length === 0 && running.size === 0) return;
      const { isDead } = this.fuse;
      if (isDead && running.size === 0) return;
      if (due.length === 0 && running.size === 0) {
        const nextMs = Math.min(...waiting.map(({ message }) => message.notBeforeMs ?? 0));
        await clock.sleep(nextMs - clock.now());
        continue;
      }
      const next =
        isDead || running.size >= concurrency ? undefined : due[Math.floor(this.world.random.next() * due.length)];
      if (next === undefined) {
        await Promise.race(running.values());
        continue;
      }
      deliveries += 1;
      if (deliveries > deliveriesMax) throw new Error(`more than ${deliveriesMax} deliveries`);
      const work = this.#attempt(next).finally(() => running.delete(next));
      running.set(next, work);
    }
  }

  /** Errors of handlers whose messages went back. */
  readonly errors: unknown[] = [];

  async #attempt(held: HeldMessage): Promise<void> {
    try {
      await this.deliver(held);
    } catch (error) {
      this.errors.push(error);
      this.world.bus.giveBack(held);
    }
  }

  async run(userId: string): Promise<Run | undefined> {
    const [stored] = await new Runs({ rows: this.world.ledger.runs, digest: sha256Digest }).read(this.miner.name, [
      userId,
    ]);
    return stored?.run;
  }
}

/** One row of the lake. */
export interface LakeRow {
  readonly object: string;
  readonly userId: string;
  readonly id: string;
  readonly version: string;
  readonly late: boolean;
  readonly observedAt: string;
  readonly data: unknown;
}

/** Every row of the lake, objects in the order of their writes. */
export function lakeRows(lake: MemoryLake): readonly LakeRow[] {
  return [...lake.objects]
    .filter(([name]) => name.startsWith('lake/'))
    .flatMap(([object, text]) =>
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => ({ ...(JSON.parse(line) as Omit<LakeRow, 'object'>), object })),
    );
}

/** `user/id` of every row, sorted; what is there twice is listed twice. */
export function lakeIds(lake: MemoryLake): readonly string[] {
  return lakeRows(lake)
    .map(({ userId, id }) => `${userId}/${id}`)
    .toSorted();
}

/** The envelope in a message. */
export function envelopeIn({ message }: HeldMessage): Envelope {
  return decodeEnvelope(new TextDecoder().decode(message.body));
}

/** A marker message for the current slice of a run, as the engine would send it. */
export function markerBody(run: Run): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(markerMessageOf(run)));
}
