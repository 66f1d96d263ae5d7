import type { Backoff } from '../core/backoff.ts';
import type { Brake } from '../core/brake.ts';
import { deadLetterOf, Fault } from '../core/faults.ts';
import { decodeMarkerMessage, type MarkerMessage } from '../core/marker-message.ts';
import { guardContent } from '../core/content-guard.ts';
import { type GuardDecision, guardMarker } from '../core/marker.ts';
import type { Miner, User } from '../core/miner.ts';
import {
  advancePage,
  decideSlice,
  endRun,
  FAILURES_LIMIT,
  isSameWork,
  moverOf,
  nextSlice,
  type Run,
} from '../core/run.ts';
import { treatFault, type TreatmentSettings } from '../core/treatment.ts';
import type { UpstreamDefinition } from '../core/upstream.ts';
import type { Handled, IncomingMessage } from '../ports.ts';
import { type FetchDeps, fetchPage } from './fetch-page.ts';
import { BRAKE_CACHE_MS, type Brakes } from './brakes.ts';
import type { Entry, Limits, Permit } from './limits.ts';
import { type MarkerSenderDeps, sendMarkers } from './marker-sender.ts';
import type { MassFaults } from './mass-faults.ts';
import { messageClock } from './message-clock.ts';
import { originOf, postpone, putBack } from './postpone.ts';
import type { Progress } from './progress.ts';
import type { Runs, StoredRun } from './runs.ts';
import { type TakeDeps, takePage } from './take-page.ts';
import type { Users } from './users.ts';

/** Bounds of a slice and of its calls. */
export interface MineSettings extends TreatmentSettings {
  readonly slicePages: number;
  readonly sliceMs: number;
  readonly pageMaxBytes: number;
  readonly callTimeoutMs: number;
}

/** What a miner works with. */
export interface MineDeps extends FetchDeps, TakeDeps, MarkerSenderDeps {
  readonly miner: Miner;
  readonly definition: UpstreamDefinition;
  readonly baseUrl: string;
  readonly settings: MineSettings;
  readonly limits: Limits;
  readonly runs: Runs;
  readonly users: Users;
  readonly progress: Progress;
  /** Queue that the marker messages come from. */
  readonly queue: string;
  /** True when the process wants to end: a slice then ends after its page, and goes on elsewhere. */
  readonly isStopping: () => boolean;
  readonly brakes: Brakes;
  readonly mass: MassFaults;
}

/** Waits between attempts inside a slice, and between slices, after transient faults. */
export const RETRY_BACKOFF: Backoff = { firstMs: 100, maxMs: 5000, jitter: 0.5 };
/** Attempts inside a slice after the first. */
export const RETRIES_LIMIT = 3;

/** A permission is used within so long, in ms, or given back: the next one may be for as soon as the window allows. */
const PERMIT_MAX_AGE_MS = 1;

/**
 * A message that waits for a turn comes this share of the wait inside a slice before it, at most so long: turns are short, and a
 * message that came a moment late would wait for the next one again and again.
 */
const TURN_EARLY_SHARE = 0.8;
const TURN_EARLY_MAX_MS = 10_000;

/** How early a message comes for a turn, in ms. */
export function turnEarlyMs({ inlineWaitMs }: Pick<TreatmentSettings, 'inlineWaitMs'>): number {
  return TURN_EARLY_SHARE * Math.min(inlineWaitMs, TURN_EARLY_MAX_MS);
}

const COMPLETE: Handled = { settlement: { kind: 'complete' } };

/** Another worker moved the run: what this one did is in the lake or will be dropped as known. */
class RunMoved extends Error {}

/**
 * Mines one slice of a run: page by page until the list, the slice or the user's luck ends.
 * @throws when a service is away; the message then comes again and the run goes on from its page checkpoint.
 */
export async function mine(host: MineDeps, message: IncomingMessage, lock: AbortSignal): Promise<Handled> {
  const deps = { ...host, clock: messageClock(host.clock, message) };
  const decoded = decodeMarkerMessage(new TextDecoder().decode(message.body));
  if (decoded.kind === 'newer') return postpone(deps, message, { code: 'schema-newer' });
  if (decoded.kind === 'malformed') {
    return { settlement: deadLetterOf('marker-message-malformed', decoded.reason) };
  }
  const brake = await deps.brakes.on(deps.miner);
  if (brake !== undefined) {
    const behindMs = deps.clock.now() - host.clock.now();
    const lookAgainAtMs = deps.brakes.lookAgainAtMs(brake, deps.settings.brakeLookMs);
    return putBack(deps, message, { notBeforeMs: lookAgainAtMs + behindMs });
  }
  const marker = decoded.message;
  const [stored] = await deps.runs.read(deps.miner.name, [marker.userId]);
  const messageId = originOf(message);
  const verdict = decideSlice(stored?.run, { ...marker, messageId });
  if (stored === undefined || verdict === 'settle') {
    // The write that ended the run may have been answered with an error: then nobody in this process knows yet.
    if (stored !== undefined && stored.run.state !== 'live') deps.progress.ended(stored.run);
    return COMPLETE;
  }
  if (verdict === 'resend') {
    await sendMarkers(deps, deps.miner.name, [stored.run]);
    return COMPLETE;
  }
  try {
    await mineSlice(deps, { marker, stored, messageId }, lock);
  } catch (error) {
    if (!(error instanceof RunMoved)) throw error;
  }
  return COMPLETE;
}

/** A marker message that is to be worked on, and the row that it met. */
interface SliceTask {
  readonly marker: MarkerMessage;
  readonly stored: StoredRun;
  readonly messageId: string;
}

async function mineSlice(deps: MineDeps, task: SliceTask, lock: AbortSignal): Promise<void> {
  const { marker, stored } = task;
  const user = await deps.users.read(marker.userId);
  const slice = new Slice(deps, task);
  if (user === undefined || user.status !== 'active') {
    const end = { state: 'failed', code: 'user-inactive', reason: 'the user is not active' } as const;
    return slice.finish(endRun(stored.run, end, deps.clock.now()));
  }
  deps.progress.opened(stored.run, 'mining');
  deps.packer.enter();
  try {
    await slice.mine(user, lock);
  } finally {
    deps.packer.leave();
  }
}

/** One slice under way. The run row moves only by compare-and-set from the state this slice has seen. */
class Slice {
  readonly #deps: MineDeps;
  readonly #messageId: string;
  #run: Run;
  #etag: string;

  constructor(deps: MineDeps, { stored, messageId }: SliceTask) {
    this.#deps = deps;
    this.#messageId = messageId;
    this.#run = stored.run;
    this.#etag = stored.etag;
  }

  async mine(user: User, lock: AbortSignal): Promise<void> {
    const { settings, clock, brakes, miner } = this.#deps;
    const untilMs = clock.now() + settings.sliceMs;
    const firstPage = this.#run.pages;
    let retries = 0;
    let waits = 0;
    let failed: Fault | undefined;
    const isWithin = (): boolean => this.#run.pages - firstPage < settings.slicePages && clock.now() < untilMs;
    while (isWithin() && !this.#deps.isStopping()) {
      lock.throwIfAborted();
      const engaged = await brakes.on(miner);
      if (engaged !== undefined) return this.#waitForRelease(engaged);
      const lookedAtMs = clock.now();
      const entry = await this.#enter(user, untilMs, lock);
      if (entry.kind === 'later') return this.finish(this.#waiting(entry, failed));
      const permittedAtMs = clock.now();
      const isFresh = permittedAtMs - lookedAtMs < BRAKE_CACHE_MS;
      const brake = isFresh ? brakes.knownOn(miner) : await brakes.on(miner);
      // A call that leaves later than its permission would leave together with the next one.
      const isLate = clock.now() - permittedAtMs > PERMIT_MAX_AGE_MS;
      if (brake !== undefined || isLate) await entry.permit.giveBack();
      if (brake !== undefined) return this.#waitForRelease(brake);
      if (isLate) continue;
      try {
        const isEnd = await this.#minePage(user, entry.permit, lock);
        if (isEnd) return;
        retries = 0;
        waits = 0;
        failed = undefined;
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        const goesOn = await this.#treat(error, error.treatment === 'wait' ? waits : retries, user, lock);
        if (!goesOn) return;
        // Restarts and smaller pages are not attempts that failed, and limits have their own count.
        if (error.treatment === 'wait') waits += 1;
        if (error.treatment !== 'retry') continue;
        retries += 1;
        failed = error;
      }
    }
    await this.finish(nextSlice(this.#run, clock.now()));
  }

  /** Writes the run row and, for a run that goes on, sends the next marker message. */
  async finish(ended: Run): Promise<void> {
    const run = ended.state === 'live' ? { ...ended, movedBy: moverOf(ended, this.#messageId) } : ended;
    await this.#save(run);
    if (run.state === 'live') {
      this.#deps.progress.opened(run, run.notBeforeMs > 0 ? 'waits for its budget or a retry' : 'queued');
      await sendMarkers(this.#deps, run.minerName, [run]);
    } else {
      this.#deps.progress.ended(run);
    }
  }

  /** Permission for a call, or the wait that is too long for a process that is paid for it. */
  #enter(user: User, untilMs: number, lock: AbortSignal): Promise<Entry> {
    const { limits, clients, clock, settings, definition } = this.#deps;
    const call = { upstream: definition.name, userId: user.userId, proxyUrl: clients.wayOf(definition, user) };
    return limits.enter(call, clock.now() < untilMs ? settings.inlineWaitMs : 0, lock);
  }

  /** The run while it waits. A call of its own that just failed and left the breaker open counts as one that outlived its retries. */
  #waiting(entry: Extract<Entry, { kind: 'later' }>, failed: Fault | undefined): Run {
    const nowMs = this.#deps.clock.now();
    const earlyMs = entry.isTurn ? turnEarlyMs(this.#deps.settings) : 0;
    const notBeforeMs = nowMs + Math.max(1, entry.waitMs - earlyMs);
    if (failed === undefined || !entry.isBreakerOpen) return nextSlice(this.#run, nowMs, notBeforeMs);
    const failures = this.#run.failures + 1;
    if (failures > FAILURES_LIMIT) {
      const reason = `${failed.code}: ${failed.message}; the breaker of the way to the upstream is open`;
      return endRun(this.#run, { state: 'failed', code: failed.code, reason }, nowMs);
    }
    return nextSlice({ ...this.#run, failures }, nowMs, nowMs + entry.waitMs);
  }

  /** The lane is stopped: the slice ends, and its next message looks again later. */
  #waitForRelease(brake: Brake): Promise<void> {
    const { brakes, settings, clock } = this.#deps;
    return this.finish(nextSlice(this.#run, clock.now(), brakes.lookAgainAtMs(brake, settings.brakeLookMs)));
  }

  /** Fetches, delivers and checkpoints one page. True at the end of the list. */
  async #minePage(user: User, permit: Permit, lock: AbortSignal): Promise<boolean> {
    const deps = this.#deps;
    const run = this.#run;
    const page = await fetchPage(
      deps,
      {
        miner: deps.miner,
        definition: deps.definition,
        baseUrl: deps.baseUrl,
        user,
        marker: run.marker,
        limit: run.pageLimit,
        maxBytes: deps.settings.pageMaxBytes,
        timeoutMs: deps.settings.callTimeoutMs,
        permit,
      },
      lock,
    );
    const observedAtMs = Math.max(page.answeredAtMs, run.observedAtMs + 1);
    const taken = await takePage(deps, deps.miner, run, page.items, observedAtMs);
    deps.progress.page(run.minerName, taken.fresh, deps.clock.now());
    const { marker, guard } = run;
    const { state: content, stuck } = guardContent(run.content, taken.ids);
    const nowMs = deps.clock.now();
    if (page.next === null) {
      const end = { state: 'done', code: 'end-of-list', reason: 'the list was read to its end' } as const;
      await this.finish(endRun(advancePage(run, { ...taken, marker, guard, content }, nowMs), end, nowMs));
      return true;
    }
    const decision = guardMarker(guard, page.next);
    const advanced = advancePage(run, { ...taken, marker: page.next, guard: decision.state, content }, nowMs);
    await this.#save(advanced);
    if (decision.verdict === 'stuck') throw stuckFault(advanced, decision);
    if (stuck !== undefined) throw new Fault('no-progress', `${stuck}, on page ${advanced.pages}`);
    return false;
  }

  /** True: the slice goes on with the same page. False: it has ended. */
  async #treat(raised: Fault, attempt: number, user: User, lock: AbortSignal): Promise<boolean> {
    const { clock, random, digest, settings, mass, miner, users } = this.#deps;
    const noted = await mass.note(raised, miner, user);
    const fault = noted?.kind === 'mass' ? noted.fault : raised;
    const now = { nowMs: clock.now(), random: random.next(), tokenHash: digest.sha256(user.accessToken, 32) };
    const verdict = treatFault(this.#run, fault, attempt, settings, now);
    if (fault.treatment === 'deactivate') await users.setStatus(user.userId, 'inactive');
    if (verdict.kind !== 'again') {
      await this.finish(verdict.run);
      if (noted?.kind === 'within') await mass.confirm(noted.sighting);
      return false;
    }
    if (verdict.run !== this.#run) await this.#save(verdict.run);
    await clock.sleep(verdict.waitMs, lock);
    return true;
  }

  async #save(run: Run): Promise<void> {
    const [etag] = await this.#deps.runs.write([{ run, etag: this.#etag }]);
    const saved = etag === undefined ? await this.#wonAnyway(run) : { run, etag };
    if (saved === undefined) throw new RunMoved();
    this.#run = saved.run;
    this.#etag = saved.etag;
  }

  /** The row after a conflict that is none: somebody has only sent the message of this slice again, and is written over. */
  async #wonAnyway(run: Run): Promise<StoredRun | undefined> {
    const { runs } = this.#deps;
    const [stored] = await runs.read(run.minerName, [run.userId]);
    if (stored === undefined) return undefined;
    if (!isSameWork(stored.run, this.#run)) return undefined;
    const merged = run.slice === stored.run.slice ? { ...run, copies: stored.run.copies } : run;
    const [etag] = await runs.write([{ run: merged, etag: stored.etag }]);
    return etag === undefined ? undefined : { run: merged, etag };
  }
}

function stuckFault(run: Run, { cycleLength }: GuardDecision): Fault {
  const what = cycleLength === 1 ? 'the same marker came back' : `${cycleLength} markers came back in a circle`;
  return new Fault('marker-stuck', `${what}, ${run.guard.repeats} repeats in a row on page ${run.pages}`);
}
