import { RESERVE_LIMIT_MS } from '../core/budget.ts';
import { Fault, FAULTS } from '../core/faults.ts';
import { type CallOutcome, type GatedCall, outcomeOfFault, type Probe, type Stop, stopsOfUsage } from '../core/gate.ts';
import type { ReplyFault, Usage } from '../core/upstream.ts';
import type { Clock, Random } from '../ports.ts';
import type { Budgets } from './budgets.ts';
import { type Slot, Slots } from './slots.ts';

/** What limits work with. */
export interface LimitsDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly budgets: Budgets;
}

/** Limits of this process. */
export interface LimitsOptions {
  /** Calls to one upstream in flight in this process. */
  readonly concurrency: number;
  /** Stop after a rate limit that does not say how long, in ms. */
  readonly rateLimitWaitMs: number;
}

/** Permission for one call. Whoever has it makes the call with `run`, once, and then says what came of it. */
export interface Permit {
  /**
   * Makes the call and gives its slot back; a call that fails is told to the breaker. Rethrows what `call` throws.
   */
  run<T>(call: () => Promise<T>): Promise<T>;
  /** Gives permission and slot back, instead of `run`. Never rejects. */
  giveBack(): Promise<void>;
  /** Tells what an answer says of allowances and limits. Never rejects. */
  note(usages: readonly Usage[], fault: ReplyFault | undefined): Promise<void>;
}

/** Permission, or how long to wait before asking again, in ms. */
export type Entry =
  | { readonly kind: 'permit'; readonly permit: Permit }
  | {
      readonly kind: 'later';
      readonly waitMs: number;
      readonly isBreakerOpen: boolean;
      /** This process may call in turns only, and waits for its next one. */
      readonly isTurn: boolean;
    };

/**
 * How long a call waits for a slot while slow calls hold all of them, in ms at least, and how long it then stays away: its message
 * waits in the queue meanwhile, not in a process.
 */
const SLOT_WAIT_MIN_MS = 5000;
const SLOT_RETRY_MS = 5000;

/** A caller that wakes up so long after its place in the budgets asks again, in ms: everybody may have slept. */
const LATE_LIMIT_MS = 1000;

/** Waits for a budget that many share are shortened by up to this share, so that the waiters do not come back together. */
const SPREAD = 0.5;

/**
 * The gate in front of an upstream: a slot of this process, then a place in the budgets that all processes share.
 * Article ch. 7; departs: nobody waits for a user's budget, a stop or a breaker while holding a slot, only for his given place in
 * the budget of that very upstream, a second at most, when nobody else could call either.
 */
export class Limits {
  readonly #deps: LimitsDeps;
  readonly #options: LimitsOptions;
  readonly #slots = new Map<string, Slots>();

  constructor(deps: LimitsDeps, options: LimitsOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /**
   * Waits for permission, up to `maxWaitMs` for budgets, stops and breakers together; what takes longer is for a scheduled message.
   * @throws the signal's reason when it was aborted.
   */
  async enter(call: GatedCall, maxWaitMs: number, signal: AbortSignal): Promise<Entry> {
    const { clock } = this.#deps;
    const slotUntilMs = clock.now() + Math.max(maxWaitMs, SLOT_WAIT_MIN_MS);
    let leftMs = maxWaitMs;
    for (;;) {
      const slot = await this.#slotsOf(call.upstream).take(Math.max(0, slotUntilMs - clock.now()), signal);
      if (slot === undefined) return { kind: 'later', waitMs: SLOT_RETRY_MS, isBreakerOpen: false, isTurn: false };
      const entry = await this.#enterWith(slot, call, leftMs, signal);
      if (entry.kind === 'permit' || entry.waitMs > leftMs) return entry;
      // Ends: every round takes a millisecond at least of what is left.
      leftMs -= Math.max(entry.waitMs, 1);
      await clock.sleep(entry.waitMs, signal);
    }
  }

  /** Asks the budgets once. The slot goes into the permit, or back. */
  async #enterWith(slot: Slot, call: GatedCall, leftMs: number, signal: AbortSignal): Promise<Entry> {
    let isKept = false;
    try {
      const verdict = await this.#deps.budgets.take(call, Math.min(leftMs, RESERVE_LIMIT_MS));
      if (verdict.kind === 'wait') {
        const isShared = verdict.why === 'budget' && verdict.scope === 'upstream';
        const waitMs = Math.ceil(verdict.waitMs * (isShared ? this.#spread() : 1));
        return { kind: 'later', waitMs, isBreakerOpen: verdict.why === 'breaker', isTurn: verdict.why === 'turn' };
      }
      isKept = await this.#isPlaceGood(call, verdict.waitMs, signal);
      if (isKept) return { kind: 'permit', permit: this.#permit(slot, call, verdict.probe) };
      await this.#tell(call, ABANDONED, verdict.probe);
      const waitMs = Math.ceil(this.#deps.budgets.stopMs(call));
      return { kind: 'later', waitMs, isBreakerOpen: false, isTurn: false };
    } finally {
      if (!isKept) slot.release();
    }
  }

  /** Waits for a place in the budgets. False when it is of no use any more: a stop came meanwhile, or its time is long over. */
  async #isPlaceGood(call: GatedCall, waitMs: number, signal: AbortSignal): Promise<boolean> {
    if (waitMs <= 0) return true;
    const { clock, budgets } = this.#deps;
    const atMs = clock.now() + waitMs;
    await clock.sleep(Math.ceil(waitMs), signal);
    return clock.now() - atMs <= LATE_LIMIT_MS && budgets.stopMs(call) === 0;
  }

  #permit(slot: Slot, call: GatedCall, probe: Probe | undefined): Permit {
    return {
      run: async (make) => {
        try {
          return await make();
        } catch (error) {
          slot.release();
          await this.#tell(call, error instanceof Fault ? outcomeOfFault(error.code) : ABANDONED, probe);
          throw error;
        } finally {
          slot.release();
        }
      },
      giveBack: () => {
        slot.release();
        return this.#tell(call, ABANDONED, probe);
      },
      note: (usages, fault) => {
        const outcome: CallOutcome = fault === undefined ? ANSWERED : this.#outcomeOf(fault);
        return this.#tell(call, { ...outcome, stops: [...outcome.stops, ...stopsOfUsage(usages)] }, probe);
      },
    };
  }

  #outcomeOf({ code, retryAfterMs, isBare }: ReplyFault): CallOutcome {
    const outcome = outcomeOfFault(code);
    const { treatment, scope } = FAULTS[code];
    if (treatment !== 'wait') return outcome;
    const waitMs = retryAfterMs ?? this.#options.rateLimitWaitMs;
    if (isBare === true) return { ...outcome, bareWaitMs: waitMs };
    const stop: Stop = { scope, waitMs, isDoubted: false };
    return { ...outcome, stops: [stop] };
  }

  #tell(call: GatedCall, outcome: CallOutcome, probe: Probe | undefined): Promise<void> {
    return this.#deps.budgets.note(call, probe === undefined ? outcome : { ...outcome, probe });
  }

  #spread(): number {
    return 1 - SPREAD * this.#deps.random.next();
  }

  #slotsOf(upstream: string): Slots {
    const known = this.#slots.get(upstream);
    if (known !== undefined) return known;
    const slots = new Slots(this.#deps.clock, this.#options.concurrency);
    this.#slots.set(upstream, slots);
    return slots;
  }
}

const ANSWERED: CallOutcome = { result: 'answered', stops: [] };
const ABANDONED: CallOutcome = { result: 'abandoned', stops: [] };
