import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sha256Digest, systemClock } from '../../runtime/adapters/system.ts';
import { openAesSealing } from '../../runtime/adapters/aes-sealing.ts';
import { parseKeyRing } from '../../runtime/core/key-ring.ts';
import type { User } from '../../runtime/core/miner.ts';
import { Users } from '../../runtime/engine/users.ts';
import { openAzureStorage } from '../../runtime/host/azure-storage.ts';
import { STACK_OUTPUTS_VERSION, type StackOutputs } from '../../runtime/settings.ts';
import { type Azurite, startAzurite } from '../azurite/start.ts';
import { isAzuriteHere, isOpensslHere } from '../fakes/servers.ts';
import { keyNamed } from '../fakes/test-sealing.ts';
import { startVault, testLogin, type VaultServer } from '../fakes/vault-server.ts';
import { adit, emptyFolder, type Ended, lastJson } from './adit.ts';

const STACK = 'dev';

const users: readonly User[] = Array.from({ length: 1200 }, (_, at) => ({
  ...{ userId: `u${at}`, accessToken: `canary-${at}`, proxyUrl: null, status: 'active' },
}));

/** Executables that answer as `pulumi` and `az` do, for a person who is logged in. */
async function toolsOf(dir: string, outputs: StackOutputs): Promise<string> {
  const bin = join(dir, 'bin');
  await mkdir(bin);
  const { token } = (await testLogin.getToken('')) ?? { token: '' };
  const login = { accessToken: token, expiresOn: '2099-01-01 00:00:00.000000', expires_on: 4_070_908_800 };
  for (const [name, answer] of [
    ['pulumi', outputs],
    ['az', login],
  ] as const) {
    await writeFile(join(bin, name), `#!/bin/sh\ncat <<'END'\n${JSON.stringify(answer)}\nEND\n`);
    await chmod(join(bin, name), 0o755);
  }
  return bin;
}

describe.runIf(isAzuriteHere() && isOpensslHere())('npm run adit -- users, on a deployed stack', () => {
  let azurite: Azurite | undefined;
  let vault: VaultServer;

  beforeEach(async () => {
    azurite = await startAzurite();
    vault = await startVault({ value: `k1:${keyNamed('k1').secret}` });
  });
  afterEach(async () => {
    await vault.close();
    await azurite?.stop();
  });

  async function stackIn(dir: string): Promise<(...args: readonly string[]) => Promise<Ended>> {
    const settings = {
      ADIT_STORAGE_CONNECTION_STRING: azurite?.connectionString ?? '',
      ADIT_SERVICE_BUS_NAMESPACE: 'adit-dev.servicebus.windows.net',
      ADIT_UPSTREAM_URLS: '{"graph":"https://graph.example.com"}',
      ADIT_SEALING_KEYS_URL: vault.url,
    };
    const bin = await toolsOf(dir, {
      ...{
        schemaVersion: STACK_OUTPUTS_VERSION,
        stage: STACK,
        settings,
        resourceGroup: 'g',
        dashboardUrl: 'https://d',
      },
      functionApp: { name: 'f', hostname: 'f.invalid', version: '1' },
    });
    const env = {
      PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`,
      NODE_EXTRA_CA_CERTS: vault.caFile,
      AZURE_TOKEN_CREDENTIALS: 'AzureCliCredential',
    };
    return (...args) => adit('adit', ['users', ...args], { env });
  }

  /** The table as a function app sees it that has the keys of the vault. */
  async function stored(): Promise<readonly User[]> {
    const read = parseKeyRing(vault.versions.at(-1)?.value ?? '');
    if (!read.ok) throw new Error(read.errors.join());
    const { ledger } = await openAzureStorage(azurite?.connectionString ?? '');
    const sealing = openAesSealing({ ring: read.ring, clock: systemClock });
    const found: User[] = [];
    for await (const user of new Users({ rows: ledger.users, digest: sha256Digest, sealing }).list()) found.push(user);
    return found.toSorted((a, b) => Number(a.userId.slice(1)) - Number(b.userId.slice(1)));
  }

  it('imports, rotates the key of the vault, lists and removes, by the outputs of the stack alone', async () => {
    const dir = await emptyFolder();
    const file = join(dir, 'users.ndjson');
    await writeFile(file, users.map((user) => `${JSON.stringify(user)}\n`).join(''));
    const run = await stackIn(dir);

    const imported = await run('import', file, '--stack', STACK);
    expect(imported.code, imported.stderr).toBe(0);
    expect(await stored()).toEqual(users);

    const rotated = await run('rotate-key', '--stack', STACK, '--json', '--drop-old');
    expect(rotated.code, rotated.stderr).toBe(0);
    expect(lastJson(rotated)).toMatchObject({
      isNewKey: true,
      resealed: 1200,
      users: 1200,
      unreadable: 0,
      dropped: [],
    });
    expect(rotated.stderr).toContain(`is in the secret ${vault.url}`);
    expect(vault.versions).toHaveLength(2);
    expect(await stored()).toEqual(users);

    // As if five minutes had passed.
    vault.versions[1] = { ...vault.versions[1]!, createdAtMs: Date.now() - 300_000 };
    const dropped = await run('rotate-key', '--stack', STACK, '--drop-old');
    expect(dropped.code, dropped.stderr).toBe(0);
    expect(dropped.stdout).toMatch(/Dropped: k1\.\n$/);
    expect(await stored()).toEqual(users);

    expect((await run('remove', file, '--stack', STACK)).stdout).toBe('1200 users removed.\n');
    const listed = await run('list', '--stack', STACK);
    expect([listed.code, listed.stdout]).toEqual([0, '']);
    for (const { stdout, stderr } of [imported, rotated, dropped]) expect(stdout + stderr).not.toContain('canary');
    expect(await readdir(dir)).toEqual(['bin', 'users.ndjson']);
  });

  it('says what a person may not do', async () => {
    const dir = await emptyFolder();
    const run = await stackIn(dir);
    vault.fail({ status: 403, times: 10 });
    const ended = await run('rotate-key', '--stack', STACK);
    expect(ended.stderr).toMatch(/not open to this login \(403\)[^]*Key Vault Secrets Officer/);
    expect(ended.stderr).not.toMatch(/\n +at /);
    expect(ended.code).toBe(2);
    expect(vault.versions).toHaveLength(1);
  });
});
