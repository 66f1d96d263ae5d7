import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, describe, expect, it } from 'vitest';

import { miners } from '../../../runtime/catalog.ts';
import { itemText } from '../../../runtime/local/upstream/items.ts';
import { startSimulator } from '../../../runtime/local/upstream/simulator.ts';
import type { Simulator, SimulatorOptions } from '../../../runtime/local/upstream/simulator.ts';
import { graph } from '../../../runtime/upstreams/graph.ts';
import { itemsOf, namesOf, openReader, truthNames } from './reader.ts';
import type { Reader } from './reader.ts';

const SEED = 41;

const closers: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function start(options: Partial<SimulatorOptions> = {}): Promise<{ simulator: Simulator; reader: Reader }> {
  const simulator = await startSimulator({ seed: SEED, users: 3, ...options });
  closers.push(() => simulator.close());
  const reader = openReader(simulator);
  closers.push(() => reader.close());
  return { simulator, reader };
}

async function admin(simulator: Simulator, path: string, body?: unknown): Promise<{ status: number; text: string }> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`${simulator.url}/_sim/${path}`, init);
  return { status: response.status, text: await response.text() };
}

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'adit-sim-'));
  closers.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

const idsOf = (items: readonly { readonly id: string }[]): string[] => items.map(({ id }) => id);

describe('data', () => {
  it('is the same for the same seed, also after a restart, and another for another seed', async () => {
    const texts: string[] = [];
    for (const seed of [SEED, SEED, SEED + 1]) {
      const { reader } = await start({ seed, itemsPerList: { exactly: 150 } });
      const lists = await Promise.all(miners.map(({ name }) => reader.list('u2', name)));
      texts.push(JSON.stringify(lists.map(({ items }) => items)));
    }
    expect(texts[1]).toBe(texts[0]);
    expect(texts[2]).not.toBe(texts[0]);
  });

  it.each([1, 7, 100, 1_000])('comes in pages of %d, newest first, each item once', async (limit) => {
    const { reader } = await start({ itemsPerList: { exactly: 40 } });
    const { items, sizes } = await reader.list('u1', 'fans', limit);
    expect(idsOf(items)).toEqual(Array.from({ length: 40 }, (_, index) => `fan_1_${39 - index}`));
    expect(sizes).toHaveLength(Math.ceil(40 / limit));
  });

  it('has lists of many lengths: the mean as asked for, some empty, some several times as long', async () => {
    const { reader } = await start({ users: 100, itemBytes: 0 });
    const lengths: number[] = [];
    for (let user = 1; user <= 100; user += 1) {
      for (const { name } of miners) lengths.push((await reader.list(`u${user}`, name, 1_000)).items.length);
    }
    const mean = lengths.reduce((sum, length) => sum + length) / lengths.length;
    expect(mean).toBeGreaterThan(100);
    expect(mean).toBeLessThan(140);
    expect(Math.min(...lengths)).toBe(0);
    expect(Math.max(...lengths)).toBeGreaterThan(400);
  }, 30_000);

  it('has items of about the size asked for, with an id, and no lone surrogate', async () => {
    const { reader } = await start({ itemsPerList: { exactly: 100 } });
    for (const { name } of miners) {
      const { items } = await reader.list('u1', name);
      const sizes = items.map(({ text }) => text.length);
      expect(sizes.reduce((sum, size) => sum + size) / sizes.length).toBeGreaterThan(330);
      expect(Math.max(...sizes)).toBeLessThan(700);
      expect(items.every(({ text }) => text.isWellFormed() && typeof (JSON.parse(text) as { id: unknown }).id === 'string')).toBe(true);
    }
  });

  it('holds numbers that a double does not print back, and text beyond ASCII', async () => {
    const { reader } = await start({ itemsPerList: { exactly: 200 } });
    const transactions = (await reader.list('u1', 'transactions')).items.map(({ text }) => text).join('');
    expect(transactions).toMatch(/"amount":\d+\.\d0,/);
    expect(transactions).toMatch(/"reference":900719925474\d{4},/);
    const chats = (await reader.list('u1', 'chats')).items.map(({ text }) => text).join('');
    expect(chats).toMatch(/[\u3040-\u30ff]/);
    expect(chats).toMatch(/\p{Emoji_Presentation}/u);
  });

  it('gives generic items to a data type that it has no template for', () => {
    const text = itemText({ miner: 'invoices', userNumber: 7, ordinal: 3, variant: 0, hash: 1 }, 370);
    expect(JSON.parse(text)).toMatchObject({ id: 'item_7_3', kind: 'invoices' });
    expect(text.length).toBe(370);
  });

  it('fills items of megabytes', () => {
    const key = { miner: 'chats', userNumber: 7, ordinal: 3, variant: 0, hash: 1 };
    expect(JSON.parse(itemText(key, 2_000_000))).toHaveProperty('text.length', expect.closeTo(2_000_000, -4));
  });
});

describe('calls', () => {
  it('need the right token, an existing user and a known data type', async () => {
    const { reader, simulator } = await start();
    const outcome = async (userId: string, miner: string, token?: string): Promise<unknown[]> => {
      const reply = await reader.page(userId, miner, token === undefined ? {} : { token });
      return [reply.status, graph.classify(reply, false, 0)?.code];
    };
    const stranger = simulator.users()[1]?.accessToken ?? '';
    expect(await outcome('u1', 'chats')).toEqual([200, undefined]);
    expect(await outcome('u1', 'chats', stranger)).toEqual([401, 'token']);
    expect(await outcome('u4', 'chats')).toEqual([404, 'user-gone']);
    expect(await outcome('u01', 'chats')).toEqual([404, 'user-gone']);
    expect(await outcome('u1', 'nothing')).toEqual([404, 'wrong-address']);
    expect((await fetch(`${simulator.url}/users/u1/chats`)).status).toBe(401);
    expect((await fetch(`${simulator.url}/users/u1/chats`, { method: 'POST' })).status).toBe(404);
    expect((await fetch(`${simulator.url}/elsewhere`)).status).toBe(404);
    expect((await fetch(`${simulator.url}/users/%ff/chats`)).status).toBe(404);
  });

  it('refuse a limit out of 1..1000 and a marker of another list', async () => {
    const { reader } = await start({ itemsPerList: { exactly: 10 } });
    for (const limit of [0, 1_001]) {
      const reply = await reader.page('u1', 'chats', { limit });
      expect(graph.classify(reply, false, 0)?.code).toBe('refused');
    }
    const next = graph.next(await reader.page('u1', 'fans', { limit: 3 }));
    const foreign = next.kind === 'more' ? next.marker : '';
    for (const after of [foreign, 'nonsense', '!', 'eA']) {
      const reply = await reader.page('u1', 'chats', { after });
      expect(graph.classify(reply, true, 0)?.code).toBe('dead-marker');
    }
  });

  it('are answered compressed for half of the users, if they accept it', async () => {
    const { reader, simulator } = await start({ users: 40 });
    let compressed = 0;
    for (const { userId, accessToken } of simulator.users()) {
      if ((await reader.page(userId, 'fans')).headers['content-encoding'] === 'gzip') compressed += 1;
      const headers = { authorization: `Bearer ${accessToken}`, 'accept-encoding': 'identity' };
      expect((await fetch(`${simulator.url}/users/${userId}/fans`, { headers })).headers.get('content-encoding')).toBeNull();
    }
    expect(compressed).toBeGreaterThan(10);
    expect(compressed).toBeLessThan(30);
  });
});

describe('epochs', () => {
  const one = { users: 1, itemsPerList: { exactly: 2_000 } } as const;

  it('edit about 3 % of the items and nothing else', async () => {
    const { reader, simulator } = await start(one);
    const before = (await reader.list('u1', 'fans', 1_000)).items;
    await admin(simulator, 'epoch', { advance: 1 });
    const after = (await reader.list('u1', 'fans', 1_000)).items;
    expect(idsOf(after)).toEqual(idsOf(before));
    const changed = after.filter(({ text }, index) => text !== before[index]?.text).length;
    expect(changed).toBeGreaterThan(20);
    expect(changed).toBeLessThan(100);
  });

  it('the scenario edits is calm at epoch 1', async () => {
    const first = await start({ ...one, scenario: 'edits' });
    const second = await start({ ...one, epoch: 1 });
    expect((await first.reader.list('u1', 'chats')).items).toEqual((await second.reader.list('u1', 'chats')).items);
  });

  it('delete items, and markers that point at them die', async () => {
    const { reader, simulator } = await start({ ...one, scenario: { deleteShare: 0.5, editShare: 0 } });
    const before = (await reader.list('u1', 'fans', 1_000)).items;
    const dying: string[] = [];
    for (let after: string | null = null, pages = 0; pages < 10; pages += 1) {
      const next = graph.next(await reader.page('u1', 'fans', { limit: 10, after }));
      after = next.kind === 'more' ? next.marker : null;
      dying.push(after ?? '');
    }
    simulator.setEpoch(1);
    const after = (await reader.list('u1', 'fans', 1_000)).items;
    expect(after.length).toBeGreaterThan(800);
    expect(after.length).toBeLessThan(1_200);
    expect(before).toEqual(expect.arrayContaining([...after]));
    const codes = await Promise.all(dying.map(async (marker) => graph.classify(await reader.page('u1', 'fans', { after: marker }), true, 0)?.code));
    expect(new Set(codes)).toEqual(new Set([undefined, 'dead-marker']));
  });

  it('bring new items to the head', async () => {
    const { reader, simulator } = await start({ ...one, scenario: { insertsPerEpoch: 5, editShare: 0 } });
    const before = (await reader.list('u1', 'fans')).items;
    simulator.setEpoch(2);
    const after = (await reader.list('u1', 'fans')).items;
    expect(after.slice(10)).toEqual(before);
  });
});

describe('a list that grows at its head while it is read', () => {
  it('loses no old item, and the next reading finds the new ones', async () => {
    const { reader, simulator } = await start({ scenario: 'growth', users: 1, itemsPerList: { exactly: 100 } });
    const first = await reader.list('u1', 'chats', 10);
    expect(new Set(idsOf(first.items)).size).toBe(103);
    const second = await reader.list('u1', 'chats', 10);
    expect(second.items.length).toBeGreaterThan(first.items.length + 20);
    const all = new Set([...idsOf(first.items), ...idsOf(second.items)]);
    expect(all.size).toBe(simulator.stats().servedItems);
    for (let ordinal = 0; ordinal < 133; ordinal += 1) expect(all).toContain(`msg_1_${ordinal}`);
  });
});

describe('truth', () => {
  it('is exactly what a client has received, in every scenario that completes', async () => {
    for (const scenario of ['calm', 'overlap', 'empty-pages', 'edits', 'growth', 'deletes', 'bursts', 'strange', 'mixed']) {
      const { reader, simulator } = await start({ scenario, users: 4, itemsPerList: 60 });
      const seen = new Set<string>();
      for (const epoch of [simulator.stats().epoch, simulator.stats().epoch + 1]) {
        simulator.setEpoch(epoch);
        for (const { userId } of simulator.users()) {
          for (const { name } of miners) {
            const { items } = await reader.list(userId, name, 20);
            for (const item of namesOf(name, userId, items)) seen.add(item);
          }
        }
      }
      const truth = truthNames(simulator.truth());
      // A reply that was cut behind its body was delivered, whether or not its client believed it.
      expect([...seen].filter((name) => !truth.has(name)), scenario).toEqual([]);
      expect(simulator.stats().servedItems).toBe(truth.size);
      if (!['bursts', 'mixed'].includes(scenario)) expect(truth.size, scenario).toBe(seen.size);
    }
  }, 60_000);

  it('tells contents that come back: A, B, A are two distinct and three in sequence', async () => {
    const { reader, simulator } = await start({ users: 1, itemsPerList: { exactly: 30 }, scenario: { editShare: 0.5 } });
    for (let epoch = 0; epoch < 8; epoch += 1) {
      simulator.setEpoch(epoch);
      await reader.list('u1', 'fans');
      await reader.list('u1', 'fans');
    }
    const distinct = [...simulator.truth()];
    const sequence = [...simulator.truth({}, 'sequence')];
    expect(distinct.length).toBe(simulator.stats().servedItems);
    expect(sequence.length).toBe(simulator.stats().truth);
    expect(sequence.length).toBeGreaterThan(distinct.length);
    expect(new Set(sequence.map(({ data }) => data)).size).toBe(distinct.length);
    for (const id of new Set(idsOf(sequence))) {
      const contents = sequence.filter((item) => item.id === id).map(({ data }) => data);
      expect(contents.every((data, index) => data !== contents[index + 1])).toBe(true);
    }
  });

  it('is served as NDJSON with the items as they were served, by data type and user', async () => {
    const { reader, simulator } = await start({ itemsPerList: { exactly: 20 } });
    for (const { userId } of simulator.users()) for (const { name } of miners) await reader.list(userId, name);
    const lines = (await admin(simulator, 'truth?miner=transactions&user=u2')).text.trim().split('\n');
    expect(lines).toHaveLength(20);
    expect(lines[0]).toMatch(/^\{"miner":"transactions","userId":"u2","id":"txn_2_19","data":\{"id":"txn_2_19",.*\}\}$/);
    const [item] = itemsOf(await reader.page('u2', 'transactions', { limit: 1 }));
    expect(lines[0]).toContain(`"data":${item?.text}}`);
    expect((await admin(simulator, 'truth')).text.trim().split('\n')).toHaveLength(3 * 20 * miners.length);
    expect((await admin(simulator, 'truth?user=nobody')).text).toBe('');
  });

  it('leaves out pages that were not delivered', async () => {
    const { simulator } = await start({ scenario: 'slow', users: 1, itemsPerList: { exactly: 100_000 } });
    const [user] = simulator.users();
    const headers = { authorization: `Bearer ${user?.accessToken}`, 'accept-encoding': 'identity' };
    simulator.setScenario({ delayMs: 0, slowCallShare: 0 });
    await (await fetch(`${simulator.url}/users/u1/fans?limit=10`, { headers })).text();
    simulator.setScenario({ slowCallShare: 1, slowCallMs: 200 });
    const abort = new AbortController();
    const lost = fetch(`${simulator.url}/users/u1/fans?limit=1000`, { headers, signal: abort.signal });
    setTimeout(() => abort.abort(), 50);
    await expect(lost).rejects.toThrow();
    while (simulator.stats().calls['lost'] === undefined) await new Promise((resolve) => setTimeout(resolve, 10));
    expect(simulator.stats()).toMatchObject({ pages: 1, items: 10, servedItems: 10, calls: { '200': 1, lost: 1 } });
  });
});

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
      forms.add(`${reply.status} ${/code \d+/.exec(fault.reason)?.[0] ?? ''} ${wait === undefined ? '' : /^\d+$/.test(wait) ? 'seconds' : 'date'}`);
    }
    const expected = ['429  seconds', '429  date', '429  ', '400 code 17 ', '403 code 32 ', '400 code 613 ', '403 code 4 '];
    expect([...forms].sort()).toEqual(expected.sort());
    expect((await reader.page('u2', 'fans')).status).toBe(200);
  });

  it('allowance: the usage headers tell the truth up to the limit', async () => {
    const { reader } = await start({ scenario: { allowanceCalls: 10, allowanceWindowMs: 3_600_000 }, users: 2 });
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
    const { reader, simulator } = await start({ scenario: { expiredUserShare: 0.3, expireAfterCalls: 1 }, users: 20, usersFile });
    const codes = async (): Promise<(string | undefined)[]> =>
      Promise.all(simulator.users().map(async ({ userId, accessToken: token }) => graph.classify(await reader.page(userId, 'fans', { token }), false, 0)?.code));
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
    const codes = await Promise.all(simulator.users().map(async ({ userId }) => graph.classify(await reader.page(userId, 'fans'), false, 0)?.code));
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
    const { reader, simulator } = await start({ scenario: { brokenUserShare: 1 }, users: 14, itemsPerList: { exactly: 5 } });
    const found = new Map<string, string>();
    for (const { userId, accessToken } of simulator.users()) {
      const call = reader.upstream.call({
        url: `${simulator.url}/users/${userId}/fans`,
        headers: { authorization: `Bearer ${accessToken}` },
        proxyUrl: null,
        maxBytes: 16_000_000,
        timeoutMs: 300,
      });
      found.set(userId, await call.then(({ status, text }) => `${status} ${text.slice(0, 12)}`, (error: Error) => (error as { code?: string }).code ?? ''));
    }
    expect(found.size).toBe(14);
    expect(simulator.stats().servedItems).toBe(0);
    expect(new Set(found.values())).toEqual(
      new Set(['200 <!doctype ht', '200 {"data":[{"i', '200 {"paging":{}', '200 {"data":null', '200 {"data":{"i', '200 {"data":[],"', '302 ', '404 <!doctype ht', '405 {"error":{"', 'page-too-large', 'transient']),
    );
  });

  it('strange: items without a good id come beside the good ones', async () => {
    const { reader } = await start({ scenario: { badItemPageShare: 1, strangeItemShare: 1 }, itemsPerList: { exactly: 3 } });
    const reply = await reader.page('u1', 'fans');
    expect((reply.body as { data: unknown[] }).data).toHaveLength(9);
    const items = itemsOf(reply);
    expect(items).toHaveLength(3);
    expect(items[0]?.text).toMatch(/"nul":"a\\u0000b","lone":"\\ud800","__proto__":\{"isAdmin":true\},"twice":2,"huge":1e400,"zero":-0,"exponent":1E5/);
    const empty = await start({ scenario: { badItemPageShare: 1 }, itemsPerList: { exactly: 0 } });
    expect((await empty.reader.page('u1', 'fans')).status).toBe(200);
  });

  it('draw their chance by user, data type and call, not by the order in which users call', async () => {
    const outcomes = async (together: boolean): Promise<string> => {
      const { reader, simulator } = await start({ scenario: { burstEnterShare: 0.3, emptyPageShare: 0.3, overlapShare: 0.3 }, users: 5, itemsPerList: { exactly: 100 } });
      const read = ({ userId }: { userId: string }): Promise<unknown> => reader.list(userId, 'chats', 10);
      const lists: unknown[] = [];
      if (together) lists.push(...(await Promise.all(simulator.users().map(read))));
      else for (const user of simulator.users().toReversed()) lists.unshift(await read(user));
      return JSON.stringify(lists);
    };
    expect(await outcomes(true)).toBe(await outcomes(false));
  });
});

describe('admin', () => {
  it('changes the scenario while it runs', async () => {
    const { reader, simulator } = await start();
    expect((await reader.page('u1', 'fans')).status).toBe(200);
    expect((await admin(simulator, 'scenario', { name: 'gone', goneUserShare: 1 })).status).toBe(200);
    expect((await reader.page('u1', 'fans')).status).toBe(404);
    expect((await admin(simulator, 'scenario', { goneUserShare: 0 })).status).toBe(200);
    expect((await reader.page('u1', 'fans')).status).toBe(200);
    expect(JSON.parse((await admin(simulator, 'stats')).text)).toMatchObject({ epoch: 0, users: 3, pages: 2, calls: { '200': 2, '404': 1 } });
  });

  it('says what is wrong with a request', async () => {
    const { simulator } = await start();
    const text = async (path: string, body: unknown): Promise<string> => {
      const answer = await admin(simulator, path, body);
      expect(answer.status).toBe(400);
      return answer.text;
    };
    expect(await text('epoch', {})).toContain('the body must be');
    expect(await text('epoch', { epoch: -1 })).toContain('epoch must be a whole number');
    expect(await text('scenario', { name: 'nonsense' })).toContain('calm');
    expect(await text('scenario', { overlapShar: 1 })).toContain('overlapShar');
    expect(await text('scenario', { overlapShare: 2 })).toContain('overlapShare must be 0..1');
    expect(await text('scenario', [])).toContain('object');
    expect((await admin(simulator, 'nothing')).status).toBe(404);
  });
});

describe('options', () => {
  it.each([
    [{ users: 0 }, /^users must be/],
    [{ users: 1, seed: 1.5 }, /^seed must be/],
    [{ users: 1, epoch: -1 }, /^epoch must be/],
    [{ users: 1, scenario: 'nonsense' }, /^scenario must be/],
    [{ users: 1, scenario: { nonsense: 1 } as object }, /^scenario has no field "nonsense"/],
    [{ users: 1, itemsPerList: { exactly: -1 } }, /^itemsPerList must be/],
  ])('%j is refused by name', async (options, message) => {
    await expect(startSimulator(options)).rejects.toThrow(message);
  });

  it('a scenario may be a JSON file', async () => {
    const file = join(temporaryFolder(), 'mine.json');
    writeFileSync(file, '{"goneUserShare":1}');
    const { reader } = await start({ scenario: file });
    expect((await reader.page('u1', 'fans')).status).toBe(404);
  });

  it('closing twice is closing once', async () => {
    const { simulator } = await start();
    await Promise.all([simulator.close(), simulator.close()]);
    await simulator.close();
  });
});
