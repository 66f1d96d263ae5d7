import { cp, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { miners } from '../../runtime/catalog.ts';
import { entitiesOf } from '../../runtime/core/route.ts';
import { openAzureStorage } from '../../runtime/host/azure-storage.ts';
import { type Child, startChild } from '../../runtime/host/child.ts';
import { compareWithTruth } from '../../runtime/host/truth.ts';
import { type Azurite, startAzurite } from '../azurite/start.ts';
import { adit, lastJson } from '../e2e/adit.ts';
import { stackOutputs } from '../e2e/stack-outputs.ts';
import { isAzuriteHere } from '../fakes/servers.ts';
import { Lab } from './lab.ts';
import { cliOrNotice, REPOSITORY } from './pulumi-cli.ts';

const cli = cliOrNotice();

/** As many users as a run of some seconds can mine. */
const USERS = 5;

const SEALING_KEYS = `k1:${Buffer.alloc(32, 7).toString('base64')}`;
const PROJECT = 'test/engine-level/local-stack';

// The cache is left out: without it the checkpoints are in memory, and the run is complete all the same.
describe.runIf(cli !== undefined && isAzuriteHere())('a stack whose outputs lead to this machine', () => {
  let lab: Lab;
  let azurite: Azurite | undefined;
  let broker: Child;
  let simulator: Child;

  beforeAll(async () => {
    lab = await Lab.open(cli ?? '');
    const dir = join(lab.root, '.adit');
    await mkdir(dir);
    azurite = await startAzurite();
    broker = await startChild('broker', 'local/broker/main.ts', {
      stateDir: dir,
      port: 0,
      entities: entitiesOf(miners),
    });
    const usersFile = join(dir, 'users.ndjson');
    const upstream = { port: 0, seed: 5, users: USERS, scenario: 'calm', usersFile };
    simulator = await startChild('simulator', 'local/upstream/main.ts', upstream);
  });

  afterAll(async () => {
    await simulator.stop();
    await broker.stop();
    await azurite?.stop();
    await lab.close();
  });

  it('is mined into by npm start, from what the real "pulumi stack output" says', async () => {
    const folder = join(lab.root, PROJECT);
    const outputs = stackOutputs({
      ADIT_SERVICE_BUS_CONNECTION_STRING: String(broker.ready['connectionString']),
      ADIT_STORAGE_CONNECTION_STRING: azurite?.connectionString ?? '',
      ADIT_UPSTREAM_URLS: JSON.stringify({ graph: simulator.ready['url'] }),
    });
    await cp(join(REPOSITORY, PROJECT), folder, { recursive: true });
    await writeFile(join(folder, 'Pulumi.local.yaml'), JSON.stringify({ config: { 'adit:outputs': outputs } }));
    for (const args of [
      ['stack', 'init', 'local'],
      ['up', '--yes', '--skip-preview', '--stack', 'local'],
    ]) {
      const ended = await lab.pulumi(args, folder);
      expect(ended.code, ended.text).toBe(0);
    }
    const usersFile = String(simulator.ready['usersFile']);
    const ended = await adit('start', ['--once', '--json', '--users-file', usersFile], {
      root: lab.root,
      // The CLI of the test comes first on the PATH, as a person's own is found.
      env: {
        ...lab.env,
        PATH: `${dirname(cli ?? '')}:${lab.env['PATH']}`,
        ADIT_STACK: 'local',
        ADIT_SEALING_KEYS: SEALING_KEYS,
      },
    });
    expect(ended.code, ended.stderr).toBe(0);
    const counts = lastJson(ended);
    expect(counts['lake']).toBeGreaterThan(1000);
    expect(counts).toMatchObject({ sent: counts['new'], settled: counts['new'], lake: counts['new'], failed: 0 });
    const { lake } = await openAzureStorage(azurite?.connectionString ?? '');
    expect(await compareWithTruth(String(simulator.ready['url']), lake, sha256Digest)).toEqual({
      lost: 0,
      duplicate: 0,
    });
  });
});
