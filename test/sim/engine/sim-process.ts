import { fenceCache } from '../../../runtime/adapters/fenced-cache.ts';
import { shareFence } from '../../../runtime/adapters/shared-fence.ts';
import { sha256Digest } from '../../../runtime/adapters/system.ts';
import { INGESTION_QUEUE, routeOf } from '../../../runtime/core/route.ts';
import { Fault } from '../../../runtime/core/faults.ts';
import { Pipeline, type PipelineDeps } from '../../../runtime/engine/pipeline.ts';
import { FunctionsApp } from '../../../runtime/host/functions-app.ts';
import type { Cache, Clock, Consumer, Ledger, UpstreamAnswer, UpstreamCall } from '../../../runtime/ports.ts';
import { graph } from '../../../runtime/upstreams/graph.ts';
import { MemoryCache } from '../../fakes/memory-cache.ts';
import { plainCompression } from '../../fakes/plain-compression.ts';
import { plainSealing } from '../../fakes/plain-sealing.ts';
import { scriptedCallOf } from '../../fakes/scripted-upstream.ts';
import { THINKS_MS } from './upstream-world.ts';
import { type Caller, WireFault } from './wire.ts';
import { WiredBus } from './wired-bus.ts';
import { wiredBudgets, wiredCache, wiredLake, wiredLedger } from './wired-services.ts';
import type { World } from './world.ts';

/** Looks of `drain` at a world that is quiet already. */
const DRAIN_LOOKS = 20;

const NEVER: AbortSignal = new AbortController().signal;

/** One life of one process of the product, composed as the host composes it, over the wires of a simulated world. */
export class SimProcess implements Caller {
  readonly name: string;
  readonly slot: number;
  readonly bus: WiredBus;
  isGone = false;
  /** Calls of the host that are under way. */
  busy = 0;
  readonly #world: World;
  readonly #onGone: (process: SimProcess) => void;
  readonly #clock: Clock;
  readonly #deps: PipelineDeps;
  readonly #pipelines: Pipeline[] = [];
  readonly #app: FunctionsApp | undefined;
  readonly #consumers: Consumer[] = [];
  #isStopping = false;
  skewMs: number;

  constructor(world: World, slot: number, life: number, onGone: (process: SimProcess) => void) {
    const { plan, scheduler, wire, dice, broker } = world;
    this.#world = world;
    this.slot = slot;
    this.name = `p${slot}.${life}`;
    this.#onGone = onGone;
    this.skewMs = plan.skewMs[slot] ?? 0;
    this.#clock = scheduler.clock(
      () => this.skewMs,
      () => this.isGone,
    );
    const line = { wire, dice, caller: this };
    const onTaken = world.witness.taken.bind(world.witness);
    this.bus = new WiredBus({ ...line, broker, scheduler, clock: this.#clock, plan, onTaken });
    this.#deps = this.#wired(line);
    this.#app = plan.place === 'fleet' ? this.#openApp() : undefined;
  }

  /** The pipeline of this process, once it is open. */
  pipeline(): Pipeline | undefined {
    return this.#pipelines[0];
  }

  /** Starts what the host starts, and goes on until the process is gone. */
  start(): void {
    if (this.#app === undefined) this.#own(this.#home());
    else this.#functions(this.#app);
    void this.#monitor();
  }

  fire(): void {
    if (this.#app !== undefined) {
      for (const miner of this.#world.plan.miners) this.#own(this.#app.fire(miner.name));
      return;
    }
    const pipeline = this.pipeline();
    if (pipeline === undefined) return;
    this.#own(pipeline.fire(() => pipeline.users.list(), this.#world.plan.users, NEVER));
  }

  /** What `npm start -- --once` waits for before it counts. */
  async drain(): Promise<void> {
    const pipeline = this.pipeline();
    for (let look = 0; look < DRAIN_LOOKS; look += 1) {
      if ((await pipeline?.state()) !== 'working') break;
      await this.#clock.sleep(50);
    }
    await pipeline?.completeness.audit();
  }

  kill(why: string): void {
    if (this.isGone) return;
    this.#world.wire.died(this);
    this.#world.budgets.gone(this);
    this.isGone = true;
    this.#world.trace.add(this.#world.scheduler.now(), `${this.name} is killed: ${why}`);
    this.#onGone(this);
  }

  /** Stops in order, as a deployment does. */
  stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const { settings } = this.#world.plan;
    const receivers = this.#consumers.map((consumer) => consumer.stop(settings.stopGraceMs));
    const stopped = this.#app === undefined ? this.pipeline()?.stop(settings.stopGraceMs) : this.#app.stop();
    this.#own(
      Promise.all([stopped, ...receivers]).then(() => {
        if (this.isGone) return;
        this.#world.budgets.gone(this);
        this.isGone = true;
        this.#onGone(this);
      }),
    );
  }

  /** Calls of the host may fail; its log hears of it and it goes on. */
  #own(work: Promise<unknown>): void {
    this.busy += 1;
    void work
      .catch((error: unknown) => {
        const text = error instanceof Error ? error.message : String(error);
        this.#world.trace.add(this.#world.scheduler.now(), `${this.name} host: ${text}`);
      })
      .finally(() => (this.busy -= 1));
  }

  #functions(app: FunctionsApp): void {
    const { plan } = this.#world;
    const onError = (): void => undefined;
    const trigger = (queue: string, concurrency: number): void => {
      const consumer = this.bus.consume(queue, { concurrency, onError }, async (message) => {
        await app.handle(queue, message);
        return { settlement: { kind: 'complete' } };
      });
      this.#consumers.push(consumer);
    };
    trigger(INGESTION_QUEUE, plan.settings.ingestConcurrency);
    for (const miner of plan.miners) trigger(routeOf(miner).miningQueue, plan.settings.miningConcurrency);
  }

  /** As `npm start` does: ingest first, so that what an earlier life sent is known before its users are mined again. */
  async #home(): Promise<void> {
    const pipeline = this.#open();
    pipeline.startIngest();
    const untilMs = this.#clock.now() + 60_000;
    while (this.#clock.now() < untilMs && (await pipeline.backlog().catch(() => 1)) > 0) await this.#clock.sleep(500);
    if (!this.#isStopping) pipeline.startMining();
  }

  async #monitor(): Promise<void> {
    const { monitorEveryMs } = this.#world.plan.settings;
    while (!this.#isStopping) {
      await this.#clock.sleep(monitorEveryMs);
      const pipeline = this.pipeline();
      const look = this.#app?.monitor() ?? pipeline?.tick().then(() => pipeline.completeness.audit());
      await look?.catch(() => undefined);
    }
  }

  #openApp(): FunctionsApp {
    const { settings } = this.#world.plan;
    return new FunctionsApp({
      open: async () => ({
        settings,
        ledger: this.#deps.ledger,
        openPipeline: () => this.#open(),
        close: () => Promise.resolve(),
      }),
      version: 'sim',
      hostId: this.name,
      clock: this.#clock,
      log: this.#deps.log,
    });
  }

  #open(): Pipeline {
    const { miners, settings: planned } = this.#world.plan;
    const settings = this.#world.mutant?.settings?.(planned) ?? planned;
    const options = { miners, upstreams: [graph], baseUrls: { graph: 'http://upstream' }, settings };
    const pipeline = new Pipeline(this.#deps, options);
    this.#pipelines.push(pipeline);
    return pipeline;
  }

  #wired(line: { wire: World['wire']; dice: World['dice']; caller: Caller }): PipelineDeps {
    const { plan, ledger, lake, random, witness, mutant, trace, scheduler, sharedBudgets, budgets } = this.#world;
    const watchers = {
      onRunWritten: witness.runWritten.bind(witness),
      onObjectWritten: witness.objectWritten.bind(witness),
    };
    const wired = wiredLedger(line, ledger, plan.transactionRefusal, watchers);
    const note = (message: string, fields?: Readonly<Record<string, unknown>>): void => {
      if (message === 'a dead letter') witness.deadLetter(String(fields?.['reason']));
      trace.add(scheduler.now(), `${this.name} log: ${message}`);
    };
    const deps: PipelineDeps = {
      ...{ clock: this.#clock, random, digest: sha256Digest, sealing: plainSealing, compression: plainCompression },
      ...{ bus: this.bus, depths: this.bus, ledger: wired, lake: wiredLake(line, lake, watchers) },
      tiers: this.#tiers(line, wired),
      upstream: { call: (call, signal) => this.#ask(call, signal), close: () => Promise.resolve() },
      ...(plan.sharedBudgets && {
        sharedBudgets: wiredBudgets(line, sharedBudgets.of(this.name), {
          onSeat: budgets.heardOfSeat.bind(budgets),
          onUnreached: budgets.unreached.bind(budgets),
        }),
      }),
      meter: { count: () => undefined },
      log: { info: note, warn: note },
    };
    return mutant?.deps?.(deps) ?? deps;
  }

  #tiers(line: { wire: World['wire']; dice: World['dice']; caller: Caller }, ledger: Ledger): readonly Cache[] {
    const { plan, random, redis } = this.#world;
    const newPrefix = (): string => `${random.uuid().slice(0, 13)}:`;
    const shared = wiredCache(line, redis);
    if (plan.place === 'home') return [new MemoryCache(this.#clock), fenceCache(shared, newPrefix)];
    return [shareFence({ cache: shared, rows: ledger.control, newPrefix, now: () => this.#clock.now() })];
  }

  /** One HTTP call. What the network does to it is a fault as the adapter would report it. */
  async #ask(call: UpstreamCall, signal: AbortSignal | undefined): Promise<UpstreamAnswer> {
    const { wire, upstream, witness, budgets, scheduler, dice } = this.#world;
    const asked = { ...scriptedCallOf(call, 0), process: this.name, askedAtMs: scheduler.now() };
    witness.upstreamCalls += 1;
    const out = budgets.called(this, { upstream: graph.name, userId: asked.userId, proxyUrl: call.proxyUrl });
    const effect = async (): Promise<ReturnType<typeof upstream.answer>> => upstream.answer(asked, asked.list);
    try {
      const tookMs = dice.upTo(THINKS_MS);
      const { answer, serve } = await wire.call({
        ...{ caller: this, service: 'upstream', operation: 'upstream.call', effect, tookMs, signal },
      });
      if (serve !== undefined) upstream.reached(serve);
      budgets.answered(out, answer);
      return answer;
    } catch (error) {
      if (error instanceof WireFault) throw new Fault('transient', error.message, { cause: error });
      throw error;
    } finally {
      budgets.ended(out);
    }
  }
}
