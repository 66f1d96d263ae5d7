import { join } from 'node:path';
import { fenceCache } from '../adapters/fenced-cache.ts';
import { openFileLake } from '../adapters/file-lake.ts';
import { openMemoryCache } from '../adapters/memory-cache.ts';
import { openFileLog } from '../adapters/pino-log.ts';
import { redisCacheOver } from '../adapters/redis-cache.ts';
import { RedisLink } from '../adapters/redis-link.ts';
import { shareFence } from '../adapters/shared-fence.ts';
import { openSqliteLedger } from '../adapters/sqlite-ledger.ts';
import { systemRandom } from '../adapters/system.ts';
import { startRedis } from '../local/redis.ts';
import { openStateFolder } from '../local/state-folder.ts';
import type { Cache, Lake, Ledger, Log, SharedBudgets } from '../ports.ts';
import type { Settings } from '../settings.ts';
import { openAzureStorage } from './azure-storage.ts';
import { BadInput } from './bad-input.ts';
import { type ChildEnd, JOURNAL_LOST_EXIT } from './child.ts';
import { busText, busMistake, redisUrlMistake } from './cloud-config.ts';
import type { Environment } from './config.ts';
import { startBroker } from './local-broker.ts';
import type { Place } from './place.ts';
import { releaseAll, type Release } from './release.ts';
import { openHomeSealing } from './sealing-keys.ts';
import { policyAdvice } from './redis-advice.ts';
import { sharedBudgetsOn } from './shared-budgets.ts';
import { LOG_REDACTION } from './redaction.ts';
import { openWires } from './wires.ts';

export interface HomeOptions {
  readonly state: string;
  readonly settings: Settings;
  readonly environment: Environment;
}

/** Digits of a UUID that tell the processes on one Redis apart for as long as their facts last. */
const FENCE_DIGITS = 13;

/**
 * Opens ledger and lake, and starts broker and Redis. With a broker that is named, other processes of this machine may mine over
 * the same state folder: then nothing is started, and nothing is remembered that only this process would know to be outdated.
 * @throws BadInput, StateFolderError
 */
export async function openHome(options: HomeOptions): Promise<Place> {
  const releases: Release[] = [];
  try {
    return await open(options, releases);
  } catch (error) {
    await releaseAll(releases);
    throw error;
  }
}

async function open(options: HomeOptions, releases: Release[]): Promise<Place> {
  const { settings, environment } = options;
  const isShared = environment.bus !== undefined;
  const folder = await openStateFolder(options.state, { isShared });
  releases.push(() => folder.close());
  const logFile = join(folder.dir, 'adit.log');
  const log = openFileLog(logFile, LOG_REDACTION);
  releases.push(async () => log.close());
  const sealing = await folder.exclusively(() => openHomeSealing(folder.dir, environment));
  const storage = await folder.exclusively(() => openStorage(folder.dir, environment));
  releases.push(() => storage.ledger.close());
  const starting = [
    openBroker({ stateDir: folder.dir, settings, environment, logFile }, releases),
    openCache({ stateDir: folder.dir, settings, environment, log, ledger: storage.ledger }, releases),
  ] as const;
  // When one fails, the other must be known to `releases` before they run: a server that nobody stops keeps this process alive.
  await Promise.allSettled(starting);
  const [broker, { text: cacheText, ...shared }] = await Promise.all(starting);
  const openPipeline = openWires(
    {
      ...storage,
      sealing,
      settings,
      log,
      connect: { connectionString: broker.connectionString },
      ...shared,
      phaseFd: environment.phaseFd,
    },
    releases,
  );
  return {
    facts: {
      stateDir: folder.dir,
      broker: broker.text,
      cache: cacheText,
      storage: storage.text,
      logFile,
      look: `npm run -s adit -- export --state ${folder.dir} | head`,
    },
    lake: storage.lake,
    openPipeline,
    isShared,
    failure: () => broker.failure(),
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

interface OpenedBroker {
  readonly connectionString: string;
  readonly text: string;
  failure(): Error | undefined;
}

interface BrokerNeeds extends Pick<HomeOptions, 'settings' | 'environment'> {
  readonly stateDir: string;
  readonly logFile: string;
}

/** The broker that is named, or one of our own. Whoever started a named one starts it again when it has ended. */
async function openBroker(needs: BrokerNeeds, releases: Release[]): Promise<OpenedBroker> {
  const { stateDir, settings, environment, logFile } = needs;
  if (environment.bus !== undefined) {
    const connectionString = environment.bus;
    const mistake = busMistake(connectionString);
    if (mistake !== undefined) throw new BadInput(mistake);
    const text = `${busText({ connectionString })}, shared with other processes`;
    return { connectionString, text, failure: () => undefined };
  }
  const broker = await startBroker(stateDir, settings.brokerPort);
  releases.push(() => broker.stop());
  let failure: Error | undefined;
  void broker.ended.then((end) => (failure = brokerEnded(end, logFile)));
  return {
    connectionString: String(broker.ready['connectionString']),
    text: `127.0.0.1:${String(broker.ready['port'])} (Service Bus protocol, process ${broker.pid})`,
    failure: () => failure,
  };
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
  readonly ledger: Ledger;
}

async function openCache(
  { stateDir, settings, environment, log, ledger }: CacheNeeds,
  releases: Release[],
): Promise<{ tiers: readonly Cache[]; sharedBudgets?: SharedBudgets; text: string }> {
  const isShared = environment.bus !== undefined;
  if (environment.redisUrl !== undefined) checkRedisUrl(environment.redisUrl);
  // What another process ingests changes neither our memory nor a Redis of our own, so a shared folder has neither.
  if (isShared && environment.redisUrl === undefined)
    return { tiers: [], text: 'none: the ledger is asked (REDIS_URL is not set)' };
  const memory = openMemoryCache({ entries: settings.memoryTierEntries });
  const own = environment.redisUrl === undefined ? await startRedis({ dir: stateDir }) : undefined;
  if (own !== undefined) releases.push(() => own.stop());
  const url = environment.redisUrl ?? own?.url;
  const memoryText = `memory, ${settings.memoryTierEntries} checkpoints`;
  if (url === undefined)
    return { tiers: [memory], text: `${memoryText}; no Redis (none on the PATH, REDIS_URL is not set)` };
  const link = new RedisLink({
    url,
    commandTimeoutMs: settings.cacheTimeoutMs,
    onState: (state, reason) => log.warn('redis', { state, reason }),
    onPolicy: policyAdvice(log),
    onOtherHistory: () => fence.doubt(),
  });
  const newPrefix = (): string => `${systemRandom.uuid().slice(0, FENCE_DIGITS)}:`;
  const redis = redisCacheOver(link);
  // One process alone in front of a Redis that may hold facts of another lake, or of a time when it could not be told.
  const fence = isShared ? shareFence({ cache: redis, rows: ledger.control, newPrefix }) : fenceCache(redis, newPrefix);
  releases.push(() => link.close());
  const where = own === undefined ? 'Redis from REDIS_URL' : `redis-server on this machine, process ${own.pid}`;
  // Nobody else comes to a Redis of our own, so that budgets there would be a round trip for nothing.
  const budgets = own === undefined ? { sharedBudgets: sharedBudgetsOn(link, settings) } : {};
  if (isShared) return { tiers: [fence], ...budgets, text: where };
  return { tiers: [memory, fence], ...budgets, text: `${memoryText}, then ${where}` };
}

/** The address holds a password, so the message does not repeat it. */
function checkRedisUrl(text: string): void {
  const mistake = redisUrlMistake(text);
  if (mistake !== undefined) throw new BadInput(`${mistake}. Next: correct it, or unset it`);
}
