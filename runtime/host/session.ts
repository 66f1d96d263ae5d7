import { sha256Digest, systemClock } from '../adapters/system.ts';
import { type Brake, targetText } from '../core/brake.ts';
import { equationsOf } from '../engine/completeness.ts';
import type { Pipeline } from '../engine/pipeline.ts';
import type { Waiting } from '../engine/progress.ts';
import { EXIT } from './bad-input.ts';
import { brakeText, releaseCommand } from './brake-command.ts';
import { printJson } from './exits.ts';
import type { StartOptions } from './options.ts';
import type { Place } from './place.ts';
import { listText, type OnceResult, type Reporter, resultText } from './report.ts';
import type { Source, Targets } from './source.ts';
import { placeFlags } from './stack-storage.ts';
import { compareWithTruth } from './truth.ts';

/** Time between two looks at whether everything is in the lake, in ms. */
const LOOK_EVERY_MS = 50;

/** Time to end in when nothing can go on anyway, in ms. */
const FAILED_GRACE_MS = 500;

/** What an earlier process left in the ingestion queue is ingested before anything is fired, for at most this long. */
const BACKLOG_LIMIT_MS = 60_000;

/** Pause before a service that did not answer is asked again, where other processes may start it again, in ms. */
const AWAY_PAUSE_MS = 1000;

const STOPPING = 'Stopping: what is in flight is finished first; a second Ctrl-C exits at once.';

/** How a `--once` ended. */
type End = 'drained' | 'braked' | 'stuck' | 'waited' | 'stopped';

/** One run of the pipeline under the eyes of a person. */
export class Session {
  readonly #options: StartOptions;
  readonly #pipeline: Pipeline;
  readonly #targets: Targets;
  readonly #reporter: Reporter;
  readonly #stop: AbortSignal;
  /** Like every time here by the clock that only moves forward: one that is set must neither fire at once nor never. */
  readonly #startedAtMs = performance.now();
  readonly #place: Place;
  #lastTickMs = Number.NEGATIVE_INFINITY;
  #nextFiringMs = 0;
  #isAway = false;
  readonly #toldBrakes = new Set<string>();

  constructor(
    options: StartOptions,
    pipeline: Pipeline,
    targets: Targets,
    reporter: Reporter,
    stop: AbortSignal,
    place: Place,
  ) {
    this.#place = place;
    this.#options = options;
    this.#pipeline = pipeline;
    this.#targets = targets;
    this.#reporter = reporter;
    this.#stop = stop;
  }

  async once(source: Source): Promise<number> {
    await this.#begin();
    const end = await this.#untilDrained();
    if (end === 'stopped') {
      this.#reporter.line(STOPPING);
      await this.close();
    }
    this.#reporter.draw(this.#pipeline.progress);
    this.#reporter.stop();
    await this.#pipeline.completeness.audit();
    const result = this.#result();
    const isJudged = source.simulatorUrl !== undefined && end === 'drained';
    const truth = isJudged ? await compareWithTruth(source.simulatorUrl, this.#place.lake, sha256Digest) : {};
    return this.#conclude(end, { ...result, ...truth });
  }

  async forever(): Promise<number> {
    await this.#begin();
    while (!this.#stop.aborted) {
      await this.#survive(async () => {
        if (performance.now() >= this.#nextFiringMs) {
          await this.#fire();
          this.#nextFiringMs = performance.now() + this.#options.settings.fireEveryMs;
        }
        await this.#tick();
        await this.#pipeline.completeness.audit();
      });
      await this.#pause(LOOK_EVERY_MS * 4);
    }
    this.#reporter.line(STOPPING);
    await this.close();
    this.#reporter.line('Stopped. Nothing is lost; npm start goes on from here.');
    return EXIT.ok;
  }

  async close(): Promise<void> {
    this.#reporter.stop();
    const hasFailed = (this.#pipeline.failure() ?? this.#place.failure()) !== undefined;
    await this.#pipeline.stop(hasFailed ? FAILED_GRACE_MS : this.#options.settings.stopGraceMs);
  }

  /**
   * Ingest first, so that what an earlier process sent is known before its users are mined again. Where others work meanwhile
   * there is no such moment: what they have sent is sent again, and then known to the ledger.
   */
  async #begin(): Promise<void> {
    this.#pipeline.startIngest();
    const untilMs = this.#place.isShared ? 0 : performance.now() + BACKLOG_LIMIT_MS;
    while (!this.#stop.aborted && performance.now() < untilMs && (await this.#pipeline.backlog()) > 0) {
      this.#throwIfFailed();
      await this.#pause(LOOK_EVERY_MS);
    }
    this.#pipeline.startMining();
    this.#reporter.follow(this.#pipeline.progress, () => this.#statusText());
  }

  /** Ends early, without an error, when the person stops us. */
  async #pause(ms: number): Promise<void> {
    await systemClock.sleep(ms, this.#stop).catch(() => undefined);
  }

  #statusText(): string {
    const { lake } = this.#pipeline.completeness.counters;
    const leftSeconds = Math.ceil((this.#nextFiringMs - performance.now()) / 1000);
    const next = leftSeconds > 0 ? `next firing in ${leftSeconds} s, ` : '';
    return this.#options.once ? '' : `  ${lake} rows in the lake since the start; ${next}Ctrl-C stops\n`;
  }

  async #untilDrained(): Promise<End> {
    const untilMs = this.#startedAtMs + this.#options.maxWaitMs;
    let hasFired = false;
    for (;;) {
      const state = await this.#survive(async () => {
        if (!hasFired) await this.#fire();
        hasFired = true;
        return this.#pipeline.state();
      });
      // A lane that was left out has no runs to wait for, and is not mined to its end either.
      if (state === 'stuck') return state;
      // Said here too: a run may be over before anybody has looked.
      const isOver = state === 'drained' || state === 'braked';
      if (isOver) return (await this.#tellBrakes()).length > 0 ? 'braked' : state;
      if (this.#stop.aborted) return 'stopped';
      if (performance.now() > untilMs) return 'waited';
      await this.#survive(() => this.#tick());
      await this.#pause(LOOK_EVERY_MS);
    }
  }

  #fire(): Promise<void> {
    return this.#pipeline.fire(() => this.#targets.users(), this.#targets.count, this.#stop);
  }

  /**
   * Does `work`, which may be done again. Alone, a broker that is away has ended with this process's own; a shared one may be
   * started again by whoever started it, so it is waited for, and undefined is the answer.
   */
  async #survive<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (!this.#place.isShared) return work();
    try {
      const done = await work();
      if (this.#isAway) this.#reporter.line('Everything answers again.');
      this.#isAway = false;
      return done;
    } catch (error) {
      this.#throwIfFailed();
      if (!this.#isAway) this.#reporter.line(`Waiting for a service that does not answer: ${whyNot(error)}`);
      this.#isAway = true;
      await this.#pause(AWAY_PAUSE_MS);
      return undefined;
    }
  }

  /** @throws what waiting does not cure. */
  #throwIfFailed(): void {
    const failure = this.#pipeline.failure() ?? this.#place.failure();
    if (failure !== undefined) throw failure;
  }

  async #tick(): Promise<void> {
    this.#throwIfFailed();
    if (performance.now() - this.#lastTickMs < this.#options.settings.monitorEveryMs) return;
    this.#lastTickMs = performance.now();
    await this.#tellBrakes();
    await this.#pipeline.tick();
  }

  /** Says once of each lane that it is stopped. The brakes that are engaged. */
  async #tellBrakes(): Promise<readonly Brake[]> {
    const brakes = await this.#pipeline.brakes();
    const keys = brakes.map(({ target, engagedAtMs }) => `${targetText(target)} ${engagedAtMs}`);
    for (const [at, brake] of brakes.entries()) {
      const key = keys[at] ?? '';
      if (!this.#toldBrakes.has(key))
        this.#reporter.line(`${brakeText(brake)}\nNext: ${releaseCommand(brake.target, placeFlags(this.#options))}`);
    }
    this.#toldBrakes.clear();
    for (const key of keys) this.#toldBrakes.add(key);
    return brakes;
  }

  #result(): OnceResult {
    const { progress, completeness } = this.#pipeline;
    const pages = [...progress.miners.values()].reduce((sum, miner) => sum + miner.pages, 0);
    const firstItemAtMs = progress.firstItemAtMs();
    const cpu = process.cpuUsage();
    return {
      ...completeness.counters,
      ...progress.setAside(),
      durationMs: Math.round(performance.now() - this.#startedAtMs),
      pages,
      firstItemMs: firstItemAtMs === 0 ? 0 : Math.round(firstItemAtMs - performance.timeOrigin),
      cpuMs: Math.round((cpu.user + cpu.system) / 1000),
      peakRssBytes: process.resourceUsage().maxRSS * 1024,
    };
  }

  #conclude(end: End, result: OnceResult): number {
    const { progress } = this.#pipeline;
    const waiting = end === 'drained' ? [] : progress.waiting();
    this.#reporter.line(resultText(result));
    const aside = progress.setAsideList();
    if (aside.length > 0) this.#reporter.line(listText(aside));
    const early = whyEarly(end, waiting, { logFile: this.#place.facts.logFile, flags: placeFlags(this.#options) });
    if (early !== undefined) this.#reporter.line(early);
    if (this.#options.json) {
      const more =
        waiting.length > 0
          ? { waiting: waiting.map(({ userId, minerName, reason }) => ({ userId, minerName, reason })) }
          : {};
      printJson({ ...result, ...more });
    }
    return exitCode(end, result, this.#options.strict);
  }
}

/** By code where there is one: the message of a client may be long. */
function whyNot(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: string };
  return typeof code === 'string' ? code : (message ?? String(error));
}

/** Why a `--once` ended before everything was in the lake, and what to do; undefined when it did not. */
function whyEarly(
  end: End,
  waiting: readonly Waiting[],
  place: { readonly logFile: string; readonly flags: string },
): string | undefined {
  const { logFile, flags } = place;
  switch (end) {
    case 'drained':
      return undefined;
    case 'waited':
      return `Gave up after --max-wait; ${waiting.length} runs wait:\n${listText(waiting)}`;
    case 'braked':
      return `Lanes are stopped (npm run adit -- brake status${flags}); ${waiting.length} of their runs wait. Nothing is lost; release them, and the same command goes on.`;
    case 'stopped':
      return `Stopped; ${waiting.length} runs are not over. Nothing is lost; the same command goes on from here.`;
    case 'stuck':
      return `Envelopes are left as dead letters of the ingestion queue, and their items are not in the lake. The log is ${logFile}`;
  }
}

function exitCode(end: End, result: OnceResult, isStrict: boolean): number {
  if (end === 'waited') return EXIT.waited;
  const adds = equationsOf(result).every((equation) => equation.holds);
  const isTrue = (result.lost ?? 0) === 0 && (result.duplicate ?? 0) === 0;
  if (end !== 'drained' || !adds || !isTrue) return EXIT.incomplete;
  const isAside = result.quarantined + result.paused + result.failed > 0;
  return isStrict && isAside ? EXIT.incomplete : EXIT.ok;
}
