import { targetText } from '../core/brake.ts';
import { beat, type HeartbeatDeps } from '../engine/heartbeat.ts';
import { isDeadLetterCopy } from '../engine/dead-letter.ts';
import type { Pipeline } from '../engine/pipeline.ts';
import type { Clock, IncomingMessage, Ledger, Log } from '../ports.ts';
import type { Settings } from '../settings.ts';

/** What the app works in once it is open. */
export interface FunctionsGround {
  readonly settings: Settings;
  readonly ledger: Ledger;
  /** One pipeline for the miners of the catalog, opened once. */
  openPipeline(): Pipeline;
  close(): Promise<void>;
}

/** What the app is given. */
export interface FunctionsAppDeps {
  /** Opens everything; called at the first invocation, and again at the next one after it has failed. */
  open(): Promise<FunctionsGround>;
  /** Version of the deployed code. */
  readonly version: string;
  /** Id of this process among the hosts of the stack: `[A-Za-z0-9._:|-]`. */
  readonly hostId: string;
  readonly clock: Clock;
  readonly log: Log;
}

interface Opened {
  readonly ground: FunctionsGround;
  readonly pipeline: Pipeline;
}

/** State of the app for whoever asks for its health. */
export interface Health {
  readonly isWell: boolean;
  /** Plain data without a secret. */
  readonly report: Readonly<Record<string, unknown>>;
}

/** An invocation is told to end after this long, in ms: at its limit of 10 minutes the host kills the process with all others. */
const INVOCATION_LIMIT_MS = 540_000;

/** Time for invocations to end after their signal, in ms. */
const ABORTED_GRACE_MS = 2000;

/** Longest wait for one answer about health, in ms. */
const HEALTH_LIMIT_MS = 5000;

/** The monitor looks at queues this many times while a lost run is given to be silent. */
const WATCHES_PER_REVIVAL = 3;

const WATCH_ROW = { partition: 'monitor', row: 'watch' } as const;

/** One process of the deployed app: opens on demand, counts what runs, ends in order. `stop` is idempotent. */
export class FunctionsApp {
  readonly #deps: FunctionsAppDeps;
  readonly #startedAtMs: number;
  readonly #running = new Map<AbortController, Promise<unknown>>();
  #opened: Promise<Opened> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(deps: FunctionsAppDeps) {
    this.#deps = deps;
    this.#startedAtMs = deps.clock.now();
  }

  /** Resolves when the host may complete the message; rejects when it must abandon it. */
  handle(queue: string, message: IncomingMessage): Promise<void> {
    return this.#run(async ({ pipeline }, lock) => {
      if (isDeadLetterCopy(message)) {
        throw new Error(`message ${message.messageId} is on its way to the dead letters and was received too early`);
      }
      const { settlement, settled } = await pipeline.handlerOf(queue)(message, lock);
      if (settlement.kind === 'abandon') throw new Error(`message ${message.messageId} was abandoned by its handler`);
      if (settlement.kind === 'dead-letter') await pipeline.sendToDeadLetters(queue, message, settlement);
      // The host settles after the return and tells nobody; this is as late as it can be said.
      settled?.();
    });
  }

  /** Fires one miner for every user. */
  fire(minerName: string): Promise<void> {
    return this.#run(async ({ pipeline }, lock) => {
      const count = await pipeline.fireMiner(minerName, pipeline.users.list(), lock);
      this.#deps.log.info('a miner was fired', { minerName, ...count });
      // A firing that was cut short must not look like one that reached everybody.
      lock.throwIfAborted();
    });
  }

  /** A sign of life, and every few minutes a look at runs that have lost their message. */
  monitor(): Promise<void> {
    return this.#run(async ({ ground, pipeline }) => {
      const { clock, hostId, version } = this.#deps;
      const deps: HeartbeatDeps = { control: ground.ledger.control, clock };
      await beat(deps, hostId, { version, kind: 'functions' });
      await this.#watch(ground, pipeline);
    });
  }

  /** Whether ledger and bus answer, and what this process has done. Never rejects. */
  async health(): Promise<Health> {
    const { version } = this.#deps;
    const about = { version, startedAt: new Date(this.#startedAtMs).toISOString() };
    if (this.#stopped !== undefined) return { isWell: false, report: { ...about, stopped: true } };
    let opened: Opened;
    try {
      opened = await this.#open();
    } catch (error) {
      return { isWell: false, report: { ...about, open: kindOf(error) } };
    }
    const { ground, pipeline } = opened;
    const [ledger, backlog] = await Promise.allSettled([
      this.#within(ground.ledger.control.read([WATCH_ROW])),
      this.#within(pipeline.backlog()),
    ]);
    for (const answer of [ledger, backlog])
      if (answer.status === 'rejected') this.#warn('not in health', answer.reason);
    // Lanes that somebody, or a mass fault, has stopped: no illness of this process, but what to look at first.
    const brakes = await pipeline.brakes();
    const report = {
      ...about,
      ledger: ledger.status === 'fulfilled' ? 'ok' : kindOf(ledger.reason),
      bus: backlog.status === 'fulfilled' ? 'ok' : kindOf(backlog.reason),
      ...(backlog.status === 'fulfilled' ? { backlog: backlog.value } : {}),
      running: this.#running.size,
      brakes: brakes.map(({ target, engagedAtMs, reason }) => ({
        ...{ target: targetText(target), since: new Date(engagedAtMs).toISOString(), reason },
      })),
      counters: pipeline.completeness.counters,
      miners: Object.fromEntries(
        [...pipeline.progress.miners].map(([name, { pages, itemsNew }]) => [name, { pages, itemsNew }]),
      ),
    };
    return { isWell: ledger.status === 'fulfilled' && backlog.status === 'fulfilled', report };
  }

  /** Slices end at their next page; what runs on after the grace is told to end; then everything is closed. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    const opened = await this.#opened?.catch(() => undefined);
    if (opened === undefined) return;
    const { ground, pipeline } = opened;
    await pipeline.stop(ground.settings.stopGraceMs);
    await this.#idle(ground.settings.stopGraceMs);
    for (const lock of this.#running.keys()) lock.abort(new Error('the app is stopping'));
    await this.#idle(ABORTED_GRACE_MS);
    await ground.close();
  }

  /** Resolves when nothing runs any more, or after `limitMs`. */
  async #idle(limitMs: number): Promise<void> {
    if (this.#running.size === 0) return;
    const over = new AbortController();
    const limit = this.#deps.clock.sleep(limitMs, over.signal).catch(() => undefined);
    await Promise.race([Promise.allSettled(this.#running.values()), limit]);
    over.abort();
  }

  async #run<T>(work: (opened: Opened, lock: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#stopped !== undefined) throw new Error('the app is stopping');
    const lock = new AbortController();
    const over = new AbortController();
    void this.#deps.clock.sleep(INVOCATION_LIMIT_MS, over.signal).then(
      () => lock.abort(new Error('the invocation took too long')),
      () => undefined,
    );
    const invocation = this.#open().then((opened) => work(opened, lock.signal));
    this.#running.set(lock, invocation);
    try {
      return await invocation;
    } finally {
      over.abort();
      this.#running.delete(lock);
    }
  }

  #open(): Promise<Opened> {
    this.#opened ??= this.#openOnce().catch((error: unknown) => {
      this.#opened = undefined;
      this.#warn('the app could not open; the next invocation tries again', error);
      throw error;
    });
    return this.#opened;
  }

  async #openOnce(): Promise<Opened> {
    const ground = await this.#deps.open();
    try {
      const pipeline = ground.openPipeline();
      pipeline.joinFleet();
      return { ground, pipeline };
    } catch (error) {
      await ground.close();
      throw error;
    }
  }

  /** The time of the last look is in the ledger, because the timer moves from process to process. */
  async #watch(ground: FunctionsGround, pipeline: Pipeline): Promise<void> {
    const { control } = ground.ledger;
    const nowMs = this.#deps.clock.now();
    const [last] = await control.read([WATCH_ROW]);
    const lastMs = last === undefined ? -Infinity : (JSON.parse(last.value) as { atMs: number }).atMs;
    if (nowMs - lastMs < ground.settings.reviveAfterMs / WATCHES_PER_REVIVAL) return;
    await pipeline.watch();
    // Written afterwards: a look that failed is taken again at the next tick.
    await control.write([{ ...WATCH_ROW, value: JSON.stringify({ atMs: nowMs }), ifMatch: 'any' }]);
  }

  async #within<T>(work: Promise<T>): Promise<T> {
    const over = new AbortController();
    const limit = this.#deps.clock.sleep(HEALTH_LIMIT_MS, over.signal).then(() => {
      throw Object.assign(new Error(`no answer within ${HEALTH_LIMIT_MS} ms`), { code: 'NO_ANSWER' });
    });
    limit.catch(() => undefined);
    try {
      return await Promise.race([work, limit]);
    } finally {
      over.abort();
    }
  }

  #warn(message: string, error: unknown): void {
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.#deps.log.warn(message, { error: text });
  }
}

/** An error without its text, which is for the log and not for whoever may ask. */
function kindOf(error: unknown): string {
  if (!(error instanceof Error)) return 'error';
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && code !== '' ? code : error.name;
}
