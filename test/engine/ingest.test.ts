import { describe, expect, it } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { encodeEnvelope, type Envelope, type EnvelopeItem } from '../../runtime/core/envelope.ts';
import { envelopeObject } from '../../runtime/core/lake-name.ts';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { EngineProcess, lakeIds, lakeRows, newWorld, type World } from '../fakes/engine-rig.ts';
import { Fuse } from '../fakes/fuse.ts';
import type { HeldMessage } from '../fakes/hand-bus.ts';
import { failure, ScriptedUpstream } from '../fakes/scripted-upstream.ts';

const upstream = new ScriptedUpstream(() => failure(500));

const item = (id: string, version = `${id}-1`, observedAtMs = 1000, userId = 'u1'): EnvelopeItem => ({
  ...{ userId, runId: 'r1', id, version, observedAtMs, dataText: `{"id":"${id}","amount":1.0}` },
});

const envelopeOf = (envelopeId: string, items: readonly EnvelopeItem[]): Envelope => ({
  ...{ schemaVersion: 1, envelopeId, minerName: 'chats', source: 'mine', composedAtMs: 1_760_000_000_000, items },
});

/** Puts a body into the ingestion queue. */
async function put(world: World, text: string | Uint8Array): Promise<HeldMessage> {
  const body = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  await world.bus.send(INGESTION_QUEUE, [
    {
      messageId: world.random.uuid(),
      body,
      contentType: 'x',
      properties: { minerName: 'chats', odd: 1 },
      subject: 's',
    },
  ]);
  return world.bus.held.at(-1)!;
}

const putEnvelope = (world: World, envelopeId: string, ...items: readonly EnvelopeItem[]): Promise<HeldMessage> =>
  put(world, encodeEnvelope(envelopeOf(envelopeId, items)));

describe('ingest', () => {
  it('writes one object with one row an item, data as it was served, and settles', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e1', item('a'), item('b', 'vb', 2000, 'u2')));
    expect([...world.lake.objects]).toEqual([
      [
        envelopeObject('chats', 1_760_000_000_000, 'e1'),
        '{"miner":"chats","userId":"u1","id":"a","version":"a-1","late":false,"observedAt":"1970-01-01T00:00:01.000Z","data":{"id":"a","amount":1.0}}\n' +
          '{"miner":"chats","userId":"u2","id":"b","version":"vb","late":false,"observedAt":"1970-01-01T00:00:02.000Z","data":{"id":"b","amount":1.0}}\n',
      ],
    ]);
    expect(world.bus.held).toEqual([]);
    expect(process.completeness.counters).toMatchObject({ settled: 2, known: 0, recovered: 2 });
  });

  it('writes no object when everything is in the lake already', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e1', item('a'), item('b')));
    await process.deliver(await putEnvelope(world, 'e2', item('a'), item('b')));
    expect(world.lake.objects.size).toBe(1);
    expect(process.completeness.counters).toMatchObject({ settled: 4, known: 2 });
    await process.completeness.audit();
    expect(process.completeness.counters.lake).toBe(2);
  });

  it('marks a version that comes after a newer one as late', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e2', item('a', 'v2', 2000)));
    await process.deliver(await putEnvelope(world, 'e1', item('a', 'v1', 1000)));
    expect(lakeRows(world.lake).map(({ version, late }) => [version, late])).toEqual([
      ['v2', false],
      ['v1', true],
    ]);
  });

  it('tells the cache the newest version, not the one that the envelope carried', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e2', item('a', 'v2', 2000)));
    await process.deliver(await putEnvelope(world, 'e1', item('a', 'v1', 1000)));
    const sight = (version: string) =>
      process.checkpoints.seen('chats', [{ userId: 'u1', id: 'a', version, runId: 'r' }], 1000);
    const reads = world.ledger.items.reads;
    expect(await sight('v2')).toEqual([true]);
    expect(await sight('v1')).toEqual([false]);
    expect(world.ledger.items.reads).toBe(reads);
  });

  it('goes on when no cache answers', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    world.redis.isDown = true;
    process.memory.isDown = true;
    await process.deliver(await putEnvelope(world, 'e1', item('a')));
    expect(lakeIds(world.lake)).toEqual(['u1/a']);
    expect(process.tierErrors).toHaveLength(2);
  });

  it('counts an envelope once, however often it is delivered', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const held = await putEnvelope(world, 'e1', item('a'));
    const first = await process.handle(held);
    const second = await process.handle(held);
    for (const handled of [first, second]) if (handled.settlement.kind === 'complete') handled.settled?.();
    expect(process.completeness.counters).toMatchObject({ settled: 1 });
  });

  it('counts nothing before the broker has confirmed the settlement', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.handle(await putEnvelope(world, 'e1', item('a')));
    expect(process.completeness.counters.settled).toBe(0);
  });
});

describe('ingest that is interrupted', () => {
  const both = [item('a'), item('b', 'b-1', 1000, 'u2')];

  async function callsOfOne(): Promise<number> {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e1', ...both));
    return process.fuse.calls;
  }

  it.each(['before', 'after'] as const)(
    'at any step, %s its effect, ends with the same object and each item once',
    async (when) => {
      const calls = await callsOfOne();
      expect(calls).toBeGreaterThanOrEqual(5);
      for (const mode of ['crash', 'hiccup'] as const) {
        for (let at = 1; at <= calls; at += 1) {
          const world = newWorld();
          const first = new EngineProcess(world, { upstream, fuse: new Fuse({ at, when, mode }) });
          const held = await putEnvelope(world, 'e1', ...both);
          await first.handle(held).catch(() => undefined);
          const text = world.lake.objects.get(envelopeObject('chats', 1_760_000_000_000, 'e1'));
          const second = new EngineProcess(world, { upstream });
          await second.deliver(held);
          expect(lakeIds(world.lake), `${mode} at call ${at}`).toEqual(['u1/a', 'u2/b']);
          if (text !== undefined) expect([...world.lake.objects.values()]).toEqual([text]);
          expect(second.completeness.counters).toMatchObject({ settled: 2, known: 0 });
          expect(world.bus.held).toEqual([]);
        }
      }
    },
  );

  it('at any step while another envelope brings the same items, still ends with each item once', async () => {
    const calls = await callsOfOne();
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; at <= calls; at += 1) {
        const world = newWorld();
        const first = new EngineProcess(world, { upstream, fuse: new Fuse({ at, when, mode: 'crash' }) });
        const one = await putEnvelope(world, 'e1', ...both);
        const other = await putEnvelope(world, 'e2', ...both);
        await first.handle(one).catch(() => undefined);
        const second = new EngineProcess(world, { upstream });
        await second.deliver(other);
        await second.deliver(one);
        expect(lakeIds(world.lake), `${when} at call ${at}`).toEqual(['u1/a', 'u2/b']);
        await second.completeness.audit();
        expect(second.completeness.counters).toMatchObject({ settled: 4, known: 2, lake: 2 });
      }
    }
  });

  it('by a lost lock, so that two workers have it at once, ends with one object', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const held = await putEnvelope(world, 'e1', ...both);
    const handled = await Promise.all([process.handle(held), process.handle(held), process.handle(held)]);
    for (const one of handled) world.bus.settle(held, one);
    expect(lakeIds(world.lake)).toEqual(['u1/a', 'u2/b']);
    expect(process.completeness.counters).toMatchObject({ settled: 2, known: 0 });
  });

  it('by a ledger that is away gives the message back', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const held = await putEnvelope(world, 'e1', ...both);
    world.ledger.items.fail = new Error('away');
    await expect(process.handle(held)).rejects.toThrow('away');
    world.ledger.items.fail = undefined;
    world.lake.fail = new Error('full');
    await expect(process.handle(held)).rejects.toThrow('full');
    world.lake.fail = undefined;
    await process.deliver(held);
    expect(lakeIds(world.lake)).toEqual(['u1/a', 'u2/b']);
  });
});

describe('claims under contention', () => {
  it('give one owner to each version when many envelopes bring the same page at once', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const items = Array.from({ length: 150 }, (_, at) => item(`i${at}`));
    const held: HeldMessage[] = [];
    for (let at = 0; at < 12; at += 1) held.push(await putEnvelope(world, `e${at}`, ...items));
    await Promise.all(held.map((one) => process.deliver(one)));
    expect(lakeIds(world.lake)).toEqual(items.map(({ id }) => `u1/${id}`).toSorted());
  });

  it('cost no read for items that nobody has claimed', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e1', item('a'), item('b')));
    expect(world.ledger.items).toMatchObject({ reads: 0, writes: 2 });
  });

  it('are given up after a number of lost rounds, and lose nothing', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const write = world.ledger.items.write.bind(world.ledger.items);
    world.ledger.items.write = async (writes) => writes.map(() => ({ ok: false as const }));
    const held = await putEnvelope(world, 'e1', item('a'));
    await expect(process.handle(held)).rejects.toThrow(/lost 20 rounds/);
    world.ledger.items.write = write;
    await process.deliver(held);
    expect(lakeIds(world.lake)).toEqual(['u1/a']);
  });

  it('survive a table that refuses rows only because a neighbour was refused', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e1', item('a')));
    const write = world.ledger.items.write.bind(world.ledger.items);
    let refusals = 0;
    world.ledger.items.write = async (writes) => {
      if (refusals > 0) return write(writes);
      refusals += 1;
      return writes.map(() => ({ ok: false as const }));
    };
    await process.deliver(await putEnvelope(world, 'e2', item('a'), item('b'), item('c')));
    expect(lakeIds(world.lake)).toEqual(['u1/a', 'u1/b', 'u1/c']);
  });
});

describe('a message that ingest cannot take', () => {
  it('is a dead letter when its envelope was ingested with another body; the first stays', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e1', item('a')));
    const before = new Map(world.lake.objects);
    await process.deliver(await putEnvelope(world, 'e1', item('a'), item('z')));
    expect(world.bus.deadLetters.map(({ reason }) => reason)).toEqual(['envelope-conflict']);
    expect(world.lake.objects).toEqual(before);
    expect(process.completeness.counters.settled).toBe(1);
  });

  const bare = JSON.stringify({ ...envelopeOf('e1', []), items: [{ ...item('a'), data: 1 }] });
  it.each<[string, string | Uint8Array]>([
    ['no text', new Uint8Array([0xff, 0xfe, 0x00])],
    ['empty', new Uint8Array()],
    ['no JSON', '{'],
    ['no envelope', '{"schemaVersion":1}'],
    ['an envelope with an id that no table takes', bare.replace('"e1"', '"e/1"')],
    ['an envelope of a time that no date holds', bare.replace('1760000000000', '1e300')],
    ['an item of a time that no date holds', bare.replace('"observedAtMs":1000', '"observedAtMs":9e15')],
    ['a pointer that leaves its folder', bare.replace('"data":1', '"dataRef":"oversize/../../x"')],
  ])('is a dead letter when it is %s', async (_, body) => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await put(world, body));
    expect(world.bus.deadLetters.map(({ reason }) => reason)).toEqual(['envelope-unreadable']);
    expect(world.lake.objects.size + world.ledger.items.writes).toBe(0);
  });

  it('waits as a new message when only newer code can read it, and never uses up its deliveries', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const newer = JSON.stringify({ schemaVersion: 2, else: 'unknown' });
    const first = await put(world, newer);
    for (let round = 0; round < 200; round += 1) {
      const [held] = world.bus.in(INGESTION_QUEUE);
      await process.deliver(held!);
      expect(world.bus.held).toHaveLength(1);
    }
    const [last] = world.bus.in(INGESTION_QUEUE);
    expect(last).toMatchObject({
      deliveryCount: 0,
      message: { contentType: 'x', subject: 's', properties: { odd: 1 } },
    });
    expect(last?.message.messageId).not.toBe(first.message.messageId);
    expect(last?.message.body).toEqual(first.message.body);
    expect(last?.message.notBeforeMs).toBe(world.clock.now() + 30_000);
    expect(world.bus.deadLetters).toEqual([]);
  });

  it('comes again when the wait for newer code cannot be sent', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const held = await put(world, '{"schemaVersion":2}');
    world.bus.beforeSend = () => {
      throw new Error('bus away');
    };
    await expect(process.deliver(held)).rejects.toThrow('bus away');
    expect(world.bus.held).toEqual([held]);
  });
});

describe('a claim check', () => {
  const { dataText: _, ...meta } = item('big');
  const pointing = { ...meta, dataRef: 'oversize/chats/big-1.ndjson.gz' };

  it('brings the item from where it waits', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await world.lake.write(pointing.dataRef, '{"id":"big","n":1.0}\n');
    await process.deliver(await putEnvelope(world, 'e1', pointing, item('a')));
    const [text] = [...world.lake.objects].filter(([name]) => name.startsWith('lake/')).map(([, value]) => value);
    expect(text).toContain('"data":{"id":"big","n":1.0}}\n');
    expect(lakeIds(world.lake)).toEqual(['u1/a', 'u1/big']);
  });

  it('that dangles is a fault of its item only, and says so in its row', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await putEnvelope(world, 'e1', pointing, item('a')));
    const rows = lakeRows(world.lake) as unknown as readonly Record<string, unknown>[];
    expect(rows).toHaveLength(2);
    expect(rows[0]).toMatchObject({ id: 'big', fault: 'oversize-gone', data: null });
    expect(rows[1]).toMatchObject({ id: 'a', data: { amount: 1 } });
    await process.completeness.audit();
    expect(process.completeness.counters).toMatchObject({ settled: 2, lake: 2 });
  });
});

describe('keys of items', () => {
  it('tell ids apart that differ only in case or in a lone surrogate', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const ids = ['abc', 'ABC', 'x\ud800', 'x\ud801', 'x\ufffd', 'x'];
    await process.deliver(await putEnvelope(world, 'e1', ...ids.map((id, at) => item(id, `v${at}`))));
    const seen = await process.checkpoints.seen(
      'chats',
      ids.map((id, at) => ({ userId: 'u1', id, version: `v${at}`, runId: 'r' })),
      1000,
    );
    expect(seen).toEqual(ids.map(() => true));
    expect(new Set(ids.map((id) => process.checkpoints.keyOf('chats', 'u1', id).row)).size).toBe(ids.length);
    expect(process.checkpoints.keyOf('chats', 'u1', 'a').row.startsWith(sha256Digest.sha256('u1', 20))).toBe(true);
  });
});
