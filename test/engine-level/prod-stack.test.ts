import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from './lab.ts';
import {
  changesNothing,
  configuresTheRuntime,
  converges,
  deploysOnlyCode,
  dropLine,
  keepsTheKeySecret,
  type Life,
  previewsEverything,
  refreshesToNothing,
  removes,
  retires,
} from './lifecycle.ts';
import { cliOrNotice, REPOSITORY } from './pulumi-cli.ts';

const cli = cliOrNotice();

/** With a preview first, as `pulumi up` and `pulumi destroy` are without further flags. */
const AS_A_PERSON = ['--yes'];

/** Part of the ids of everything that holds data: it outlives its stack. */
const DATA = /resourceGroups\/[^/]+$|storageAccounts\/[^/]+data(\/|$)|Microsoft\.KeyVault/;

// The steps build on each other, as the days of a stack do.
describe.runIf(cli !== undefined)('a prod stack, by the real engine', () => {
  let life: Life;

  beforeAll(async () => {
    const lab = await Lab.open(cli ?? '');
    const entities = ['wall-posts-data-topic', 'wall-posts-data-topic-lake', 'wall-posts-mining-queue'];
    life = { lab, stack: 'prod', miner: { name: 'wall-posts', symbol: 'wallPosts', entities } };
    expect((await lab.pulumi(['stack', 'init', 'prod'])).code).toBe(0);
  });

  afterAll(() => life.lab.close());

  /** A command that must be refused before it touches Azure. */
  const refusedUntouched = async (command: 'up' | 'destroy'): Promise<string> => {
    const { lab } = life;
    lab.azure.requests.length = 0;
    const refused = await lab.engine(command, 'prod', AS_A_PERSON);
    expect(refused.code).not.toBe(0);
    expect(lab.azure.requests).toEqual([]);
    return refused.text;
  };

  const config = async (key: string, value: string): Promise<void> => {
    const set = await life.lab.pulumi(['config', 'set', '--stack', 'prod', key, value]);
    expect(set.code, set.text).toBe(0);
  };

  it('previews everything, touches nothing, and leaves unknown what only Azure knows', () => previewsEverything(life));

  it('says what to do where Azure does not create a Standard C3 any more', async () => {
    life.lab.azure.isRedisBlocked = true;
    const up = await life.lab.engine('up', 'prod');
    expect(up.code).not.toBe(0);
    expect(up.text).toContain('pulumi config set adit:redis managed-b5');
    // The engine stops what runs beside the failed one when it likes, but the group of it all is there: `up` has begun, not more.
    expect(life.lab.azure.all().length).toBeGreaterThan(0);
  });

  it('converges with the switch that the advice names', async () => {
    await config('adit:redis', 'managed-b5');
    await converges(life);
    expect(life.lab.azure.idsOf('azure-native:redisenterprise:RedisEnterprise')).toHaveLength(1);
  });

  it('changes nothing when it is run once more', () => changesNothing(life));

  it('takes a Standard C3 where Azure gives one, by one line', async () => {
    life.lab.azure.isRedisBlocked = false;
    await config('adit:redis', 'standard-c3');
    const up = await life.lab.engine('up', 'prod');
    expect(up.code, up.text).toBe(0);
    expect(life.lab.azure.idsOf('azure-native:redis:Redis')).toHaveLength(1);
    expect(life.lab.azure.idsOf('azure-native:redisenterprise:RedisEnterprise')).toEqual([]);
  });

  it('tells the runtime and the app everything that they read', () => configuresTheRuntime(life));
  it('keeps the sealing key out of its state', () => keepsTheKeySecret(life));
  it('deploys only code when a miner changes', () => deploysOnlyCode(life));

  it('does not replace what holds data: another prefix is refused', async () => {
    await config('adit:prefix', 'other');
    expect(await refusedUntouched('up')).toMatch(/protect/);
    await config('adit:prefix', 'adit7');
  });

  it('does not drop the queue of a miner that has not retired', async () => {
    await dropLine(life);
    expect(await refusedUntouched('up')).toMatch(/wall-posts-mining-queue[^]*protect/);
    await cp(join(REPOSITORY, 'runtime/catalog.ts'), join(life.lab.root, 'runtime/catalog.ts'));
  });

  it('stops the timer of a retired miner and keeps its queue', () => retires(life));
  it('deletes the queue of a miner that has retired and is gone', () => removes(life));
  it('refreshes without a difference', () => refreshesToNothing(life));

  it('is not destroyed, and says how it could be', async () => {
    expect(await refusedUntouched('destroy')).toContain('pulumi state unprotect');
  });

  it('gives up everything but its data when it is destroyed without what is protected', async () => {
    const destroy = await life.lab.engine('destroy', 'prod', ['--yes', '--skip-preview', '--exclude-protected']);
    expect(destroy.code, destroy.text).toBe(0);
    const left = life.lab.azure.all();
    expect(left.filter(({ id }) => DATA.test(id))).toHaveLength(10);
    expect(left.filter(({ id }) => !DATA.test(id) && !id.includes('Microsoft.ServiceBus'))).toEqual([]);
  });

  it('leaves its data in Azure even when nothing protects it, until a person deletes the group', async () => {
    const { lab } = life;
    const unprotect = await lab.pulumi(['state', 'unprotect', '--all', '--yes', '--stack', 'prod']);
    expect(unprotect.code, unprotect.text).toBe(0);
    const destroy = await lab.engine('destroy', 'prod');
    expect(destroy.code, destroy.text).toBe(0);
    const left = lab.azure.all();
    expect(left.filter(({ id }) => !DATA.test(id))).toEqual([]);
    expect(left).toHaveLength(10);
    const [group] = lab.azure.idsOf('azure-native:resources:ResourceGroup');
    lab.azure.delete('azure-native:resources:ResourceGroup', group ?? '');
    expect(lab.azure.all()).toEqual([]);
  });
});
