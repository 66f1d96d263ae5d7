import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from './lab.ts';
import {
  changesNothing,
  configuresTheRuntime,
  converges,
  deploysOnlyCode,
  keepsTheKeySecret,
  type Life,
  previewsEverything,
  refreshesToNothing,
  removes,
  retires,
  runsTheCatalog,
} from './lifecycle.ts';
import { cliOrNotice } from './pulumi-cli.ts';

const cli = cliOrNotice();

// The steps build on each other, as the days of a stack do.
describe.runIf(cli !== undefined)('a dev stack, by the real engine', () => {
  let life: Life;

  beforeAll(async () => {
    const lab = await Lab.open(cli ?? '');
    life = { lab, stack: 'dev', miner: { name: 'fans', symbol: 'fans', entities: ['fans-mining-queue'] } };
    expect((await lab.pulumi(['stack', 'init', 'dev'])).code).toBe(0);
  });

  afterAll(() => life.lab.close());

  it('previews everything, touches nothing, and leaves unknown what only Azure knows', () => previewsEverything(life));

  it('stops at a failure midway, keeps what is there, and says what failed', async () => {
    const { azure, endpoint } = life.lab;
    const message = 'The service is busy. Please retry later.';
    azure.fail({
      token: 'azure-native:servicebus:Queue',
      name: 'fans-mining-queue',
      refusal: { status: 500, code: 'InternalServerError', message },
    });
    const up = await life.lab.engine('up', 'dev');
    expect(up.code).not.toBe(0);
    expect(up.text).toContain(message);
    expect(azure.all().length).toBeGreaterThan(5);
    expect(azure.idsOf('azure-native:servicebus:Queue').join()).not.toContain('fans-mining-queue');
    expect(endpoint.deployments).toBe(0);
  });

  it('converges when it is run again', () => converges(life));
  it('changes nothing when it is run once more', () => changesNothing(life));
  it('tells the runtime and the app everything that they read', () => configuresTheRuntime(life));
  it('keeps the sealing key out of its state', () => keepsTheKeySecret(life));
  it('deploys code that registers exactly the functions of the catalog', () => runsTheCatalog(life));
  it('deploys only code when a miner changes', () => deploysOnlyCode(life));
  it('stops the timer of a retired miner and keeps its queue', () => retires(life));
  it('deletes the queue of a miner that is gone', () => removes(life));
  it('refreshes without a difference', () => refreshesToNothing(life));

  it('says every mistake in the configuration at once, before anything is touched', async () => {
    const { lab } = life;
    lab.azure.requests.length = 0;
    const wrong = [
      ['adit:prefix', 'x'.repeat(40)],
      ['adit:redis', 'standard-c4'],
      ['adit:monthlyBudgetUsd', '-1'],
    ];
    const file = join(lab.root, 'Pulumi.dev.yaml');
    const right = await readFile(file, 'utf8');
    // The CLI writes what it is told by --config into the file.
    const flags = wrong.flatMap(([key, value]) => ['--config', `${key}=${value}`]);
    const preview = await lab.engine('preview', 'dev', flags);
    expect(preview.code).not.toBe(0);
    for (const [key] of wrong) expect(preview.text).toContain(key);
    expect(lab.azure.requests).toEqual([]);
    await writeFile(file, right);
  });

  it('leaves nothing behind when it is destroyed', async () => {
    const destroy = await life.lab.engine('destroy', 'dev');
    expect(destroy.code, destroy.text).toBe(0);
    expect(life.lab.azure.all()).toEqual([]);
  });

  it('says how to free the name of the vault when it comes back too early', async () => {
    const early = await life.lab.engine('up', 'dev');
    expect(early.code).not.toBe(0);
    expect(early.text).toContain('az keyvault purge --name adit7-dev');
  });

  it('then comes back, and lets the developers in that its configuration names', async () => {
    const { lab } = life;
    lab.azure.purgeVaults();
    const developer = '99999999-9999-4999-8999-999999999999';
    await lab.pulumi(['config', 'set', '--stack', 'dev', '--path', 'adit:developers[0]', developer]);
    const up = await lab.engine('up', 'dev');
    expect(up.code, up.text).toBe(0);
    const grants = lab.azure.all().filter(({ inputs }) => inputs['principalId'] === developer);
    expect(grants.length).toBeGreaterThan(1);
    expect(new Set(grants.map(({ inputs }) => inputs['principalType']))).toEqual(new Set(['User']));
    const caches = lab.azure.idsOf('azure-native:redisenterprise:AccessPolicyAssignment');
    expect(caches).toHaveLength(2);
  });
});
