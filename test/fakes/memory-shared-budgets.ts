import { type BreakerEvent, type BreakerState, CLOSED_BREAKER, decideBreaker } from '../../runtime/core/breaker.ts';
import { furthestMs, type Rate, RESERVE_LIMIT_MS } from '../../runtime/core/budget.ts';
import {
  BARE_USERS,
  BARE_WINDOW_MS,
  type CallOutcome,
  decideCall,
  DOUBT_LIMIT_MS,
  endProbe,
  GATE_SCOPES,
  type GatedCall,
  type ScopeState,
  type Stop,
  stopScope,
} from '../../runtime/core/gate.ts';
import type { SeatAsk, SharedAnswer, SharedAsk, SharedBudgets } from '../../runtime/ports.ts';

/** What shared budgets in memory are opened with, as `openRedisBudgets` is. */
export interface MemorySharedBudgetsOptions {
  /** The clock that all share, epoch in ms. */
  readonly now: () => number;
  readonly rates: { readonly upstream: Rate; readonly user: Rate; readonly proxy: Rate };
  readonly breakerOpenMs: number;
  /** Told whenever a breaker changes its mode, and of each new probe. */
  readonly onBreaker?: (call: GatedCall, before: BreakerState, after: BreakerState) => void;
}

/** As in the adapter for Redis: what nobody has touched for so long is gone, and how long everybody keeps to his share. */
const KEPT_MS = 26 * 3_600_000;
const RETURN_MS = 5000;

interface Expiring<T> {
  readonly value: T;
  readonly expiresAtMs: number;
}

interface Seat {
  readonly processId: string;
  readonly untilMs: number;
}

/**
 * Budgets, stops, breakers and seats of a fleet in memory, decided by the core: what the scripts on Redis do, and a test drives both
 * with the same events. One object is the server; each process reaches it through `of`.
 */
export class MemorySharedBudgets {
  readonly #options: MemorySharedBudgetsOptions;
  /** By upstream, as the sorted set of the scripts: d.. due times, s.. stops, q.. doubts, l.. leases, `cold`, `born`, `shares`. */
  readonly #gates = new Map<string, Expiring<Map<string, number>>>();
  readonly #breakers = new Map<string, Expiring<BreakerState>>();
  readonly #bare = new Map<string, Map<string, number>>();
  readonly #seats = new Map<string, Map<number, Seat>>();

  constructor(options: MemorySharedBudgetsOptions) {
    this.#options = options;
  }

  /** The budgets as one process reaches them. */
  of(processId: string): SharedBudgets {
    return {
      take: (call, ask) => Promise.resolve(this.#take(call, ask)),
      note: (call, outcome, answered) => Promise.resolve(this.#note(call, outcome, answered)),
      seat: (upstream, ask) => Promise.resolve(this.#seat(processId, upstream, ask)),
    };
  }

  /** The breaker of the way that a call goes. */
  breaker(call: GatedCall): BreakerState {
    return live(this.#breakers, wayOf(call), this.#options.now()) ?? CLOSED_BREAKER;
  }

  /** Forgets everything, as a flush does. */
  clear(): void {
    for (const memory of [this.#gates, this.#breakers, this.#bare, this.#seats]) memory.clear();
  }

  #take(call: GatedCall, ask: SharedAsk): SharedAnswer {
    const nowMs = this.#options.now();
    const scores = this.#gate(call.upstream, nowMs);
    const sharesUntilMs = this.#begin(scores, ask, nowMs);
    this.#keep(call.upstream, scores, nowMs);
    if (ask.answered > 0 && this.breaker(call).mode === 'closed') {
      this.#tell(call, { kind: 'answered', calls: ask.answered });
    }
    const names = namesOf(call);
    const coldAtMs = -(scores.get('cold') ?? 0);
    const scopes = names.map((name, at) => {
      const rate = this.#options.rates[GATE_SCOPES[at] ?? 'upstream'];
      const state = stateOf(scores, name);
      const dueAtMs = Math.min(Math.max(state.dueAtMs, coldAtMs + rate.intervalMs), nowMs + furthestMs(rate));
      return { ...state, dueAtMs, rate };
    });
    const how = { nowMs, reserveMs: Math.min(ask.reserveMs, RESERVE_LIMIT_MS), leaseMs: ask.leaseMs };
    const { state, verdict } = decideCall({ scopes, breaker: this.breaker(call) }, how);
    if (verdict.kind === 'go') {
      for (const [at, name] of names.entries()) setState(scores, name, state.scopes[at]!);
      if (verdict.probe?.breaker !== undefined) this.#setBreaker(call, state.breaker);
    }
    return {
      verdict: { ...verdict, waitMs: inThousandths(verdict.waitMs) },
      nowMs: inThousandths(nowMs),
      sharesUntilMs: inThousandths(sharesUntilMs),
      bornAtMs: inThousandths(-(scores.get('born') ?? 0)),
    };
  }

  /** A cold start and a return. Until when everybody keeps to his share. */
  #begin(scores: Map<string, number>, { isReturning, coldReserveMs }: SharedAsk, nowMs: number): number {
    const cold = scores.get('cold');
    if (cold === undefined || -cold > nowMs + RESERVE_LIMIT_MS) scores.set('cold', -(nowMs + coldReserveMs));
    if (cold === undefined) scores.set('born', -nowMs);
    const { upstream, user, proxy } = this.#options.rates;
    const returnMs = RETURN_MS + Math.max(upstream.windowMs, user.windowMs, proxy.windowMs);
    if (isReturning || cold === undefined) scores.set('shares', nowMs + returnMs);
    return Math.min(scores.get('shares') ?? 0, nowMs + returnMs);
  }

  #note(call: GatedCall, outcome: CallOutcome, answered: number): void {
    const nowMs = this.#options.now();
    const scores = this.#gate(call.upstream, nowMs);
    const names = namesOf(call);
    const { probe, bareWaitMs, stops } = outcome;
    let { result } = outcome;
    const change = (at: number, to: (state: ScopeState) => ScopeState): void => {
      const name = names[at];
      if (name !== undefined) setState(scores, name, to(stateOf(scores, name)));
    };
    const stop = (told: Stop): void =>
      change(GATE_SCOPES.indexOf(told.scope), (state) =>
        stopScope(state, { ...told, waitMs: Math.min(told.waitMs, KEPT_MS) }, nowMs),
      );
    for (const scope of probe?.scopes ?? [])
      change(GATE_SCOPES.indexOf(scope), (state) => endProbe(state, outcome.result));
    for (const told of stops) stop(told);
    if (bareWaitMs !== undefined) {
      stop({ scope: 'user', waitMs: bareWaitMs, isDoubted: false });
      if (this.#bareUsers(call, nowMs) >= BARE_USERS) {
        stop({ scope: 'upstream', waitMs: bareWaitMs, isDoubted: false });
        result = 'fault';
      }
    }
    if (scores.size > 0) this.#keep(call.upstream, scores, nowMs);
    if (answered > 0 && this.breaker(call).mode === 'closed') this.#tell(call, { kind: 'answered', calls: answered });
    const told: BreakerEvent = result === 'answered' ? { kind: result, calls: 1 } : { kind: result };
    this.#tell(call, { ...told, ...(probe?.breaker !== undefined && { probe: probe.breaker }) });
  }

  #tell(call: GatedCall, event: BreakerEvent): void {
    const time = { nowMs: this.#options.now(), openMs: this.#options.breakerOpenMs };
    this.#setBreaker(call, decideBreaker(this.breaker(call), event, time).state);
  }

  #setBreaker(call: GatedCall, state: BreakerState): void {
    const before = this.breaker(call);
    this.#breakers.set(wayOf(call), { value: state, expiresAtMs: this.#options.now() + DOUBT_LIMIT_MS });
    if (before.mode !== state.mode || before.untilMs !== state.untilMs) this.#options.onBreaker?.(call, before, state);
  }

  #bareUsers({ upstream, userId }: GatedCall, nowMs: number): number {
    const users = this.#bare.get(upstream) ?? new Map<string, number>();
    this.#bare.set(upstream, users);
    for (const [user, atMs] of users) if (atMs <= nowMs - BARE_WINDOW_MS) users.delete(user);
    return users.set(userId, nowMs).size;
  }

  #seat(processId: string, upstream: string, { processes, keptMs, held }: SeatAsk): number | undefined {
    const nowMs = this.#options.now();
    const seats = this.#seats.get(upstream) ?? new Map<number, Seat>();
    this.#seats.set(upstream, seats);
    for (const [seat, { untilMs }] of seats) if (untilMs <= nowMs || seat >= processes) seats.delete(seat);
    const numbers = Array.from({ length: processes }, (_, seat) => seat);
    const own = numbers.find((seat) => seats.get(seat)?.processId === processId);
    const wanted = held !== undefined && held < processes && !seats.has(held) ? held : undefined;
    const seat = own ?? wanted ?? numbers.find((number) => !seats.has(number));
    if (seat !== undefined) seats.set(seat, { processId, untilMs: nowMs + keptMs });
    return seat;
  }

  /** What is remembered of an upstream, without what has ended. */
  #gate(upstream: string, nowMs: number): Map<string, number> {
    const scores = live(this.#gates, upstream, nowMs) ?? new Map<string, number>();
    for (const [member, score] of scores) if (score >= 0 && score <= nowMs) scores.delete(member);
    return scores;
  }

  #keep(upstream: string, scores: Map<string, number>, nowMs: number): void {
    this.#gates.set(upstream, { value: scores, expiresAtMs: nowMs + KEPT_MS });
  }
}

function live<T>(memory: Map<string, Expiring<T>>, key: string, nowMs: number): T | undefined {
  const found = memory.get(key);
  return found !== undefined && found.expiresAtMs > nowMs ? found.value : undefined;
}

function stateOf(scores: ReadonlyMap<string, number>, name: string): ScopeState {
  const of = (kind: string): number => scores.get(`${kind}${name}`) ?? 0;
  return { dueAtMs: of('d'), stopUntilMs: of('s'), doubtUntilMs: of('q'), leaseUntilMs: of('l') };
}

function setState(scores: Map<string, number>, name: string, state: ScopeState): void {
  const members = { d: state.dueAtMs, s: state.stopUntilMs, q: state.doubtUntilMs, l: state.leaseUntilMs };
  for (const [kind, score] of Object.entries(members)) {
    if (score === 0) scores.delete(`${kind}${name}`);
    else scores.set(`${kind}${name}`, score);
  }
}

function namesOf({ userId, proxyUrl }: GatedCall): readonly string[] {
  return proxyUrl === null ? ['u', `U${userId}`] : ['u', `U${userId}`, `P${proxyUrl}`];
}

function wayOf({ upstream, proxyUrl }: GatedCall): string {
  return `${upstream} ${proxyUrl ?? ''}`;
}

/** Redis answers with three digits. */
function inThousandths(valueMs: number): number {
  return Number(valueMs.toFixed(3));
}
