import { trimOldest } from '../core/bounded.ts';
import { blockCalls, type BudgetState, FRESH_BUDGET, type Rate, takeCall } from '../core/budget.ts';
import type { Usage } from '../core/upstream.ts';
import type { Clock } from '../ports.ts';

/** Rates and the cap on calls in flight. */
export interface LimitsOptions {
  readonly user: Rate;
  readonly upstream: Rate;
  /** Calls to one upstream in flight in this process. */
  readonly concurrency: number;
}

/** Users whose budget is remembered; forgetting an idle one costs nothing, because its budget has filled up again. */
const USERS_LIMIT = 100_000;

/** Use of an allowance from which calls stop, in per cent, and for how long when the upstream does not say. */
const USAGE_STOP_PERCENT = 95;
const USAGE_STOP_MS = 60_000;

/** Use from which calls slow down, and the pause added per call at the stop threshold. */
const USAGE_SLOW_PERCENT = 75;
const USAGE_SLOW_MS = 2000;

/**
 * This process's budgets: per user and per upstream, and a cap on calls in flight.
 * Article ch. 7; departs: never sleeps while holding a slot, and the map of users is bounded.
 */
export class Limits {
  readonly #clock: Clock;
  readonly #options: LimitsOptions;
  readonly #users = new Map<string, BudgetState>();
  readonly #upstreams = new Map<string, BudgetState>();
  #free: number;
  readonly #waiters: (() => void)[] = [];

  constructor(deps: { clock: Clock }, options: LimitsOptions) {
    this.#clock = deps.clock;
    this.#options = options;
    this.#free = options.concurrency;
  }

  /** Takes one call of both budgets: 0, or how long to wait before asking again, in ms. */
  take(upstream: string, userId: string): number {
    const nowMs = this.#clock.now();
    const user = takeCall(this.#users.get(userId) ?? FRESH_BUDGET, this.#options.user, nowMs);
    if (user.verdict.kind === 'wait') return user.verdict.waitMs;
    const shared = takeCall(this.#upstreams.get(upstream) ?? FRESH_BUDGET, this.#options.upstream, nowMs);
    if (shared.verdict.kind === 'wait') return shared.verdict.waitMs;
    this.#setUser(userId, user.state);
    this.#upstreams.set(upstream, shared.state);
    return 0;
  }

  /** Stops the calls of a user, or of everyone, for `waitMs`. */
  block(scope: 'user' | 'upstream', upstream: string, userId: string, waitMs: number): void {
    const nowMs = this.#clock.now();
    if (scope === 'user') {
      this.#setUser(userId, blockCalls(this.#users.get(userId) ?? FRESH_BUDGET, waitMs, nowMs));
    } else {
      this.#upstreams.set(upstream, blockCalls(this.#upstreams.get(upstream) ?? FRESH_BUDGET, waitMs, nowMs));
    }
  }

  /** Slows down or stops by what the upstream says of its allowance. */
  note(usages: readonly Usage[], upstream: string, userId: string): void {
    for (const usage of usages) {
      if (usage.percent >= USAGE_STOP_PERCENT) {
        this.block(usage.scope, upstream, userId, usage.regainMs ?? USAGE_STOP_MS);
      } else if (usage.percent >= USAGE_SLOW_PERCENT) {
        const share = (usage.percent - USAGE_SLOW_PERCENT) / (USAGE_STOP_PERCENT - USAGE_SLOW_PERCENT);
        this.block(usage.scope, upstream, userId, USAGE_SLOW_MS * share);
      }
    }
  }

  /** Runs `call` with one of the slots. Waiting for a slot is short: slots are held for one HTTP call only. */
  async withSlot<T>(call: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiters.push(resolve));
    try {
      return await call();
    } finally {
      const next = this.#waiters.shift();
      if (next === undefined) this.#free += 1;
      else next();
    }
  }

  #setUser(userId: string, state: BudgetState): void {
    this.#users.delete(userId);
    this.#users.set(userId, state);
    trimOldest(this.#users, USERS_LIMIT);
  }
}
