import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { graph } from '../../../runtime/upstreams/graph.ts';
import { itemsOf } from './reader.ts';
import { closeAll, admin, idsOf, start, temporaryFolder } from './running.ts';

afterEach(closeAll);

describe('troubles', () => {
  it('overlap: neighbouring pages share items, and nothing is missing', async () => {
    const { reader } = await start({ scenario: 'overlap', itemsPerList: { exactly: 200 } });
    for (const limit of [1, 2, 20]) {
      const { items } = await reader.list('u1', 'fans', limit);
      expect(new Set(idsOf(items)).size).toBe(200);
      if (limit > 1) expect(items.length).toBeGreaterThan(200);
    }
  });

  it('empty-pages: pages without items have a next, and nothing is missing', async () => {
    const { reader } = await start({ scenario: 'empty-pages', itemsPerList: { exactly: 200 } });
    const { items, sizes } = await reader.list('u1', 'fans', 10);
    expect(new Set(idsOf(items)).size).toBe(200);
    expect(items.length).toBe(200);
    expect(sizes.slice(0, -1)).toContain(0);
    expect(sizes.some((size) => size > 0 && size < 10)).toBe(true);
  });

  it('bursts: every kind of transient fault, and a patient reader gets everything', async () => {
    const { reader, simulator } = await start({ scenario: { burstEnterShare: 0.5 }, itemsPerList: { exactly: 400 } });
    const { items, faults } = await reader.list('u1', 'fans', 5);
    expect(new Set(idsOf(items)).size).toBe(400);
    expect(new Set(faults)).toEqual(new Set(['transient']));
    const { calls } = simulator.stats();
    expect(Object.keys(calls)).toEqual(expect.arrayContaining(['200', '400', '500', '502', '503', '504', 'reset']));
  });

  it('rate-limits: every form of limit, only for the user who calls too often', async () => {
    const { reader } = await start({ scenario: { ratePerSecond: 1, rateBurst: 3 } });
    const forms = new Set<string>();
    for (let call = 0; call < 120; call += 1) {
      const reply = await reader.page('u1', 'fans');
      const fault = graph.classify(reply, false, Date.now());
      if (call < 3) expect(fault).toBeUndefined();
      if (fault === undefined) continue;
      expect(fault.code).toMatch(/^rate-limit-/);
      const wait = reply.headers['retry-after'];
      forms.add(
        `${reply.status} ${/code \d+/.exec(fault.reason)?.[0] ?? ''} ${wait === undefined ? '' : /^\d+$/.test(wait) ? 'seconds' : 'date'}`,
      );
    }
    const expected = [
      '429  seconds',
      '429  date',
      '429  ',
      '400 code 17 ',
      '403 code 32 ',
      '400 code 613 ',
      '403 code 4 ',
    ];
    expect([...forms].sort()).toEqual(expected.sort());
    expect((await reader.page('u2', 'fans')).status).toBe(200);
  });

  it('allowance: the usage headers tell the truth up to the limit', async () => {
    const { reader } = await start({ scenario: { allowanceCalls: 10, allowanceWindowMs: 1e15 }, users: 2 });
    const percents: (number | undefined)[] = [];
    for (let call = 1; call <= 11; call += 1) {
      const reply = await reader.page('u1', 'fans');
      const usage = graph.usage(reply);
      percents.push(usage.find(({ scope }) => scope === 'user')?.percent);
      expect(usage.find(({ scope }) => scope === 'upstream')?.percent).toBe(call * 5);
      expect(graph.classify(reply, false, 0)?.code).toBe(call > 10 ? 'rate-limit-user' : undefined);
      if (call > 10) expect(usage.find(({ scope }) => scope === 'user')?.regainMs).toBeGreaterThan(0);
    }
    expect(percents).toEqual([10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]);
  });

  it('expired-tokens: until the tokens are renewed, which the users file shows', async () => {
    const usersFile = join(temporaryFolder(), 'users.ndjson');
    const { reader, simulator } = await start({
      scenario: { expiredUserShare: 0.3, expireAfterCalls: 1 },
      users: 20,
      usersFile,
    });
    const codes = async (): Promise<(string | undefined)[]> =>
      Promise.all(
        simulator
          .users()
          .map(
            async ({ userId, accessToken: token }) =>
              graph.classify(await reader.page(userId, 'fans', { token }), false, 0)?.code,
          ),
      );
    expect(new Set(await codes())).toEqual(new Set([undefined]));
    const expired = (await codes()).filter((code) => code === 'token').length;
    expect(expired).toBeGreaterThan(0);
    expect(expired).toBeLessThan(20);
    const old = readFileSync(usersFile, 'utf8');
    expect(JSON.parse((await admin(simulator, 'tokens/renew', {})).text)).toEqual({ renewed: expired });
    expect(new Set(await codes())).toEqual(new Set([undefined]));
    const renewed = readFileSync(usersFile, 'utf8');
    expect(renewed.split('\n').filter((line, index) => line !== old.split('\n')[index])).toHaveLength(expired);
    expect(JSON.parse(renewed.split('\n')[0] ?? '')).toEqual({ ...simulator.users()[0] });
    expect(statSync(usersFile).mode & 0o777).toBe(0o600);
  });

  it('renewing named users revokes their tokens', async () => {
    const { reader, simulator } = await start();
    expect((await admin(simulator, 'tokens/renew', { users: ['u2'] })).text).toContain('1');
    expect((await reader.page('u2', 'fans')).status).toBe(401);
    expect((await reader.page('u1', 'fans')).status).toBe(200);
    expect((await admin(simulator, 'tokens/renew', { users: ['u9'] })).status).toBe(400);
  });

  it.each([
    ['gone', 'user-gone'],
    ['forbidden', 'permission'],
  ])('%s: a few users answer %s', async (scenario, code) => {
    const { reader, simulator } = await start({ scenario, users: 20 });
    const codes = await Promise.all(
      simulator.users().map(async ({ userId }) => graph.classify(await reader.page(userId, 'fans'), false, 0)?.code),
    );
    const hit = codes.filter((found) => found === code).length;
    expect(hit).toBeGreaterThan(0);
    expect(hit).toBeLessThan(6);
    expect(codes.filter((found) => found !== code && found !== undefined)).toEqual([]);
  });

  it('deletes: a few markers die once, and reading from the head again completes', async () => {
    const { reader } = await start({ scenario: { deadMarkerListShare: 1 }, itemsPerList: { exactly: 50 } });
    const { items, faults } = await reader.list('u1', 'fans', 20);
    expect(faults).toEqual(['dead-marker']);
    expect(new Set(idsOf(items)).size).toBe(50);
  });

  const markersOf = async (scenario: string, exactly: number): Promise<string[]> => {
    const { reader } = await start({ scenario: { [`${scenario}UserShare`]: 1 }, itemsPerList: { exactly } });
    const markers: string[] = [];
    let after: string | null = null;
    for (let pages = 0; pages < 9; pages += 1) {
      const next = graph.next(await reader.page('u1', 'fans', { limit: 10, after }));
      if (next.kind !== 'more') throw new Error(`the list is at its ${next.kind}`);
      markers.push((after = next.marker));
    }
    return markers;
  };

  it.each([0, 3, 100])('stuck, cycle and treadmill never end, with %d items', async (exactly) => {
    expect(new Set(await markersOf('stuck', exactly)).size).toBe(1);
    const [first, second, ...others] = await markersOf('cycle', exactly);
    expect(first).not.toBe(second);
    expect(others).toEqual([first, second, first, second, first, second, first]);
    expect(new Set(await markersOf('treadmill', exactly)).size).toBe(9);
  });

  it('broken: no such page passes for a good one', async () => {
    const { reader, simulator } = await start({
      scenario: { brokenUserShare: 1 },
      users: 14,
      itemsPerList: { exactly: 5 },
    });
    const read = async (userId: string, accessToken: string): Promise<string> => {
      const call = reader.upstream.call({
        url: `${simulator.url}/users/${userId}/fans`,
        headers: { authorization: `Bearer ${accessToken}` },
        proxyUrl: null,
        maxBytes: 16_000_000,
        timeoutMs: 4_000,
      });
      return call.then(
        ({ status, text }) => `${status} ${text.slice(0, 12)}`,
        (error: unknown) => (error as { code?: string }).code ?? '',
      );
    };
    const found = await Promise.all(simulator.users().map(({ userId, accessToken }) => read(userId, accessToken)));
    expect(simulator.stats().servedItems).toBe(0);
    expect(new Set(found)).toEqual(
      new Set([
        '200 <!doctype ht',
        '200 {"data":[{"i',
        '200 {"paging":{}',
        '200 {"data":null',
        '200 {"data":{"id',
        '200 {"data":[],"',
        '302 ',
        '404 <!doctype ht',
        '405 {"error":{"m',
        'page-too-large',
        'transient',
      ]),
    );
  }, 20_000);

  it('strange: items without a good id come beside the good ones', async () => {
    const { reader } = await start({
      scenario: { badItemPageShare: 1, strangeItemShare: 1 },
      itemsPerList: { exactly: 3 },
    });
    const reply = await reader.page('u1', 'fans');
    expect((reply.body as { data: unknown[] }).data).toHaveLength(9);
    const items = itemsOf(reply);
    expect(items).toHaveLength(3);
    expect(items[0]?.text).toMatch(
      /"nul":"a\\u0000b","lone":"\\ud800","__proto__":\{"isAdmin":true\},"twice":2,"huge":1e400,"zero":-0,"exponent":1E5/,
    );
    const empty = await start({ scenario: { badItemPageShare: 1 }, itemsPerList: { exactly: 0 } });
    expect((await empty.reader.page('u1', 'fans')).status).toBe(200);
  });

  it('draw their chance by user, data type and call, not by the order in which users call', async () => {
    const outcomes = async (together: boolean): Promise<string> => {
      const { reader, simulator } = await start({
        scenario: { burstEnterShare: 0.3, emptyPageShare: 0.3, overlapShare: 0.3 },
        users: 5,
        itemsPerList: { exactly: 100 },
      });
      const read = async ({ userId }: { userId: string }): Promise<unknown> => {
        const { items, sizes } = await reader.list(userId, 'chats', 10);
        return [idsOf(items), sizes];
      };
      const lists: unknown[] = [];
      if (together) lists.push(...(await Promise.all(simulator.users().map(read))));
      else for (const user of simulator.users().toReversed()) lists.unshift(await read(user));
      return JSON.stringify(lists);
    };
    expect((await outcomes(true)) === (await outcomes(false))).toBe(true);
  });
});
