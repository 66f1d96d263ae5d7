import { describe, expect, it } from 'vitest';
import type { EnvelopeItem } from '../../runtime/core/envelope.ts';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import type { PackerOptions } from '../../runtime/engine/deliver.ts';
import { EngineProcess, envelopeIn, lakeIds, newWorld, type World } from '../fakes/engine-rig.ts';
import { failure, ScriptedUpstream } from '../fakes/scripted-upstream.ts';
import { TestClock } from '../fakes/test-clock.ts';

const upstream = new ScriptedUpstream(() => failure(500));

const item = (id: string, sizeBytes = 10, userId = 'u1', version = `${id}-1`): EnvelopeItem => ({
  ...{ userId, runId: 'r1', id, version, observedAtMs: 1000 },
  dataText: JSON.stringify('x'.repeat(sizeBytes)),
});

const items = (count: number, sizeBytes = 10, prefix = 'i'): readonly EnvelopeItem[] =>
  Array.from({ length: count }, (_, at) => item(`${prefix}${at}`, sizeBytes));

function rig(packer: Partial<PackerOptions> = {}): { world: World; process: EngineProcess } {
  const world = newWorld();
  return { world, process: new EngineProcess(world, { upstream, packer }) };
}

/** Ids of each envelope that was sent, in the order of sending. */
const sentIds = (world: World): readonly (readonly string[])[] =>
  world.bus.sent.map((held) => envelopeIn(held).items.map(({ id }) => id));

const sizes = (world: World): readonly number[] => world.bus.sent.map(({ message }) => message.body.length);

describe('the packer', () => {
  it('packs the items of runs that wait together into one envelope', async () => {
    const { world, process } = rig();
    for (let run = 0; run < 3; run += 1) process.packer.enter();
    const deliveries = await Promise.all([
      process.packer.add(items(2, 10, 'a')),
      process.packer.add(items(2, 10, 'b')),
      process.packer.add([item('c', 10, 'u2')]),
    ]);
    expect(deliveries.map(({ delivered, error }) => [delivered, error])).toEqual([
      [2, undefined],
      [2, undefined],
      [1, undefined],
    ]);
    expect(sentIds(world)).toEqual([['a0', 'a1', 'b0', 'b1', 'c']]);
    expect(process.completeness.counters.sent).toBe(5);
  });

  it('sends the envelope with its id as message id, and says what is in it', async () => {
    const { world, process } = rig();
    await process.packer.add([item('a'), item('b')]);
    const [held] = world.bus.sent;
    const envelope = envelopeIn(held!);
    expect(held).toMatchObject({
      entity: INGESTION_QUEUE,
      message: {
        messageId: envelope.envelopeId,
        contentType: 'application/vnd.adit.envelope+json',
        subject: 'chats',
        properties: { contentEncoding: 'br', minerName: 'chats', items: 2 },
      },
    });
    expect(envelope).toMatchObject({ minerName: 'chats', source: 'mine', composedAtMs: world.clock.now() });
  });

  it('lingers while a run is still at work, and no longer than it is told', async () => {
    const world = newWorld();
    const clock = new TestClock();
    const process = new EngineProcess(world, { upstream, clock, packer: { lingerMs: 100 } });
    process.packer.enter();
    process.packer.enter();
    const delivery = process.packer.add([item('a')]);
    await clock.advance(99);
    expect(world.bus.sent).toHaveLength(0);
    await clock.advance(1);
    expect(world.bus.sent).toHaveLength(1);
    expect(await delivery).toEqual({ delivered: 1, error: undefined });
  });

  it('does not linger when every run waits, also when the last one has left', async () => {
    const world = newWorld();
    const clock = new TestClock();
    const process = new EngineProcess(world, { upstream, clock, packer: { lingerMs: 1e9 } });
    for (let run = 0; run < 3; run += 1) process.packer.enter();
    const first = process.packer.add([item('a')]);
    const second = process.packer.add([item('b')]);
    await clock.advance(0);
    expect(world.bus.sent).toHaveLength(0);
    process.packer.leave();
    await Promise.all([first, second]);
    expect(sentIds(world)).toEqual([['a', 'b']]);
  });

  it('lingers again for the next envelope', async () => {
    const world = newWorld();
    const clock = new TestClock();
    const process = new EngineProcess(world, { upstream, clock, packer: { lingerMs: 100 } });
    process.packer.enter();
    process.packer.enter();
    const first = process.packer.add([item('a')]);
    await clock.advance(60);
    const second = process.packer.add([item('b')]);
    await Promise.all([first, second]);
    process.packer.add([item('c')]).catch(() => undefined);
    // The timer of the first envelope must not flush the second one.
    await clock.advance(60);
    expect(sentIds(world)).toEqual([['a', 'b']]);
    await clock.advance(40);
    expect(sentIds(world)).toEqual([['a', 'b'], ['c']]);
  });

  it('takes an empty page', async () => {
    const { world, process } = rig();
    expect(await process.packer.add([])).toEqual({ delivered: 0, error: undefined });
    expect(world.bus.sent).toEqual([]);
  });

  it('never sends more than it is told, and sends everything once', async () => {
    const { world, process } = rig({ sealedMaxBytes: 5000 });
    const all = Array.from({ length: 400 }, (_, at) => item(`i${at}`, (at * 37) % 900));
    const delivery = await process.packer.add(all);
    expect(delivery).toEqual({ delivered: 400, error: undefined });
    expect(Math.max(...sizes(world))).toBeLessThanOrEqual(5000);
    expect(sentIds(world).flat().toSorted()).toEqual(all.map(({ id }) => id).toSorted());
    expect(new Set(world.bus.sent.map(({ message }) => message.messageId)).size).toBe(world.bus.sent.length);
    expect(process.completeness.counters.sent).toBe(400);
  });

  it('halves an envelope that is larger sealed than it was guessed, with a new id for each part', async () => {
    const { world, process } = rig({ sealedMaxBytes: 3000 });
    // The guess is half of the text; this compression compresses nothing.
    const delivery = await process.packer.add(items(20, 100));
    expect(delivery).toEqual({ delivered: 20, error: undefined });
    expect(world.bus.sent.length).toBeGreaterThan(1);
    expect(Math.max(...sizes(world))).toBeLessThanOrEqual(3000);
  });

  it('puts at most 5000 items into an envelope', async () => {
    const { world, process } = rig({ sealedMaxBytes: 250_000_000 });
    await process.packer.add(items(12_000));
    expect(sentIds(world).map((ids) => ids.length)).toEqual([5000, 5000, 2000]);
  });

  it('holds one version of an item in an envelope, also of different runs', async () => {
    const { world, process } = rig();
    for (let run = 0; run < 2; run += 1) process.packer.enter();
    await Promise.all([
      process.packer.add([item('a', 10, 'u1', 'v1'), item('b')]),
      process.packer.add([item('a', 10, 'u1', 'v2'), item('a', 10, 'u2', 'v1')]),
    ]);
    expect(sentIds(world)).toEqual([
      ['a', 'b'],
      ['a', 'a'],
    ]);
    for (const held of world.bus.sent) {
      const keys = envelopeIn(held).items.map(({ userId, id }) => `${userId}/${id}`);
      expect(new Set(keys).size).toBe(keys.length);
    }
  });

  it('tells users and ids apart whatever they contain', async () => {
    const { world, process } = rig();
    await process.packer.add([
      item('b","c', 1, 'a'),
      item('c', 1, 'a","b'),
      item('/b', 1, 'a'),
      item('b', 1, 'a/'),
      item('b', 1, 'a'),
    ]);
    expect(sentIds(world)).toHaveLength(1);
  });
});

describe('a single item too large for a message', () => {
  it('waits in the lake, written before its pointer is sent, and comes out whole', async () => {
    const { world, process } = rig({ sealedMaxBytes: 2000 });
    const big = item('big', 10_000);
    world.bus.beforeSend = (_, messages) => {
      const text = new TextDecoder().decode(messages[0]?.body);
      if (text.includes('"dataRef"')) expect([...world.lake.objects.values()]).toEqual([`${big.dataText}\n`]);
    };
    const delivery = await process.packer.add([item('a'), big, item('b')]);
    expect(delivery).toEqual({ delivered: 3, error: undefined });
    expect(Math.max(...sizes(world))).toBeLessThanOrEqual(2000);
    const pointers = world.bus.sent
      .flatMap((held) => envelopeIn(held).items)
      .filter(({ dataRef }) => dataRef !== undefined);
    const row = process.checkpoints.keyOf('chats', 'u1', 'big').row;
    expect(pointers).toMatchObject([{ id: 'big', version: 'big-1', dataRef: `oversize/chats/${row}-big-1.ndjson.gz` }]);
    await process.drain();
    expect(lakeIds(world.lake)).toEqual(['u1/a', 'u1/b', 'u1/big']);
    expect(process.errors).toEqual([]);
  });

  it('is reported when the lake cannot take it; the others are delivered', async () => {
    const { world, process } = rig({ sealedMaxBytes: 2000 });
    world.lake.fail = new Error('disk full');
    const delivery = await process.packer.add([item('a'), item('big', 10_000), item('b')]);
    expect(delivery).toMatchObject({ delivered: 2, error: { message: 'disk full' } });
    expect(sentIds(world).flat().toSorted()).toEqual(['a', 'b']);
  });

  it('is one whose text is larger than what ingest decodes, however small it is sealed', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream, packer: { sealedMaxBytes: 250_000_000 } });
    await process.packer.add([item('huge', 23_000_000)]);
    expect(sizes(world)[0]).toBeLessThan(1000);
    await process.drain();
    expect(lakeIds(world.lake)).toEqual(['u1/huge']);
  });
});

describe('a send that fails', () => {
  it('is reported to each run that had an item in the envelope, and to no other', async () => {
    const { world, process } = rig({ sealedMaxBytes: 1000 });
    for (let run = 0; run < 3; run += 1) process.packer.enter();
    world.bus.beforeSend = (_, messages) => {
      if (new TextDecoder().decode(messages[0]?.body).includes('"id":"bad"')) throw new Error('no');
    };
    const deliveries = await Promise.all([
      process.packer.add([item('a', 500), item('b', 500)]),
      process.packer.add([item('bad', 500), item('c', 500)]),
      process.packer.add([item('d', 500)]),
    ]);
    expect(deliveries.map(({ delivered }) => delivered)).toEqual([2, 1, 1]);
    expect(deliveries.map(({ error }) => (error as Error | undefined)?.message)).toEqual([undefined, 'no', undefined]);
    expect(process.completeness.counters.sent).toBe(4);
    expect(process.completeness.unsettled()).toBe(4);
  });

  it('never blocks or loses what comes after it', async () => {
    const { world, process } = rig();
    world.bus.beforeSend = () => {
      throw new Error('bus away');
    };
    expect(await process.packer.add([item('a')])).toMatchObject({ delivered: 0, error: { message: 'bus away' } });
    world.bus.beforeSend = undefined;
    expect(await process.packer.add([item('a')])).toEqual({ delivered: 1, error: undefined });
    expect(sentIds(world)).toEqual([['a']]);
    expect(process.completeness.unsettled()).toBe(1);
  });

  it('in doubt is counted as recovered once it is settled', async () => {
    const { world, process } = rig();
    world.bus.afterSend = () => {
      throw new Error('answer lost');
    };
    expect(await process.packer.add([item('a')])).toMatchObject({ delivered: 0, error: { message: 'answer lost' } });
    await process.drain();
    await process.completeness.audit();
    expect(process.completeness.counters).toMatchObject({ sent: 0, settled: 1, recovered: 1, lake: 1 });
  });

  it('of one half leaves the other half delivered', async () => {
    const { world, process } = rig({ sealedMaxBytes: 1500 });
    world.bus.beforeSend = (_, messages) => {
      if (new TextDecoder().decode(messages[0]?.body).includes('"id":"i0"')) throw new Error('no');
    };
    const delivery = await process.packer.add(items(8, 200));
    expect(delivery.error).toMatchObject({ message: 'no' });
    expect(delivery.delivered).toBe(sentIds(world).flat().length);
    expect(delivery.delivered).toBeGreaterThan(0);
    expect(sentIds(world).flat()).not.toContain('i0');
  });
});
