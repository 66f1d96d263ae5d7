import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { emptyFolder } from './adit.ts';
import { exportRows, mineOnce } from './lake-rows.ts';
import { type Call, listOf, pageText, plainItems, refusal, type Reply, startUpstream } from './scripted-upstream.ts';

const ITEMS = plainItems('i', 25);
const serve = listOf(ITEMS, 10);

function textOf(call: Call): string {
  const reply = serve(call);
  if (typeof reply === 'function') throw new Error('a list is served as a text');
  return String(reply.body);
}

const encoded =
  (name: string, encode: (text: string) => Uint8Array) =>
  (call: Call): Reply => ({ headers: { 'content-encoding': name }, body: encode(textOf(call)) });

/** The first `times` calls for a page go wrong; the page itself comes after them. */
const first =
  (times: number, fault: (call: Call) => Reply) =>
  (call: Call): Reply =>
    call.earlier < times ? fault(call) : serve(call);

const promised = (response: ServerResponse, text: string): void => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(text)) });
};

const httpDate = (inMs: number): string => new Date(Date.now() + inMs).toUTCString();

/** What may happen to a user, one after whom each is named. Nothing may be lost, and nobody set aside. */
const TROUBLES: Readonly<Record<string, (call: Call) => Reply>> = {
  plain: serve,
  gzip: encoded('gzip', gzipSync),
  br: encoded('br', brotliCompressSync),
  zstd: encoded('zstd', zstdCompressSync),
  'two encodings': encoded('gzip, br', (text) => brotliCompressSync(gzipSync(text))),
  '429, wait 1 s': first(1, () => refusal(429, {}, { 'retry-after': '1' })),
  '429, wait until a date': first(1, () => refusal(429, {}, { 'retry-after': httpDate(3000) })),
  '429, date in the past': first(1, () => refusal(429, {}, { 'retry-after': httpDate(-60_000) })),
  '429 alone': first(2, () => ({ status: 429, headers: { 'content-type': 'text/plain' }, body: 'slow down' })),
  '429, senseless wait': first(1, () => refusal(429, {}, { 'retry-after': 'soon' })),
  '400 with code 17': first(1, () => refusal(400, { code: 17 })),
  '403 with code 80004': first(1, () => refusal(403, { code: 80_004 }, { 'retry-after': '1' })),
  '500 and 503': first(2, ({ earlier }) => ({ status: earlier === 0 ? 500 : 503, body: '<h1>oops</h1>' })),
  '400 with code 2': first(1, () => refusal(400, { code: 2 })),
  '400 that says it is transient': first(1, () => refusal(400, { code: 9999, is_transient: true })),
  'body cut off': first(2, (call) => (response) => {
    const text = textOf(call);
    promised(response, text);
    response.write(text.slice(0, text.length / 2), () => response.destroy());
  }),
  'body cut off where it is JSON': first(1, () => (response) => {
    // Without its length the cut is only seen because the last chunk is missing.
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"data":[{"id":"i0","n":0}]}', () => response.destroy());
  }),
  'gzip cut off': first(1, (call) => ({
    headers: { 'content-encoding': 'gzip' },
    body: gzipSync(textOf(call)).subarray(0, 60),
  })),
  'reset before the answer': first(3, () => (response) => void response.socket?.resetAndDestroy()),
  'reset inside the headers': first(1, () => (response) => {
    response.socket?.write('HTTP/1.1 200 OK\r\ncontent-', () => response.socket?.resetAndDestroy());
  }),
  'a byte at a time': first(1, (call) => async (response) => {
    const text = textOf(call);
    promised(response, text);
    for (let at = 0; at < text.length; at += 16) {
      response.write(text.slice(at, at + 16));
      await sleep(2);
    }
    response.end();
  }),
  'a body that never ends': first(1, () => (response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"data":[');
  }),
  'headers that never come': first(1, () => () => undefined),
  'a list whose marker died': (call) =>
    call.after === '10' && call.earlier === 0 ? refusal(400, { code: 100 }) : serve(call),
  'another content type': (call) => ({ headers: { 'content-type': 'text/html' }, body: textOf(call) }),
  'a byte order mark': (call) => ({ body: `\u{feff}${textOf(call)}` }),
  'error envelope beside data': (call) => ({ body: textOf(call).replace(/^\{/, '{"error":null,') }),
};

describe('an upstream in trouble', () => {
  it('has every item mined once all the same, and nobody set aside', async () => {
    const upstream = await startUpstream((call) => TROUBLES[call.userId]!(call));
    const state = join(await emptyFolder(), 'state');
    const users = Object.keys(TROUBLES);
    const args = [
      '--set',
      'callTimeoutMs=2000',
      '--set',
      'rateLimitWaitMs=300',
      '--set',
      'retryLaterMs=50',
      '--strict',
    ];
    const ended = await mineOnce({ upstream, state, users, args });
    expect(ended.code, ended.stderr).toBe(0);
    const total = users.length * ITEMS.length;
    expect(ended.counts).toMatchObject({ new: total, lake: total, quarantined: 0, paused: 0, failed: 0 });
    const rows = await exportRows(state);
    for (const userId of users) {
      const own = rows.filter((row) => row.userId === userId).map((row) => row.dataText);
      expect(own.sort(), userId).toEqual([...ITEMS].sort());
    }
    const between = (userId: string): number => {
      const [one, two] = upstream.calls.filter((call) => call.userId === userId && call.after === '10');
      return (two?.atMs ?? 0) - (one?.atMs ?? 0);
    };
    expect(between('429, wait 1 s')).toBeGreaterThanOrEqual(995);
    expect(between('403 with code 80004')).toBeGreaterThanOrEqual(995);
    expect(between('429, wait until a date')).toBeGreaterThanOrEqual(1900);
    expect(between('429 alone')).toBeGreaterThanOrEqual(295);
  });

  it('is asked less by a user near the end of an allowance, and not at all at 95 per cent', async () => {
    const usage = (percent: number): string => JSON.stringify({ 1: [{ call_count: percent, total_time: 1 }] });
    const upstream = await startUpstream((call) => {
      const percent = { near: 85, over: 96, other: 10, odd: 0 }[call.userId] ?? 0;
      const headers = { 'x-business-use-case-usage': call.userId === 'odd' ? '{"oops' : usage(percent) };
      return { headers, body: textOf(call) };
    });
    const state = join(await emptyFolder(), 'state');
    const users = ['other', 'odd', 'near', 'over'];
    const ended = await mineOnce({ upstream, state, users, args: ['--max-wait', '5s'] });
    expect(ended.code, ended.stderr).toBe(3);
    expect(ended.stderr).toMatch(/over chats: waits/);
    const callsOf = (userId: string): readonly Call[] => upstream.calls.filter((call) => call.userId === userId);
    expect(callsOf('over')).toHaveLength(1);
    const near = callsOf('near').map((call) => call.atMs);
    expect(near).toHaveLength(3);
    for (const [at, next] of near.slice(1).entries()) expect(next - near[at]!).toBeGreaterThanOrEqual(900);
    expect((await exportRows(state)).filter((row) => row.userId !== 'over')).toHaveLength(3 * ITEMS.length);
  });

  it('that serves a page of one item over the limit does not take the user out of the fleet in silence', async () => {
    const huge = `{"id":"huge","t":"${'x'.repeat(3000)}"}`;
    const items = [...plainItems('a', 3), huge, ...plainItems('b', 3)];
    const upstream = await startUpstream(({ after, limit }) => {
      const from = Number(after ?? 0);
      return {
        body: pageText(items.slice(from, from + limit), from + limit < items.length ? String(from + limit) : undefined),
      };
    });
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users: ['u1'], args: ['--set', 'pageMaxBytes=1024'] });
    expect(ended.stderr).toMatch(/u1 chats: page-too-large|rejected/);
    expect((await exportRows(state)).length).toBeGreaterThanOrEqual(3);
  });
});
