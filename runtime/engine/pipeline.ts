import type { Miner, User } from '../core/miner.ts';
import type { Brake } from '../core/brake.ts';
import { INGESTION_QUEUE, routeOf } from '../core/route.ts';
import type { UpstreamDefinition } from '../core/upstream.ts';
import type {
  Bus,
  Cache,
  Clock,
  Compression,
  Consumer,
  Depths,
  Digest,
  Handler,
  IncomingMessage,
  Lake,
  Ledger,
  Log,
  Meter,
  Random,
  Sealing,
  Settlement,
  SharedBudgets,
  Upstream,
} from '../ports.ts';
import type { Settings } from '../settings.ts';
import { Brakes } from './brakes.ts';
import { Checkpoints } from './checkpoints.ts';
import { ClientPool } from './client-pool.ts';
import { Completeness } from './completeness.ts';
import { sendToDeadLetters } from './dead-letter.ts';
import { Packer } from './deliver.ts';
import { noticeIngested } from './elsewhere.ts';
import { ingest } from './ingest.ts';
import { Limits } from './limits.ts';
import { MassFaults } from './mass-faults.ts';
import { mine, type MineDeps, RETRIES_LIMIT, RETRY_BACKOFF } from './mine.ts';
import { Monitor } from './monitor.ts';
import { openBudgets } from './open-budgets.ts';
import { paced, textOf } from './paced.ts';
import { PortErrors, watchPorts } from './port-errors.ts';
import { Progress } from './progress.ts';
import { Redriver } from './redrive.ts';
import { Runs } from './runs.ts';
import { fire, type FiringCount, type ScheduleDeps } from './schedule.ts';
import { setAsidePoisoned } from './set-aside.ts';
import { steadyClock } from './steady-clock.ts';
import { Users } from './users.ts';

/** The ports of a pipeline. */
export interface PipelineDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly digest: Digest;
  readonly sealing: Sealing;
  readonly compression: Compression;
  readonly bus: Bus;
  readonly depths: Depths;
  readonly ledger: Ledger;
  readonly lake: Lake;
  /** Cache tiers, fastest first. */
  readonly tiers: readonly Cache[];
  readonly upstream: Upstream;
  /** Budgets and breakers of all processes; absent: this process calls on its share of the limits. */
  readonly sharedBudgets?: SharedBudgets;
  readonly meter: Meter;
  readonly log: Log;
}

/** What a pipeline mines, and where. */
export interface PipelineOptions {
  readonly miners: readonly Miner[];
  readonly upstreams: readonly UpstreamDefinition[];
  /** Base URL of every upstream by its name. */
  readonly baseUrls: Readonly<Record<string, string>>;
  readonly settings: Settings;
}

/** The miners, the ingest and the monitor of one process, over ports. `stop` is idempotent. */
export class Pipeline {
  readonly completeness: Completeness;
  readonly progress: Progress;
  readonly users: Users;
  readonly #deps: PipelineDeps;
  readonly #options: PipelineOptions;
  readonly #checkpoints: Checkpoints;
  readonly #runs: Runs;
  readonly #limits: Limits;
  readonly #clients: ClientPool;
  readonly #brakes: Brakes;
  readonly #mass: MassFaults;
  readonly #redriver: Redriver;
  readonly #monitor: Monitor;
  readonly #portErrors = new PortErrors();
  readonly #handlers = new Map<string, Handler>();
  readonly #consumers = new Map<string, Consumer>();
  #failure: Error | undefined;
  #isStopping = false;
  #isShared = false;

  constructor(given: PipelineDeps, options: PipelineOptions) {
    const deps = watchPorts(given, this.#portErrors);
    const { ledger, lake, digest, clock, meter, log } = deps;
    const { settings } = options;
    this.#deps = deps;
    this.#options = options;
    this.completeness = new Completeness({ lake, meter });
    this.progress = new Progress(options.miners.map((miner) => miner.name));
    this.users = new Users({
      ...{ rows: ledger.users, digest, sealing: deps.sealing },
      onUnreadable: ({ first, ...left }) =>
        log.warn('users whose tokens do not open are left out', { ...left, error: textOf(first) }),
    });
    this.#runs = new Runs({ rows: ledger.runs, digest });
    const control = { ...deps, control: ledger.control };
    this.#brakes = new Brakes(control);
    this.#mass = new MassFaults({
      ...{ ...control, brakes: this.#brakes, runs: this.#runs, users: this.users, progress: this.progress },
      brakeLookMs: settings.brakeLookMs,
    });
    this.#redriver = new Redriver(deps);
    this.#monitor = new Monitor({
      ...{ ...deps, ...options, runs: this.#runs, progress: this.progress, reviveAfterMs: settings.reviveAfterMs },
      ...{ brakes: this.#brakes, mass: this.#mass, redriver: this.#redriver, completeness: this.completeness },
      inFlight: (queue) => this.#inFlight(queue),
    });
    this.#checkpoints = new Checkpoints({
      digest,
      items: ledger.items,
      tiers: deps.tiers,
      onTierError: (error) => log.warn('a cache tier did not answer; the next one is asked', { error: textOf(error) }),
    });
    this.#clients = new ClientPool({ clock, upstream: deps.upstream, log }, { idleMs: settings.clientIdleMs });
    this.#limits = new Limits(
      { clock, random: deps.random, budgets: openBudgets({ ...deps, clock: steadyClock(clock) }, settings) },
      {
        concurrency: settings.upstreamConcurrency,
        rateLimitWaitMs: settings.rateLimitWaitMs,
      },
    );
  }

  /**
   * This process is one of many: a run or an envelope that it has met may end in another one, so it counts what it does and
   * follows nothing to its end. Called before anything else; `state` and `tick` then know nothing.
   */
  joinFleet(): void {
    this.progress.countOnly();
    this.completeness.countOnly();
  }

  /**
   * Others mine the same users over the same bus and ledger; this one still follows its runs and envelopes to their end: `tick`
   * asks the ledger for those that end elsewhere. Called before anything else.
   */
  shareWork(): void {
    this.#isShared = true;
  }

  startIngest(): void {
    this.#consume(INGESTION_QUEUE, this.#options.settings.ingestConcurrency);
  }

  startMining(): void {
    for (const miner of this.#options.miners) {
      this.#consume(routeOf(miner).miningQueue, this.#options.settings.miningConcurrency);
    }
  }

  /**
   * Handles the messages of a mining queue or of the ingestion queue, for hosts that receive by themselves. Always the same
   * handler for one queue, because the slices of a miner share a packer.
   * @throws Error for a queue that no miner of this process has.
   */
  handlerOf(queue: string): Handler {
    const known = this.#handlers.get(queue);
    if (known !== undefined) return known;
    const handler = this.#paced(queue, queue === INGESTION_QUEUE ? this.#ingestHandler() : this.#miningHandler(queue));
    this.#handlers.set(queue, handler);
    return handler;
  }

  /** Dead-letters a message for a host that can only complete or abandon it. The host completes the message afterwards. */
  sendToDeadLetters(
    queue: string,
    message: IncomingMessage,
    why: Extract<Settlement, { kind: 'dead-letter' }>,
  ): Promise<void> {
    return sendToDeadLetters(this.#deps, queue, message, why);
  }

  /** Fires every miner that is not retired once for the given users. Those whose lane is stopped are left out. */
  async fire(users: () => AsyncIterable<User> | Iterable<User>, userCount: number, signal: AbortSignal): Promise<void> {
    const upstreams = new Set(this.#options.miners.map((miner) => miner.upstream));
    for (const upstream of upstreams) await this.#mass.begin(upstream, { users: userCount, isWhole: true });
    for (const miner of this.#options.miners) await this.#fireOne(miner, users(), signal);
  }

  /**
   * Fires one miner once for the given users; a retired one, and one whose lane is stopped, for nobody.
   * @throws Error for a miner that this process does not have, and what the ledger or the bus throws.
   */
  async fireMiner(
    minerName: string,
    users: AsyncIterable<User> | Iterable<User>,
    signal: AbortSignal,
  ): Promise<FiringCount> {
    const miner = this.#options.miners.find(({ name }) => name === minerName);
    if (miner === undefined) throw new Error(`miner ${minerName} is not in the catalog of this process`);
    if (miner.retired !== true) await this.#mass.begin(miner.upstream, { isWhole: false });
    const tally = { users: 0 };
    const count = await this.#fireOne(miner, tallied(users, tally), signal);
    if (tally.users > 0 && !signal.aborted) await this.#mass.complete(miner.upstream, tally.users);
    return count;
  }

  /** One look of the monitor: silent runs are sent again. See `Monitor.tick`. */
  tick(): Promise<void> {
    this.#clients.expire();
    return this.#monitor.tick(this.#isShared);
  }

  /** One look of a monitor that has not seen the firings. See `Monitor.watch`. */
  watch(): Promise<number> {
    this.#clients.expire();
    return this.#monitor.watch();
  }

  /** The brakes that stop miners of this process, as they were read last. */
  async brakes(): Promise<readonly Brake[]> {
    const engaged = await Promise.all(this.#options.miners.map((miner) => this.#brakes.on(miner)));
    return [...new Set(engaged)].filter((brake) => brake !== undefined);
  }

  /**
   * What is left: `working`, `drained`, `braked` when only runs are left whose lanes are stopped, or `stuck` when only dead
   * letters are left of what was sent.
   */
  async state(): Promise<'working' | 'drained' | 'braked' | 'stuck'> {
    if (this.progress.openRuns() > 0 && !(await this.#isHeldByBrakes())) return 'working';
    // A run that another process took over and ended may still have a page here that is about to be sent.
    if (this.#options.miners.some((miner) => this.#inFlight(routeOf(miner).miningQueue) > 0)) return 'working';
    const depth = await this.#deps.depths.depth(INGESTION_QUEUE);
    if (depth.active + depth.scheduled > 0) return 'working';
    if (this.#inFlight(INGESTION_QUEUE) > 0) return 'working';
    if (this.completeness.unsettled() === 0) return this.progress.openRuns() > 0 ? 'braked' : 'drained';
    // A crashed delivery is not the end of an envelope: it is sent again, some times.
    if (depth.deadLetter > 0 && (await this.#redriver.redriveCrashed()) > 0) return 'working';
    if (depth.deadLetter + depth.transferDeadLetter > 0) return 'stuck';
    await noticeIngested({ completeness: this.completeness, ledger: this.#deps.ledger });
    return 'working';
  }

  /** An error that waiting does not cure, such as a full disk; what was under way comes again after a restart. */
  failure(): Error | undefined {
    return this.#failure;
  }

  /** Messages waiting for ingest. */
  async backlog(): Promise<number> {
    const depth = await this.#deps.depths.depth(INGESTION_QUEUE);
    return depth.active;
  }

  /** Miners first, so that what they deliver is still ingested; then ingest. */
  async stop(graceMs: number): Promise<void> {
    this.#isStopping = true;
    const untilMs = this.#deps.clock.now() + graceMs;
    const mining = [...this.#consumers].filter(([queue]) => queue !== INGESTION_QUEUE);
    await Promise.all(mining.map(([, consumer]) => consumer.stop(graceMs)));
    this.#clients.close();
    const leftMs = Math.max(0, untilMs - this.#deps.clock.now());
    await this.#consumers.get(INGESTION_QUEUE)?.stop(leftMs);
  }

  async #isHeldByBrakes(): Promise<boolean> {
    if ((await this.brakes()).length === 0) return false;
    const names = new Set(this.progress.waiting().map(({ minerName }) => minerName));
    const open = this.#options.miners.filter(({ name }) => names.has(name));
    const held = await Promise.all(open.map((miner) => this.#brakes.on(miner)));
    return (
      held.every((brake) => brake !== undefined) &&
      open.every((miner) => this.#inFlight(routeOf(miner).miningQueue) === 0)
    );
  }

  async #fireOne(miner: Miner, users: AsyncIterable<User> | Iterable<User>, signal: AbortSignal): Promise<FiringCount> {
    const { settings } = this.#options;
    const nobody: FiringCount = { started: 0, coalesced: 0, revived: 0, setAside: 0 };
    if (miner.retired === true) return nobody;
    const brake = await this.#brakes.on(miner);
    if (brake !== undefined) {
      const { reason } = brake;
      this.#deps.log.warn('a firing is left out, its lane is stopped', { minerName: miner.name, reason });
      return nobody;
    }
    // Messages that a brake has put off are not lost: nobody is sent again before they have all looked.
    const isWaking = await this.#brakes.isWaking(miner, settings.brakeLookMs);
    const reviveAfterMs = isWaking ? Infinity : settings.reviveAfterMs;
    return fire({ ...this.#scheduleDeps(), reviveAfterMs }, miner, users, signal);
  }

  #ingestHandler(): Handler {
    const ttls = new Map(this.#options.miners.map((miner) => [miner.name, miner.cacheTtlMs]));
    const deps = {
      ...this.#deps,
      queue: INGESTION_QUEUE,
      checkpoints: this.#checkpoints,
      completeness: this.completeness,
      cacheTtlMs: (minerName: string) => ttls.get(minerName) ?? 3_600_000,
    };
    return (message) => ingest(deps, message);
  }

  #miningHandler(queue: string): Handler {
    const miner = this.#options.miners.find((candidate) => routeOf(candidate).miningQueue === queue);
    if (miner === undefined) throw new Error(`no miner of this process has the queue ${queue}`);
    const deps = this.#mineDeps(miner);
    return (message, lock) => mine(deps, message, lock);
  }

  #mineDeps(miner: Miner): MineDeps {
    const { settings, baseUrls, upstreams } = this.#options;
    const route = routeOf(miner);
    const definition = upstreams.find((upstream) => upstream.name === miner.upstream);
    const baseUrl = baseUrls[miner.upstream];
    if (definition === undefined || baseUrl === undefined) {
      throw new Error(`miner ${miner.name} names the upstream ${miner.upstream}, which the catalog does not list`);
    }
    const shared = { ...this.#deps, checkpoints: this.#checkpoints, completeness: this.completeness };
    const { sealedMaxBytes, lingerMs } = settings;
    const packer = new Packer(shared, { minerName: miner.name, sendTo: route.sendTo, sealedMaxBytes, lingerMs });
    return {
      ...shared,
      miner,
      definition,
      baseUrl,
      packer,
      runs: this.#runs,
      users: this.users,
      limits: this.#limits,
      clients: this.#clients,
      progress: this.progress,
      queue: route.miningQueue,
      isStopping: () => this.#isStopping,
      brakes: this.#brakes,
      mass: this.#mass,
      settings: {
        ...settings,
        retry: RETRY_BACKOFF,
        retriesLimit: RETRIES_LIMIT,
        later: { firstMs: settings.retryLaterMs, maxMs: settings.retryLaterMs * 30, jitter: 0.5 },
      },
    };
  }

  #scheduleDeps(): ScheduleDeps {
    const { settings } = this.#options;
    return { ...this.#deps, runs: this.#runs, progress: this.progress, reviveAfterMs: settings.reviveAfterMs };
  }

  #inFlight(queue: string): number {
    return this.#consumers.get(queue)?.inFlight() ?? 0;
  }

  #consume(queue: string, concurrency: number): void {
    const { bus, log } = this.#deps;
    const onError = (error: unknown): void =>
      log.warn('a consumer met an error and goes on', { queue, error: textOf(error) });
    this.#consumers.set(queue, bus.consume(queue, { concurrency, onError }, this.handlerOf(queue)));
  }

  #paced(queue: string, handler: Handler): Handler {
    const { clock } = this.#deps;
    const deps = { ...this.#deps, queue, portErrors: this.#portErrors };
    const setAside = { clock, runs: this.#runs, progress: this.progress };
    return paced(
      {
        ...deps,
        onDiskFull: (error) => (this.#failure ??= error),
        onPoison: async (message, reason) => {
          if (queue !== INGESTION_QUEUE) await setAsidePoisoned(setAside, message, reason);
        },
      },
      handler,
    );
  }
}

async function* tallied(users: AsyncIterable<User> | Iterable<User>, tally: { users: number }): AsyncIterable<User> {
  for await (const user of users) {
    if (user.status === 'active') tally.users += 1;
    yield user;
  }
}
