/** Calls allowed per time. The generic cell rate algorithm: one number is the whole state. */
export interface Rate {
  readonly callsPerSecond: number;
  /** Calls that may come at once after a pause, >= 1. */
  readonly burst: number;
}

/** When the next call would be due at the steady rate, and until when calls are stopped. Epoch in ms. */
export interface BudgetState {
  readonly dueAtMs: number;
  readonly blockedUntilMs: number;
}

/** A budget nobody has used. */
export const FRESH_BUDGET: BudgetState = { dueAtMs: 0, blockedUntilMs: 0 };

/** Whether a call may be made now, or how long to wait before asking again, in ms. */
export type BudgetVerdict = { readonly kind: 'go' } | { readonly kind: 'wait'; readonly waitMs: number };

/** The budget after the question, and the answer. */
export interface BudgetDecision {
  readonly state: BudgetState;
  readonly verdict: BudgetVerdict;
}

/** Takes one call from the budget, or says how long to wait before asking again. Never sleeps. */
export function takeCall(state: BudgetState, rate: Rate, nowMs: number): BudgetDecision {
  if (state.blockedUntilMs > nowMs) return wait(state, state.blockedUntilMs - nowMs);
  const intervalMs = 1000 / rate.callsPerSecond;
  const earliestMs = state.dueAtMs - intervalMs * (rate.burst - 1);
  if (earliestMs > nowMs) return wait(state, earliestMs - nowMs);
  return {
    state: { ...state, dueAtMs: Math.max(state.dueAtMs, nowMs) + intervalMs },
    verdict: { kind: 'go' },
  };
}

/** Stops calls for `waitMs`; a longer stop that is already there stands. */
export function blockCalls(state: BudgetState, waitMs: number, nowMs: number): BudgetState {
  return { ...state, blockedUntilMs: Math.max(state.blockedUntilMs, nowMs + waitMs) };
}

function wait(state: BudgetState, waitMs: number): BudgetDecision {
  return { state, verdict: { kind: 'wait', waitMs: Math.ceil(waitMs) } };
}
