import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { CANARY } from '../core/secret-samples.ts';
import { findCanary } from '../core/secret-search.ts';
import { adit, emptyFolder, type Ended } from './adit.ts';
import { startProxy } from './connect-proxy.ts';
import { exportRows, mineOnce } from './lake-rows.ts';
import { type Call, page, pageText, plainItems, refusal, type Reply, startUpstream } from './scripted-upstream.ts';

async function expectNoSecret(state: string, ...runs: readonly Ended[]): Promise<void> {
  for (const { stdout, stderr } of runs) {
    expect(findCanary(stdout)).toEqual([]);
    expect(findCanary(stderr)).toEqual([]);
  }
  const names = await readdir(state, { recursive: true });
  let looked = 0;
  for (const name of names) {
    const file = join(state, name);
    if (!(await stat(file)).isFile()) continue;
    const bytes = await readFile(file);
    const text = (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
    expect(findCanary(text), name).toEqual([]);
    looked += 1;
  }
  expect(names).toContain('adit.log');
  expect(names).toContain('ledger.db');
  expect(looked).toBeGreaterThan(4);
}

const hush = (userId: string, proxyUrl: string | null = null): Readonly<Record<string, unknown>> => ({
  userId,
  accessToken: `${CANARY}-token-${userId.replaceAll(/\W/g, '')}`,
  proxyUrl,
});

describe('users with a proxy', () => {
  it('go through it, each with its own credentials, and the others go direct', async () => {
    const [one, two] = [await startProxy(), await startProxy()];
    const upstream = await startUpstream(({ after }) => page(plainItems('i', 3), after === null ? 'm' : undefined));
    const state = join(await emptyFolder(), 'state');
    const users = [
      hush('direct'),
      hush('one', `http://${CANARY}-user:${CANARY}-p%40ss@127.0.0.1:${one.port}`),
      hush('two', `http://127.0.0.1:${two.port}/`),
    ];
    const ended = await mineOnce({ upstream, state, users, args: ['--strict'], miners: ['chats', 'fans'] });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ new: 18, lake: 18 });

    const portsOf = (userId: string): number[] =>
      upstream.calls.filter((call) => call.userId === userId).map((call) => call.clientPort);
    expect(portsOf('one').every((port) => one.ports.has(port))).toBe(true);
    expect(portsOf('two').every((port) => two.ports.has(port))).toBe(true);
    expect(portsOf('direct').some((port) => one.ports.has(port) || two.ports.has(port))).toBe(false);
    const basic = `Basic ${Buffer.from(`${CANARY}-user:${CANARY}-p@ss`).toString('base64')}`;
    expect(one.tunnels.length).toBeGreaterThan(0);
    for (const tunnel of one.tunnels) {
      expect(tunnel).toEqual({ target: `127.0.0.1:${upstream.port}`, authorization: basic });
    }
    expect(two.tunnels.every((tunnel) => tunnel.authorization === undefined)).toBe(true);
    expect([one.plainRequests, two.plainRequests]).toEqual([[], []]);
    for (const call of upstream.calls) expect(call.token).toBe(`${CANARY}-token-${call.userId}`);
    await expectNoSecret(state, ended);
  });
});

describe('a secret', () => {
  it('is in no output, log or file, whatever an upstream says of it', async () => {
    const elsewhere = await startUpstream(() => page([]));
    const says = (call: Call): string =>
      `Error validating access token ${call.token}: bearer ${call.token} {"t":"${call.token}"}`;
    const answers: Readonly<Record<string, (call: Call) => Reply>> = {
      401: (call) => refusal(401, { code: 190, message: says(call) }),
      403: (call) => refusal(403, { code: 10, message: says(call), type: call.token }),
      404: (call) => refusal(404, { code: 803, message: says(call) }),
      422: (call) => refusal(422, { message: `access_token=${call.token}&x=1` }),
      500: (call) => (call.earlier < 6 ? { status: 500, body: says(call) } : page([])),
      302: (call) => ({ status: 302, headers: { location: `${elsewhere.url}/?access_token=${call.token}` }, body: '' }),
      html: (call) => ({ body: `<h1>${says(call)}</h1>` }),
      cut: (call) => (response) => {
        response.writeHead(200, { 'x-echo': call.token });
        response.write(`{"data":["${call.token}`, () => response.destroy());
      },
      // The Graph API repeats the token in the address of the next page.
      next: ({ token, after }) => ({
        body: pageText(plainItems('i', 2), after === null ? 'm' : undefined, `${elsewhere.url}/?access_token=${token}`),
      }),
      usage: (call) => ({ headers: { 'x-app-usage': call.token, 'retry-after': call.token }, body: '{"data":[]}' }),
      bad: (call) => ({ headers: { 'content-encoding': call.token }, body: '{}' }),
    };
    const upstream = await startUpstream((call) => answers[call.userId]?.(call) ?? page(plainItems('i', 3)));
    const state = join(await emptyFolder(), 'state');
    const deadProxy = `http://${CANARY}-user:${CANARY}-pass@127.0.0.1:1`;
    const users = [...['fine', ...Object.keys(answers)].map((userId) => hush(userId)), hush('dead', deadProxy)];
    const args = ['--set', 'retryLaterMs=1', '--set', 'breakerOpenMs=10', '--set', 'callTimeoutMs=2000'];
    const ended = await mineOnce({ upstream, state, users, args });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ new: 5, paused: 1 });
    expect(ended.stderr).toMatch(/dead chats: proxy: .*the proxy 127\.0\.0\.1:1 cannot be used/);
    expect(upstream.calls.some((call) => call.userId === 'dead')).toBe(false);
    expect((await exportRows(state)).map((row) => row.userId)).toEqual(['fine', 'fine', 'fine', 'next', 'next']);
    expect([elsewhere.calls, elsewhere.strays]).toEqual([[], []]);
    const listed = await adit('adit', ['users', 'list', '--state', state]);
    await expectNoSecret(state, ended, listed);
  });

  it('is not repeated by the message about a bad line of the users file, and the state folder is only ours', async () => {
    const upstream = await startUpstream(() => page([]));
    const state = join(await emptyFolder(), 'state');
    const bad = [
      { userId: 'a', accessToken: `${CANARY}\n` },
      { userId: 'b', accessToken: CANARY, proxyUrl: `socks5://${CANARY}:${CANARY}@127.0.0.1:1` },
      { userId: '..', accessToken: CANARY },
      { userId: '.', accessToken: CANARY },
      { userId: '\ud800', accessToken: CANARY },
      { userId: 'c', accessToken: CANARY, [CANARY]: 1 },
    ];
    const ended = await mineOnce({ upstream, state, users: bad });
    expect(ended.code, ended.stderr).toBe(2);
    expect(ended.stderr).toMatch(/6 bad lines/);
    expect(ended.stderr.replace(/Unrecognized key: .*/, '')).not.toContain(CANARY);
    expect(upstream.calls).toEqual([]);

    const good = await mineOnce({ upstream, state, users: [hush('a')] });
    expect(good.code, good.stderr).toBe(0);
    expect((await stat(state)).mode & 0o077).toBe(0);
  });
});
