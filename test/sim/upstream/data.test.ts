import { afterEach, describe, expect, it } from 'vitest';

import { miners } from '../../../runtime/catalog.ts';
import { itemText } from '../../../runtime/local/upstream/items.ts';
import { graph } from '../../../runtime/upstreams/graph.ts';
import { closeAll, admin, idsOf, SEED, start } from './running.ts';

afterEach(closeAll);

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
      const sizes = items.map(({ text }) => Buffer.byteLength(text));
      expect(sizes.reduce((sum, size) => sum + size) / sizes.length).toBeGreaterThan(330);
      expect(Math.max(...sizes)).toBeLessThan(700);
      expect(
        items.every(({ text }) => text.isWellFormed() && typeof (JSON.parse(text) as { id: unknown }).id === 'string'),
      ).toBe(true);
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
    const text = itemText(key, 2_000_000);
    expect(JSON.parse(text)).toHaveProperty('id', 'msg_7_3');
    expect(Buffer.byteLength(text)).toBeGreaterThan(1_900_000);
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
      expect(
        (await fetch(`${simulator.url}/users/${userId}/fans`, { headers })).headers.get('content-encoding'),
      ).toBeNull();
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
    const codes = await Promise.all(
      dying.map(async (marker) => graph.classify(await reader.page('u1', 'fans', { after: marker }), true, 0)?.code),
    );
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
