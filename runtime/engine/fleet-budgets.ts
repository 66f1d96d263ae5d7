import { RESERVE_LIMIT_MS } from '../core/budget.ts';
import type { CallOutcome, GatedCall, GateVerdict, Probe } from '../core/gate.ts';
import type { Clock, SharedAnswer, SharedBudgets } from '../ports.ts';
import type { Budgets } from './budgets.ts';
import { type BudgetOptions, leaseMsOf, type LocalBudgets } from './local-budgets.ts';

/** What the budgets of a fleet work with. */
export interface FleetBudgetsDeps {
  readonly clock: Clock;
  readonly shared: SharedBudgets;
  readonly local: LocalBudgets;
  /** Told when this process begins to call on its own share, and when it is back. */
  readonly onState: (state: 'shared' | 'own share', upstream: string, reason?: string) => void;
}

/** While the shared budgets are out of reach, one call looks again after so long, in ms. */
const RETRY_MS = 1000;

/** So long after it is back, a process keeps to its share by itself: others may not be back, and it has told nobody to, in ms. */
const OTHERS_BACK_MS = 6000;

/** Longest wait for the own share before asking again, in ms. */
const ALONE_WAIT_MAX_MS = 60_000;

/**
 * A seat is asked for again after so long, and kept for so long while its holder does not ask, in ms: longer than most outages, and
 * not so long that those who come after killed processes find all seats taken.
 */
const SEAT_EVERY_MS = 60_000;
const SEAT_KEPT_MS = 300_000;

/** Age at which a measured difference of clocks is replaced by any newer one that was measured within a short round trip, in ms. */
const OFFSET_AGE_MS = 60_000;
const OFFSET_ROUND_TRIP_MS = 100;

/**
 * A memory of the shared budgets that is younger than this may be gone again before it has let a call through, in ms; and when so
 * many in a row were younger, for so long, they forget faster than they can be used, as a full cache does that evicts them.
 */
const YOUNG_MS = 5000;
const YOUNG_LIMIT_MS = 10_000;
const BIRTHS_LIMIT = 3;

/** What this process knows of the fleet of one upstream. */
interface Fleet {
  isLost: boolean;
  /** Has called on its own share since the shared budgets were last reached. */
  hasCalledAlone: boolean;
  /** Has been given a place by the shared budgets, so that places may be open that they have forgotten. */
  hasAsked: boolean;
  retryAtMs: number;
  /** Memories of the shared budgets that were younger than `YOUNG_MS` when they were looked at, in a row: the newest, and since when. */
  young: { readonly sinceMs: number; readonly bornAtMs: number; readonly births: number } | undefined;
  /** They were out of use when last asked, because of that. */
  isForgetful: boolean;
  /** A call that looks whether they are back; never rejects. */
  look: Promise<unknown> | undefined;
  /** By the clock of this process. */
  sharesUntilMs: number;
  seatAskedAtMs: number;
  /** Keeps to its share until then, whatever the shared budgets say: others may still be calling on theirs. */
  ownUntilMs: number;
  /** As the shared budgets said last. */
  seat: number | undefined;
  offset: { readonly ms: number; readonly roundTripMs: number; readonly atMs: number } | undefined;
  /** Answered calls by proxy that the shared breaker has not heard of. */
  readonly answered: Map<string, number>;
}

/**
 * The budgets of all processes together, with a stated behaviour for when they are out of reach, or forget all the time: this
 * process then says nothing for one window (its last places may still be used), and after that calls on its own share (limit /
 * instances), never more and never nothing. Whoever comes back from that makes everybody keep to his share for a while, so that
 * nobody who is still away is counted out.
 * No window holds more calls than allowed while all processes can reach the shared budgets, while none can, and on the way from one
 * to the other. A process that alone is cut off adds at most its own share to it: limit x (1 + cut off / instances).
 * One exception: where there are more processes than calls in a window, those that have not reached the shared budgets since they
 * began know neither their seat nor the clock that all share, so their turns may meet; each still makes one call in a turn. And one
 * limit: a process that asked for nothing during an outage does not know of it, and meets for some seconds those that are not back.
 * Successes are told to the shared breaker with the next call over the same way; faults, stops and probes at once.
 */
export class FleetBudgets implements Budgets {
  readonly #deps: FleetBudgetsDeps;
  readonly #options: BudgetOptions;
  readonly #fleets = new Map<string, Fleet>();

  constructor(deps: FleetBudgetsDeps, options: BudgetOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  async take(call: GatedCall, reserveMs: number): Promise<GateVerdict> {
    const { clock, local } = this.#deps;
    const fleet = this.#fleetOf(call.upstream);
    // What this process was told itself holds, also when the shared budgets have forgotten it or were away when it was told.
    const stop = local.stop(call);
    if (stop !== undefined) return stop;
    // The others may have been back for long: a call made alone meanwhile would meet theirs, and that of the look.
    if (fleet.look !== undefined) await fleet.look;
    if (fleet.isLost && clock.now() < fleet.retryAtMs) return this.#takeAlone(fleet, call);
    const isLook = fleet.isLost;
    if (!isLook && clock.now() < fleet.sharesUntilMs) {
      const own = local.takeShare(call, 'only ask');
      if (own.kind === 'wait') return shortened(own, fleet.sharesUntilMs - clock.now());
    }
    const isOnShare = isLook || clock.now() < fleet.sharesUntilMs;
    const asked = this.#ask(fleet, call, isOnShare ? 0 : reserveMs);
    if (isLook) fleet.look = asked;
    const answer = await asked;
    if (isLook) fleet.look = undefined;
    if (answer === undefined) return this.#takeAlone(fleet, call);
    if (answer.kind === 'wait' || clock.now() >= fleet.sharesUntilMs) return answer;
    // Taken now and not before the question, which may have taken long: a turn may be over.
    const own = local.takeShare(call, 'take');
    if (own.kind === 'go') return answer;
    await this.#abandon(call, answer.probe);
    return shortened(own, fleet.sharesUntilMs - clock.now());
  }

  async note(call: GatedCall, outcome: CallOutcome): Promise<void> {
    const fleet = this.#fleetOf(call.upstream);
    this.#deps.local.noteNow(call, outcome);
    const { result, stops, bareWaitMs, probe } = outcome;
    if (result === 'answered' && stops.length === 0 && bareWaitMs === undefined && probe === undefined) {
      fleet.answered.set(wayOf(call), (fleet.answered.get(wayOf(call)) ?? 0) + 1);
      return;
    }
    // What is told may last for a while also where places are forgotten too soon.
    if (fleet.isLost && !fleet.isForgetful) return;
    try {
      await this.#deps.shared.note(call, outcome, takeOut(fleet.answered, wayOf(call)));
    } catch (error) {
      this.#lose(fleet, call.upstream, error);
    }
  }

  stopMs(call: GatedCall): number {
    return this.#deps.local.stopMs(call);
  }

  /** On its own share, while one call a second looks whether the others are back. */
  #takeAlone(fleet: Fleet, call: GatedCall): GateVerdict {
    const own = this.#deps.local.takeNow(call, 0);
    if (own.kind === 'go') fleet.hasCalledAlone = true;
    return shortened(own);
  }

  /** A call that had its place, and perhaps a probe, and is not made. */
  async #abandon(call: GatedCall, probe: Probe | undefined): Promise<void> {
    if (probe !== undefined) await this.note(call, { result: 'abandoned', stops: [], probe });
  }

  /** Undefined when nobody answered. */
  async #ask(fleet: Fleet, call: GatedCall, reserveMs: number): Promise<GateVerdict | undefined> {
    const { clock, shared, local } = this.#deps;
    const { instances } = this.#options;
    try {
      // Before and not after the question: a call leaves as soon as its place is known, or leaves together with the next one.
      if (instances > 1) await this.#sit(fleet, call.upstream);
      const isReturning = fleet.hasCalledAlone;
      const answered = takeOut(fleet.answered, wayOf(call));
      const sentAtMs = clock.now();
      const answer = await shared.take(call, {
        ...{ reserveMs, answered, isReturning, leaseMs: leaseMsOf(this.#options) },
        // A process that is alone and has asked for nothing yet has no place open, and nobody else has.
        coldReserveMs: instances === 1 && !fleet.hasAsked ? 0 : RESERVE_LIMIT_MS,
      });
      this.#hear(fleet, answer, sentAtMs);
      if (isReturning) fleet.hasCalledAlone = false;
      const { verdict } = answer;
      if (verdict.kind === 'wait' && verdict.why === 'stop' && verdict.scope !== 'proxy') {
        // Heard in case that the shared budgets are lost before it ends.
        local.hear(call, { scope: verdict.scope, waitMs: verdict.waitMs, isDoubted: false });
      }
      fleet.isForgetful = this.#forgets(fleet, answer);
      if (fleet.isForgetful) {
        if (verdict.kind === 'go') await this.#abandon(call, verdict.probe);
        throw new Error('they forget faster than they are asked');
      }
      this.#find(fleet, call.upstream);
      return verdict;
    } catch (error) {
      this.#lose(fleet, call.upstream, error);
      return undefined;
    }
  }

  /** Whether what the shared budgets remember is too young, and for too long, to count on it. */
  #forgets(fleet: Fleet, { nowMs, bornAtMs }: SharedAnswer): boolean {
    if (nowMs - bornAtMs >= YOUNG_MS) {
      fleet.young = undefined;
      return false;
    }
    const hereMs = this.#deps.clock.now();
    const { sinceMs = hereMs, bornAtMs: lastMs, births = 0 } = fleet.young ?? {};
    fleet.young = { sinceMs, bornAtMs, births: births + (bornAtMs === lastMs ? 0 : 1) };
    const isTooOften = fleet.young.births >= BIRTHS_LIMIT && hereMs - sinceMs >= YOUNG_LIMIT_MS;
    return fleet.isForgetful || isTooOften;
  }

  #hear(fleet: Fleet, { nowMs, sharesUntilMs }: SharedAnswer, sentAtMs: number): void {
    const hereMs = this.#deps.clock.now();
    const roundTripMs = hereMs - sentAtMs;
    const isOld = hereMs - (fleet.offset?.atMs ?? 0) > OFFSET_AGE_MS && roundTripMs <= OFFSET_ROUND_TRIP_MS;
    if (fleet.offset === undefined || isOld || roundTripMs < fleet.offset.roundTripMs) {
      fleet.offset = { ms: nowMs - (sentAtMs + hereMs) / 2, roundTripMs, atMs: hereMs };
      this.#deps.local.sit(undefined, fleet.offset.ms);
    }
    fleet.hasAsked = true;
    if (fleet.isLost) fleet.ownUntilMs = hereMs + OTHERS_BACK_MS;
    fleet.sharesUntilMs = Math.max(fleet.ownUntilMs, hereMs + sharesUntilMs - nowMs);
  }

  async #sit(fleet: Fleet, upstream: string): Promise<void> {
    const { clock, shared, local } = this.#deps;
    if (clock.now() - fleet.seatAskedAtMs < SEAT_EVERY_MS) return;
    fleet.seatAskedAtMs = clock.now();
    const processes = this.#options.instances;
    // A Redis that has lost what it knew leaves everybody where he is: two who change places meet on the way.
    const seat = await shared.seat(upstream, { processes, keptMs: SEAT_KEPT_MS, held: fleet.seat });
    fleet.seat = seat ?? fleet.seat;
    local.sit(seat, fleet.offset?.ms ?? 0);
  }

  #find(fleet: Fleet, upstream: string): void {
    if (!fleet.isLost) return;
    fleet.isLost = false;
    this.#deps.onState('shared', upstream);
  }

  #lose(fleet: Fleet, upstream: string, error: unknown): void {
    const { clock, local, onState } = this.#deps;
    fleet.retryAtMs = clock.now() + RETRY_MS;
    // Asked for again with the first question that is answered, before somebody who has none takes it.
    fleet.seatAskedAtMs = Number.NEGATIVE_INFINITY;
    if (fleet.isLost) return;
    fleet.isLost = true;
    local.silence(upstream);
    onState('own share', upstream, error instanceof Error ? error.message : String(error));
  }

  #fleetOf(upstream: string): Fleet {
    const known = this.#fleets.get(upstream);
    if (known !== undefined) return known;
    const fleet: Fleet = {
      ...{ isLost: false, hasCalledAlone: false, hasAsked: false, retryAtMs: 0, sharesUntilMs: 0, ownUntilMs: 0 },
      ...{ look: undefined, young: undefined, isForgetful: false },
      ...{ seatAskedAtMs: Number.NEGATIVE_INFINITY, seat: undefined, offset: undefined, answered: new Map() },
    };
    this.#fleets.set(upstream, fleet);
    return fleet;
  }
}

/** A wait for a turn may be many minutes; the shared budgets may be back before. */
function shortened(verdict: GateVerdict, limitMs: number = ALONE_WAIT_MAX_MS): GateVerdict {
  const isOwn = verdict.kind === 'wait' && (verdict.why === 'budget' || verdict.why === 'turn');
  return isOwn ? { ...verdict, waitMs: Math.min(verdict.waitMs, Math.max(1, limitMs)) } : verdict;
}

function wayOf({ proxyUrl }: GatedCall): string {
  return proxyUrl ?? '';
}

function takeOut(counts: Map<string, number>, key: string): number {
  const count = counts.get(key) ?? 0;
  counts.delete(key);
  return count;
}
