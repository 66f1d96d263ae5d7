import { CONNECTIONS } from '../../runtime/connections.ts';
import type { Random } from '../../runtime/ports.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import type { BrokerUnderFire } from './broker-under-fire.ts';
import { Network } from './network.ts';
import type { ChaosOptions } from './options.ts';
import type { RedisUnderFire } from './redis-under-fire.ts';
import { countKill, newTally, type Tally } from './tally.ts';
import { finish, type Hit, Victim, type VictimEnd } from './victim.ts';
import { advanceEpoch, AWAY_LIMIT_MS, IDLE_LIMIT, LIFE_LIMIT_MS, LIFE_LIMIT_PHASES, MISSES_LIMIT } from './world.ts';

/** Shares of the strikes that take all victims at once, or the broker, instead of one victim. */
const ALL_SHARE = 0.12;
const BROKER_SHARE = 0.12;

/** Share of the strikes beside which Redis is restarted. */
const REDIS_SHARE = 0.25;

/** A place for one victim after the other, with a network and a chance of its own. */
interface Slot {
  readonly network: Network;
  readonly random: Random;
  victim: Victim | undefined;
}

export interface FightOptions {
  readonly options: ChaosOptions;
  readonly upstreamUrl: string;
  readonly broker: BrokerUnderFire;
  readonly redis: RedisUnderFire;
  /** Arguments of `npm start` without its upstream. */
  readonly args: readonly string[];
}

/** Several process trees that mine the same users over one broker, one Redis and one state folder, and are shot at. */
export class Fight {
  readonly tally: Tally = newTally();
  readonly #options: FightOptions;
  readonly #fires: Promise<void>[] = [];
  #slots: readonly Slot[] = [];
  #isCalm = false;
  #trouble = new AbortController();

  constructor(options: FightOptions) {
    this.#options = options;
  }

  /** Until enough kills have hit something. Then nothing runs, and something may still be left to do. */
  async run(): Promise<void> {
    const { options, upstreamUrl, broker, redis } = this.#options;
    const ports = {
      ...{ broker: broker.port, upstream: Number(new URL(upstreamUrl).port) },
      ...(redis.port === 0 ? {} : { redis: redis.port }),
    };
    const slot = async (_: unknown, index: number): Promise<Slot> => ({
      network: await Network.open(ports),
      random: seededRandom(options.seed * 1000 + index),
      victim: undefined,
    });
    this.#slots = await Promise.all(Array.from({ length: options.processes }, slot));
    try {
      while (this.#wantsMore()) await this.#round();
    } finally {
      this.#trouble.abort();
      await Promise.all(this.#slots.map(({ network }) => network.close()));
    }
  }

  /** A run that nobody disturbs, without gates. */
  finish(): Promise<VictimEnd> {
    const { upstreamUrl, broker, redis, args } = this.#options;
    const variables = { ...redis.variables, [CONNECTIONS.bus.variable]: broker.connectionString() };
    return finish(['--upstream', upstreamUrl, ...args], variables);
  }

  #wantsMore(): boolean {
    return this.tally.kills < this.#options.options.kills;
  }

  /** Strikes until a victim ends by itself or nothing new is left to lose; then everybody ends, and the upstream moves on. */
  async #round(): Promise<void> {
    this.#isCalm = false;
    this.#trouble = new AbortController();
    const { signal } = this.#trouble;
    const troubles = this.#slots.map((slot) =>
      slot.network.trouble(slot.random, signal, (peer, kind) => this.#noteFault(slot, `${peer} ${kind}`)),
    );
    const ends = await Promise.all(this.#slots.map((slot) => this.#live(slot).finally(() => this.#calm())));
    await Promise.all([...troubles, ...this.#fires.splice(0)]);
    if (!this.#wantsMore()) return;
    if (!ends.some((end) => end.exitCode === 0)) await this.finish();
    this.tally.finished += 1;
    this.tally.idle = 0;
    process.stderr.write(`run ${this.tally.finished} finished; the upstream gets new work\n`);
    await advanceEpoch(this.#options.upstreamUrl);
  }

  /** One victim after the other, until there is calm. The end of the last. */
  async #live(slot: Slot): Promise<VictimEnd> {
    for (;;) {
      const victim = this.#start(slot);
      slot.victim = victim;
      await victim.begun();
      let isStruck = false;
      while (!isStruck && !this.#isCalm) {
        await victim.lived(slot.random.next() * LIFE_LIMIT_PHASES, LIFE_LIMIT_MS);
        if (!this.#isCalm) isStruck = this.#strike(slot, victim);
      }
      const end = await victim.ended();
      slot.victim = undefined;
      if (end.firstItemMs !== undefined) this.tally.firstItemMs.push(end.firstItemMs);
      if (end.exitCode !== null && end.exitCode !== 0)
        throw new Error(`npm start ended with ${end.exitCode}\n${end.stdout}\n${end.stderr}`);
      const isSpent = this.tally.idle >= IDLE_LIMIT * this.#slots.length;
      if (end.exitCode === 0 || isSpent || !this.#wantsMore()) this.#calm();
      if (this.tally.misses > MISSES_LIMIT) throw new Error(`${MISSES_LIMIT} kills in a row hit nothing`);
      if (this.#isCalm) return end;
    }
  }

  #start(slot: Slot): Victim {
    const { redis, broker, args } = this.#options;
    const { network } = slot;
    const url = `http://127.0.0.1:${network.portOf('upstream')}`;
    return new Victim(['--upstream', url, ...args], {
      ...redis.variables,
      ...(redis.port === 0 ? {} : { REDIS_URL: `redis://127.0.0.1:${network.portOf('redis')}` }),
      [CONNECTIONS.bus.variable]: broker.connectionString(network.portOf('broker')),
    });
  }

  /** True when this victim is dead, or has ended by itself. */
  #strike(slot: Slot, victim: Victim): boolean {
    const { random } = slot;
    const [target, where, delay] = [random.next(), random.next(), random.next()];
    if (where < REDIS_SHARE) this.#fires.push(this.#disturbRedis(delay * AWAY_LIMIT_MS));
    if (target < BROKER_SHARE) {
      countKill(this.tally, this.#hitOfAll(), 'broker');
      this.#fires.push(this.#options.broker.crash(delay * AWAY_LIMIT_MS));
    } else {
      const isAll = target < BROKER_SHARE + ALL_SHARE;
      for (const other of this.#slots) {
        if (other.victim === undefined || (other !== slot && !isAll)) continue;
        this.#kill(other.victim, isAll ? 'all' : 'one');
        other.victim = undefined;
      }
    }
    return slot.victim !== victim;
  }

  #kill(victim: Victim, target: 'one' | 'all'): void {
    victim.kill();
    // Letters that are still in the pipe are counted when it has closed.
    this.#fires.push(
      victim.ended().then((end) => {
        if (end.exitCode === null) countKill(this.tally, end.hit, target);
      }),
    );
  }

  #hitOfAll(): Hit {
    const hits = this.#slots.flatMap(({ victim }) => (victim === undefined ? [] : [victim.hit()]));
    const sum = (phase: keyof Hit): number => hits.reduce((all, hit) => all + hit[phase], 0);
    return { page: sum('page'), send: sum('send'), ingest: sum('ingest'), slice: sum('slice') };
  }

  async #disturbRedis(afterMs: number): Promise<void> {
    if (await this.#options.redis.disturb(afterMs)) this.tally.redisRestarts += 1;
  }

  #noteFault(slot: Slot, name: string): void {
    this.tally.cuts[name] = (this.tally.cuts[name] ?? 0) + 1;
    this.tally.usersInFlight += slot.victim?.hit().slice ?? 0;
  }

  /** No more strikes and faults: who lives ends by itself. */
  #calm(): void {
    this.#isCalm = true;
    this.#trouble.abort();
  }
}
