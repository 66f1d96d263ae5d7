import { type Budget, type Rate, takeCall } from './budget.ts';
import { type BreakerState, decideBreaker } from './breaker.ts';
import { FAULTS, type FaultCode } from './faults.ts';
import type { Usage } from './upstream.ts';

/** Whose budget or stop it is: everybody's, one user's, or that of one proxy. */
export type GateScope = 'upstream' | 'user' | 'proxy';

/** The scopes in the order in which they are asked; the first is the one that all share. */
export const GATE_SCOPES: readonly GateScope[] = ['upstream', 'user', 'proxy'];

/** A call that is to be made, as the gate sees it. */
export interface GatedCall {
  readonly upstream: string;
  readonly userId: string;
  /** Null for a direct call. Carries a credential: never stored or logged as it is. */
  readonly proxyUrl: string | null;
}

/** What the gate remembers of one scope. Epochs in ms; 0 = not. */
export interface ScopeState {
  readonly dueAtMs: number;
  readonly stopUntilMs: number;
  /** After a stop, until then: whether it was long enough is not known, and one call at a time finds out. */
  readonly doubtUntilMs: number;
  /** Until when the call that finds out may take. */
  readonly leaseUntilMs: number;
}

/** A doubt that nobody has looked into for so long is forgotten, in ms. */
export const DOUBT_LIMIT_MS = 3_600_000;

/** What a call finds out by its outcome. */
export interface Probe {
  /** The breaker's number of it. */
  readonly breaker?: number;
  /** Scopes whose doubt it ends. */
  readonly scopes: readonly GateScope[];
}

/** Whether a call may be made. `waitMs` of a call that may: it has its place at that time, and needs not ask again. */
export type GateVerdict =
  | { readonly kind: 'go'; readonly waitMs: number; readonly probe?: Probe }
  | {
      readonly kind: 'wait';
      readonly waitMs: number;
      /** `turn`: other processes may call until then; the rest is what it says. */
      readonly why: 'budget' | 'turn' | 'stop' | 'breaker';
      /** Whose budget or stop. */
      readonly scope: GateScope;
    };

/** Everything that one call has to pass. */
export interface GateState {
  /** In the order of `GATE_SCOPES`; the last one is left out for a direct call. */
  readonly scopes: readonly (ScopeState & { readonly rate: Rate })[];
  readonly breaker: BreakerState;
}

/** How a call asks. */
export interface GateAsk {
  readonly nowMs: number;
  /** Longest wait for a place, in ms. */
  readonly reserveMs: number;
  /** How long a probe may take, in ms. */
  readonly leaseMs: number;
}

/** The gate after a call, and what it was told. */
export interface GateDecision {
  readonly state: GateState;
  readonly verdict: GateVerdict;
}

/** One call at the gate: stops first, then the breaker, then all budgets at once; it takes from all of them or from none. */
export function decideCall(state: GateState, { nowMs, reserveMs, leaseMs }: GateAsk): GateDecision {
  const stop = longestStop(state.scopes, nowMs);
  if (stop !== undefined) return { state, verdict: { kind: 'wait', why: 'stop', ...stop } };
  const breaker = decideBreaker(state.breaker, { kind: 'ask', leaseMs }, { nowMs, openMs: 0 });
  if (breaker.verdict.kind === 'wait') {
    return { state, verdict: { kind: 'wait', why: 'breaker', scope: 'proxy', waitMs: breaker.verdict.waitMs } };
  }
  const budgets: readonly Budget[] = state.scopes;
  const taken = takeCall(budgets, nowMs, reserveMs);
  if (taken.kind === 'wait') {
    const scope = GATE_SCOPES[taken.of] ?? 'upstream';
    return { state, verdict: { kind: 'wait', why: 'budget', scope, waitMs: taken.waitMs } };
  }
  const doubted = GATE_SCOPES.filter((_, at) => (state.scopes[at]?.doubtUntilMs ?? 0) > nowMs);
  const scopes = state.scopes.map((scope, at) => ({
    ...scope,
    dueAtMs: taken.duesMs[at] ?? 0,
    leaseUntilMs: scope.doubtUntilMs > nowMs ? nowMs + leaseMs : 0,
  }));
  const probe: Probe | undefined =
    breaker.verdict.kind === 'probe'
      ? { breaker: breaker.verdict.probe, scopes: doubted }
      : doubted.length > 0
        ? { scopes: doubted }
        : undefined;
  const verdict = { kind: 'go', waitMs: taken.atMs - nowMs, ...(probe !== undefined && { probe }) } as const;
  return { state: { scopes, breaker: breaker.state }, verdict };
}

/** While a probe of a scope is out, others ask again after this long at most, in ms. */
const LEASE_POLL_MS = 1000;

function longestStop(
  scopes: readonly ScopeState[],
  nowMs: number,
): { readonly waitMs: number; readonly scope: GateScope } | undefined {
  let longest: { readonly waitMs: number; readonly scope: GateScope } | undefined;
  for (const [at, { stopUntilMs, doubtUntilMs, leaseUntilMs }] of scopes.entries()) {
    const leaseMs = doubtUntilMs > nowMs ? Math.min(leaseUntilMs - nowMs, LEASE_POLL_MS) : 0;
    const waitMs = Math.max(stopUntilMs - nowMs, leaseMs);
    if (waitMs > (longest?.waitMs ?? 0)) longest = { waitMs, scope: GATE_SCOPES[at] ?? 'upstream' };
  }
  return longest;
}

/** Calls of a scope are stopped for `waitMs`. With a doubt, one call at a time finds out afterwards whether that was enough. */
export interface Stop {
  readonly scope: 'user' | 'upstream';
  readonly waitMs: number;
  readonly isDoubted: boolean;
}

/** What became of a call, as far as it concerns the calls after it. */
export interface CallOutcome {
  /** `fault`: an upstream-scoped one, which feeds the breaker. `abandoned`: nobody knows. */
  readonly result: 'answered' | 'fault' | 'abandoned';
  readonly stops: readonly Stop[];
  /**
   * A rate limit that does not say whose, and how long it asks to wait: counted for this user, and for the upstream once
   * `BARE_USERS` users meet one within `BARE_WINDOW_MS`.
   */
  readonly bareWaitMs?: number;
  readonly probe?: Probe;
}

/** So many users with a bare rate limit within `BARE_WINDOW_MS` mean that the limit is everybody's (upstream-api.md, "Errors"). */
export const BARE_USERS = 3;

/** Time in which users with a bare rate limit count together, in ms. */
export const BARE_WINDOW_MS = 10_000;

/** A fault as an outcome: only upstream-scoped ones feed the breaker, never a limit of a user, a token or a permission. */
export function outcomeOfFault(code: FaultCode): CallOutcome {
  return { result: FAULTS[code].scope === 'upstream' ? 'fault' : 'answered', stops: [] };
}

/** Use of an allowance from which calls stop, in per cent, and for how long when the upstream does not say. */
const USAGE_STOP_PERCENT = 95;
const USAGE_STOP_MS = 60_000;

/** Use from which calls slow down, and the pause per answer just below the stop threshold. */
const USAGE_SLOW_PERCENT = 75;
const USAGE_SLOW_MS = 2000;

/** Slows down or stops by what the upstream says of its allowances (upstream-api.md, "Usage headers"). */
export function stopsOfUsage(usages: readonly Usage[]): readonly Stop[] {
  return usages.flatMap(({ scope, percent, regainMs }): readonly Stop[] => {
    if (percent >= USAGE_STOP_PERCENT) return [{ scope, waitMs: regainMs ?? USAGE_STOP_MS, isDoubted: true }];
    const share = (percent - USAGE_SLOW_PERCENT) / (USAGE_STOP_PERCENT - USAGE_SLOW_PERCENT);
    return share > 0 ? [{ scope, waitMs: USAGE_SLOW_MS * share, isDoubted: false }] : [];
  });
}

/** The scope after a stop; a longer one that is there stands. */
export function stopScope(state: ScopeState, { waitMs, isDoubted }: Stop, nowMs: number): ScopeState {
  const stopUntilMs = Math.max(state.stopUntilMs, nowMs + waitMs);
  if (!isDoubted) return { ...state, stopUntilMs };
  const doubtUntilMs = Math.max(state.doubtUntilMs, nowMs + waitMs + DOUBT_LIMIT_MS);
  return { ...state, stopUntilMs, doubtUntilMs, leaseUntilMs: 0 };
}

/** The scope after the outcome of the call that was to find out: an answer ends the doubt, anything else leaves it to the next. */
export function endProbe(state: ScopeState, result: CallOutcome['result']): ScopeState {
  return { ...state, leaseUntilMs: 0, doubtUntilMs: result === 'answered' ? 0 : state.doubtUntilMs };
}
