import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adit, emptyFolder } from './adit.ts';
import { exportRows, mineOnce } from './lake-rows.ts';
import { type Call, page, plainItems, refusal, type Reply, startUpstream } from './scripted-upstream.ts';

/** Two pages that are well, and then what goes wrong for good. */
const afterTwoPages =
  (fault: (call: Call) => Reply) =>
  (call: Call): Reply => {
    if (call.after === null) return page(plainItems('a', 5), 'm1');
    return call.after === 'm1' ? page(plainItems('b', 5), 'm2') : fault(call);
  };

/** Markers that come back after `length` pages. */
const cycle =
  (length: number) =>
  ({ after }: Call): Reply => {
    const at = after === null ? 0 : Number(after);
    const items = at === 0 ? plainItems('a', 5) : at === 1 ? plainItems('b', 5) : plainItems('c', 1);
    return page(items, String(at + 1 > length ? 1 : at + 1));
  };

interface Aside {
  readonly answer: (call: Call) => Reply;
  readonly reason: RegExp;
  readonly items: number;
}

const QUARANTINED = (elsewhere: string): Readonly<Record<string, Aside>> => ({
  'the marker stays': {
    answer: afterTwoPages(() => page(plainItems('b', 5), 'm2')),
    reason: /marker-stuck/,
    items: 10,
  },
  'two markers take turns': { answer: cycle(2), reason: /marker-stuck/, items: 11 },
  // Its pages repeat long before its markers do.
  'sixty markers take turns': { answer: cycle(60), reason: /no-progress/, items: 11 },
  'next without a marker': {
    answer: afterTwoPages(() => ({ body: '{"data":[],"paging":{"next":"http://x/"}}' })),
    reason: /marker-missing/,
    items: 10,
  },
  'data is null': { answer: afterTwoPages(() => ({ body: '{"data":null}' })), reason: /page-shape/, items: 10 },
  'no data': { answer: afterTwoPages(() => ({ body: '{}' })), reason: /page-shape/, items: 10 },
  'a web page': { answer: afterTwoPages(() => ({ body: '<h1>Welcome</h1>' })), reason: /page-shape/, items: 10 },
  'a redirect': {
    answer: afterTwoPages(() => ({ status: 302, headers: { location: `${elsewhere}/users/x/chats` }, body: '' })),
    reason: /wrong-address: status 302/,
    items: 10,
  },
  'a redirect to itself': {
    answer: afterTwoPages(() => ({ status: 307, headers: { location: '/users/x/chats?after=m1' }, body: '{}' })),
    reason: /wrong-address: status 307/,
    items: 10,
  },
  'bad request': {
    answer: afterTwoPages(() => refusal(422, { code: 1234 })),
    reason: /refused: status 422/,
    items: 10,
  },
});

describe('a user whose list cannot go on', () => {
  it('is set aside with the reason, keeps what was mined, and is left alone by the next run', async () => {
    const elsewhere = await startUpstream(() => page([]));
    const scripts = QUARANTINED(elsewhere.url);
    const upstream = await startUpstream((call) => scripts[call.userId]?.answer(call) ?? page(plainItems('ok', 3)));
    const state = join(await emptyFolder(), 'state');
    const aside = Object.keys(scripts);
    const users = ['fine', ...aside];
    const ended = await mineOnce({ upstream, state, users });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ quarantined: aside.length, paused: 0, failed: 0 });
    const rows = await exportRows(state);
    for (const [userId, { reason, items }] of Object.entries(scripts)) {
      expect(
        rows.filter((row) => row.userId === userId),
        userId,
      ).toHaveLength(items);
      const line = ended.stderr.split('\n').find((text) => text.includes(`${userId} chats: `));
      expect(line, ended.stderr).toMatch(reason);
    }
    expect([elsewhere.calls, elsewhere.strays]).toEqual([[], []]);
    // The limit is five repeats; what went in circles was not read for long.
    const callsOf = (userId: string): number => upstream.calls.filter((call) => call.userId === userId).length;
    expect(callsOf('the marker stays')).toBeLessThanOrEqual(10);
    expect(callsOf('sixty markers take turns')).toBeLessThanOrEqual(70);

    const before = upstream.calls.length;
    const again = await mineOnce({ upstream, state, users });
    expect(again.code, again.stderr).toBe(0);
    expect(again.counts).toMatchObject({ new: 0, fetched: 3, quarantined: aside.length });
    expect(upstream.calls.slice(before).every((call) => call.userId === 'fine')).toBe(true);

    const strict = await mineOnce({ upstream, state, users, args: ['--strict'] });
    expect(strict.code).toBe(1);
  });
});

describe('a token', () => {
  it('that is refused pauses its user until it changes, and then the whole list is mined', async () => {
    const good = new Set(['hush-fine', 'hush-new']);
    const items = plainItems('i', 30);
    const answer = ({ token, after }: Call): Reply => {
      const at = Number(after ?? 0);
      const isExpired = token === 'hush-late' && at >= 20;
      if (!good.has(token) && token !== 'hush-late') return refusal(401, { code: 190 });
      if (isExpired) return refusal(400, { code: 190, error_subcode: 463 });
      return page(items.slice(at, at + 10), at + 10 < items.length ? String(at + 10) : undefined);
    };
    const upstream = await startUpstream(answer);
    const state = join(await emptyFolder(), 'state');
    const users = (early: string, late: string): { userId: string; accessToken: string }[] => [
      { userId: 'fine', accessToken: 'hush-fine' },
      { userId: 'early', accessToken: early },
      { userId: 'late', accessToken: late },
    ];
    const first = await mineOnce({ upstream, state, users: users('hush-old', 'hush-late') });
    expect(first.code, first.stderr).toBe(0);
    expect(first.counts).toMatchObject({ new: 50, paused: 2 });
    expect(first.stderr).toMatch(/early chats: token: status 401/);
    expect(first.stderr).toMatch(/late chats: token: status 400, code 190/);

    const before = upstream.calls.length;
    const unchanged = await mineOnce({ upstream, state, users: users('hush-old', 'hush-late') });
    expect(unchanged.counts).toMatchObject({ new: 0, paused: 2 });
    expect(upstream.calls.slice(before).every((call) => call.userId === 'fine')).toBe(true);

    const renewed = await mineOnce({ upstream, state, users: users('hush-new', 'hush-new') });
    expect(renewed.code, renewed.stderr).toBe(0);
    expect(renewed.counts).toMatchObject({ new: 40, paused: 0 });
    expect(await exportRows(state)).toHaveLength(90);
  });

  it('without the permission leaves out that data type only, visibly', async () => {
    const upstream = await startUpstream(({ userId, miner }) =>
      userId === 'u2' && miner === 'fans' ? refusal(403, { code: 200 }) : page(plainItems('i', 3)),
    );
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users: ['u1', 'u2'], miners: ['chats', 'fans'] });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ new: 9, failed: 1 });
    expect(ended.stderr).toMatch(/u2 fans: permission: status 403, code 200/);
  });
});

describe('a user who is gone', () => {
  it('is set inactive, visibly, and not asked for again', async () => {
    const upstream = await startUpstream(({ userId }) => {
      if (userId === 'gone') return refusal(404, { code: 100 });
      return userId === 'gone too' ? refusal(400, { code: 803 }) : page(plainItems('i', 3));
    });
    const state = join(await emptyFolder(), 'state');
    const ended = await mineOnce({ upstream, state, users: ['u1', 'gone', 'gone too'] });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ new: 3, failed: 2 });
    expect(ended.stderr).toMatch(/gone chats: user-gone: status 404/);
    const listed = await adit('adit', ['users', 'list', '--state', state]);
    expect(
      listed.stdout
        .split('\n')
        .filter((line) => line.includes('"inactive"'))
        .sort(),
    ).toEqual(['{"userId":"gone too","status":"inactive"}', '{"userId":"gone","status":"inactive"}']);
    const before = upstream.calls.length;
    const args = ['--once', '--json', '--upstream', upstream.url, '--state', state, '--miner', 'chats', '--strict'];
    const again = await adit('start', args);
    expect(again.code, again.stderr).toBe(0);
    expect(upstream.calls.slice(before).every((call) => call.userId === 'u1')).toBe(true);
  });

  it('like everybody else is a wrong address: nobody is set inactive', async () => {
    const upstream = await startUpstream(() => refusal(404, { code: 100 }));
    const state = join(await emptyFolder(), 'state');
    const users = Array.from({ length: 12 }, (_, index) => `u${index}`);
    const ended = await mineOnce({ upstream, state, users, miners: ['chats', 'fans'] });
    expect(ended.stderr).toMatch(/gone/);
    expect(ended.counts['new'] ?? 0).toBe(0);
    const listed = await adit('adit', ['users', 'list', '--state', state]);
    expect(listed.stdout).not.toMatch(/inactive/);
  });
});
