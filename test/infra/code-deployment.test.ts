import { createHash } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ProgramRun, runProgram } from '../../infra/preview/run-program.ts';
import { DynamicProvider, type Values } from './dynamic-provider.ts';
import { json, ScmEndpoint } from './scm-endpoint.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const VERSION = '0123456789ab';
const ARCHIVE = Buffer.from([80, 75, 3, 4, 0, 255]);
const UNKNOWN_VALUE = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';
const START_LIMIT_MS = 60_000;

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

async function runFixture(isPreview: boolean): Promise<ProgramRun> {
  const entry = 'test/infra/fixtures/code-deployment-program.ts';
  return await runProgram({ dir: ROOT, entry, stack: 'dev', config: { 'adit:hash': hashOf(ARCHIVE) }, isPreview });
}

let code: string;
beforeAll(async () => {
  code = (await runFixture(true)).outputs['code'] as string;
}, START_LIMIT_MS);

describe('the code that goes into the state', () => {
  test('names no place of this machine and holds nothing of the modules around it', () => {
    expect(code).toContain('infra/publish-archive.ts');
    expect(code).not.toContain(ROOT);
    expect(code).not.toContain(tmpdir());
    expect(code).not.toContain('node_modules');
    expect(code.length).toBeLessThan(4_000);
  });

  test('is the same in a preview and in an update', async () => {
    const update = await runFixture(false);
    expect(update.outputs['code']).toBe(code);
    expect(update.outputs['version']).toBe(VERSION);
  }, 60_000);
});

describe('the process of the dynamic provider', { timeout: START_LIMIT_MS }, () => {
  let provider: DynamicProvider;
  let endpoint: ScmEndpoint;
  let dir: string;
  let inputs: Values;

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-deployment-'));
    await writeFile(join(dir, 'functions.zip'), ARCHIVE);
    endpoint = await ScmEndpoint.start({});
    provider = await DynamicProvider.start(ROOT);
    await provider.configure();
    inputs = {
      __provider: code,
      appName: 'adit-test',
      hostname: endpoint.url,
      scmHostname: endpoint.url,
      archivePath: join(dir, 'functions.zip'),
      archiveHash: hashOf(ARCHIVE),
      version: VERSION,
    };
  }, START_LIMIT_MS);
  afterAll(async () => {
    await provider.close();
    await endpoint.close();
    await rm(dir, { recursive: true });
  });
  beforeEach(() => {
    endpoint.play({
      uploads: [{ status: 403 }, { status: 503 }, json('7f3a', 202)],
      statuses: [json({ status: 1 }), json({ status: 4 })],
      versions: [json({ version: VERSION })],
    });
  });

  test('takes the inputs as they are', async () => {
    expect(await provider.check({}, inputs)).toEqual(inputs);
    expect(endpoint.seen).toEqual([]);
  });

  test('creates: publishes the archive, tells how it goes, and keeps the inputs as outputs', async () => {
    expect(await provider.create(inputs)).toEqual({ id: 'adit-test', outputs: inputs });
    expect(endpoint.uploads).toHaveLength(3);
    expect(endpoint.uploads[2]?.body).toEqual(ARCHIVE);
    expect(provider.said).toContain('adit-test: upload 1 of 6 bytes: HTTP 403');
    expect(provider.said).toContain(`adit-test: the app runs version ${VERSION}`);
  });

  test('updates: publishes again', async () => {
    const news = { ...inputs, version: 'fedcba987654' };
    endpoint.play({ uploads: [{ status: 200 }], versions: [json({ version: 'fedcba987654' })] });
    expect(await provider.update('adit-test', inputs, news)).toEqual(news);
    expect(endpoint.uploads).toHaveLength(1);
  });

  test('reads and deletes without asking anybody', async () => {
    expect(await provider.read('adit-test', inputs)).toEqual(inputs);
    await provider.delete('adit-test', inputs);
    expect(endpoint.seen).toEqual([]);
  });

  test('says why when it fails, and creates when it is run again', async () => {
    endpoint.play({ uploads: [{ status: 400, body: 'no package' }] });
    await expect(provider.create(inputs)).rejects.toThrow('HTTP 400, no package');
    endpoint.play({ uploads: [{ status: 200 }], versions: [json({ version: VERSION })] });
    expect((await provider.create(inputs)).id).toBe('adit-test');
  });

  test('sends an endpoint of this machine no token of a person', async () => {
    await provider.create(inputs);
    expect(endpoint.uploads[0]?.authorization).toBe('Bearer token-for-this-machine');
  });

  test.each([
    ['hash', { archiveHash: 'f'.repeat(64) }, /has changed since it was planned. Run the same pulumi up again/],
    ['file', { archivePath: 'nowhere.zip' }, /nowhere.zip cannot be read/],
    ['host', { scmHostname: 'http://192.0.2.1:80' }, /scmHostname must be a host name, got "http:\/\/192.0.2.1:80"/],
    ['host', { hostname: 'https://example.org/x' }, /hostname must be a host name/],
    ['value', { version: '' }, /needs version/],
  ])('refuses a wrong %s before anything is sent', async (_, wrong, message) => {
    await expect(provider.create({ ...inputs, ...wrong })).rejects.toThrow(message);
    expect(endpoint.seen).toEqual([]);
  });

  test.each<[string, Values, boolean, string[]]>([
    ['nothing', {}, false, []],
    ['the place of the archive', { archivePath: 'elsewhere.zip' }, false, []],
    ['hosts that a preview does not know', { hostname: UNKNOWN_VALUE, scmHostname: UNKNOWN_VALUE }, false, []],
    ['the archive', { archiveHash: 'f'.repeat(64) }, true, []],
    ['the version', { version: 'fedcba987654' }, true, []],
    ['the host', { hostname: 'other.example.org' }, true, []],
    ['the endpoint', { scmHostname: 'other.scm.example.org' }, true, []],
    ['the app', { appName: 'other' }, true, ['appName']],
    ['an app that is about to be replaced', { appName: UNKNOWN_VALUE }, true, ['appName']],
  ])('sees a change of %s for what it is', async (_, change, hasChanges, replaces) => {
    expect(await provider.diff('adit-test', inputs, { ...inputs, ...change })).toEqual({ hasChanges, replaces });
  });

  test('sees no change in another text of its code', async () => {
    const news = { ...inputs, __provider: `${code}\n// Written otherwise.` };
    expect(await provider.diff('adit-test', inputs, news)).toEqual({ hasChanges: false, replaces: [] });
  });
});
