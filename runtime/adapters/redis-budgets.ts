import { hash } from 'node:crypto';
import { furthestMs, type Rate, RESERVE_LIMIT_MS } from '../core/budget.ts';
import { type CallOutcome, GATE_SCOPES, type GatedCall, type GateVerdict, type Probe } from '../core/gate.ts';
import type { SharedAnswer, SharedAsk, SharedBudgets } from '../ports.ts';
import { NOTE_SCRIPT, SEAT_SCRIPT, TAKE_SCRIPT } from './redis-budget-scripts.ts';
import type { RedisLink } from './redis-link.ts';
import { runScript, scriptOf } from './redis-script.ts';

/** What the budgets of a fleet are opened with. */
export interface RedisBudgetsOptions {
  readonly link: Pick<RedisLink, 'usable' | 'otherHistories'>;
  /** The same for every process. */
  readonly rates: { readonly upstream: Rate; readonly user: Rate; readonly proxy: Rate };
  /** How long a breaker opens for the first time, in ms. The same for every process. */
  readonly breakerOpenMs: number;
  /** Tells this process from all others, for as long as its seat is kept. */
  readonly processId: string;
  /** Goes before every key. Default `adit:`. */
  readonly prefix?: string;
  /** Epoch in ms, instead of the clock of Redis: for tests that move the time. */
  readonly now?: () => number;
}

/**
 * The longest stop lasts a day (`Retry-After` is cut to it) and a doubt an hour longer. What nobody has touched for longer says
 * nothing any more.
 */
const KEPT_MS = 26 * 3_600_000;

/**
 * How long everybody keeps to his share after somebody has come back from calling on his own, in ms, and the longest window of a
 * budget: longer than the longest wait before a connection is tried again (3 s), and before it is used again (1 s), so that all
 * who can come back have done so a window before it ends.
 */
const RETURN_MS = 5000;

/** Hexadecimal digits that tell proxies apart. Their addresses carry passwords, so they are not stored. */
const PROXY_DIGITS = 16;

/**
 * Budgets, stops and breakers of a fleet on one Redis: one script and one round trip for a call. All keys of an upstream carry one
 * hash tag, so a cluster keeps them on one shard and the scripts run there; and a call costs Redis about 70 us
 * (npm run bench:limiter, 2026-11-28, two shared cores), so one shard carries ten thousand calls a second to an upstream.
 * What is remembered is one sorted set per upstream: about 100 bytes for each user who has called within the time of one call or is
 * stopped, so kilobytes at 100 calls a second, whether there are 10^2 or 10^6 users, and 100 MB if a million of them were stopped
 * at once. Every key expires.
 * For a while after a loss, and after the memory of an upstream has gone (restart, flush, eviction), everybody is told to keep to
 * his share.
 */
export function openRedisBudgets(options: RedisBudgetsOptions): SharedBudgets {
  const { link, processId } = options;
  const nowText = (): string => options.now?.().toString() ?? '';
  const keyOf = (upstream: string, rest: string): string => `${options.prefix ?? 'adit:'}{${upstream}}:${rest}`;
  const keysOf = (call: GatedCall): readonly [string, string] => [
    keyOf(call.upstream, 'gate'),
    keyOf(call.upstream, `breaker:${proxyIdOf(call)}`),
  ];
  const { upstream, user, proxy } = options.rates;
  const returnMs = RETURN_MS + Math.max(upstream.windowMs, user.windowMs, proxy.windowMs);
  const rateArguments = [upstream, user, proxy].flatMap((rate) => [
    rate.intervalMs,
    rate.toleranceMs,
    furthestMs(rate),
  ]);
  // After a failover the last places that were given may be missing. Told once for each upstream.
  const histories = new Map<string, number>();
  return {
    take: async (call, ask) => {
      const redis = await link.usable();
      const { otherHistories } = link;
      const isOther = otherHistories !== (histories.get(call.upstream) ?? 0);
      const values = [
        ...[nowText(), call.userId, proxyIdOf(call)],
        ...askArguments(ask, isOther),
        ...[returnMs, ask.coldReserveMs, KEPT_MS],
        ...rateArguments,
      ];
      const answer = await runScript(redis, TAKE, [keysOf(call), values]);
      histories.set(call.upstream, otherHistories);
      return readAnswer(answer as readonly string[]);
    },
    note: async (call, outcome, answered) => {
      const keys = [...keysOf(call), keyOf(call.upstream, 'bare')];
      const values = [
        ...[nowText(), call.userId, proxyIdOf(call), KEPT_MS, answered],
        ...outcomeArguments(outcome, options.breakerOpenMs),
      ];
      await runScript(await link.usable(), NOTE, [keys, values]);
    },
    seat: async (name, { processes, keptMs, held }) => {
      const keys = [keyOf(name, 'seats')];
      const seat = Number(
        await runScript(await link.usable(), SEAT, [keys, [nowText(), processId, processes, keptMs, held ?? -1]]),
      );
      return seat < 0 ? undefined : seat;
    },
  };
}

const TAKE = scriptOf(TAKE_SCRIPT);
const NOTE = scriptOf(NOTE_SCRIPT);
const SEAT = scriptOf(SEAT_SCRIPT);

function askArguments(
  { reserveMs, leaseMs, answered, isReturning }: SharedAsk,
  isOtherHistory: boolean,
): readonly number[] {
  return [Math.min(reserveMs, RESERVE_LIMIT_MS), leaseMs, answered, isOtherHistory ? 2 : Number(isReturning)];
}

function outcomeArguments(
  { result, probe, bareWaitMs, stops }: CallOutcome,
  breakerOpenMs: number,
): readonly (string | number)[] {
  const scopes = (probe?.scopes ?? []).map((scope) => GATE_SCOPES.indexOf(scope) + 1).join('');
  return [
    ...[result, probe?.breaker ?? '', scopes, bareWaitMs ?? '', breakerOpenMs],
    ...stops.flatMap(({ scope, waitMs, isDoubted }) => [
      GATE_SCOPES.indexOf(scope) + 1,
      Math.min(waitMs, KEPT_MS),
      isDoubted ? 1 : 0,
    ]),
  ];
}

function readAnswer(answer: readonly string[]): SharedAnswer {
  const [kind = '', wait = '', third = '', fourth = '', now = '', shares = '', born = ''] = answer;
  const scopes = GATE_SCOPES.filter((_, at) => fourth.includes(String(at + 1)));
  const probe: Probe | undefined =
    kind !== 'go' || (third === '' && scopes.length === 0)
      ? undefined
      : { scopes, ...(third !== '' && { breaker: Number(third) }) };
  const waitMs = Number(wait);
  const verdict: GateVerdict =
    kind === 'go'
      ? { kind, waitMs, ...(probe !== undefined && { probe }) }
      : { kind: 'wait', waitMs, why: third as 'budget' | 'stop' | 'breaker', scope: scopes[0] ?? 'upstream' };
  return { verdict, nowMs: Number(now), sharesUntilMs: Number(shares), bornAtMs: Number(born) };
}

function proxyIdOf({ proxyUrl }: GatedCall): string {
  return proxyUrl === null ? '' : hash('sha256', proxyUrl, 'hex').slice(0, PROXY_DIGITS);
}
