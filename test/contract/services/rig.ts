import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished } from 'vitest';
import { brotli } from '../../../runtime/adapters/compression.ts';
import { openFileLake } from '../../../runtime/adapters/file-lake.ts';
import { openRedisCache } from '../../../runtime/adapters/redis-cache.ts';
import { openServiceBusDepths } from '../../../runtime/adapters/service-bus-depths.ts';
import { openServiceBus } from '../../../runtime/adapters/service-bus.ts';
import { shareFence } from '../../../runtime/adapters/shared-fence.ts';
import { openSqliteLedger } from '../../../runtime/adapters/sqlite-ledger.ts';
import { sha256Digest, systemClock, systemRandom } from '../../../runtime/adapters/system.ts';
import { openUndiciUpstream } from '../../../runtime/adapters/undici-upstream.ts';
import type { User } from '../../../runtime/core/miner.ts';
import { entitiesOf, INGESTION_QUEUE, routeOf } from '../../../runtime/core/route.ts';
import { equationsOf } from '../../../runtime/engine/completeness.ts';
import { Pipeline } from '../../../runtime/engine/pipeline.ts';
import { Runs } from '../../../runtime/engine/runs.ts';
import { startRedis } from '../../../runtime/local/redis.ts';
import type { Cache, Depth, Lake, Ledger } from '../../../runtime/ports.ts';
import { readSettings, type Settings } from '../../../runtime/settings.ts';
import { graph } from '../../../runtime/upstreams/graph.ts';
import { page, startUpstream, type ScriptedUpstream } from '../../e2e/scripted-upstream.ts';
import { MINER, userNamed } from '../../fakes/engine-rig.ts';
import { testSealing } from '../../fakes/test-sealing.ts';
import { BrokerProcess } from '../bus/broker-process.ts';
import { TcpGate } from '../storage/tcp-gate.ts';

const USERS_COUNT = 4;
const PAGE_ITEMS = 10;

/** Items of one user when a rig does not say. */
const ITEMS_PER_USER = 60;

/** Items of a rig that does not say otherwise. */
export const ITEMS = USERS_COUNT * ITEMS_PER_USER;

/** Locks of the queues, so short that a test can see them run out. */
export const LOCK_MS = 4000;

/** A firing that has not ended by then has hung. */
const DRAIN_LIMIT_MS = 90_000;

/** Redis, as `startRedis` gives it, behind a gate. */
export interface RedisBehindGate {
  readonly url: string;
  readonly gate: TcpGate;
}

/** What a rig stands on; what is left out is at home. */
export interface RigOptions {
  readonly storage?: { readonly ledger: Ledger; readonly lake: Lake };
  readonly settings?: Partial<Settings>;
  readonly hasRedis?: boolean;
  /** Begins the id of every user; for rigs that share a storage account. */
  readonly userPrefix?: string;
  readonly itemsPerUser?: number;
}

/** The engine over real clients and real servers, each behind a gate where a test can spoil the connection. All is closed after the test. */
export class Rig {
  readonly broker: BrokerProcess;
  readonly busGate: TcpGate;
  readonly redis: RedisBehindGate | undefined;
  readonly upstream: ScriptedUpstream;
  readonly ledger: Ledger;
  readonly lake: Lake;
  readonly logged: string[] = [];
  readonly #settings: Settings;
  readonly #users: readonly User[];
  readonly #items: number;
  readonly #world: { version: string };

  private constructor(
    parts: Pick<Rig, 'broker' | 'busGate' | 'redis' | 'upstream' | 'ledger' | 'lake'> & {
      settings: Settings;
      users: readonly User[];
      itemsPerUser: number;
      world: { version: string };
    },
  ) {
    this.broker = parts.broker;
    this.busGate = parts.busGate;
    this.redis = parts.redis;
    this.upstream = parts.upstream;
    this.ledger = parts.ledger;
    this.lake = parts.lake;
    this.#settings = parts.settings;
    this.#users = parts.users;
    this.#items = parts.users.length * parts.itemsPerUser;
    this.#world = parts.world;
  }

  static async start(options: RigOptions = {}): Promise<Rig> {
    const dir = await mkdtemp(join(tmpdir(), 'adit-rig-'));
    onTestFinished(() => rm(dir, { recursive: true, force: true }));
    const entities = entitiesOf([MINER]).map((entity) =>
      entity.kind === 'topic' ? entity : { ...entity, lockDurationMs: LOCK_MS },
    );
    const broker = await BrokerProcess.start(entities);
    onTestFinished(() => broker.remove());
    const busGate = await openGate(broker.port);
    const redis = options.hasRedis === false ? undefined : await redisBehindGate(join(dir, 'redis'));
    const itemsPerUser = options.itemsPerUser ?? ITEMS_PER_USER;
    const world = { version: 'A' };
    const upstream = await startUpstream(({ after }) => {
      const from = Number(after ?? 0);
      const to = Math.min(from + PAGE_ITEMS, itemsPerUser);
      const items = Array.from({ length: to - from }, (_, index) => `{"id":"i${from + index}","v":"${world.version}"}`);
      return page(items, to < itemsPerUser ? String(to) : undefined);
    });
    const storage = options.storage ?? {
      ledger: openSqliteLedger({ file: join(dir, 'ledger.db') }),
      lake: openFileLake({ dir: join(dir, 'lake') }),
    };
    onTestFinished(() => storage.ledger.close());
    const read = readSettings('home', []);
    if (!read.ok) throw new Error(read.errors.join('\n'));
    const prefix = options.userPrefix ?? 'u';
    const users = Array.from({ length: USERS_COUNT }, (_, index) => userNamed(`${prefix}${index}`));
    const settings = {
      ...read.settings,
      userCallsPerSecond: 8,
      cacheTimeoutMs: 200,
      upstreamCallsPerSecond: 1000,
      ...options.settings,
    };
    return new Rig({ ...{ broker, busGate, redis, upstream, settings, users, itemsPerUser, world }, ...storage });
  }

  /** Another process over the same services. `code`: the pipeline of another version. `redisUrl`: default through the gate. */
  open(options: { readonly redisUrl?: string; readonly code?: typeof Pipeline } = {}): Pipeline {
    const connectionString = this.broker.connectionString.replace(/:\d+;/, `:${this.busGate.port};`);
    const connect = { connectionString };
    const bus = openServiceBus({
      ...{ connect, clock: systemClock, random: systemRandom, lockDurationMs: LOCK_MS, sendTimeoutMs: 1000 },
      onEvent: ({ kind, reason }) => this.logged.push(`bus ${kind} ${reason ?? ''}`),
    });
    const upstream = openUndiciUpstream({ connections: 16 });
    const tiers = this.#tiers(options.redisUrl);
    const log = {
      info: (message: string): void => void this.logged.push(message),
      warn: (message: string, fields = {}): void => void this.logged.push(`${message} ${JSON.stringify(fields)}`),
    };
    const pipeline = new (options.code ?? Pipeline)(
      {
        ...{ bus, upstream, tiers, log, ledger: this.ledger, lake: this.lake },
        ...{ clock: systemClock, random: systemRandom, digest: sha256Digest, compression: brotli },
        ...{
          sealing: testSealing,
          depths: openServiceBusDepths({ connect: { connectionString: this.broker.connectionString } }),
        },
        meter: { count: () => undefined },
      },
      { miners: [MINER], upstreams: [graph], baseUrls: { graph: this.upstream.url }, settings: this.#settings },
    );
    onTestFinished(async () => {
      await pipeline.stop(2000);
      await Promise.all([bus.close(), upstream.close(), ...tiers.map((tier) => tier.close())]);
    });
    return pipeline;
  }

  #tiers(redisUrl: string | undefined): readonly Cache[] {
    if (this.redis === undefined) return [];
    const redis = openRedisCache({
      url: redisUrl ?? `redis://127.0.0.1:${this.redis.gate.port}`,
      commandTimeoutMs: this.#settings.cacheTimeoutMs,
      onState: (state, reason = '') => this.logged.push(`redis ${state} ${reason}`),
      onOtherHistory: () => shared.doubt(),
    });
    const shared = shareFence({
      cache: redis,
      rows: this.ledger.control,
      newPrefix: () => `${systemRandom.uuid().slice(0, 13)}:`,
    });
    return [shared];
  }

  /** Imports the users and starts to work. */
  async begin(pipeline: Pipeline): Promise<void> {
    await pipeline.users.import(this.#users);
    pipeline.startIngest();
    pipeline.startMining();
  }

  /** One firing over the items in `version`, to the end. `meanwhile` runs once some pages were read, beside what goes on. */
  async fire(pipeline: Pipeline, version: string, meanwhile?: () => Promise<void>): Promise<void> {
    this.#world.version = version;
    const before = this.upstream.calls.length;
    const signal = new AbortController().signal;
    await pipeline.fire(() => this.#users, USERS_COUNT, signal);
    const trouble = meanwhile === undefined ? undefined : this.#afterCalls(before + USERS_COUNT, meanwhile);
    await this.drained(pipeline);
    await trouble;
    await this.drained(pipeline);
  }

  async #afterCalls(count: number, meanwhile: () => Promise<void>): Promise<void> {
    const untilMs = performance.now() + DRAIN_LIMIT_MS;
    while (this.upstream.calls.length < count && performance.now() < untilMs) await delay(5);
    await meanwhile();
  }

  async drained(pipeline: Pipeline): Promise<void> {
    const untilMs = performance.now() + DRAIN_LIMIT_MS;
    while ((await pipeline.state().catch(() => 'working')) !== 'drained') {
      if (performance.now() > untilMs) throw new Error(`not drained\n${this.logged.slice(-40).join('\n')}`);
      await pipeline.tick().catch(() => undefined);
      await delay(50);
    }
  }

  /** What a firing by `pipeline` leaves in the queues; nobody is waited for. */
  async fireOnly(pipeline: Pipeline, version: string): Promise<void> {
    this.#world.version = version;
    await pipeline.fire(() => this.#users, USERS_COUNT, new AbortController().signal);
  }

  /** Everything is done, whoever did it: the queues are empty and no run is live. */
  async isIdle(): Promise<boolean> {
    for (const queue of [routeOf(MINER).miningQueue, INGESTION_QUEUE]) {
      const { active, scheduled } = await this.depth(queue);
      if (active + scheduled > 0) return false;
    }
    for await (const { run } of new Runs({ rows: this.ledger.runs, digest: sha256Digest }).scan(MINER.name)) {
      if (run.state === 'live') return false;
    }
    return true;
  }

  async depth(queue: string): Promise<Depth> {
    return openServiceBusDepths({ connect: { connectionString: this.broker.connectionString } }).depth(queue);
  }

  /** Versions of every item in the order of their observation: one text per item, late ones in lower case. */
  async versions(): Promise<ReadonlyMap<string, string>> {
    const rows: { key: string; at: string; version: string }[] = [];
    for await (const name of this.lake.list('lake/')) {
      const lines = ((await this.lake.read(name)) ?? '').split('\n').filter(Boolean);
      for (const line of lines) {
        const row = JSON.parse(line) as {
          userId: string;
          id: string;
          late: boolean;
          observedAt: string;
          data: { v: string };
        };
        if (!this.#users.some(({ userId }) => userId === row.userId)) continue;
        const version = row.late ? row.data.v.toLowerCase() : row.data.v;
        rows.push({ key: `${row.userId}/${row.id}`, at: row.observedAt, version });
      }
    }
    const versions = new Map<string, string>();
    for (const { key, version } of rows.toSorted((a, b) => (a.at < b.at ? -1 : 1))) {
      versions.set(key, (versions.get(key) ?? '') + version);
    }
    return versions;
  }

  /** Every item is there in each of its versions, once, in order, and nothing else is. */
  async expectVersions(expected: string): Promise<void> {
    const versions = await this.versions();
    const wrong = [...versions].filter(([, text]) => text !== expected);
    expect({ items: versions.size, wrong }).toEqual({ items: this.#items, wrong: [] });
  }

  /** What the pipeline counted adds up, each number counted at its own place. */
  async expectComplete(pipeline: Pipeline): Promise<void> {
    await pipeline.completeness.audit();
    expect(equationsOf(pipeline.completeness.counters).filter(({ holds }) => !holds)).toEqual([]);
  }
}

/** Opens a gate that is closed after the test. */
export async function openGate(port: number): Promise<TcpGate> {
  const gate = await TcpGate.open(port);
  onTestFinished(() => gate.close());
  return gate;
}

async function redisBehindGate(dir: string): Promise<RedisBehindGate> {
  const redis = await startedRedis(dir);
  return { url: redis, gate: await openGate(Number(new URL(redis).port)) };
}

/** Starts a Redis that is stopped after the test, and gives its address. */
export async function startedRedis(dir: string): Promise<string> {
  const redis = await startRedis({ dir });
  if (redis === undefined) throw new Error('redis-server is not on the PATH');
  onTestFinished(() => redis.stop());
  return redis.url;
}
