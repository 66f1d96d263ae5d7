/** Calls and faults of one stretch of time. */
export interface BreakerBar {
  /** Number of the stretch since the epoch. */
  readonly at: number;
  readonly calls: number;
  readonly faults: number;
}

/** The breaker of one way to an upstream. */
export interface BreakerState {
  readonly mode: 'closed' | 'open' | 'half-open';
  /** Open: until when. Half-open: until when the probe may take. Epoch in whole ms; 0 when closed. */
  readonly untilMs: number;
  /** Times that it has opened since it was closed. */
  readonly openings: number;
  /** Faults in a row while closed. */
  readonly row: number;
  /** Oldest first, none older than the window. */
  readonly bars: readonly BreakerBar[];
}

/** A breaker that nobody has used. */
export const CLOSED_BREAKER: BreakerState = { mode: 'closed', untilMs: 0, openings: 0, row: 0, bars: [] };

/** It opens at so many upstream-scoped faults in a row. */
export const ROW_LIMIT = 5;

/** Or at this share of the calls in its window that are faults, 0..1, */
export const FAULT_SHARE_LIMIT = 0.5;

/** once there were so many calls in it. */
export const WINDOW_CALLS_MIN = 20;

/** Length of a bar of the window, in ms. */
export const BAR_MS = 3000;

/** Bars of the window: 30 s. */
export const BARS = 10;

/** The longest time that it is open, in times of the first one: it doubles in between (article ch. 7: 15 min, of 15 s). */
export const OPEN_MAX_TIMES = 60;

/** While a probe is out, others ask again after this long at most. */
export const PROBE_POLL_MS = 1000;

/** What a breaker is asked or told. `probe` names the probe whose outcome it is. */
export type BreakerEvent =
  | { readonly kind: 'ask'; readonly leaseMs: number }
  /** Calls that the upstream answered, whatever the answer says of the user. */
  | { readonly kind: 'answered'; readonly calls: number; readonly probe?: number }
  /** An upstream-scoped fault. */
  | { readonly kind: 'fault'; readonly probe?: number }
  /** A call that was given up before its outcome was known. */
  | { readonly kind: 'abandoned'; readonly probe?: number };

/** What a caller may do. The probe is the one call of the fleet that finds out; its outcome is told with the same number. */
export type BreakerVerdict =
  | { readonly kind: 'go' }
  | { readonly kind: 'wait'; readonly waitMs: number }
  | { readonly kind: 'probe'; readonly probe: number };

/** Now (epoch in ms), and for how long a breaker opens for the first time, in ms. */
export interface BreakerTime {
  readonly nowMs: number;
  readonly openMs: number;
}

/** The breaker after an event. */
export interface BreakerDecision {
  readonly state: BreakerState;
  readonly verdict: BreakerVerdict;
}

const GO: BreakerVerdict = { kind: 'go' };

/**
 * Closed, open, half-open. An open breaker that is asked after its time lets one call through, on a lease: a prober that dies
 * leaves the probe to the next one. Its answer closes the breaker, its fault opens it for twice as long. Outcomes of calls that
 * began before it opened change nothing.
 */
export function decideBreaker(state: BreakerState, event: BreakerEvent, time: BreakerTime): BreakerDecision {
  if (event.kind === 'ask') return ask(state, event.leaseMs, time.nowMs);
  if (state.mode === 'closed') return { state: counted(state, event, time), verdict: GO };
  const isProbe = state.mode === 'half-open' && event.probe === state.untilMs;
  return { state: isProbe ? probed(state, event.kind, time) : state, verdict: GO };
}

function ask(state: BreakerState, leaseMs: number, nowMs: number): BreakerDecision {
  if (state.mode === 'closed') return { state, verdict: GO };
  if (nowMs < state.untilMs) {
    const leftMs = state.untilMs - nowMs;
    return {
      state,
      verdict: { kind: 'wait', waitMs: state.mode === 'open' ? leftMs : Math.min(leftMs, PROBE_POLL_MS) },
    };
  }
  const untilMs = Math.floor(nowMs) + leaseMs;
  return { state: { ...state, mode: 'half-open', untilMs }, verdict: { kind: 'probe', probe: untilMs } };
}

function probed(state: BreakerState, outcome: 'answered' | 'fault' | 'abandoned', time: BreakerTime): BreakerState {
  if (outcome === 'answered') return CLOSED_BREAKER;
  return outcome === 'fault' ? opened(state, time) : { ...state, untilMs: Math.floor(time.nowMs) };
}

function counted(state: BreakerState, event: Exclude<BreakerEvent, { kind: 'ask' }>, time: BreakerTime): BreakerState {
  if (event.kind === 'abandoned') return state;
  const isFault = event.kind === 'fault';
  const bars = withCall(state.bars, event.kind === 'fault' ? 1 : event.calls, isFault ? 1 : 0, time.nowMs);
  const next = { ...state, row: isFault ? state.row + 1 : 0, bars };
  return isFault && isTooMuch(next) ? opened(next, time) : next;
}

function isTooMuch({ row, bars }: BreakerState): boolean {
  const calls = bars.reduce((sum, bar) => sum + bar.calls, 0);
  const faults = bars.reduce((sum, bar) => sum + bar.faults, 0);
  return row >= ROW_LIMIT || (calls >= WINDOW_CALLS_MIN && faults >= calls * FAULT_SHARE_LIMIT);
}

function opened({ openings }: BreakerState, { nowMs, openMs }: BreakerTime): BreakerState {
  const times = Math.min(OPEN_MAX_TIMES, 2 ** Math.min(openings, 30));
  return { mode: 'open', untilMs: Math.floor(nowMs) + openMs * times, openings: openings + 1, row: 0, bars: [] };
}

function withCall(bars: readonly BreakerBar[], calls: number, faults: number, nowMs: number): readonly BreakerBar[] {
  const at = Math.floor(nowMs / BAR_MS);
  const kept = bars.filter((bar) => bar.at > at - BARS && bar.at <= at);
  const last = kept.at(-1);
  if (last?.at !== at) return [...kept, { at, calls, faults }];
  return [...kept.slice(0, -1), { at, calls: last.calls + calls, faults: last.faults + faults }];
}
