import type { BreakerState } from '../../../runtime/core/breaker.ts';
import { RESERVE_LIMIT_MS } from '../../../runtime/core/budget.ts';
import type { GatedCall } from '../../../runtime/core/gate.ts';
import type { UpstreamAnswer } from '../../../runtime/ports.ts';
import { RATE_LIMIT_UPSTREAM_CODE } from './upstream-world.ts';
import { type BudgetRule, budgetRuleOf, type Plan } from './plan.ts';
import { type Caller, HOP_MS, UNREACHED_MS } from './wire.ts';

/** What a witness of budgets looks at. */
export interface BudgetWitnessDeps {
  readonly plan: Plan;
  readonly now: () => number;
  readonly violate: (text: string) => void;
  /** The shared breaker of the way of a call. */
  readonly breaker: (call: GatedCall) => BreakerState;
  /** Since when, in the last outage, nobody reached them. */
  readonly redisAwaySinceMs: () => number;
  /** Until when nobody reaches, or has reached, the shared budgets; epoch in ms. */
  readonly redisAwayUntilMs: () => number;
}

/** A call that has left and has no answer yet. */
export interface CallOut {
  readonly caller: Caller;
  readonly call: GatedCall;
}

/** What the checks of budgets have met. */
export interface BudgetCounts {
  readonly rule: BudgetRule['kind'];
  /** Times that a shared breaker has opened. */
  readonly openings: number;
  /** Probes of shared breakers. */
  readonly probes: number;
  /** Windows with as many calls as are allowed, and not one more. */
  readonly fullWindows: number;
}

/** A stop that the fleet was told of. */
interface ToldStop {
  readonly teller: Caller;
  readonly toldAtMs: number;
  readonly untilMs: number;
}

/** Times are whole milliseconds: a call may come this much earlier than it is due, in ms. */
const ROUNDING_MS = 1;

/**
 * A place is given at the time of the server, and the call leaves when the answer has come, after a wait in whole milliseconds and
 * within the age of a permission: later than its place by up to so much, in ms. What is told is under way for less.
 */
const UNDER_WAY_MS = 2 * HOP_MS;

/** After an outage, processes come back with their next call a second later at most, and what they began alone is over, in ms. */
const COMING_BACK_MS = 3000 + UNREACHED_MS;

/** Sees that calls keep to their budgets, stops and breakers: of each process alone, or of all that share them. */
export class BudgetWitness {
  readonly #deps: BudgetWitnessDeps;
  readonly #rule: BudgetRule;
  readonly #calls = new Map<string, number[]>();
  /** By process and by whom it concerns. */
  readonly #ownStops = new Map<string, number>();
  readonly #toldStops = new Map<string, ToldStop[]>();
  readonly #goneAtMs = new Map<string, number>();
  readonly #openedAtMs = new Map<string, number>();
  readonly #out = new Set<CallOut>();
  /** The newest probe of a way that a call has left for. */
  readonly #probing = new Map<string, number>();
  /** Processes that know whether they have a seat. */
  readonly #heard = new Set<string>();
  /** When a process called that has not heard of its seat. */
  #unheardAtMs = 0;
  /** When processes last found the shared budgets away. */
  readonly #unreachedAtMs = new Map<string, number>();
  /** When a process called soon after an outage that it has not met. */
  #unawareAtMs = 0;
  #openings = 0;
  #probes = 0;
  #fullWindows = 0;

  constructor(deps: BudgetWitnessDeps) {
    this.#deps = deps;
    this.#rule = budgetRuleOf(deps.plan);
  }

  counts(): BudgetCounts {
    const kind = this.#rule.kind;
    return { rule: kind, openings: this.#openings, probes: this.#probes, fullWindows: this.#fullWindows };
  }

  /** A call leaves for the upstream. Whoever says so says `ended` of what this answers. */
  called(caller: Caller, call: GatedCall): CallOut {
    const out = { caller, call };
    const rule = this.#rule;
    if (rule.kind === 'none') return out;
    if (!this.#heard.has(caller.name)) this.#unheardAtMs = this.#deps.now();
    const hasMet = (this.#unreachedAtMs.get(caller.name) ?? 0) >= this.#deps.redisAwaySinceMs();
    if (!hasMet && this.#isRedisLatelyAway()) this.#unawareAtMs = this.#deps.now();
    const scope = rule.kind === 'own' ? caller.name : 'fleet';
    const { userCallsPerSecond, upstreamCallsPerSecond, proxyCallsPerSecond } = this.#deps.plan.settings;
    this.#count(`${scope} ${call.userId}`, userCallsPerSecond);
    this.#count(`${scope} upstream`, upstreamCallsPerSecond);
    if (call.proxyUrl !== null) this.#count(`${scope} ${call.proxyUrl}`, proxyCallsPerSecond);
    this.#seeOwnStops(out);
    if (rule.kind === 'strict' && !this.#isRedisLatelyAway()) {
      this.#seeToldStops(out);
      this.#seeBreaker(out);
    }
    this.#out.add(out);
    return out;
  }

  /** The call has its answer, or has failed. */
  ended(out: CallOut): void {
    this.#out.delete(out);
  }

  /** An answer came: what it says of waiting holds from now on, for its process and for all that it tells. */
  answered({ caller, call }: CallOut, answer: UpstreamAnswer): void {
    const scope = stopScopeOf(answer);
    if (scope === undefined || this.#rule.kind === 'none') return;
    const seconds = answer.headers['retry-after'];
    const waitMs = seconds === undefined ? this.#deps.plan.settings.rateLimitWaitMs : Number(seconds) * 1000;
    const nowMs = this.#deps.now();
    const whom = scope === 'user' ? call.userId : scope;
    const key = `${caller.name} ${whom}`;
    this.#ownStops.set(key, Math.max(this.#ownStops.get(key) ?? 0, nowMs + waitMs));
    if (this.#rule.kind !== 'strict' || this.#isRedisLatelyAway()) return;
    const told = (this.#toldStops.get(whom) ?? []).filter(({ untilMs }) => untilMs > nowMs);
    this.#toldStops.set(whom, [...told, { teller: caller, toldAtMs: nowMs, untilMs: nowMs + waitMs }]);
  }

  heardOfSeat({ name }: Caller): void {
    this.#heard.add(name);
  }

  unreached({ name }: Caller): void {
    this.#unreachedAtMs.set(name, this.#deps.now());
  }

  gone({ name }: Caller): void {
    this.#goneAtMs.set(name, this.#deps.now());
  }

  /** The shared budgets have forgotten everything. */
  flushed(): void {
    this.#toldStops.clear();
    this.#openedAtMs.clear();
  }

  breakerChanged(call: GatedCall, before: BreakerState, after: BreakerState): void {
    if (after.mode === 'open' && before.mode !== 'open') {
      this.#openings += 1;
      this.#openedAtMs.set(wayOf(call), this.#deps.now());
    }
    if (after.mode === 'half-open' && after.untilMs > this.#deps.now()) this.#probes += 1;
  }

  /** Counts the calls of every window of a second, or of as long as one call takes at a slower rate. */
  #count(key: string, callsPerSecond: number): void {
    const nowMs = this.#deps.now();
    const rule = this.#rule;
    const windowMs = Math.max(1000, 1000 / callsPerSecond);
    const limit = this.#limitOf(callsPerSecond, windowMs);
    const slackMs = rule.kind === 'own' ? ROUNDING_MS : UNDER_WAY_MS;
    const calls = (this.#calls.get(key) ?? []).filter((atMs) => atMs > nowMs - windowMs + slackMs);
    calls.push(nowMs);
    this.#calls.set(key, calls);
    if (calls.length === limit && rule.kind === 'strict') this.#fullWindows += 1;
    if (calls.length > limit)
      this.#deps.violate(
        `budget: ${key} is called ${calls.length} times in ${windowMs} ms, the last ${calls.at(-1)! - calls[0]!} ms after the first`,
      );
  }

  #limitOf(callsPerSecond: number, windowMs: number): number {
    const rule = this.#rule;
    const { processes } = this.#deps.plan;
    const limit = Math.round((callsPerSecond * windowMs) / 1000);
    if (rule.kind === 'own') return limit;
    // Whoever has not reached the shared budgets since he began does not know his turn (`FleetBudgets`).
    const isGuessing = limit < processes && this.#deps.now() - this.#unheardAtMs < windowMs;
    // Who asked for nothing during an outage meets those who are not back, and add their shares (`FleetBudgets`).
    const isUnaware = this.#deps.now() - this.#unawareAtMs < windowMs;
    const times = rule.kind === 'loose' ? rule.times : isUnaware ? 2 - 1 / processes : 1;
    return Math.max(Math.ceil(limit * times), isGuessing ? processes : 0);
  }

  /** A process obeys what it was told itself, also when the shared budgets have forgotten it. */
  #seeOwnStops({ caller, call }: CallOut): void {
    for (const whom of [call.userId, 'upstream']) {
      const stopMs = (this.#ownStops.get(`${caller.name} ${whom}`) ?? 0) - this.#deps.now();
      if (stopMs > ROUNDING_MS)
        this.#deps.violate(`budget: ${caller.name} calls for ${call.userId} ${stopMs} ms before it may (${whom})`);
    }
  }

  /** What one process was told holds for all; only places that were given before may still be used. */
  #seeToldStops({ caller, call }: CallOut): void {
    const nowMs = this.#deps.now();
    for (const whom of [call.userId, 'upstream']) {
      for (const { teller, toldAtMs, untilMs } of this.#toldStops.get(whom) ?? []) {
        const isKnown = nowMs > toldAtMs + RESERVE_LIMIT_MS + UNDER_WAY_MS;
        const hasTold = (this.#goneAtMs.get(teller.name) ?? Infinity) > toldAtMs + UNDER_WAY_MS;
        if (!isKnown || !hasTold || this.#deps.redisAwayUntilMs() > toldAtMs) continue;
        if (untilMs - nowMs > ROUNDING_MS)
          this.#deps.violate(
            `budget: ${caller.name} calls for ${call.userId} ${untilMs - nowMs} ms before it may, as ${teller.name} has told (${whom})`,
          );
      }
    }
  }

  /** No call while it is open, but those that had their place before; one call at a time while it is half-open. */
  #seeBreaker({ caller, call }: CallOut): void {
    const { mode, untilMs } = this.#deps.breaker(call);
    if (mode === 'closed') return;
    const nowMs = this.#deps.now();
    const way = wayOf(call);
    const openMs = nowMs - (this.#openedAtMs.get(way) ?? 0);
    if (mode === 'open') {
      if (openMs > RESERVE_LIMIT_MS + UNDER_WAY_MS)
        this.#deps.violate(`budget: ${caller.name} calls through ${way}, whose breaker is open since ${openMs} ms`);
      return;
    }
    const others = [...this.#out].filter((other) => wayOf(other.call) === way && !other.caller.isGone);
    if (others.length > 0)
      this.#deps.violate(`budget: ${caller.name} probes ${way} while ${others[0]?.caller.name} does`);
    if (this.#probing.get(way) === untilMs)
      this.#deps.violate(`budget: ${caller.name} calls through ${way}, whose probe has been made`);
    this.#probing.set(way, untilMs);
  }

  /** Processes that were alone may not have come back yet. */
  #isRedisLatelyAway(): boolean {
    return this.#deps.now() < this.#deps.redisAwayUntilMs() + COMING_BACK_MS;
  }
}

function stopScopeOf({ status, text }: UpstreamAnswer): 'user' | 'upstream' | undefined {
  if (status === 429) return 'user';
  return status === 400 && text.includes(`"code":${RATE_LIMIT_UPSTREAM_CODE}}`) ? 'upstream' : undefined;
}

function wayOf({ upstream, proxyUrl }: GatedCall): string {
  return `${upstream} ${proxyUrl ?? 'direct'}`;
}
