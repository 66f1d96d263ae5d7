import type { Miner } from '../../../runtime/core/miner.ts';
import { dataList, userList } from '../../../runtime/core/page.ts';
import { turnEarlyMs } from '../../../runtime/engine/mine.ts';
import { readSettings, type Settings } from '../../../runtime/settings.ts';
import { Dice } from '../../fakes/dice.ts';

/** The services that a process talks to. */
export const SERVICES = ['upstream', 'bus', 'redis', 'ledger', 'lake'] as const;
export type Service = (typeof SERVICES)[number];

/** What may go wrong with one call to a service, each a share of the calls. */
export interface CallFaults {
  /** Refused: no effect. */
  readonly refused: number;
  /** It has its effect, and the answer is an error. */
  readonly answerLost: number;
  /** The answer is an error, and the effect comes up to a minute later. */
  readonly landsLater: number;
  readonly slow: number;
}

/** What upstreams do to their callers, each a share of the calls. */
export interface UpstreamFaults {
  readonly rateLimitUser: number;
  readonly rateLimitUpstream: number;
  readonly serverError: number;
  readonly timeout: number;
  readonly usage: number;
  readonly tooLarge: number;
}

/** Misbehaviour of one list until the world is healed; `stuck` and `cycle` stay. */
export type ListTrouble =
  | 'stuck'
  | 'cycle'
  | 'token'
  | 'gone'
  | 'permission'
  | 'page-shape'
  | 'marker-missing'
  | 'redirect';

/** What one seed simulates. Each seed has its own subset of faults, at its own rates (swarm testing). */
export interface Plan {
  readonly seed: number;
  /** `home`: one process that follows everything · `fleet`: the deployed app, one or more. */
  readonly place: 'home' | 'fleet';
  readonly processes: number;
  readonly users: number;
  readonly miners: readonly Miner[];
  /** Users share so many proxies; with any there is one more group of users, whose calls are direct. */
  readonly proxies: number;
  readonly settings: Settings;
  /** Whether the processes have a Redis with budgets, or each one keeps to its share. */
  readonly sharedBudgets: boolean;
  /** Minutes of trouble before the world is healed. */
  readonly troubleMs: number;
  readonly firings: number;
  /** Moments, beside those of chance, at which a timer fires. */
  readonly rushes: readonly number[];
  readonly calls: Readonly<Record<Service, CallFaults>>;
  readonly upstream: UpstreamFaults;
  /** Times that the upstream answers with nothing but errors. */
  readonly storms: readonly { readonly atMs: number; readonly forMs: number }[];
  /** Times that a service is away for everybody. */
  readonly outages: readonly { readonly service: Service; readonly atMs: number; readonly forMs: number }[];
  /** Times that one process cannot reach a service. */
  readonly cuts: readonly {
    readonly slot: number;
    readonly service: Service;
    readonly atMs: number;
    readonly forMs: number;
  }[];
  /** Share of port calls at which the caller is killed. */
  readonly killShare: number;
  /** Moments at which a process is killed. */
  readonly kills: readonly { readonly slot: number; readonly atMs: number }[];
  /** Moments at which a process is stopped in order and started again. */
  readonly deployments: readonly { readonly slot: number; readonly atMs: number }[];
  readonly brokerRestarts: readonly number[];
  readonly redisFlushes: readonly number[];
  /** Share of deliveries whose lock is lost while the handler works on. */
  readonly lockLoss: number;
  readonly renewalLoss: number;
  /** Share of marker messages that the host settles without calling anybody. */
  readonly swallowed: number;
  readonly pickOldest: boolean;
  readonly skewMs: readonly number[];
  readonly clockJumps: readonly { readonly slot: number; readonly atMs: number; readonly byMs: number }[];
  /** Share of ledger writes whose whole transaction is refused because of one row. */
  readonly transactionRefusal: number;
  /** Chance of an edit of a list per call of it. */
  readonly edits: number;
  readonly troubledLists: readonly { readonly user: number; readonly miner: number; readonly trouble: ListTrouble }[];
  readonly listStyle: 'offset' | 'anchor';
  readonly oversize: boolean;
  readonly rejects: boolean;
}

const NO_FAULTS: CallFaults = { refused: 0, answerLost: 0, landsLater: 0, slow: 0 };
const MINUTE_MS = 60_000;

/** The catalog of simulated worlds: with and without a data topic. */
export const SIMULATED_MINERS: readonly Miner[] = ['chats', 'fans', 'posts'].map((name, index) => ({
  name,
  upstream: 'graph',
  lane: 'bulk',
  schedule: '0 0 * * * *',
  cacheTtlMs: 3_600_000,
  dataTopic: index === 1,
  request: (userId) => userList(userId, name),
  page: dataList,
}));

/** What seed `seed` simulates. The same seed always simulates the same. */
export function planOf(seed: number): Plan {
  return withFleet(processPlanOf(seed), new Dice(seed * 2 + 2));
}

/** Shares of the seeds: a fleet with a Redis for its budgets; one whose budgets nothing but outages and flushes touch. */
const SHARED_SHARE = 0.75;
const UNTOUCHED_SHARE = 0.4;

/** What the processes share: budgets, breakers, proxies, and what befalls those. */
function withFleet(plan: Plan, dice: Dice): Plan {
  const { processes, settings, troubleMs, place } = plan;
  const times = (max: number): number[] => Array.from({ length: dice.between(0, max) }, () => dice.upTo(troubleMs));
  const isUntouched = dice.chance(UNTOUCHED_SHARE);
  const awayTimes = isUntouched ? times(3) : [];
  const flushTimes = isUntouched ? times(2) : [];
  const aways = awayTimes.map((atMs) => ({ service: 'redis' as const, atMs, forMs: dice.of([500, 5_000, 60_000]) }));
  const fleet: Plan = {
    ...plan,
    sharedBudgets: place === 'fleet' && dice.chance(SHARED_SHARE),
    proxies: dice.of([0, 0, 1, 2]),
    storms: dice.chance(isUntouched ? 0.6 : 0.3)
      ? times(3).map((atMs) => ({ atMs, forMs: dice.of([5_000, 60_000]) }))
      : [],
    outages: [...plan.outages, ...aways],
    // What is asked for right before and after an outage is what the way from one to the other is about.
    rushes: [...flushTimes, ...aways.flatMap(({ atMs, forMs }) => [atMs, atMs + forMs])].map(
      (atMs) => atMs - dice.upTo(3000),
    ),
    ...(isUntouched && {
      calls: { ...plan.calls, redis: NO_FAULTS },
      upstream: { ...plan.upstream, rateLimitUser: dice.of([plan.upstream.rateLimitUser, 0.1]) },
      // Many pages under a low limit, so that windows are full when budgets come and go.
      miners: plan.miners.map((miner) => ({ ...miner, pageLimit: dice.of([2, 3]) })),
      cuts: plan.cuts.filter(({ service }) => service !== 'redis'),
      clockJumps: [],
      redisFlushes: [...plan.redisFlushes, ...flushTimes],
    }),
    settings: {
      ...settings,
      instances: processes,
      userCallsPerSecond: dice.chance(0.1) ? 2 : settings.userCallsPerSecond,
      upstreamCallsPerSecond: dice.chance(0.1) ? 2 : isUntouched ? 5 : settings.upstreamCallsPerSecond,
      proxyCallsPerSecond: dice.of([5, 100]),
    },
  };
  return missesTurns(fleet) ? { ...fleet, settings: { ...fleet.settings, instances: 1 } } : fleet;
}

/**
 * Processes without shared budgets of which one never meets a turn through a scheduled message: its clock is ahead of the broker's
 * by more than such a message comes early, so that each one comes when the turn is over. Their limits are left whole here. It takes
 * fewer calls in a window than processes, and clocks that are wrong by seconds.
 */
function missesTurns({ sharedBudgets, processes, settings, skewMs, clockJumps, proxies }: Plan): boolean {
  const { userCallsPerSecond, upstreamCallsPerSecond, proxyCallsPerSecond } = settings;
  const limits = [userCallsPerSecond, upstreamCallsPerSecond, ...(proxies > 0 ? [proxyCallsPerSecond] : [])];
  if (sharedBudgets || Math.min(...limits) >= processes) return false;
  const jumpsMs = clockJumps.reduce((sum, { byMs }) => sum + Math.max(0, byMs), 0);
  return Math.max(...skewMs) + jumpsMs >= turnEarlyMs(settings);
}

/** By what the calls of a plan are judged. */
export type BudgetRule =
  /** Clocks jump: one that jumps ahead gives a budget more than its time. */
  | { readonly kind: 'none' }
  /** Each process by itself. */
  | { readonly kind: 'own' }
  /** All processes together, to the letter: all of them reach the shared budgets, or none does. */
  | { readonly kind: 'strict' }
  /** All together; who is cut off adds his share: `times` the limit (`FleetBudgets`). */
  | { readonly kind: 'loose'; readonly times: number };

/** By what the calls of this plan are judged. A call that fails on its way to Redis cuts its process off for a moment. */
export function budgetRuleOf({ clockJumps, sharedBudgets, calls, cuts, processes }: Plan): BudgetRule {
  if (clockJumps.length > 0) return { kind: 'none' };
  if (!sharedBudgets) return { kind: 'own' };
  if (Object.values(calls.redis).some((share) => share > 0)) return { kind: 'loose', times: 2 };
  const cutOff = new Set(cuts.filter(({ service }) => service === 'redis').map(({ slot }) => slot)).size;
  return cutOff === 0 ? { kind: 'strict' } : { kind: 'loose', times: 1 + cutOff / processes };
}

/** What befalls single processes and services. */
function processPlanOf(seed: number): Plan {
  const dice = new Dice(seed * 2 + 1);
  // The calm end of the swarm matters too: with few faults the rare orders of a healthy day are seen.
  const heat = dice.of([0, 0.5, 1, 1]);
  const has = (share = 0.6): boolean => dice.chance(share * heat);
  const place = dice.chance(0.3) ? 'home' : 'fleet';
  const processes = place === 'home' ? 1 : dice.between(1, 4);
  const users = dice.between(1, 6);
  const troubleMs = dice.between(1, 12) * MINUTE_MS;
  const miners = SIMULATED_MINERS.slice(0, dice.of([1, 1, 2, 3])).map((miner) => ({
    ...miner,
    pageLimit: dice.of([3, 5, 10]),
  }));
  const times = (max: number): number[] => Array.from({ length: dice.between(0, max) }, () => dice.upTo(troubleMs));
  const rates = (): CallFaults => {
    if (!has()) return NO_FAULTS;
    const rate = (): number => (dice.chance(0.6) ? dice.of([0.01, 0.04, 0.12]) : 0);
    return { refused: rate(), answerLost: rate(), landsLater: rate(), slow: rate() };
  };
  const rate = (): number => (has(0.4) ? dice.of([0.02, 0.1, 0.25]) : 0);
  const slots = (max: number): { slot: number; atMs: number }[] =>
    has() ? times(max).map((atMs) => ({ slot: dice.upTo(processes), atMs })) : [];
  return {
    seed,
    place,
    processes,
    users,
    miners,
    ...{ proxies: 0, sharedBudgets: false, storms: [], rushes: [] },
    settings: settingsOf(dice),
    troubleMs,
    firings: dice.between(1, 8),
    calls: { upstream: NO_FAULTS, bus: rates(), redis: rates(), ledger: rates(), lake: rates() },
    upstream: {
      rateLimitUser: rate(),
      rateLimitUpstream: rate() / 4,
      serverError: rate(),
      timeout: rate(),
      usage: rate(),
      tooLarge: rate(),
    },
    outages: has()
      ? times(3).map((atMs) => ({ service: dice.of(SERVICES), atMs, forMs: dice.of([2_000, 30_000, 240_000]) }))
      : [],
    cuts: slots(4).map((cut) => ({ ...cut, service: dice.of(SERVICES), forMs: dice.of([2_000, 30_000, 180_000]) })),
    killShare: has() ? dice.of([0.002, 0.006, 0.015]) : 0,
    kills: slots(5),
    deployments: slots(2),
    brokerRestarts: has(0.3) ? times(3) : [],
    redisFlushes: has(0.3) ? times(3) : [],
    lockLoss: has() ? dice.of([0.02, 0.15]) : 0,
    renewalLoss: has(0.3) ? 0.2 : 0,
    swallowed: place === 'fleet' && has(0.4) ? 0.05 : 0,
    pickOldest: dice.chance(0.3),
    skewMs: Array.from({ length: processes }, () => (has(0.4) ? dice.between(-5000, 5000) : 0)),
    clockJumps: has(0.3) ? slots(3).map((jump) => ({ ...jump, byMs: dice.between(-5000, 5000) })) : [],
    transactionRefusal: has() ? dice.of([0.02, 0.3]) : 0,
    edits: dice.of([0, 0.05, 0.3]),
    troubledLists: has()
      ? Array.from({ length: dice.between(0, 3) }, () => ({
          user: dice.upTo(users),
          miner: dice.upTo(miners.length),
          trouble: dice.of<ListTrouble>([
            ...(['stuck', 'cycle', 'token', 'gone', 'permission'] as const),
            ...(['page-shape', 'marker-missing', 'redirect'] as const),
          ]),
        }))
      : [],
    listStyle: dice.of(['offset', 'anchor']),
    oversize: dice.chance(0.2),
    rejects: dice.chance(0.3),
  };
}

/** A long life with a fault now and then: firings every ten minutes, a kill an hour, and whatever else the seed brings. */
export function soakPlanOf(seed: number, hours: number): Plan {
  const dice = new Dice(seed * 2 + 1);
  const troubleMs = hours * 60 * MINUTE_MS;
  const rare = { refused: 0.002, answerLost: 0.002, landsLater: 0.002, slow: 0.002 };
  const hourly = (perHour: number): number[] => Array.from({ length: hours * perHour }, () => dice.upTo(troubleMs));
  const processes = 2;
  const somewhere = (atMs: number): { slot: number; atMs: number } => ({ slot: dice.upTo(processes), atMs });
  return {
    ...planOf(seed),
    ...{
      place: 'fleet',
      sharedBudgets: true,
      processes,
      storms: [],
      rushes: [],
      users: 12,
      miners: SIMULATED_MINERS,
      troubleMs,
      firings: hours * 6,
    },
    calls: { upstream: NO_FAULTS, bus: rare, redis: rare, ledger: rare, lake: rare },
    upstream: {
      ...{ rateLimitUser: 0.02, rateLimitUpstream: 0.001, serverError: 0.02, timeout: 0.01 },
      ...{ usage: 0.02, tooLarge: 0.01 },
    },
    outages: hourly(1).map((atMs) => ({ service: dice.of(SERVICES), atMs, forMs: dice.of([2_000, 30_000, 240_000]) })),
    cuts: hourly(1).map((atMs) => ({ ...somewhere(atMs), service: dice.of(SERVICES), forMs: 60_000 })),
    kills: hourly(1).map(somewhere),
    deployments: hourly(1)
      .map(somewhere)
      .slice(0, Math.ceil(hours / 4)),
    brokerRestarts: hourly(1).slice(0, Math.ceil(hours / 6)),
    redisFlushes: hourly(1).slice(0, Math.ceil(hours / 6)),
    ...{
      killShare: 0,
      lockLoss: 0.01,
      renewalLoss: 0.01,
      swallowed: 0.002,
      skewMs: [4000, -4000],
      clockJumps: [],
      edits: 0.1,
    },
    ...{ troubledLists: [{ user: 0, miner: 0, trouble: 'stuck' }], transactionRefusal: 0.02 },
    settings: {
      ...settingsOf(dice),
      instances: processes,
      userCallsPerSecond: 5,
      reviveAfterMs: 300_000,
      monitorEveryMs: 60_000,
    },
  };
}

function settingsOf(dice: Dice): Settings {
  const read = readSettings('cloud', []);
  if (!read.ok) throw new Error(read.errors.join('\n'));
  return {
    ...read.settings,
    userCallsPerSecond: dice.of([1, 5, 100]),
    upstreamCallsPerSecond: dice.of([5, 100]),
    upstreamConcurrency: dice.of([1, 2, 10]),
    rateLimitWaitMs: dice.of([1000, 60_000]),
    inlineWaitMs: dice.of([200, 30_000]),
    retryLaterMs: dice.of([500, 10_000]),
    callTimeoutMs: 10_000,
    slicePages: dice.of([1, 2, 4, 50]),
    sliceMs: dice.of([5_000, 60_000]),
    miningConcurrency: dice.of([1, 4, 16]),
    ingestConcurrency: dice.of([1, 4]),
    sealedMaxBytes: dice.of([1024, 3000, 200_000]),
    lingerMs: dice.of([0, 20, 1000]),
    reviveAfterMs: dice.of([90_000, 300_000]),
    fireEveryMs: dice.of([60_000, 150_000]),
    monitorEveryMs: dice.of([20_000, 60_000]),
    stopGraceMs: dice.of([0, 5000]),
  };
}
