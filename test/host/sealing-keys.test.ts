import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseKeyRing } from '../../runtime/core/key-ring.ts';
import { BadInput } from '../../runtime/host/bad-input.ts';
import {
  cloudKeys,
  homeKeys,
  KEY_FILE,
  newKey,
  openCloudSealing,
  openHomeSealing,
} from '../../runtime/host/sealing-keys.ts';
import type { Sealing } from '../../runtime/ports.ts';
import { isOpensslHere } from '../fakes/servers.ts';
import { keyNamed } from '../fakes/test-sealing.ts';
import { startVault, testLogin, type VaultServer } from '../fakes/vault-server.ts';

const textOf = (...ids: readonly string[]): string => ids.map((id) => `${id}:${keyNamed(id).secret}`).join(',');

const REFERENCE = '@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/sealing-keys)';

const keyIdOf = async (sealing: Sealing): Promise<string> => (await sealing.seal('x', 'u1')).keyId;

async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(BadInput);
  return String(error);
}

describe('the key file of a state folder', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-keys-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('is made at first use, for its owner alone, and stays', async () => {
    const sealed = await (await openHomeSealing(dir)).seal('a token', 'u1');
    expect(await readdir(dir)).toEqual([KEY_FILE]);
    expect((await stat(join(dir, KEY_FILE))).mode & 0o777).toBe(0o600);
    const text = await readFile(join(dir, KEY_FILE), 'utf8');
    expect(text).toMatch(/^k1-[0-9a-f]{6}:[A-Za-z0-9+/]{43}=\n$/);
    expect(await (await openHomeSealing(dir)).open(sealed, 'u1')).toBe('a token');
    expect(await readFile(join(dir, KEY_FILE), 'utf8')).toBe(text);
  });

  it('is replaced whole, also over what a killed process left', async () => {
    await openHomeSealing(dir);
    await writeFile(join(dir, `${KEY_FILE}.tmp`), 'half a k', { mode: 0o644 });
    const keys = homeKeys(dir, {});
    const { ring } = await keys.load();
    await keys.save?.([newKey(ring), ...ring]);
    expect(await readdir(dir)).toEqual([KEY_FILE]);
    expect((await stat(join(dir, KEY_FILE))).mode & 0o777).toBe(0o600);
    expect((await keys.load()).ring).toHaveLength(2);
  });

  it('is closed to others again when a copy was restored', async () => {
    await openHomeSealing(dir);
    await chmod(join(dir, KEY_FILE), 0o644);
    await openHomeSealing(dir);
    expect((await stat(join(dir, KEY_FILE))).mode & 0o777).toBe(0o600);
  });

  it.each([
    ['', /entry 1: must be id:key/],
    ['k1:AAAA\n', /entry 1: the key must be 32 bytes/],
    [`${textOf('k1')},${textOf('k1')}\n`, /entry 2: the id k1 is there already/],
  ])('that holds no keys is named, and never replaced: %j', async (text, reason) => {
    await writeFile(join(dir, KEY_FILE), text);
    const message = await refusal(openHomeSealing(dir));
    expect(message).toMatch(reason);
    expect(message).toContain(join(dir, KEY_FILE));
    expect(message).toContain('Next: ');
    expect(message).not.toContain(keyNamed('k1').secret);
    expect(await readFile(join(dir, KEY_FILE), 'utf8')).toBe(text);
  });

  it('is not needed when the environment gives keys', async () => {
    expect(await keyIdOf(await openHomeSealing(dir, { sealingKeys: textOf('k5', 'k4') }))).toBe('k5');
    expect(await readdir(dir)).toEqual([]);
    expect(homeKeys(dir, { sealingKeys: textOf('k5') }).save).toBeUndefined();
  });

  it('two folders never give two keys one id', async () => {
    const ids = new Set(Array.from({ length: 100 }, () => newKey([]).id));
    expect(ids.size).toBeGreaterThan(98);
    for (const id of ids) expect(parseKeyRing(`${id}:${keyNamed('x').secret}`).ok).toBe(true);
  });
});

describe('the keys of a stack', () => {
  it('come from the environment where there is no vault', async () => {
    expect(await keyIdOf(await openCloudSealing({ sealingKeys: textOf('k2', 'k1'), credential: testLogin }))).toBe(
      'k2',
    );
  });

  it.each([
    ['nothing', {}, /there are no sealing keys: set ADIT_SEALING_KEYS_URL/],
    ['a reference that was not followed', { sealingKeys: REFERENCE }, /reference that was not resolved[^]*pulumi up/],
    ['a broken text', { sealingKeys: 'k1:AAAA' }, /ADIT_SEALING_KEYS holds no sealing keys[^]*32 bytes/],
    ['http', { sealingKeysUrl: 'http://v/secrets/s' }, /must be https/],
    ['a version', { sealingKeysUrl: 'https://v/secrets/s/0123' }, /without a version/],
    ['no URL', { sealingKeysUrl: 'v' }, /must be https/],
  ])('say what is wrong with %s', async (_, variables, reason) => {
    const opened = (async () => openCloudSealing({ ...variables, credential: testLogin }))();
    expect(await refusal(opened)).toMatch(reason);
  });
});

describe.runIf(isOpensslHere())('the keys of a vault', () => {
  const trusted = getCACertificates('default');
  let vault: VaultServer;
  beforeEach(async () => {
    vault = await startVault({ value: textOf('k1'), contentType: 'text/plain', tags: { stack: 'dev' } });
    setDefaultCACertificates([...trusted, vault.certificate]);
  });
  afterEach(async () => {
    setDefaultCACertificates(trusted);
    await vault.close();
  });

  it('are read and written; content type and tags stay', async () => {
    const keys = cloudKeys({ sealingKeysUrl: vault.url, credential: testLogin });
    const { ring, changedAtMs } = await keys.load();
    expect(ring).toEqual([keyNamed('k1')]);
    expect(Math.abs(Date.now() - changedAtMs)).toBeLessThan(60_000);
    await keys.save?.([keyNamed('k2'), ...ring]);
    expect(vault.versions.map(({ value }) => value)).toEqual([textOf('k1'), textOf('k2', 'k1')]);
    expect(vault.versions[1]).toMatchObject({ contentType: 'text/plain', tags: { stack: 'dev' } });
    expect((await keys.load()).ring.map(({ id }) => id)).toEqual(['k2', 'k1']);
  });

  it('are asked for at the start when the environment has none, or a reference that was not followed', async () => {
    for (const sealingKeys of [undefined, REFERENCE]) {
      const sealing = await openCloudSealing({ sealingKeys, sealingKeysUrl: vault.url, credential: testLogin });
      expect(await keyIdOf(sealing)).toBe('k1');
    }
    expect(vault.requests).toEqual(['GET', 'GET']);
  });

  it('a rotation needs no restart: a running process opens what another one sealed with a new key', async () => {
    let logins = 0;
    const credential = async (): Promise<typeof testLogin> => {
      logins += 1;
      return testLogin;
    };
    const options = { sealingKeys: textOf('k1'), sealingKeysUrl: vault.url, credential };
    const running = await openCloudSealing(options);
    const old = await (await openCloudSealing({ sealingKeys: textOf('k1'), credential })).seal('a token', 'u1');
    expect(await running.open(old, 'u1')).toBe('a token');
    expect([logins, vault.requests.length], 'the environment serves first').toEqual([0, 0]);

    const keys = cloudKeys({ sealingKeysUrl: vault.url, credential: testLogin });
    await keys.save?.([keyNamed('k2'), keyNamed('k1')]);
    const renewed = await (await openCloudSealing({ sealingKeys: textOf('k2'), credential })).seal('renewed', 'u1');
    expect(await running.open(renewed, 'u1')).toBe('renewed');
    expect(await running.open(old, 'u1')).toBe('a token');
    expect(await keyIdOf(running)).toBe('k2');
    expect(logins).toBe(1);
  });

  it.each([
    [403, /not open to this login \(403\)[^]*Key Vault Secrets/],
    [404, /does not exist \(404\)[^]*pulumi up/],
    [400, /cannot be reached \(400\)/],
  ])('a refusal with %i says what to do', async (status, reason) => {
    vault.fail({ status, times: 10 });
    const message = await refusal(openCloudSealing({ sealingKeysUrl: vault.url, credential: testLogin }));
    expect(message).toMatch(reason);
    expect(message).toContain(vault.url);
  });

  it('a vault that is busy is asked again', async () => {
    vault.fail({ status: 503, times: 2 });
    const sealing = await openCloudSealing({ sealingKeysUrl: vault.url, credential: testLogin });
    expect(await keyIdOf(sealing)).toBe('k1');
    expect(vault.requests).toEqual(['GET', 'GET', 'GET']);
  });

  it('a login that fails once is tried again', async () => {
    let tries = 0;
    const credential = async (): Promise<typeof testLogin> => {
      tries += 1;
      if (tries === 1) throw new BadInput('there is no Azure login that works. Next: az login');
      return testLogin;
    };
    const keys = cloudKeys({ sealingKeysUrl: vault.url, credential });
    expect(await refusal(keys.load())).toContain('az login');
    expect((await keys.load()).ring).toHaveLength(1);
  });
});
