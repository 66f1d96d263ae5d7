import type { Miner, User } from '../core/miner.ts';
import { backoffMs } from '../core/backoff.ts';
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
import { Checkpoints } from './checkpoints.ts';
import { ClientPool } from './client-pool.ts';
import { Completeness } from './completeness.ts';
import { sendToDeadLetters } from './dead-letter.ts';
import { Packer } from './deliver.ts';
import { noticeEnds, noticeIngested } from './elsewhere.ts';
import type { Budgets } from './budgets.ts';
import { FleetBudgets } from './fleet-budgets.ts';
import { GoneUsers } from './gone-users.ts';
import { ingest } from './ingest.ts';
import { Limits } from './limits.ts';
import { LocalBudgets } from './local-budgets.ts';
import { mine, type MineDeps, RETRIES_LIMIT, RETRY_BACKOFF } from './mine.ts';
import { Progress } from './progress.ts';
import { Runs } from './runs.ts';
import { fire, type FiringCount, revive, type ScheduleDeps } from './schedule.ts';
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

/** Waits before a handler that threw gives its message back, by number of deliveries. */
const REDELIVERY_BACKOFF = { firstMs: 50, maxMs: 30_000, jitter: 0.2 };

/** A silent run whose queue is empty and whom nobody holds is sent again after this long, in ms. */
const LOST_MESSAGE_MS = 2000;

/** A process that fires nothing hears of no firing: its count of gone users starts anew after this long, in ms. */
const GONE_WINDOW_MS = 3_600_000;

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
  readonly #gone: GoneUsers;
  readonly #handlers = new Map<string, Handler>();
  readonly #consumers = new Map<string, Consumer>();
  readonly #lastMoves = new Map<string, { pages: number; atMs: number }>();
  #failure: Error | undefined;
  #goneSinceMs = Infinity;
  #isStopping = false;
  #isShared = false;

  constructor(deps: PipelineDeps, options: PipelineOptions) {
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
    this.#gone = new GoneUsers({ users: this.users, log });
    this.#runs = new Runs({ rows: ledger.runs, digest });
    this.#checkpoints = new Checkpoints({
      digest,
      items: ledger.items,
      tiers: deps.tiers,
      onTierError: (error) => log.warn('a cache tier did not answer; the next one is asked', { error: textOf(error) }),
    });
    this.#clients = new ClientPool({ clock, upstream: deps.upstream, log }, { idleMs: settings.clientIdleMs });
    this.#limits = new Limits(
      { clock, random: deps.random, budgets: budgetsOf(deps, settings) },
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
    this.#goneSinceMs = this.#deps.clock.now();
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

  /** Fires every miner that is not retired once for the given users. */
  async fire(users: () => AsyncIterable<User> | Iterable<User>, userCount: number, signal: AbortSignal): Promise<void> {
    this.#gone.firing(userCount);
    for (const miner of this.#options.miners) await this.fireMiner(miner.name, users(), signal);
  }

  /**
   * Fires one miner once for the given users; a retired one for nobody.
   * @throws Error for a miner that this process does not have, and what the ledger or the bus throws.
   */
  async fireMiner(
    minerName: string,
    users: AsyncIterable<User> | Iterable<User>,
    signal: AbortSignal,
  ): Promise<FiringCount> {
    const miner = this.#options.miners.find(({ name }) => name === minerName);
    if (miner === undefined) throw new Error(`miner ${minerName} is not in the catalog of this process`);
    if (miner.retired === true) return { started: 0, coalesced: 0, revived: 0, setAside: 0 };
    return fire(this.#scheduleDeps(), miner, users, signal);
  }

  /** One look of the monitor: silent runs are sent again. */
  async tick(): Promise<void> {
    this.#clients.expire();
    const { settings, miners } = this.#options;
    if (this.#isShared) await noticeIngested({ completeness: this.completeness, ledger: this.#deps.ledger });
    for (const miner of miners) {
      if (this.progress.openRunsOf(miner.name) === 0 || this.#hasMoved(miner.name)) continue;
      if (this.#isShared) await noticeEnds({ runs: this.#runs, progress: this.progress }, miner.name);
      const open = this.progress.openRunsOf(miner.name);
      if (open === 0) continue;
      const queue = routeOf(miner).miningQueue;
      const depth = await this.#deps.depths.depth(queue);
      // Every open run has its message: nobody is lost, the queue is just long.
      if (depth.active + depth.scheduled >= open) continue;
      const isIdle = depth.active + depth.scheduled === 0 && this.#inFlight(queue) === 0;
      const silentForMs = isIdle ? LOST_MESSAGE_MS : settings.reviveAfterMs;
      await this.#revive(miner, silentForMs);
    }
  }

  /**
   * One look of a monitor that has not seen the firings: where a mining queue holds nothing at all, whoever is still live has
   * lost its message, and is sent again once it has been silent for `reviveAfterMs`. Retired miners too. Runs revived.
   * Costs one question for a depth per miner, and a scan of the runs of each miner whose queue is empty.
   * @throws the first error, after every miner had its look.
   */
  async watch(): Promise<number> {
    this.#clients.expire();
    const failures: unknown[] = [];
    let revived = 0;
    for (const miner of this.#options.miners) {
      try {
        const depth = await this.#deps.depths.depth(routeOf(miner).miningQueue);
        if (depth.active + depth.scheduled > 0) continue;
        revived += await this.#revive(miner, this.#options.settings.reviveAfterMs);
      } catch (error) {
        this.#deps.log.warn('the monitor could not look after a miner', {
          minerName: miner.name,
          error: textOf(error),
        });
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return revived;
  }

  /** What is left: `working`, `drained`, or `stuck` when only dead letters are left of what was sent. */
  async state(): Promise<'working' | 'drained' | 'stuck'> {
    if (this.progress.openRuns() > 0) return 'working';
    // A run that another process took over and ended may still have a page here that is about to be sent.
    if (this.#options.miners.some((miner) => this.#inFlight(routeOf(miner).miningQueue) > 0)) return 'working';
    const depth = await this.#deps.depths.depth(INGESTION_QUEUE);
    if (depth.active + depth.scheduled > 0) return 'working';
    if (this.#inFlight(INGESTION_QUEUE) > 0) return 'working';
    if (this.completeness.unsettled() === 0) return 'drained';
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

  async #revive(miner: Miner, silentForMs: number): Promise<number> {
    const revived = await revive(this.#scheduleDeps(), miner.name, silentForMs);
    if (revived > 0) this.#deps.log.warn('silent runs were sent again', { minerName: miner.name, revived });
    return revived;
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
      onUserGone: (user) => this.#userGone(user),
      settings: {
        ...settings,
        retry: RETRY_BACKOFF,
        retriesLimit: RETRIES_LIMIT,
        later: { firstMs: settings.retryLaterMs, maxMs: settings.retryLaterMs * 30, jitter: 0.5 },
      },
    };
  }

  #userGone(user: User): Promise<void> {
    const nowMs = this.#deps.clock.now();
    if (nowMs - this.#goneSinceMs >= GONE_WINDOW_MS) {
      this.#goneSinceMs = nowMs;
      this.#gone.firing(0);
    }
    return this.#gone.add(user);
  }

  #scheduleDeps(): ScheduleDeps {
    const { settings } = this.#options;
    return { ...this.#deps, runs: this.#runs, progress: this.progress, reviveAfterMs: settings.reviveAfterMs };
  }

  /** Whether a miner has read a page lately: then nobody needs to ask, and pay, for the depth of its queue. */
  #hasMoved(minerName: string): boolean {
    const nowMs = this.#deps.clock.now();
    const pages = this.progress.miners.get(minerName)?.pages ?? 0;
    const last = this.#lastMoves.get(minerName);
    if (last?.pages !== pages) this.#lastMoves.set(minerName, { pages, atMs: nowMs });
    return last === undefined || last.pages !== pages || nowMs - last.atMs < LOST_MESSAGE_MS;
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

  /** A handler that throws keeps its message for a while, so that a service that is away does not use up its deliveries. */
  #paced(queue: string, handler: Handler): Handler {
    const { clock, random, log } = this.#deps;
    return async (message, lock) => {
      try {
        const handled = await handler(message, lock);
        if (handled.settlement.kind === 'dead-letter') log.warn('a dead letter', { queue, ...handled.settlement });
        return handled;
      } catch (error) {
        if (isDiskFull(error)) this.#failure ??= error;
        if (lock.aborted) throw error;
        log.warn('a message goes back to its queue', {
          queue,
          error: textOf(error),
          deliveries: message.deliveryCount + 1,
        });
        await clock.sleep(backoffMs(REDELIVERY_BACKOFF, message.deliveryCount + 1, random.next()), lock);
        throw error;
      }
    };
  }
}

/** Of all processes where there is something to share them by. A process that nobody has given a seat takes any. */
function budgetsOf({ clock, random, sharedBudgets, log }: PipelineDeps, settings: Settings): Budgets {
  const seat = Math.floor(random.next() * settings.instances);
  const local = new LocalBudgets({ clock, seat }, settings);
  if (sharedBudgets === undefined) return local;
  const onState = (state: string, upstream: string, reason?: string): void =>
    log.warn('budgets', { state, upstream, reason });
  return new FleetBudgets({ clock, shared: sharedBudgets, local, onState }, settings);
}

function textOf(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

/** Whether an error of an adapter says that its disk is full; waiting does not cure that. */
export function isDiskFull(error: unknown): error is Error {
  return error instanceof Error && (error as { code?: unknown }).code === 'DISK_FULL';
}
