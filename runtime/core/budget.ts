/**
 * Calls allowed per time, as the generic cell rate algorithm counts them: a call is due `intervalMs` after the one before, and may
 * come `toleranceMs` early. Times in ms, fractions included.
 */
export interface Rate {
  readonly intervalMs: number;
  readonly toleranceMs: number;
  /** Time in which the limit holds, wherever it begins: a second, or the time of one call when that is longer. */
  readonly windowMs: number;
}

/**
 * Share of a window by which a call may come early. So much later than allowed may a caller wake up without losing anything of
 * the rate; it costs the same share of the rate, because what is early counts in every window.
 */
const TOLERANCE_SHARE = 0.02;

/** Longest wait for which a call is given its place at once, in ms; a longer one asks again. */
export const RESERVE_LIMIT_MS = 1000;

/**
 * A rate that lets no window of a second, wherever it begins, hold more than `callsPerSecond` calls (rounded up); below one call a
 * second, no window of `1 / callsPerSecond` seconds more than one. Who asks all the time gets 98 per cent of the limit: n calls
 * lie at least (n - 1) intervals less one tolerance apart, and that is a window for the first n that is too many.
 */
export function rateOf(callsPerSecond: number): Rate {
  const windowMs = Math.max(1000, 1000 / callsPerSecond);
  return rateIn((callsPerSecond * windowMs) / 1000, windowMs);
}

/** What one of `processes` equal processes may use of a limit without asking the others: a rate of its own, or turns. */
export type Share =
  | { readonly kind: 'rate'; readonly rate: Rate }
  | { readonly kind: 'turns'; readonly turns: Turns; readonly rate: Rate };

/**
 * Times at which a process may call when there are more processes than calls in a window: the processes form `groups` that take
 * turns of `turnMs`, and only in the first `openMs` of its turn a process makes one call. Whoever calls in the next turn does so a
 * window later at least, also when the clocks differ by an eighth of a window.
 */
export interface Turns {
  readonly groups: number;
  readonly turnMs: number;
  readonly openMs: number;
}

/** Length of a turn and of its open part, in windows. */
const TURN_WINDOWS = 1.5;
const OPEN_WINDOWS = 0.25;

/** The share of one of `processes` (at least 1): together they stay within `callsPerSecond` in every window. */
export function shareOf(callsPerSecond: number, processes: number): Share {
  const whole = rateOf(callsPerSecond);
  if (processes <= 1) return { kind: 'rate', rate: whole };
  const { windowMs } = whole;
  const calls = Math.floor((callsPerSecond * windowMs) / 1000 + 1e-9);
  const each = Math.floor(calls / processes);
  if (each >= 1) return { kind: 'rate', rate: rateIn(each, windowMs) };
  const turnMs = TURN_WINDOWS * windowMs;
  return {
    kind: 'turns',
    turns: { groups: Math.ceil(processes / calls), turnMs, openMs: OPEN_WINDOWS * windowMs },
    rate: { intervalMs: turnMs / 2, toleranceMs: 0, windowMs },
  };
}

/** Turns of one scope of a call. `spread`: a number that sets apart what takes such turns side by side: users, proxies. */
export interface ScopeTurns {
  readonly turns: Turns;
  readonly spread: number;
}

/**
 * The turns in which a call has those of all its scopes at once, from the one that most share to the one that fewest do. Turns of
 * single scopes would never meet when, say, the even ones are the upstream's and the odd ones the user's. So each scope takes turns
 * among the turns of the one before it: its groups are a multiple of theirs. `turnMs` and `openMs` are the same for all calls of a
 * process, so that a scope's turns are the same ones whatever else its calls need.
 */
export function meetTurns(
  scopes: readonly ScopeTurns[],
  { turnMs, openMs }: Pick<Turns, 'turnMs' | 'openMs'>,
): { readonly turns: Turns; readonly offset: number } {
  let groups = 1;
  let offset = 0;
  for (const { turns, spread } of scopes) {
    const within = Math.ceil(turns.groups / groups);
    offset += groups * (spread % within);
    groups *= within;
  }
  return { turns: { groups, turnMs, openMs }, offset };
}

/** 0 in the open part of a turn of `seat`, else how long until the next one, in ms. `offset` spreads what takes turns apart. */
export function turnWaitMs(turns: Turns, seat: number, offset: number, nowMs: number): number {
  const { groups, turnMs, openMs } = turns;
  const turn = Math.floor(nowMs / turnMs);
  const ahead = mod(seat - offset - turn, groups);
  const intoMs = nowMs - turn * turnMs;
  if (ahead === 0 && intoMs < openMs) return 0;
  return (ahead === 0 ? groups : ahead) * turnMs - intoMs;
}

/** One budget that a call needs: when its next call would be due at the steady rate (epoch in ms), and its rate. */
export interface Budget {
  readonly dueAtMs: number;
  readonly rate: Rate;
}

/** A place among the calls, or how long to wait before asking again, and for which budget. */
export type BudgetDecision =
  | { readonly kind: 'go'; readonly atMs: number; readonly duesMs: readonly number[] }
  | { readonly kind: 'wait'; readonly waitMs: number; readonly of: number };

/**
 * Takes one call from every budget, or from none. The first budget is the one that all share: when only that one is used up, the
 * call is given the next place in it, up to `reserveMs` ahead, and needs not ask again. Places are given in order, so the other
 * budgets are asked about the place and not about now, and each of them sees its calls in the order of their times.
 */
export function takeCall(budgets: readonly Budget[], nowMs: number, reserveMs: number): BudgetDecision {
  // A due time further ahead was written by a clock that has gone back since.
  const dues = budgets.map(({ dueAtMs, rate }) => Math.min(dueAtMs, nowMs + furthestMs(rate)));
  const earliest = dues.map((dueMs, at) => dueMs - (budgets[at]?.rate.toleranceMs ?? 0));
  const atMs = Math.max(nowMs, earliest[0] ?? 0);
  for (let of = 1; of < budgets.length; of += 1) {
    const freeMs = earliest[of] ?? 0;
    if (freeMs > atMs) return { kind: 'wait', waitMs: freeMs - nowMs, of };
  }
  if (atMs - nowMs > reserveMs) return { kind: 'wait', waitMs: atMs - nowMs, of: 0 };
  return {
    kind: 'go',
    atMs,
    duesMs: dues.map((dueMs, at) => Math.max(dueMs, atMs) + (budgets[at]?.rate.intervalMs ?? 0)),
  };
}

/** No budget is ever due later than this from now on: a place that was reserved, and a window or an interval after it. */
export function furthestMs({ intervalMs, toleranceMs, windowMs }: Rate): number {
  return RESERVE_LIMIT_MS + Math.max(intervalMs, windowMs) + toleranceMs;
}

/** What sums of epochs and fractions of a millisecond may be wrong by, for a call and for a window, in ms: a double has no more digits. */
const ROUNDING_MS = 0.00013;
const WINDOW_ROUNDING_MS = 0.05;

function rateIn(calls: number, windowMs: number): Rate {
  const toleranceMs = TOLERANCE_SHARE * windowMs;
  const intervalMs = (windowMs + toleranceMs + WINDOW_ROUNDING_MS) / calls + ROUNDING_MS;
  return { intervalMs, toleranceMs, windowMs };
}

function mod(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}
