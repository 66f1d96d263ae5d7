import { statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleFunctions } from '../../infra/bundle.ts';
import { openFileLake } from '../../runtime/adapters/file-lake.ts';
import { openServiceBusDepths } from '../../runtime/adapters/service-bus-depths.ts';
import { openServiceBus } from '../../runtime/adapters/service-bus.ts';
import { openSqliteLedger } from '../../runtime/adapters/sqlite-ledger.ts';
import { sha256Digest, systemClock, systemRandom } from '../../runtime/adapters/system.ts';
import { miners } from '../../runtime/catalog.ts';
import { functionsOf } from '../../runtime/core/functions.ts';
import { entitiesOf, INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import { liveHosts } from '../../runtime/engine/heartbeat.ts';
import { Users } from '../../runtime/engine/users.ts';
import { openAzureStorage } from '../../runtime/host/azure-storage.ts';
import { type Child, startChild } from '../../runtime/host/child.ts';
import { FunctionsApp, type FunctionsGround } from '../../runtime/host/functions-app.ts';
import { registerFunctions } from '../../runtime/host/functions-register.ts';
import { releaseAll, type Release } from '../../runtime/host/release.ts';
import { compareWithTruth } from '../../runtime/host/truth.ts';
import { readUsersFile } from '../../runtime/host/users-file.ts';
import { openWires } from '../../runtime/host/wires.ts';
import type { Bus, Depths, Lake, Ledger } from '../../runtime/ports.ts';
import { readSettings, type Settings, variableOf } from '../../runtime/settings.ts';
import { startAzurite } from '../azurite/start.ts';
import { BrokerProcess } from '../contract/bus/broker-process.ts';
import { isAzuriteHere } from '../fakes/servers.ts';
import { keyNamed, testSealing } from '../fakes/test-sealing.ts';
import { captureFunctions, type FunctionsCore } from '../host/functions-core-stub.ts';
import { FunctionsHost } from '../host/functions-host.ts';
import { emptyFolder, until } from './adit.ts';

const QUEUES = [...miners.map((miner) => routeOf(miner).miningQueue), INGESTION_QUEUE];
const LOG = { info: () => undefined, warn: () => undefined };
/**
 * Fast where the cloud is slow on purpose; small slices, so that runs go through many invocations. One process, and no Redis to
 * share limits by: its share is all of them.
 */
const SETTINGS: Readonly<Record<string, string>> = {
  ...{ ADIT_USER_CALLS_PER_SECOND: '1000', ADIT_UPSTREAM_CALLS_PER_SECOND: '1000', ADIT_INSTANCES: '1' },
  ...{ ADIT_LINGER_MS: '50', ADIT_SLICE_PAGES: '3' },
};
const NAMES = ['userCallsPerSecond', 'upstreamCallsPerSecond', 'instances', 'lingerMs', 'slicePages'] as const;
const USERS = 4;

let broker: BrokerProcess;
let simulator: Child;
let bus: Bus;
let depths: Depths;
const releases: Release[] = [];

beforeAll(async () => {
  broker = await BrokerProcess.start(entitiesOf(miners));
  releases.push(() => broker.remove());
  const connect = { connectionString: broker.connectionString };
  bus = openServiceBus({ connect, clock: systemClock, random: systemRandom });
  releases.push(() => bus.close());
  depths = openServiceBusDepths({ connect });
  const dir = await mkdtemp(join(tmpdir(), 'adit-functions-'));
  releases.push(() => rm(dir, { recursive: true }));
  simulator = await startChild('simulator', 'local/upstream/main.ts', {
    ...{ port: 0, seed: 5, users: USERS, scenario: 'calm' },
    usersFile: join(dir, 'users.ndjson'),
  });
  releases.push(() => simulator.stop());
});

afterAll(() => releaseAll(releases));

/** Mining queues first: while one of them holds nothing, nothing more comes out of it. */
async function isDrained(): Promise<boolean> {
  for (const queue of QUEUES) {
    const { active, scheduled } = await depths.depth(queue);
    if (active + scheduled > 0) return false;
  }
  return true;
}

/** Imports the simulator's users, fires every miner through its timer and lets a host drain the queues. */
async function mineAll(core: FunctionsCore, ground: { ledger: Ledger; lake: Lake }): Promise<void> {
  const users = new Users({ rows: ground.ledger.users, digest: sha256Digest, sealing: testSealing });
  await users.import(await readUsersFile(String(simulator.ready['usersFile'])));
  const host = new FunctionsHost(core, bus);
  try {
    await core.tick('monitor');
    for (const name of core.functions.keys()) if (name.startsWith('fire')) await core.tick(name);
    await until(isDrained, 120_000, 'the queues to be empty');
    expect(await core.get('health')).toMatchObject({ status: 200, body: { ledger: 'ok', bus: 'ok', backlog: 0 } });
  } finally {
    await host.stop();
  }
  expect(host.errors).toEqual([]);
  expect(await compareWithTruth(String(simulator.ready['url']), ground.lake, sha256Digest)).toEqual({
    lost: 0,
    duplicate: 0,
  });
  expect(await objects(ground.lake)).toBeGreaterThan(0);
  for (const queue of QUEUES) expect(await depths.depth(queue)).toMatchObject({ active: 0, deadLetter: 0 });
  expect(await liveHosts({ control: ground.ledger.control, clock: systemClock })).toHaveLength(1);
}

async function objects(lake: Lake): Promise<number> {
  let count = 0;
  for await (const name of lake.list('lake/')) if (name !== '') count += 1;
  return count;
}

/** The app over SQLite and a folder, for machines without a storage emulator. */
async function homeGround(): Promise<FunctionsGround & { lake: Lake }> {
  const dir = await emptyFolder();
  const read = readSettings(
    'cloud',
    NAMES.map((name) => ({ name, origin: 'test', text: SETTINGS[variableOf(name)] ?? '' })),
  );
  if (!read.ok) throw new Error(read.errors.join('\n'));
  const settings: Settings = read.settings;
  const ledger = openSqliteLedger({ file: join(dir, 'ledger.db') });
  const lake = openFileLake({ dir: join(dir, 'lake') });
  const opened: Release[] = [() => ledger.close()];
  const connect = { connectionString: broker.connectionString };
  const openPipeline = openWires(
    { settings, log: LOG, connect, ledger, lake, sealing: testSealing, tiers: [], phaseFd: undefined },
    opened,
  );
  const baseUrls = { graph: String(simulator.ready['url']) };
  const close = (): Promise<void> => releaseAll(opened);
  return { settings, ledger, lake, openPipeline: () => openPipeline(miners, baseUrls), close };
}

describe('the functions of the catalog, driven by a host on the local broker', () => {
  it('mine every user into a lake that is complete and equal', async () => {
    const ground = await homeGround();
    let isClosed = false;
    const kept = { ...ground, close: async () => void (isClosed = true) };
    const deps = { version: 'v1', hostId: 'host-1', clock: systemClock, log: LOG };
    const app = new FunctionsApp({ ...deps, open: async () => kept });
    const core = await captureFunctions(() => registerFunctions(functionsOf(miners), app, 'v1'));
    await mineAll(core, ground);
    expect(isClosed).toBe(true);
    await ground.close();
  });
});

describe('poison, on the local broker', () => {
  it.each([
    ['a mining queue', routeOf(miners[0]!).miningQueue, 'marker-message-malformed'],
    ['the ingestion queue', INGESTION_QUEUE, 'envelope-unreadable'],
  ])('of %s ends among its dead letters, byte for byte and with its reason', async (_, queue, reason) => {
    const body = Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28]);
    const ground = await homeGround();
    const deps = { version: 'v1', hostId: 'host-1', clock: systemClock, log: LOG };
    const app = new FunctionsApp({ ...deps, open: async () => ground });
    const core = await captureFunctions(() => registerFunctions(functionsOf(miners), app, 'v1'));
    const host = new FunctionsHost(core, bus);
    await bus.send(queue, [{ messageId: systemRandom.uuid(), body, contentType: 'x', properties: { keep: 1 } }]);
    await until(async () => (await depths.depth(queue)).deadLetter === 1, 20_000, 'the dead letter');
    await until(isDrained, 20_000, 'the queues to be empty');
    await host.stop();
    const found = Promise.withResolvers<{ body: Uint8Array; properties: Readonly<Record<string, unknown>> }>();
    const consumer = bus.consume(
      `${queue}/$DeadLetterQueue`,
      { concurrency: 1, onError: () => undefined },
      async (message) => ({ settlement: { kind: 'complete' }, settled: () => found.resolve(message) }),
    );
    const dead = await found.promise;
    await consumer.stop(1000);
    expect(Buffer.from(dead.body).equals(body)).toBe(true);
    expect(dead.properties).toMatchObject({
      ...{ keep: 1, deadLetterReason: reason },
      DeadLetterReason: 'TTLExpiredException',
    });
  });
});

describe.runIf(isAzuriteHere())('the bundle that is deployed', () => {
  it('registers the catalog, knows its version, and mines every user into Azure storage', async () => {
    const azurite = await startAzurite();
    releases.push(async () => azurite?.stop());
    const storage = azurite?.connectionString ?? '';
    const outDir = await emptyFolder();
    const { version } = await bundleFunctions({ outDir });
    const file = join(outDir, 'functions.cjs');
    const environment = {
      ...SETTINGS,
      ADIT_SERVICE_BUS_CONNECTION_STRING: broker.connectionString,
      ADIT_STORAGE_CONNECTION_STRING: storage,
      ADIT_UPSTREAM_URLS: JSON.stringify({ graph: simulator.ready['url'] }),
      ADIT_SEALING_KEYS: `k1:${keyNamed('k1').secret}`,
    };
    const startedAtMs = performance.now();
    const core = await captureFunctions(() => createRequire(import.meta.url)(file) as unknown);
    const loadMs = Math.round(performance.now() - startedAtMs);
    process.stderr.write(`functions.cjs: ${statSync(file).size} bytes, loaded in ${loadMs} ms\n`);
    expect([...core.functions.keys()]).toEqual(functionsOf(miners).map(({ name }) => name));
    expect(await core.get('version')).toEqual({ status: 200, body: { version } });
    Object.assign(process.env, environment);
    try {
      await mineAll(core, await openAzureStorage(storage));
    } finally {
      for (const name of Object.keys(environment)) delete process.env[name];
    }
  });
});
