import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { brotli } from '../adapters/compression.ts';
import { fenceCache } from '../adapters/fenced-cache.ts';
import { openFileLake } from '../adapters/file-lake.ts';
import { openMemoryCache } from '../adapters/memory-cache.ts';
import { openFileLog } from '../adapters/pino-log.ts';
import { openRedisCache } from '../adapters/redis-cache.ts';
import { openServiceBusDepths } from '../adapters/service-bus-depths.ts';
import { openServiceBus } from '../adapters/service-bus.ts';
import { openSqliteLedger } from '../adapters/sqlite-ledger.ts';
import { sha256Digest, systemClock, systemRandom } from '../adapters/system.ts';
import { openUndiciUpstream } from '../adapters/undici-upstream.ts';
import { miners, upstreams } from '../catalog.ts';
import type { Miner } from '../core/miner.ts';
import { entitiesOf } from '../core/route.ts';
import { Pipeline } from '../engine/pipeline.ts';
import { startRedis } from '../local/redis.ts';
import { openStateFolder } from '../local/state-folder.ts';
import type { Cache, Lake, Ledger, Log } from '../ports.ts';
import type { Settings } from '../settings.ts';
import { openAzureStorage } from './azure-storage.ts';
import { BadInput } from './bad-input.ts';
import { type ChildEnd, JOURNAL_LOST_EXIT, startChild } from './child.ts';
import type { Environment } from './config.ts';
import { tracePhases } from './phase-trace.ts';
import { releaseAll, type Release } from './release.ts';

export interface HomeOptions {
  readonly state: string;
  readonly settings: Settings;
  readonly environment: Environment;
}

/** What runs where, for the first screen. */
export interface HomeFacts {
  readonly stateDir: string;
  readonly broker: string;
  readonly cache: string;
  readonly storage: string;
  readonly logFile: string;
}

/** The cloud on this machine, before anything is mined. `close` is idempotent and leaves nothing running. */
export interface Home {
  readonly facts: HomeFacts;
  readonly lake: Lake;
  openPipeline(miners: readonly Miner[], baseUrls: Readonly<Record<string, string>>): Pipeline;
  /** Why nothing can go on, for example a broker that has ended; undefined while all is well. */
  failure(): Error | undefined;
  close(): Promise<void>;
}

/** Digits of a UUID that tell the processes on one Redis apart for as long as their facts last. */
const FENCE_DIGITS = 13;

/** Starts broker and Redis, opens ledger and lake. @throws BadInput, StateFolderError */
export async function openHome(options: HomeOptions): Promise<Home> {
  const releases: Release[] = [];
  try {
    return await open(options, releases);
  } catch (error) {
    await releaseAll(releases);
    throw error;
  }
}

async function open(options: HomeOptions, releases: Release[]): Promise<Home> {
  const { settings, environment } = options;
  const folder = await openStateFolder(options.state);
  releases.push(() => folder.close());
  const logFile = join(folder.dir, 'adit.log');
  const log = openFileLog(logFile);
  releases.push(async () => log.close());
  const storage = await openStorage(folder.dir, environment);
  releases.push(() => storage.ledger.close());
  const starting = [
    startBroker(folder.dir, settings, releases),
    openCache({ stateDir: folder.dir, settings, environment, log }, releases),
  ] as const;
  // When one fails, the other must be known to `releases` before they run: a server that nobody stops keeps this process alive.
  await Promise.allSettled(starting);
  const [broker, cache] = await Promise.all(starting);
  let brokerFailure: Error | undefined;
  void broker.ended.then((end) => (brokerFailure = brokerEnded(end, logFile)));
  const connect = { connectionString: String(broker.ready['connectionString']) };
  const ports = openWires(settings, connect, environment, log, releases);
  const openPipeline: Home['openPipeline'] = (chosen, baseUrls) =>
    new Pipeline(
      {
        ...ports,
        ...storage,
        log,
        clock: systemClock,
        random: systemRandom,
        digest: sha256Digest,
        compression: brotli,
        depths: openServiceBusDepths({ connect }),
        tiers: cache.tiers,
        meter: { count: () => undefined },
      },
      {
        miners: chosen,
        upstreams,
        settings,
        baseUrls,
      },
    );
  return {
    facts: {
      stateDir: folder.dir,
      broker: `127.0.0.1:${String(broker.ready['port'])} (Service Bus protocol, process ${broker.pid})`,
      cache: cache.text,
      storage: storage.text,
      logFile,
    },
    lake: storage.lake,
    openPipeline,
    failure: () => brokerFailure,
    close: () => releaseAll(releases),
  };
}

/** The broker ends by itself only when its journal cannot be written, which almost always is a full disk. */
function brokerEnded(end: ChildEnd, logFile: string): Error {
  const why = end.code === null ? `signal ${end.signal}` : `exit code ${end.code}`;
  if (end.code !== JOURNAL_LOST_EXIT) return new Error(`the local broker has ended (${why}); the log is ${logFile}`);
  const error = new Error('the local broker cannot write its journal, most likely because the disk is full');
  return Object.assign(error, { code: 'DISK_FULL' });
}

async function startBroker(stateDir: string, settings: Settings, releases: Release[]): ReturnType<typeof startChild> {
  const dir = join(stateDir, 'broker');
  await mkdir(dir, { recursive: true });
  const broker = await startChild('broker', 'local/broker/main.ts', {
    stateDir: dir,
    port: settings.brokerPort,
    entities: entitiesOf(miners),
  });
  releases.push(() => broker.stop());
  return broker;
}

/** HTTP client and bus, with their phases told to a crash test that asks for it. */
function openWires(
  settings: Settings,
  connect: { connectionString: string },
  environment: Environment,
  log: Log,
  releases: Release[],
): ReturnType<typeof tracePhases> {
  const plain = {
    upstream: openUndiciUpstream({ connections: settings.upstreamConcurrency }),
    bus: openServiceBus({
      connect,
      clock: systemClock,
      random: systemRandom,
      onEvent: (event) => log.warn('service bus client', { ...event }),
    }),
  };
  releases.push(() => plain.upstream.close());
  releases.push(() => plain.bus.close());
  return environment.phaseFd === undefined ? plain : tracePhases(environment.phaseFd, plain);
}

async function openStorage(
  stateDir: string,
  environment: Environment,
): Promise<{ ledger: Ledger; lake: Lake; text: string }> {
  if (environment.storage !== undefined) return openAzureStorage(environment.storage);
  const dir = join(stateDir, 'lake');
  return {
    ledger: openSqliteLedger({ file: join(stateDir, 'ledger.db') }),
    lake: openFileLake({ dir }),
    text: `ledger in SQLite, lake in ${dir}`,
  };
}

interface CacheNeeds extends Pick<HomeOptions, 'settings' | 'environment'> {
  readonly stateDir: string;
  readonly log: Log;
}

async function openCache(
  { stateDir, settings, environment, log }: CacheNeeds,
  releases: Release[],
): Promise<{ tiers: readonly Cache[]; text: string }> {
  if (environment.redisUrl !== undefined) checkRedisUrl(environment.redisUrl);
  const memory = openMemoryCache({ entries: settings.memoryTierEntries });
  const own = environment.redisUrl === undefined ? await startRedis({ dir: stateDir }) : undefined;
  if (own !== undefined) releases.push(() => own.stop());
  const url = environment.redisUrl ?? own?.url;
  const memoryText = `memory, ${settings.memoryTierEntries} checkpoints`;
  if (url === undefined)
    return { tiers: [memory], text: `${memoryText}; no Redis (none on the PATH, REDIS_URL is not set)` };
  const redis = openRedisCache({
    url,
    commandTimeoutMs: settings.cacheTimeoutMs,
    onState: (state, reason) => log.warn('redis', { state, reason }),
  });
  releases.push(() => redis.close());
  const where = own === undefined ? 'Redis from REDIS_URL' : `redis-server on this machine, process ${own.pid}`;
  // Home is one process in front of a Redis that may hold facts of another lake, or of a time when it could not be told.
  const fenced = fenceCache(redis, () => `${systemRandom.uuid().slice(0, FENCE_DIGITS)}:`);
  return { tiers: [memory, fenced], text: `${memoryText}, then ${where}` };
}

/** The address holds a password, so the message does not repeat it. */
function checkRedisUrl(text: string): void {
  if (['redis:', 'rediss:'].includes(URL.parse(text)?.protocol ?? '')) return;
  throw new BadInput(
    'REDIS_URL must be a redis:// or rediss:// URL, for example redis://127.0.0.1:6379. Next: correct it, or unset it',
  );
}
