import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PublishError } from '../../infra/publish-error.ts';
import { LOCAL_PUBLISH_LIMITS, PUBLISH_LIMITS, type PublishLimits } from '../../infra/publish-limits.ts';
import { publish, type Published, type PublishOptions } from '../../infra/publish.ts';
import { json, ScmEndpoint, type EndpointScript } from './scm-endpoint.ts';

const TOKEN = 'eyJ0eXAi.c2VjcmV0.c2lnbmF0dXJl';
const VERSION = '0123456789ab';
const ARCHIVE = new Uint8Array([80, 75, 3, 4, 0, 255, 254, 13, 10]);
const LIMITS: PublishLimits = {
  ...LOCAL_PUBLISH_LIMITS,
  requestMs: 2_000,
  uploadMs: 2_000,
  lookMs: 1,
  backoff: { firstMs: 1, maxMs: 4, jitter: 0.3 },
};
/** Phases that end at their first failure to make headway. */
const SHORT: PublishLimits = { ...LIMITS, acceptMs: 1, deployMs: 1, verifyMs: 1 };

let endpoint: ScmEndpoint;
let lines: string[];

beforeEach(async () => {
  endpoint = await ScmEndpoint.start({});
  lines = [];
});
afterEach(() => endpoint.close());

async function run(
  script: EndpointScript,
  options: Partial<PublishOptions> = {},
  signal = new AbortController().signal,
): Promise<Published> {
  endpoint.play(script);
  const { url } = endpoint;
  const token = async (): Promise<string> => TOKEN;
  const log = (line: string): void => void lines.push(line);
  return await publish(
    { scmUrl: url, appUrl: url, archive: ARCHIVE, version: VERSION, token, log, limits: LIMITS, ...options },
    signal,
  );
}

async function failureOf(
  script: EndpointScript,
  options: Partial<PublishOptions> = {},
): Promise<PublishError & { readonly whole: string }> {
  const error: unknown = await run(script, options).then(
    () => expect.fail('it succeeded'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(PublishError);
  const whole = inspect(error, { depth: 10 });
  expect(whole).not.toContain(TOKEN);
  expect(lines.join('\n')).not.toContain(TOKEN);
  return Object.assign(error as PublishError, { whole });
}

const ACCEPTED = json('7f3a', 202);
const DEPLOYED = json({ id: '7f3a', status: 4 });
const RUNS = json({ version: VERSION });
const WORKS: EndpointScript = { uploads: [ACCEPTED], statuses: [DEPLOYED], versions: [RUNS] };

describe('publishing', () => {
  test('outlasts a role that is not there yet and a starting endpoint, follows the deployment, asks the app', async () => {
    const published = await run({
      uploads: [{ status: 403, body: 'no role' }, { status: 503 }, ACCEPTED],
      statuses: [json({ status: 0 }), json({ status: 1 }), json({ status: 2 }), DEPLOYED],
      versions: [{ status: 503 }, json({ version: 'ffffffffffff' }), RUNS],
    });
    expect(published).toEqual({ uploads: 3 });
    const upload = 'POST /api/publish?type=zip&RemoteBuild=false';
    const look = 'GET /api/deployments/7f3a';
    const ask = 'GET /api/version';
    expect(endpoint.paths).toEqual([upload, upload, upload, look, look, look, look, ask, ask, ask]);
    expect(lines).toEqual([
      'upload 1 of 9 bytes: HTTP 403, no role',
      'upload 2 of 9 bytes: HTTP 503',
      'upload 3 of 9 bytes: HTTP 202',
      'deployment: status 0',
      'deployment: status 1',
      'deployment: status 2',
      'deployment: succeeded',
      `the app runs version ${VERSION}`,
    ]);
  });

  test('sends every byte as a ZIP and the token to the deployment endpoint alone', async () => {
    await run(WORKS);
    const [upload, look, ask] = endpoint.seen;
    expect(upload?.contentType).toBe('application/zip');
    expect([...(upload?.body ?? [])]).toEqual([...ARCHIVE]);
    expect(upload?.authorization).toBe(`Bearer ${TOKEN}`);
    expect(look?.authorization).toBe(`Bearer ${TOKEN}`);
    expect(ask?.authorization).toBeUndefined();
  });

  test.each([401, 403, 404, 408, 409, 429, 500, 502, 503, 504])('tries again after HTTP %i', async (status) => {
    expect(await run({ ...WORKS, uploads: [{ status }, ACCEPTED] })).toEqual({ uploads: 2 });
  });

  test('tries again after a lost connection and after silence', async () => {
    const limits = { ...LIMITS, uploadMs: 100, requestMs: 100 };
    const script: EndpointScript = {
      uploads: ['cut', 'hang', ACCEPTED],
      statuses: ['hang', 'cut', { status: 404 }, { status: 200, body: '<html>' }, DEPLOYED],
      versions: ['hang', 'cut', { status: 200, body: 'starting' }, RUNS],
    };
    expect(await run(script, { limits })).toEqual({ uploads: 3 });
  });

  test('waits longer from refusal to refusal, up to a limit', async () => {
    const waits: number[] = [];
    const clock = { now: () => 0, sleep: async (ms: number) => void waits.push(ms) };
    const uploads = [...Array.from({ length: 7 }, () => ({ status: 503 })), ACCEPTED];
    await run({ ...WORKS, uploads }, { limits: PUBLISH_LIMITS, clock, random: () => 0.999_999 });
    expect(waits).toEqual([2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  });

  test('asks for the token again before every request, because a deployment can outlive one', async () => {
    let asked = 0;
    await run(WORKS, { token: async () => `token${(asked += 1)}` });
    expect(endpoint.seen.map(({ authorization }) => authorization)).toEqual([
      'Bearer token1',
      'Bearer token2',
      undefined,
    ]);
  });

  test('can be called off', async () => {
    const controller = new AbortController();
    const script: EndpointScript = { uploads: [{ status: 503 }] };
    const log = (): void => controller.abort(new Error('called off'));
    await expect(run(script, { log, limits: PUBLISH_LIMITS }, controller.signal)).rejects.toThrow('called off');
    expect(endpoint.uploads).toHaveLength(1);
  });

  test('can be called off while nobody answers', async () => {
    const controller = new AbortController();
    const fetchOf: typeof fetch = (input, init) => {
      setImmediate(() => controller.abort(new Error('called off')));
      return fetch(input, init);
    };
    await expect(run({ uploads: ['hang'] }, { fetch: fetchOf }, controller.signal)).rejects.toThrow('called off');
  });
});

describe('a deployment is found', () => {
  const looked = (): string | undefined => endpoint.paths[1];

  test('by the location header', async () => {
    const headers = { location: '/api/deployments/by-header?deployer=x' };
    await run({ ...WORKS, uploads: [{ status: 202, headers }] });
    expect(looked()).toBe('GET /api/deployments/by-header?deployer=x');
  });

  test.each([
    ['JSON text', '"7f3a"'],
    ['an object', '{"id":"7f3a"}'],
    ['bare text', '7f3a\n'],
  ])('by the id in the body, as %s', async (_, body) => {
    await run({ ...WORKS, uploads: [{ status: 202, body }] });
    expect(looked()).toBe('GET /api/deployments/7f3a');
  });

  test.each(['', '<p>Accepted</p>', '"../../secret"'])('as the latest one when the body is %j', async (body) => {
    await run({ ...WORKS, uploads: [{ status: 202, body }] });
    expect(looked()).toBe('GET /api/deployments/latest');
  });

  test('never at another host, which would be sent the token', async () => {
    const headers = { location: 'http://127.0.0.2:9/api/deployments/elsewhere' };
    await run({ ...WORKS, uploads: [{ status: 202, headers, body: '"7f3a"' }] });
    expect(looked()).toBe('GET /api/deployments/7f3a');
  });

  test('and a redirect is not followed', async () => {
    const headers = { location: 'http://127.0.0.2:9/' };
    const error = await failureOf({ uploads: [{ status: 302, headers }] });
    expect(error.code).toBe('refused');
  });

  test('and needs no following when the endpoint answers with its end', async () => {
    await run({ ...WORKS, uploads: [{ status: 200 }] });
    expect(endpoint.paths).toEqual(['POST /api/publish?type=zip&RemoteBuild=false', 'GET /api/version']);
  });
});

describe('a deployment that fails', () => {
  const log = json([
    { message: 'Preparing', details_url: '' },
    { message: 'Build failed', details_url: '/api/deployments/7f3a/log/1' },
    { message: 'Elsewhere', details_url: 'http://127.0.0.2:9/log' },
  ]);

  test('is told with its log, and once', async () => {
    const error = await failureOf({
      ...WORKS,
      statuses: [json({ status: 3, status_text: 'Package is broken' })],
      logs: [log, json([{ message: 'functions.cjs: no such file' }])],
    });
    expect(error.code).toBe('failed');
    expect(error.message).toContain(`The deployment of version ${VERSION} failed. Its log says:`);
    expect(error.message).toContain(
      'Package is broken\nPreparing\nBuild failed\n  functions.cjs: no such file\nElsewhere\n',
    );
    expect(error.message).toContain('Run the same pulumi up again');
    expect(endpoint.uploads).toHaveLength(1);
  });

  test('is told without a log that cannot be had', async () => {
    const error = await failureOf({ ...WORKS, statuses: [json({ status: 3 })], logs: [{ status: 500 }] });
    expect(error.message).toContain('failed; it left no log.');
  });

  test('quotes the end of a long log', async () => {
    const logs = [json([{ message: `${'x'.repeat(10_000)} the reason` }])];
    const error = await failureOf({ ...WORKS, statuses: [json({ status: 3 })], logs });
    expect(error.message).toContain('x the reason');
    expect(error.message.length).toBeLessThan(4_000);
  });

  test.each([
    [
      'the app has no access to its packages yet',
      json({ status: 3, status_text: 'InaccessibleStorageException: 403' }),
    ],
    ['another one came between', json({ status: 5 })],
    ['it was cancelled', json({ status: -1 })],
  ])('is repeated when %s', async (_, status) => {
    expect(await run({ ...WORKS, statuses: [status, DEPLOYED] })).toEqual({ uploads: 2 });
  });

  test('is repeated three times at most', async () => {
    const error = await failureOf({ ...WORKS, statuses: [json({ status: 5 })] });
    expect(error.message).toContain('was cancelled by another deployment');
    expect(endpoint.uploads).toHaveLength(LIMITS.deploymentsCount);
  });
});

describe('a publication that gets nowhere', () => {
  test('names the role when the endpoint forbids it to the end', async () => {
    const error = await failureOf({ uploads: [{ status: 403, body: 'denied' }] }, { limits: SHORT });
    expect(error.code).toBe('not-accepted');
    expect(error.message).toContain('last answer: HTTP 403, denied');
    expect(error.message).toContain('Website Contributor');
    expect(error.message).toContain('Run the same pulumi up again');
  });

  test('names the host that cannot be reached, with the cause', async () => {
    const scmUrl = 'http://127.0.0.1:9';
    const fetchOf: typeof fetch = () =>
      Promise.reject(new TypeError('fetch failed', { cause: new Error('ECONNREFUSED') }));
    const error = await failureOf({}, { scmUrl, fetch: fetchOf, limits: SHORT });
    expect(error.message).toContain('http://127.0.0.1:9 did not accept the archive within 0 s (1 attempts)');
    expect(error.message).toContain('last answer: ECONNREFUSED');
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  test.each([400, 413, 415])('ends at once at HTTP %i, which waiting does not cure', async (status) => {
    const error = await failureOf({ uploads: [{ status, body: 'not a package' }] });
    expect(error.code).toBe('refused');
    expect(error.message).toContain(`HTTP ${status}, not a package`);
    expect(endpoint.uploads).toHaveLength(1);
  });

  test('says where a deployment stood that does not end', async () => {
    const error = await failureOf({ ...WORKS, statuses: [json({ status: 2 })] }, { limits: SHORT });
    expect(error.code).toBe('unfinished');
    expect(error.message).toContain('last answer: status 2');
  });

  test('names both versions when the app keeps running another one', async () => {
    const versions = [json({ version: 'ffffffffffff' })];
    const error = await failureOf({ ...WORKS, versions }, { limits: SHORT });
    expect(error.code).toBe('unverified');
    expect(error.message).toContain('answers with version ffffffffffff');
    expect(error.message).toContain(`instead of version ${VERSION}`);
    expect(error.message).toContain('Run the same pulumi up again');
  });

  test('says what the app answers when it answers with no version', async () => {
    const versions = [{ status: 503, body: 'Function host is not running.' }];
    const error = await failureOf({ ...WORKS, versions }, { limits: SHORT });
    expect(error.message).toContain('HTTP 503, Function host is not running. instead of version');
  });
});

describe('a token', () => {
  test('that cannot be had is a login to renew, not something to wait for', async () => {
    const token = (): Promise<string> => Promise.reject(new Error('AADSTS700082: expired\nTrace: 1'));
    const error = await failureOf(WORKS, { token });
    expect(error.code).toBe('no-login');
    expect(error.message).toContain('Log in ("az login"');
    expect(error.message).toContain('What was tried:\nAADSTS700082: expired\nTrace: 1');
    expect(endpoint.seen).toEqual([]);
  });

  test('is in no message, whoever repeats it', async () => {
    const echo = `you sent Bearer ${TOKEN}`;
    await failureOf({ uploads: [{ status: 403, body: echo }] }, { limits: SHORT });
    await failureOf({ uploads: [{ status: 400, body: echo }] });
    await failureOf({
      ...WORKS,
      statuses: [json({ status: 3, status_text: echo })],
      logs: [json([{ message: echo }])],
    });
    await failureOf({ ...WORKS, versions: [{ status: 500, body: echo }] }, { limits: SHORT });
  });

  test.each(['', `${TOKEN}\n`, `${TOKEN}\u0000`])('that no header can hold is refused unquoted', async (broken) => {
    const error = await failureOf(WORKS, { token: async () => broken });
    expect(error.code).toBe('no-login');
  });
});

test('the limits for Azure end a publication that hangs everywhere', () => {
  const { acceptMs, deployMs, verifyMs, uploadMs, requestMs, deploymentsCount } = PUBLISH_LIMITS;
  const worstMs = deploymentsCount * (acceptMs + uploadMs + deployMs + requestMs) + verifyMs + requestMs;
  expect(worstMs).toBeLessThan(90 * 60_000);
});
