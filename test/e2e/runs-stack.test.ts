import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openServiceBusDepths } from '../../runtime/adapters/service-bus-depths.ts';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { miners } from '../../runtime/catalog.ts';
import { entitiesOf, routeOf } from '../../runtime/core/route.ts';
import { decideFiring, endRun, type Run } from '../../runtime/core/run.ts';
import { Runs } from '../../runtime/engine/runs.ts';
import { openAzureStorage } from '../../runtime/host/azure-storage.ts';
import { type Child, startChild } from '../../runtime/host/child.ts';
import { type Azurite, startAzurite } from '../azurite/start.ts';
import { isAzuriteHere } from '../fakes/servers.ts';
import { adit, type Ended, lastJson } from './adit.ts';
import { type FakePulumi, fakePulumi } from './fake-pulumi.ts';
import { stackOutputs } from './stack-outputs.ts';

const MINING_QUEUE = routeOf({ name: 'chats' }).miningQueue;

function stuckRun(userId: string): Run {
  const { run } = decideFiring(undefined, {
    ...{ runId: `run of ${userId}`, userId, minerName: 'chats', pageLimit: 100 },
    ...{ tokenHash: 't', nowMs: 1_000, reviveAfterMs: 1 },
  });
  const end = { state: 'quarantined', code: 'no-progress', reason: 'no-progress: why' } as const;
  return endRun({ ...run, marker: 'm7', pages: 7, slice: 3 }, end, 2_000);
}

describe.runIf(isAzuriteHere())('npm run adit -- runs, resume and skip on a deployed stack', () => {
  let dir: string;
  let azurite: Azurite | undefined;
  let broker: Child;
  let pulumi: FakePulumi;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-runs-'));
    azurite = await startAzurite();
    broker = await startChild('broker', 'local/broker/main.ts', {
      stateDir: dir,
      port: 0,
      entities: entitiesOf(miners),
    });
    pulumi = await fakePulumi(dir);
    const outputs = stackOutputs({
      ADIT_SERVICE_BUS_CONNECTION_STRING: String(broker.ready['connectionString']),
      ADIT_STORAGE_CONNECTION_STRING: azurite?.connectionString ?? '',
      ADIT_UPSTREAM_URLS: '{"graph":"https://graph.example.com"}',
    });
    await pulumi.answer({ stdout: JSON.stringify(outputs) });
    const { runs, close } = await openRuns();
    await runs.write(['u1', 'u2', 'u3'].map((userId) => ({ run: stuckRun(userId), etag: undefined })));
    await close();
  });

  afterAll(async () => {
    await broker.stop();
    await azurite?.stop();
    await rm(dir, { recursive: true, force: true });
  });

  const run = (...args: readonly string[]): Promise<Ended> =>
    adit('adit', [...args, '--stack', 'dev'], { env: { PATH: pulumi.path } });

  async function openRuns(): Promise<{ runs: Runs; close: () => Promise<void> }> {
    const { ledger } = await openAzureStorage(azurite?.connectionString ?? '');
    return { runs: new Runs({ rows: ledger.runs, digest: sha256Digest }), close: () => ledger.close() };
  }

  async function stored(userId: string): Promise<Run | undefined> {
    const { runs, close } = await openRuns();
    const [found] = await runs.read('chats', [userId]);
    await close();
    return found?.run;
  }

  it('lists the runs of the stack, with commands for the stack', async () => {
    const listed = await run('runs', '--quarantined', '--json');
    expect(listed.code, listed.stderr).toBe(0);
    const lines = listed.stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(3);
    expect(listed.stdout).toContain('npm run adit -- resume u1 chats --stack dev');
    expect(await readdir(dir)).not.toContain('.adit');
  });

  it('resumes with a message that is sent at once, to the queue of the miner', async () => {
    const resumed = await run('resume', 'u1', 'chats', '--json');
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(lastJson(resumed)).toMatchObject({
      sentTo: MINING_QUEUE,
      notSent: null,
      state: 'live',
      marker: 'm7',
      slice: 4,
    });
    const row = await stored('u1');
    expect(row).toMatchObject({ state: 'live', slice: 4, pages: 7 });
    expect(row?.isUnsent).toBeUndefined();
    const depths = openServiceBusDepths({ connect: { connectionString: String(broker.ready['connectionString']) } });
    expect(await depths.depth(MINING_QUEUE)).toMatchObject({ active: 1 });
  });

  it('skips without a message', async () => {
    const skipped = await run('skip', 'u2', 'chats');
    expect(skipped.code, skipped.stderr).toBe(0);
    expect(await stored('u2')).toMatchObject({ state: 'failed', code: 'skipped' });
  });

  it('resumes also while the bus is away: the row says so, and the next firing sends the message', async () => {
    await broker.stop();
    const resumed = await run('resume', 'u3', 'chats');
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(resumed.stdout).toMatch(/Its message could not be sent now \([^)]+\)\. The next firing sends its message\./);
    expect(await stored('u3')).toMatchObject({ state: 'live', slice: 4, isUnsent: true });
    expect(resumed.stdout + resumed.stderr).not.toContain('SharedAccessKey');
  });
});
