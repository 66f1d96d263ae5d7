import { trimOldest } from '../core/bounded.ts';
import { type BreakerEvent, type BreakerState, CLOSED_BREAKER, decideBreaker } from '../core/breaker.ts';
import {
  meetTurns,
  RESERVE_LIMIT_MS,
  type ScopeTurns,
  type Share,
  shareOf,
  takeCall,
  type Turns,
  turnWaitMs,
} from '../core/budget.ts';
import {
  BARE_USERS,
  BARE_WINDOW_MS,
  type CallOutcome,
  decideCall,
  endProbe,
  GATE_SCOPES,
  type GatedCall,
  type GateScope,
  type GateVerdict,
  type ScopeState,
  type Stop,
  stopScope,
} from '../core/gate.ts';
import type { Clock } from '../ports.ts';
import type { Budgets } from './budgets.ts';

/** Limits of all processes together, and how many they are. */
export interface BudgetOptions {
  readonly userCallsPerSecond: number;
  readonly upstreamCallsPerSecond: number;
  readonly proxyCallsPerSecond: number;
  /** Processes that call the upstream at most. */
  readonly instances: number;
  /** How long a breaker opens for the first time, in ms. */
  readonly breakerOpenMs: number;
  /** Longest time of one call, in ms: so long may a probe take. */
  readonly callTimeoutMs: number;
}

/** Time for a probe beyond that of its call: for its place, its slot and its outcome, in ms. */
const LEASE_MARGIN_MS = 5000;

/** How long a probe may take. */
export function leaseMsOf({ callTimeoutMs }: Pick<BudgetOptions, 'callTimeoutMs'>): number {
  return callTimeoutMs + LEASE_MARGIN_MS;
}

/** Scopes remembered per upstream; forgetting an idle user costs nothing, because his budget has filled up again. */
const SCOPES_LIMIT = 100_000;

/** From the scope that most calls share to the one that fewest do. */
const TURN_ORDER: readonly GateScope[] = ['upstream', 'proxy', 'user'];

/** Ways to an upstream whose breaker is remembered. */
const BREAKERS_LIMIT = 10_000;

/**
 * This process's share of every limit: limit / instances, on its own memory. With one instance that is the whole limit.
 * Together such processes stay within the limits in every window, as long as they are no more than `instances`, their seats differ
 * and their clocks by less than an eighth of a window; stops and breakers are each process's own.
 */
export class LocalBudgets implements Budgets {
  readonly #clock: Clock;
  readonly #shares: Readonly<Record<GateScope, Share>>;
  /** Length and open part of every turn; undefined when no scope takes turns. */
  readonly #turnTimes: Pick<Turns, 'turnMs' | 'openMs'> | undefined;
  readonly #leaseMs: number;
  readonly #breakerOpenMs: number;
  readonly #upstreams = new Map<string, UpstreamMemory>();
  #seat: number;
  #offsetMs = 0;

  /** `seat`: number of this process, 0..instances - 1; any one until it is known. */
  constructor(deps: { readonly clock: Clock; readonly seat: number }, options: BudgetOptions) {
    this.#clock = deps.clock;
    this.#seat = deps.seat;
    const { instances } = options;
    this.#shares = {
      upstream: shareOf(options.upstreamCallsPerSecond, instances),
      user: shareOf(options.userCallsPerSecond, instances),
      proxy: shareOf(options.proxyCallsPerSecond, instances),
    };
    const turns = Object.values(this.#shares).flatMap((share) => (share.kind === 'turns' ? share.turns : []));
    if (turns.length > 0) {
      const turnMs = Math.max(...turns.map((one) => one.turnMs));
      this.#turnTimes = { turnMs, openMs: Math.min(...turns.map((one) => one.openMs)) };
    }
    this.#leaseMs = leaseMsOf(options);
    this.#breakerOpenMs = options.breakerOpenMs;
  }

  /** Which seat is this process's (undefined: it keeps its own), and how far the clock that all share is ahead of its own, in ms. */
  sit(seat: number | undefined, offsetMs: number): void {
    this.#seat = seat ?? this.#seat;
    this.#offsetMs = offsetMs;
  }

  /** What others have called until now is not known: nobody calls for one window of each budget, places that were given included. */
  silence(upstream: string): void {
    this.#memoryOf(upstream).silence(this.#clock.now() + RESERVE_LIMIT_MS);
  }

  take(call: GatedCall, reserveMs: number): Promise<GateVerdict> {
    return Promise.resolve(this.takeNow(call, reserveMs));
  }

  takeNow(call: GatedCall, reserveMs: number): GateVerdict {
    const nowMs = this.#clock.now();
    const memory = this.#memoryOf(call.upstream);
    const turn = this.#turn(call, nowMs);
    const names = namesOf(call);
    const scopes = names.map((name, at) => ({ ...memory.scope(name, this.#rateAt(at)), rate: this.#rateAt(at) }));
    const state = { scopes, breaker: memory.breaker(call.proxyUrl) };
    if (turn !== undefined) {
      // A stop or an open breaker says more than that others have the turn.
      const { verdict } = decideCall(state, { nowMs, reserveMs: 0, leaseMs: this.#leaseMs });
      return verdict.kind === 'wait' && verdict.why !== 'budget' ? verdict : turn;
    }
    const placeMs = this.#turnTimes === undefined ? reserveMs : 0;
    const decision = decideCall(state, { nowMs, reserveMs: placeMs, leaseMs: this.#leaseMs });
    if (decision.verdict.kind === 'go') {
      for (const [at, name] of names.entries()) memory.setScope(name, decision.state.scopes[at]);
      memory.setBreaker(call.proxyUrl, decision.state.breaker);
    }
    return decision.verdict;
  }

  /**
   * Only the share of the budgets, while stops and breakers are in the hands of all processes: whether a call is within it, and
   * takes from it unless it only asks.
   */
  takeShare(call: GatedCall, how: 'take' | 'only ask'): GateVerdict {
    const nowMs = this.#clock.now();
    const turn = this.#turn(call, nowMs);
    if (turn !== undefined) return turn;
    const memory = this.#memoryOf(call.upstream);
    const names = namesOf(call);
    const states = names.map((name, at) => memory.scope(name, this.#rateAt(at)));
    const budgets = states.map(({ dueAtMs }, at) => ({ dueAtMs, rate: this.#rateAt(at) }));
    const taken = takeCall(budgets, nowMs, 0);
    if (taken.kind === 'wait') {
      return { kind: 'wait', why: 'budget', scope: GATE_SCOPES[taken.of] ?? 'upstream', waitMs: taken.waitMs };
    }
    for (const [at, state] of how === 'take' ? states.entries() : []) {
      memory.setScope(names[at] ?? '', { ...state, dueAtMs: taken.duesMs[at] ?? 0 });
    }
    return { kind: 'go', waitMs: 0 };
  }

  note(call: GatedCall, outcome: CallOutcome): Promise<void> {
    this.noteNow(call, outcome);
    return Promise.resolve();
  }

  noteNow(call: GatedCall, outcome: CallOutcome): void {
    const nowMs = this.#clock.now();
    const memory = this.#memoryOf(call.upstream);
    const { result, probe, bareWaitMs } = outcome;
    const names = namesOf(call);
    for (const scope of probe?.scopes ?? []) {
      memory.change(names[GATE_SCOPES.indexOf(scope)], (state) => endProbe(state, result));
    }
    for (const stop of outcome.stops) this.hear(call, stop);
    let isFault = result === 'fault';
    if (bareWaitMs !== undefined) {
      this.hear(call, { scope: 'user', waitMs: bareWaitMs, isDoubted: false });
      if (memory.bareUsers(call.userId, nowMs) >= BARE_USERS) {
        this.hear(call, { scope: 'upstream', waitMs: bareWaitMs, isDoubted: false });
        isFault = true;
      }
    }
    const event: BreakerEvent = {
      ...(isFault || result === 'abandoned'
        ? { kind: isFault ? 'fault' : 'abandoned' }
        : { kind: 'answered', calls: 1 }),
      ...(probe?.breaker !== undefined && { probe: probe.breaker }),
    };
    const time = { nowMs, openMs: this.#breakerOpenMs };
    memory.setBreaker(call.proxyUrl, decideBreaker(memory.breaker(call.proxyUrl), event, time).state);
  }

  /** Hears of a stop, by itself or from others. */
  hear(call: GatedCall, stop: Stop): void {
    const name = namesOf(call)[GATE_SCOPES.indexOf(stop.scope)];
    this.#memoryOf(call.upstream).change(name, (state) => stopScope(state, stop, this.#clock.now()));
  }

  /** The stop that this process has heard of, if there is one. */
  stop(call: GatedCall): GateVerdict | undefined {
    const memory = this.#memoryOf(call.upstream);
    const ends = namesOf(call).map((name) => memory.stopUntilMs(name));
    const endMs = Math.max(...ends);
    const waitMs = endMs - this.#clock.now();
    if (waitMs <= 0) return undefined;
    return { kind: 'wait', why: 'stop', scope: GATE_SCOPES[ends.indexOf(endMs)] ?? 'upstream', waitMs };
  }

  stopMs(call: GatedCall): number {
    return this.stop(call)?.waitMs ?? 0;
  }

  #rateAt(at: number): Share['rate'] {
    return this.#shares[GATE_SCOPES[at] ?? 'upstream'].rate;
  }

  /** The wait for a turn in which this process may make the call. */
  #turn(call: GatedCall, nowMs: number): GateVerdict | undefined {
    if (this.#turnTimes === undefined) return undefined;
    const names = namesOf(call);
    const scopes: ScopeTurns[] = [];
    let innermost: GateScope = 'upstream';
    for (const scope of TURN_ORDER) {
      const share = this.#shares[scope];
      const name = names[GATE_SCOPES.indexOf(scope)];
      if (share.kind === 'rate' || name === undefined) continue;
      scopes.push({ turns: share.turns, spread: spreadOf(name) });
      innermost = scope;
    }
    if (scopes.length === 0) return undefined;
    const { turns, offset } = meetTurns(scopes, this.#turnTimes);
    const waitMs = turnWaitMs(turns, this.#seat, offset, nowMs + this.#offsetMs);
    return waitMs > 0 ? { kind: 'wait', why: 'turn', scope: innermost, waitMs } : undefined;
  }

  #memoryOf(upstream: string): UpstreamMemory {
    const known = this.#upstreams.get(upstream);
    if (known !== undefined) return known;
    const memory = new UpstreamMemory();
    this.#upstreams.set(upstream, memory);
    return memory;
  }
}

/** What one process remembers of one upstream. */
class UpstreamMemory {
  readonly #scopes = new Map<string, ScopeState>();
  readonly #breakers = new Map<string, BreakerState>();
  readonly #bare = new Map<string, number>();
  /** Before it, others may have called. */
  #silentUntilMs: number | undefined;

  silence(untilMs: number): void {
    this.#silentUntilMs = untilMs;
    for (const [name, state] of this.#scopes) this.#scopes.set(name, { ...state, dueAtMs: 0 });
  }

  scope(name: string, rate: Share['rate']): ScopeState {
    const state = this.#scopes.get(name) ?? FRESH_SCOPE;
    if (state.dueAtMs !== 0 || this.#silentUntilMs === undefined) return state;
    return { ...state, dueAtMs: this.#silentUntilMs + rate.windowMs + rate.toleranceMs };
  }

  stopUntilMs(name: string): number {
    return this.#scopes.get(name)?.stopUntilMs ?? 0;
  }

  setScope(name: string, state: ScopeState | undefined): void {
    const { dueAtMs, stopUntilMs, doubtUntilMs, leaseUntilMs } = state ?? FRESH_SCOPE;
    this.#scopes.delete(name);
    this.#scopes.set(name, { dueAtMs, stopUntilMs, doubtUntilMs, leaseUntilMs });
    trimOldest(this.#scopes, SCOPES_LIMIT);
  }

  change(name: string | undefined, change: (state: ScopeState) => ScopeState): void {
    if (name !== undefined) this.setScope(name, change(this.#scopes.get(name) ?? FRESH_SCOPE));
  }

  breaker(proxyUrl: string | null): BreakerState {
    return this.#breakers.get(proxyUrl ?? '') ?? CLOSED_BREAKER;
  }

  setBreaker(proxyUrl: string | null, state: BreakerState): void {
    this.#breakers.delete(proxyUrl ?? '');
    this.#breakers.set(proxyUrl ?? '', state);
    trimOldest(this.#breakers, BREAKERS_LIMIT);
  }

  /** Users that have met a bare limit lately, this one included. */
  bareUsers(userId: string, nowMs: number): number {
    this.#bare.set(userId, nowMs);
    for (const [user, atMs] of this.#bare) if (atMs <= nowMs - BARE_WINDOW_MS) this.#bare.delete(user);
    return this.#bare.size;
  }
}

const FRESH_SCOPE: ScopeState = { dueAtMs: 0, stopUntilMs: 0, doubtUntilMs: 0, leaseUntilMs: 0 };

/** In the order of `GATE_SCOPES`. */
function namesOf({ userId, proxyUrl }: GatedCall): readonly string[] {
  return proxyUrl === null ? ['u', `U${userId}`] : ['u', `U${userId}`, `P${proxyUrl}`];
}

/** A number that is the same for a name in every process. */
function spreadOf(name: string): number {
  let sum = 0;
  for (let at = 0; at < name.length; at += 1) sum = (Math.imul(sum, 31) + name.charCodeAt(at)) >>> 0;
  return sum;
}
