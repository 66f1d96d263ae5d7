// A real npm start that never ends, against an upstream that always has new work, sampled from the inside: memory, sockets, timers,
// handles and file descriptors must not grow. Run: npm run soak -- --minutes 10
import { appendFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Child, startChild } from '../../runtime/host/child.ts';
import { startBroker } from '../../runtime/host/local-broker.ts';
import { CONNECTIONS } from '../../runtime/connections.ts';
import { RedisUnderFire } from '../chaos/redis-under-fire.ts';
import { aditLines } from '../chaos/victim.ts';
import { advanceEpoch } from '../chaos/world.ts';
import { type ConnectProxy, openConnectProxy } from '../fakes/connect-proxy.ts';
import { SampledMiner } from './miner.ts';
import { readSoakOptions, type SoakOptions } from './options.ts';
import { rssOf } from './process-memory.ts';
import type { Point } from './slope.ts';
import { type Figure, figuresOf, tableOf } from './verdict.ts';

/** Share of the run in which caches fill and nothing is judged. */
const WARM_UP_SHARE = 0.4;

/** Time between two samples, in ms: several in the rest between two firings. Of long runs, so many samples are enough. */
const SAMPLE_MIN_MS = 1000;
const SAMPLES_LIMIT = 1500;

/** New work for the miners, in ms; shorter than the time between two firings, so that every firing finds some. */
const EPOCH_EVERY_MS = 4000;

/** Users move to other proxies, in ms, and names under which a proxy is known, one agent each. */
const REIMPORT_EVERY_MS = 10_000;
const PROXY_NAMES = 12;

/**
 * Edits, new and deleted items, so that lists keep their length; limits, bursts of failures, and calls that take longer than the
 * miner waits.
 */
const SCENARIO = {
  ...{ name: 'overlap', editShare: 0.1, insertsPerEpoch: 2, deleteShare: 0.02, deadMarkerListShare: 0.01 },
  ...{ brShare: 0.2, ratePerSecond: 20, rateBurst: 40, burstEnterShare: 0.01, slowCallShare: 0.002, slowCallMs: 3000 },
};

const SETTINGS = ['fireEveryMs=5000', 'callTimeoutMs=1500', 'rateLimitWaitMs=500'];

interface World {
  readonly options: SoakOptions;
  readonly simulator: Child;
  readonly broker: Child;
  readonly redis: RedisUnderFire;
  readonly proxy: ConnectProxy;
  readonly dir: string;
}

async function main(): Promise<number> {
  const options = readSoakOptions(process.argv.slice(2));
  const dir = await mkdtemp(join(tmpdir(), 'adit-soak-'));
  const usersFile = join(dir, 'users.ndjson');
  const simulatorOptions = { port: 0, seed: options.seed, users: options.users, scenario: SCENARIO, usersFile };
  const simulator = await startChild('simulator', 'local/upstream/main.ts', simulatorOptions);
  const broker = await startBroker(join(dir, 'state'), 0);
  const redis = await RedisUnderFire.start('own', true);
  const proxy = await openConnectProxy();
  let isFlat = false;
  try {
    isFlat = await soak({ options, simulator, broker, redis, proxy, dir });
  } finally {
    proxy.close();
    await redis.stop();
    await broker.stop();
    await simulator.stop();
    if (options.keep || !isFlat) process.stderr.write(`kept: ${dir}\n`);
    else await rm(dir, { recursive: true, force: true });
  }
  return isFlat ? 0 : 1;
}

async function soak(world: World): Promise<boolean> {
  const { options, simulator, broker, redis, dir } = world;
  const lengthMs = options.minutes * 60_000;
  const everyMs = Math.max(SAMPLE_MIN_MS, Math.round(lengthMs / SAMPLES_LIMIT));
  const variables = { ...redis.variables, [CONNECTIONS.bus.variable]: String(broker.ready['connectionString']) };
  await importUsers(world, variables, 0);
  const settings = SETTINGS.flatMap((setting) => ['--set', setting]);
  const args = ['--upstream', String(simulator.ready['url']), '--state', join(dir, 'state'), ...settings];
  const leakBytes = options.leakKilobytes * 1024;
  const miner = new SampledMiner({ args, variables, everyMs, leakBytes });
  const end = new AbortController();
  const memory: Point[] = [];
  try {
    const chores = [
      every(EPOCH_EVERY_MS, end.signal, () => advanceEpoch(String(simulator.ready['url']))),
      every(REIMPORT_EVERY_MS, end.signal, (round) => importUsers(world, variables, round)),
      every(everyMs, end.signal, async () => {
        const rssBytes = await rssOf(broker.pid);
        if (rssBytes !== undefined) memory.push({ atMs: miner.samples.at(-1)?.atMs ?? 0, value: rssBytes });
      }),
    ];
    await Promise.race([sleep(lengthMs), miner.endedEarly(), Promise.all(chores)]);
    end.abort();
    await Promise.all(chores);
    const exitCode = await miner.stop();
    if (exitCode !== 0) throw new Error(`npm start was stopped and ended with ${exitCode}\n${miner.stderr}`);
  } finally {
    end.abort();
    miner.kill();
  }
  await writeFile(join(dir, 'samples.ndjson'), miner.samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''));
  return report(world, miner, figuresOf(miner.samples, memory, lengthMs * WARM_UP_SHARE));
}

/** Does `work` again and again until `signal` is aborted. @throws what `work` throws */
async function every(ms: number, signal: AbortSignal, work: (round: number) => Promise<unknown>): Promise<void> {
  for (let round = 1; !signal.aborted; round += 1) {
    await sleep(ms, undefined, { signal }).catch(() => undefined);
    if (!signal.aborted) await work(round);
  }
}

/** Every third user goes directly, the others through the proxy, each time under other names. */
async function importUsers({ dir, proxy }: World, variables: Record<string, string>, round: number): Promise<void> {
  const users = (await readFile(join(dir, 'users.ndjson'), 'utf8')).trim().split('\n');
  const lines = users.map((line, index) => {
    const name = `p${(index + round) % PROXY_NAMES}`;
    const proxyUrl = (index + round) % 3 === 0 ? null : `http://${name}:secret-${name}@127.0.0.1:${proxy.port}`;
    return JSON.stringify({ ...(JSON.parse(line) as object), proxyUrl });
  });
  const file = join(dir, 'import.ndjson');
  await writeFile(file, `${lines.join('\n')}\n`);
  for await (const line of aditLines(['users', 'import', file, '--state', join(dir, 'state')], variables)) void line;
}

async function report(
  { options, simulator, proxy }: World,
  miner: SampledMiner,
  figures: readonly Figure[],
): Promise<boolean> {
  const stats = (await (await fetch(`${String(simulator.ready['url'])}/_sim/stats`)).json()) as {
    pages: number;
    epoch: number;
    calls: Readonly<Record<string, number>>;
  };
  const last = miner.samples.at(-1);
  const growing = figures.filter(({ isGrowing }) => isGrowing).map(({ name }) => name);
  const work = { pages: stats.pages, epochs: stats.epoch, calls: stats.calls, tunnels: proxy.tunnels.length };
  process.stderr.write(`${tableOf(figures)}\n`);
  process.stderr.write(
    `${growing.length === 0 ? 'ok: nothing grows' : `FAILED: ${growing.join(', ')} ${growing.length === 1 ? 'grows' : 'grow'}`}; ${options.minutes} minutes, ${miner.samples.length} samples, ${stats.pages} pages, replies ${JSON.stringify(stats.calls)}, ${proxy.tunnels.length} tunnels\n`,
  );
  if (options.isJson) {
    const { minutes, users, seed } = options;
    const samples = miner.samples.length;
    const leakedBytes = last?.leakedBytes ?? 0;
    process.stdout.write(
      `${JSON.stringify({ minutes, users, seed, samples, ...work, leakedBytes, growing, figures })}\n`,
    );
  }
  const hasWorked = stats.pages > 0 && figures.length > 0;
  return growing.length === 0 && hasWorked;
}

process.exitCode = await main();
const countsFile = process.env['TEST_COUNTS_FILE'];
// For .ci/run: passed, failed and skipped of this run.
if (countsFile !== undefined) appendFileSync(countsFile, process.exitCode === 0 ? '1 0 0\n' : '0 1 0\n');
