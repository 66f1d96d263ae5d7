import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openRedisBudgets } from '../../../runtime/adapters/redis-budgets.ts';
import { RedisLink } from '../../../runtime/adapters/redis-link.ts';
import { rateOf } from '../../../runtime/core/budget.ts';
import type { CallOutcome, GatedCall, GateVerdict, Probe } from '../../../runtime/core/gate.ts';
import { LocalBudgets } from '../../../runtime/engine/local-budgets.ts';
import { type LocalRedis, startRedis } from '../../../runtime/local/redis.ts';
import type { SharedAnswer, SharedAsk, SharedBudgets } from '../../../runtime/ports.ts';
import { MemorySharedBudgets } from '../../fakes/memory-shared-budgets.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { isRedisHere } from '../../fakes/servers.ts';

// Thousands of round trips take their time on a busy machine.
vi.setConfig({ testTimeout: 240_000 });

const LIMITS = {
  ...{ userCallsPerSecond: 3, upstreamCallsPerSecond: 8, proxyCallsPerSecond: 5, instances: 1 },
  ...{ callTimeoutMs: 4000, breakerOpenMs: 2000 },
};
const RATES = {
  upstream: rateOf(LIMITS.upstreamCallsPerSecond),
  user: rateOf(LIMITS.userCallsPerSecond),
  proxy: rateOf(LIMITS.proxyCallsPerSecond),
};
const LEASE_MS = 9000;
const RUNS = 40;
const STEPS = 400;

describe.runIf(isRedisHere())('the scripts on Redis', () => {
  let dir: string;
  let server: LocalRedis;
  let link: RedisLink;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-budgets-'));
    server = (await startRedis({ dir }))!;
    link = new RedisLink({ url: server.url, commandTimeoutMs: 10_000 });
  });
  afterAll(async () => {
    await link.close();
    await server.stop();
    await rm(dir, { recursive: true });
  });

  it('say of every call what the core says, whatever came before', async () => {
    const met = new Map<string, number>();
    for (let seed = 1; seed <= RUNS; seed += 1) {
      const model = new Model(link, seed, met);
      await model.begin();
      for (let step = 0; step < STEPS; step += 1) await model.step();
    }
    // The rare paths were reached, or this test shows nothing.
    for (const path of [
      'go',
      'go later',
      'probe',
      'probe of a doubt',
      'upstream budget',
      'user budget',
      'proxy budget',
    ])
      expect(met.get(path) ?? 0, path).toBeGreaterThan(20);
    for (const path of ['upstream stop', 'user stop', 'proxy breaker'])
      expect(met.get(path) ?? 0, path).toBeGreaterThan(20);
    process.stdout.write(
      `scripts and core agree on ${RUNS * STEPS} steps: ${JSON.stringify(Object.fromEntries(met))}\n`,
    );
  });

  it('say what the budgets in memory say, also after a loss, a return and a step of the clock, and of seats', async () => {
    const met = new Map<string, number>();
    for (let seed = 1; seed <= RUNS; seed += 1) {
      const twins = new Twins(link, `twins${seed}:`);
      for (let step = 0; step < STEPS; step += 1) await twins.step(seededRandom(seed * STEPS + step), met);
    }
    const paths = ['go', 'go later', 'probe', 'stop', 'breaker', 'budget', 'shares', 'cold', 'seat', 'no seat'];
    for (const path of paths) expect(met.get(path) ?? 0, path).toBeGreaterThan(20);
    process.stdout.write(`scripts and memory agree: ${JSON.stringify(Object.fromEntries(met))}\n`);
  });

  it('leave no key without an end', async () => {
    const redis = await link.usable();
    const keys = await redis.keys('*');
    expect(keys.length).toBeGreaterThan(RUNS);
    for (const key of keys) expect(await redis.pttl(key), key).toBeGreaterThan(0);
  });

  it('keep no address of a proxy, because it may carry a password', async () => {
    const redis = await link.usable();
    expect((await redis.keys('*')).join(' ')).not.toContain('secret');
    const members = await redis.zrange('model1:{graph}:gate', '0', '-1');
    expect(members.join(' ')).not.toContain('secret');
    expect(members.length).toBeGreaterThan(0);
  });

  it('give each process a seat of its own, the same one again, and one that was left to the next', async () => {
    let nowMs = 1_700_000_000_000;
    const rates = { upstream: rateOf(1), user: rateOf(1), proxy: rateOf(1) };
    const seatOf = (processId: string, held?: number) =>
      openRedisBudgets({ link, rates, processId, breakerOpenMs: 1, prefix: 'seats:', now: () => nowMs }).seat('graph', {
        ...{ processes: 3, keptMs: 60_000, held },
      });
    expect([await seatOf('a'), await seatOf('b'), await seatOf('a'), await seatOf('c')]).toEqual([0, 1, 0, 2]);
    expect(await seatOf('d')).toBeUndefined();
    nowMs += 40_000;
    expect([await seatOf('b'), await seatOf('c')]).toEqual([1, 2]);
    nowMs += 30_000;
    expect([await seatOf('d'), await seatOf('a')]).toEqual([0, undefined]);
    // A Redis that has forgotten them leaves them where they are, whoever asks first.
    await (await link.usable()).del(...(await (await link.usable()).keys('seats:*')));
    expect([await seatOf('c', 2), await seatOf('d', 0), await seatOf('e', 2), await seatOf('f', 1)]).toEqual([
      2,
      0,
      1,
      undefined,
    ]);
  });
});

/** Redis and the core side by side, at the same moments. */
class Model {
  readonly #random;
  readonly #local;
  readonly #shared;
  readonly #met: Map<string, number>;
  readonly #probes: { readonly call: GatedCall; readonly probe: Probe }[] = [];
  #nowMs = 1_700_000_000_000;

  constructor(link: RedisLink, seed: number, met: Map<string, number>) {
    this.#random = seededRandom(seed);
    this.#met = met;
    const now = (): number => this.#nowMs;
    this.#local = new LocalBudgets({ clock: { now, sleep: () => Promise.resolve() }, seat: 0 }, LIMITS);
    const { breakerOpenMs } = LIMITS;
    const prefix = `model${seed}:`;
    this.#shared = openRedisBudgets({ link, now, processId: 'model', prefix, breakerOpenMs, rates: RATES });
  }

  /** Redis remembers nothing at first and is silent; an hour later it is known that nobody has called. */
  async begin(): Promise<void> {
    await this.#shared.take(this.#call(), ask(0, 0));
    this.#nowMs += 3_600_000;
    for (const proxyUrl of [null, ...PROXIES]) {
      this.#local.noteNow({ ...this.#call(), proxyUrl }, { result: 'abandoned', stops: [] });
    }
  }

  async step(): Promise<void> {
    const roll = this.#random.next();
    if (roll < 0.55) await this.#take(0);
    else if (roll < 0.85) await this.#note();
    else if (roll < 0.9) {
      const call = this.#call();
      this.#local.noteNow(call, { result: 'answered', stops: [] });
      await this.#take(1, call);
    } else this.#nowMs += this.#random.next() ** 4 * 4000;
    this.#nowMs += this.#random.next() * 60;
  }

  async #take(answered: number, call = this.#call()): Promise<void> {
    const reserveMs = this.#random.next() < 0.5 ? 0 : 1000;
    const own = this.#local.takeNow(call, reserveMs);
    const { verdict } = await this.#shared.take(call, ask(reserveMs, answered));
    expect({ ...verdict, waitMs: 0 }).toEqual({ ...own, waitMs: 0 });
    expect(verdict.waitMs).toBeCloseTo(own.waitMs, 1);
    if (own.kind === 'go' && own.probe !== undefined) this.#probes.push({ call, probe: own.probe });
    this.#count(own);
  }

  async #note(): Promise<void> {
    const pick = this.#random.next();
    const held = pick < 0.5 ? this.#probes.shift() : undefined;
    const call = held?.call ?? this.#call();
    const result = (['answered', 'fault', 'fault', 'abandoned'] as const)[Math.floor(this.#random.next() * 4)]!;
    const waitMs = Math.round(this.#random.next() * 1500);
    const scope = this.#random.next() < 0.7 ? 'user' : 'upstream';
    const hasStop = this.#random.next() < 0.12;
    const outcome: CallOutcome = {
      result,
      stops: hasStop ? [{ scope, waitMs, isDoubted: this.#random.next() < 0.5 }] : [],
      ...(held !== undefined && { probe: held.probe }),
      ...(this.#random.next() < 0.02 && { bareWaitMs: 500 }),
    };
    this.#local.noteNow(call, outcome);
    await this.#shared.note(call, outcome, 0);
  }

  #call(): GatedCall {
    return callOf(this.#random);
  }

  #count(verdict: GateVerdict): void {
    const path =
      verdict.kind === 'wait'
        ? `${verdict.scope} ${verdict.why}`
        : verdict.probe === undefined
          ? verdict.waitMs > 0
            ? 'go later'
            : 'go'
          : verdict.probe.scopes.length > 0
            ? 'probe of a doubt'
            : 'probe';
    this.#met.set(path, (this.#met.get(path) ?? 0) + 1);
  }
}

/** One process as the scripts know it, and as the budgets in memory do. */
interface Twin {
  readonly real: SharedBudgets;
  readonly fake: SharedBudgets;
}

/** Redis and the budgets in memory side by side, at the same moments, for several processes. */
class Twins {
  readonly #fake: MemorySharedBudgets;
  readonly #twins: readonly Twin[];
  readonly #probes: { readonly call: GatedCall; readonly probe: Probe }[] = [];
  readonly #flush: () => Promise<void>;
  #nowMs = 1_700_000_000_000;

  constructor(link: RedisLink, prefix: string) {
    const now = (): number => this.#nowMs;
    const { breakerOpenMs } = LIMITS;
    this.#fake = new MemorySharedBudgets({ now, rates: RATES, breakerOpenMs });
    this.#twins = ['a', 'b', 'c', 'd'].map((processId) => ({
      real: openRedisBudgets({ link, now, processId, prefix, breakerOpenMs, rates: RATES }),
      fake: this.#fake.of(processId),
    }));
    this.#flush = async () => {
      const redis = await link.usable();
      const keys = await redis.keys(`${prefix}*`);
      if (keys.length > 0) await redis.del(...keys);
      this.#fake.clear();
    };
  }

  async step(random: ReturnType<typeof seededRandom>, met: Map<string, number>): Promise<void> {
    const note = (path: string): void => void met.set(path, (met.get(path) ?? 0) + 1);
    const roll = random.next();
    const twin = this.#twins[Math.floor(random.next() * this.#twins.length)]!;
    if (roll < 0.6) await this.#take(twin, random, note);
    else if (roll < 0.85) await this.#note(twin, random);
    else if (roll < 0.93) await this.#seat(twin, random, note);
    else if (roll < 0.94) await this.#flush();
    // A Redis that has moved to another machine may be behind.
    else this.#nowMs += roll < 0.955 ? -random.next() * 3000 : random.next() ** 4 * 8000;
    this.#nowMs += Math.round(random.next() * 60);
  }

  async #take({ real, fake }: Twin, random: { next: () => number }, note: (path: string) => void): Promise<void> {
    const call = callOf(random);
    const asked: SharedAsk = {
      reserveMs: random.next() < 0.5 ? 0 : 1000,
      leaseMs: LEASE_MS,
      answered: random.next() < 0.2 ? Math.ceil(random.next() * 9) : 0,
      isReturning: random.next() < 0.03,
      coldReserveMs: random.next() < 0.5 ? 0 : 1000,
    };
    const [theirs, ours] = [await real.take(call, asked), await fake.take(call, asked)];
    expect(withoutDigits(ours)).toEqual(withoutDigits(theirs));
    expect(ours.verdict.waitMs).toBeCloseTo(theirs.verdict.waitMs, 2);
    const { verdict } = ours;
    if (ours.sharesUntilMs > ours.nowMs) note('shares');
    if (ours.sharesUntilMs - ours.nowMs === 6000 && !asked.isReturning) note('cold');
    if (verdict.kind === 'wait') note(verdict.why);
    else if (verdict.probe === undefined) note(verdict.waitMs > 0 ? 'go later' : 'go');
    else {
      note('probe');
      this.#probes.push({ call, probe: verdict.probe });
    }
  }

  async #note({ real, fake }: Twin, random: { next: () => number }): Promise<void> {
    const held = random.next() < 0.5 ? this.#probes.shift() : undefined;
    const call = held?.call ?? callOf(random);
    const outcome: CallOutcome = {
      result: (['answered', 'fault', 'fault', 'abandoned'] as const)[Math.floor(random.next() * 4)]!,
      stops:
        random.next() < 0.12
          ? [
              {
                scope: random.next() < 0.7 ? 'user' : 'upstream',
                waitMs: Math.round(random.next() * 1500),
                isDoubted: random.next() < 0.5,
              },
            ]
          : [],
      ...(held !== undefined && { probe: held.probe }),
      ...(random.next() < 0.04 && { bareWaitMs: 500 }),
    };
    const answered = random.next() < 0.2 ? 2 : 0;
    await real.note(call, outcome, answered);
    await fake.note(call, outcome, answered);
  }

  async #seat({ real, fake }: Twin, random: { next: () => number }, note: (path: string) => void): Promise<void> {
    const ask = {
      processes: random.next() < 0.8 ? 3 : 2,
      keptMs: random.next() < 0.5 ? 2000 : 8000,
      held: random.next() < 0.5 ? undefined : Math.floor(random.next() * 3),
    };
    const ours = await fake.seat('graph', ask);
    expect(ours).toBe(await real.seat('graph', ask));
    note(ours === undefined ? 'no seat' : 'seat');
  }
}

function withoutDigits({ verdict, nowMs, sharesUntilMs, bornAtMs }: SharedAnswer): SharedAnswer {
  return {
    verdict: { ...verdict, waitMs: 0 },
    nowMs: Math.round(nowMs * 10),
    sharesUntilMs: Math.round(sharesUntilMs * 10),
    bornAtMs: Math.round(bornAtMs * 10),
  };
}

function callOf(random: { next: () => number }): GatedCall {
  const proxy = Math.floor(random.next() * 3);
  const userId = `u${Math.floor(random.next() * 4)}`;
  return { upstream: 'graph', userId, proxyUrl: proxy === 0 ? null : PROXIES[proxy - 1]! };
}

const PROXIES = ['http://user:secret@one', 'http://user:secret@two'] as const;

function ask(reserveMs: number, answered: number): Parameters<ReturnType<typeof openRedisBudgets>['take']>[1] {
  return { reserveMs, answered, leaseMs: LEASE_MS, isReturning: false, coldReserveMs: 0 };
}
