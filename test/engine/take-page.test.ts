import { describe, expect, it } from 'vitest';
import { parseServed } from '../../runtime/core/served-json.ts';
import { decideFiring } from '../../runtime/core/run.ts';
import { equationsOf } from '../../runtime/engine/completeness.ts';
import { ITEM_ID_LIMIT, PAGE_VERSIONS_LIMIT, takePage, type TakenPage } from '../../runtime/engine/take-page.ts';
import { EngineProcess, envelopeIn, lakeRows, newWorld, type World } from '../fakes/engine-rig.ts';
import { failure, ScriptedUpstream } from '../fakes/scripted-upstream.ts';

const upstream = new ScriptedUpstream(() => failure(500));

const { run } = decideFiring(undefined, {
  ...{ runId: 'r1', userId: 'u1', minerName: 'chats', pageLimit: 100 },
  ...{ tokenHash: 't', nowMs: 1, reviveAfterMs: 1 },
});

function rig(): {
  world: World;
  process: EngineProcess;
  take: (texts: readonly string[], atMs?: number) => Promise<TakenPage>;
} {
  const world = newWorld();
  const process = new EngineProcess(world, { upstream });
  const take = (texts: readonly string[], atMs = 1000) =>
    takePage(process.mineDeps, process.miner, run, texts.map(parseServed), atMs);
  return { world, process, take };
}

const sentItems = (world: World) => world.bus.sent.flatMap((held) => envelopeIn(held).items);

const rejectedLines = (world: World): readonly Record<string, unknown>[] =>
  [...world.lake.objects]
    .filter(([name]) => name.startsWith('rejected/'))
    .flatMap(([, text]) => text.trimEnd().split('\n'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe('takePage', () => {
  it('sends the items of a page as they were served', async () => {
    const { world, take } = rig();
    expect(await take(['{"id":"a","n":1.0}', '{"id":"b","__proto__":{"x":-0}}'])).toMatchObject({
      fresh: 2,
      observedAtMs: 1000,
    });
    expect(sentItems(world).map(({ dataText }) => dataText)).toEqual([
      '{"id":"a","n":1.0}',
      '{"id":"b","__proto__":{"x":-0}}',
    ]);
    expect(sentItems(world)).toMatchObject([{ userId: 'u1', runId: 'r1', id: 'a', observedAtMs: 1000 }, { id: 'b' }]);
  });

  it('takes an empty page', async () => {
    const { world, process, take } = rig();
    expect(await take([])).toMatchObject({ fresh: 0, observedAtMs: 1000 });
    expect(world.bus.sent).toEqual([]);
    expect(process.completeness.counters.fetched).toBe(0);
  });

  it('sends nothing again that is on its way or in the lake', async () => {
    const { world, process, take } = rig();
    await take(['{"id":"a"}']);
    expect(await take(['{"id":"a"}', '{"id":"b"}'], 2000)).toMatchObject({ fresh: 1, observedAtMs: 2000 });
    await process.drain();
    expect(await take(['{"id":"a"}', '{"id":"b"}'], 3000)).toMatchObject({ fresh: 0, observedAtMs: 3000 });
    expect(sentItems(world).map(({ id }) => id)).toEqual(['a', 'b']);
    expect(process.completeness.counters).toMatchObject({ fetched: 5, new: 2, seen: 3 });
  });

  it('takes the same content in another order of its keys for the same version, another number text for a new one', async () => {
    const { process, take } = rig();
    await take(['{"id":"a","x":1,"y":2}']);
    expect((await take(['{"y":2,"x":1,"id":"a"}'])).fresh).toBe(0);
    expect((await take(['{"id":"a","x":1.0,"y":2}'])).fresh).toBe(1);
    expect(process.completeness.counters).toMatchObject({ fetched: 3, new: 2, seen: 1 });
  });

  it('drops an equal item that is twice on a page', async () => {
    const { world, process, take } = rig();
    expect(await take(['{"id":"a"}', '{"id":"b"}', '{"id":"a"}'])).toMatchObject({ fresh: 2 });
    expect(sentItems(world).map(({ id }) => id)).toEqual(['a', 'b']);
    expect(process.completeness.counters).toMatchObject({ fetched: 3, new: 2, seen: 1 });
  });

  it('takes changed items of one page as later observations, in one envelope each', async () => {
    const { world, process, take } = rig();
    const page = ['{"id":"a","v":1}', '{"id":"a","v":2}', '{"id":"b"}', '{"id":"a","v":1}', '{"id":"a","v":1}'];
    expect(await take(page)).toMatchObject({ fresh: 4, observedAtMs: 1002 });
    expect(world.bus.sent).toHaveLength(3);
    await process.drain();
    const rows = lakeRows(world.lake).filter(({ id }) => id === 'a');
    const inOrder = rows.toSorted((left, right) => (left.observedAt < right.observedAt ? -1 : 1));
    expect(inOrder.map(({ data, late }) => [(data as { v: number }).v, late])).toEqual([
      [1, false],
      [2, false],
      [1, false],
    ]);
    expect(process.completeness.counters).toMatchObject({ fetched: 5, new: 4, seen: 1 });
  });

  it('takes a known version that comes back on the same page after another one', async () => {
    const { process, take } = rig();
    await take(['{"id":"a","v":1}']);
    expect(await take(['{"id":"a","v":1}', '{"id":"a","v":2}', '{"id":"a","v":1}'], 2000)).toMatchObject({
      fresh: 2,
      observedAtMs: 2002,
    });
    expect(process.completeness.counters).toMatchObject({ fetched: 4, new: 3, seen: 1 });
  });

  it('sets aside what has no usable id, with reason and data, and takes the rest of the page', async () => {
    const { world, process, take } = rig();
    const long = JSON.stringify({ id: 'x'.repeat(ITEM_ID_LIMIT + 1) });
    const bad = [
      '{"n":1.0}',
      '{"id":5}',
      '{"id":""}',
      '{"id":null}',
      '{"id":["a"]}',
      '"a"',
      '5',
      'null',
      '[]',
      '{"__proto__":{"id":"a"}}',
      long,
    ];
    const longest = JSON.stringify({ id: 'x'.repeat(ITEM_ID_LIMIT) });
    expect(await take([...bad, '{"id":"good"}', longest])).toMatchObject({ fresh: 2 });
    const lines = rejectedLines(world);
    expect(lines).toHaveLength(bad.length);
    expect(lines[0]).toEqual({
      ...{
        miner: 'chats',
        userId: 'u1',
        reason: 'id must be a text of 1..4096 characters',
        data: { n: 1 },
      },
    });
    expect([...world.lake.objects.values()].join('')).toContain('"data":{"n":1.0}}\n');
    expect(process.completeness.counters).toMatchObject({ fetched: 13, new: 2, seen: 0, rejected: 11 });
  });

  it('sets aside more versions of one id than a page may hold, and counts them', async () => {
    const { world, process, take } = rig();
    const versions = Array.from({ length: PAGE_VERSIONS_LIMIT + 3 }, (_, n) => `{"id":"a","n":${n}}`);
    expect(await take([...versions, '{"id":"b"}'])).toMatchObject({ fresh: PAGE_VERSIONS_LIMIT + 1 });
    expect(sentItems(world)).toHaveLength(PAGE_VERSIONS_LIMIT + 1);
    const rejected = rejectedLines(world);
    expect(rejected.map(({ data }) => data)).toEqual([100, 101, 102].map((n) => ({ id: 'a', n })));
    expect(rejected[0]).toMatchObject({ reason: 'more than 100 versions of one id on one page' });
    const { fetched, rejected: count } = process.completeness.counters;
    expect([fetched, count]).toEqual([versions.length + 1, 3]);
  });

  it('keeps the equations whatever a page holds', async () => {
    const { process, take } = rig();
    for (const page of [['{"id":"a"}', '{}'], ['{"id":"a"}', '{"id":"a","v":2}'], [], ['{"id":"b"}', '{"id":"b"}']])
      await take(page);
    await process.drain();
    await process.completeness.audit();
    expect(equationsOf(process.completeness.counters).filter(({ holds }) => !holds)).toEqual([]);
  });
});

describe('a page whose delivery fails', () => {
  it('throws the error, counts only what was delivered, and is new when it comes again', async () => {
    const { world, process, take } = rig();
    world.bus.beforeSend = () => {
      throw new Error('bus away');
    };
    await expect(take(['{"id":"a"}', '{}'])).rejects.toThrow('bus away');
    expect(process.completeness.counters).toMatchObject({ fetched: 0, new: 0, sent: 0, seen: 0, rejected: 0 });
    world.bus.beforeSend = undefined;
    expect(await take(['{"id":"a"}', '{}'])).toMatchObject({ fresh: 1 });
    expect(process.completeness.counters).toMatchObject({ fetched: 2, new: 1, sent: 1, rejected: 1 });
    expect(rejectedLines(world)).toHaveLength(1);
  });

  it('counts the envelopes that got through, so that sent stays equal to new', async () => {
    const { world, process, take } = rig();
    let sends = 0;
    world.bus.beforeSend = () => {
      sends += 1;
      if (sends === 2) throw new Error('bus away');
    };
    await expect(take(['{"id":"a","v":1}', '{"id":"a","v":2}', '{"id":"a","v":3}'])).rejects.toThrow('bus away');
    expect(process.completeness.counters).toMatchObject({ fetched: 1, new: 1, sent: 1 });
    world.bus.beforeSend = undefined;
    await take(['{"id":"a","v":1}', '{"id":"a","v":2}', '{"id":"a","v":3}'], 2000);
    await process.drain();
    await process.completeness.audit();
    expect(equationsOf(process.completeness.counters).filter(({ holds }) => !holds)).toEqual([]);
    expect(new Set(lakeRows(world.lake).map(({ version }) => version)).size).toBe(3);
  });

  it('leaves nothing for another worker to count on while it is under way', async () => {
    const { world, process, take } = rig();
    const gate = Promise.withResolvers<void>();
    let isFirst = true;
    world.bus.beforeSend = async () => {
      if (!isFirst) return;
      isFirst = false;
      await gate.promise;
      throw new Error('bus away');
    };
    const first = take(['{"id":"a"}']).catch((error: unknown) => error);
    // A second worker whose page is taken as delivered moves the page checkpoint: it must have sent the item itself.
    expect(await take(['{"id":"a"}'])).toMatchObject({ fresh: 1 });
    gate.resolve();
    expect(await first).toMatchObject({ message: 'bus away' });
    expect(sentItems(world).map(({ id }) => id)).toEqual(['a']);
    await process.drain();
    expect(lakeRows(world.lake)).toHaveLength(1);
  });

  it('throws when the ledger or the lake cannot be asked, and sends nothing', async () => {
    const { world, take } = rig();
    world.ledger.items.fail = new Error('ledger away');
    await expect(take(['{"id":"a"}'])).rejects.toThrow('ledger away');
    world.ledger.items.fail = undefined;
    world.lake.fail = new Error('lake away');
    await expect(take(['{"id":"a"}', '{}'])).rejects.toThrow('lake away');
    expect(world.bus.sent).toEqual([]);
  });
});
