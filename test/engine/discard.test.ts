import { describe, expect, it } from 'vitest';
import { encodeEnvelope, type Envelope, type EnvelopeItem } from '../../runtime/core/envelope.ts';
import { decodeEnvelopeState } from '../../runtime/core/envelope-row.ts';
import { envelopeKey } from '../../runtime/core/keys.ts';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { markDiscarded } from '../../runtime/engine/discard.ts';
import { noticeIngested } from '../../runtime/engine/elsewhere.ts';
import { EngineProcess, envelopeIn, lakeIds, lakeRows, newWorld, type World } from '../fakes/engine-rig.ts';
import { Fuse } from '../fakes/fuse.ts';
import type { HeldMessage } from '../fakes/hand-bus.ts';
import { failure, ScriptedUpstream, serveLists } from '../fakes/scripted-upstream.ts';

const upstream = new ScriptedUpstream(() => failure(500));

const item = (id: string, version = `${id}-1`, observedAtMs = 1000): EnvelopeItem => ({
  ...{ userId: 'u1', runId: 'r1', id, version, observedAtMs, dataText: `{"id":"${id}"}` },
});

async function put(world: World, envelopeId: string, ...items: readonly EnvelopeItem[]): Promise<HeldMessage> {
  const header = { schemaVersion: 1, envelopeId, minerName: 'chats', source: 'mine' as const };
  const envelope: Envelope = { ...header, composedAtMs: 1_760_000_000_000, items };
  const body = new TextEncoder().encode(encodeEnvelope(envelope));
  const message = { messageId: world.random.uuid(), body, contentType: 'x', properties: {} };
  await world.bus.send(INGESTION_QUEUE, [message]);
  return world.bus.held.at(-1)!;
}

/** A worker that dies at its n-th call: 1 looks, 2 claims, 3 makes the object, 4 marks it done. */
async function dieAt(world: World, held: HeldMessage, at: number, when: 'before' | 'after' = 'before'): Promise<void> {
  const fuse = new Fuse({ at, when, mode: 'crash' });
  await expect(new EngineProcess(world, { upstream, fuse }).deliver(held)).rejects.toThrow();
}

const mark = (world: World, id: string): ReturnType<typeof markDiscarded> =>
  markDiscarded(world.ledger.envelopes, id, world.clock.now());

async function stateOf(world: World, id: string): Promise<unknown> {
  const [row] = await world.ledger.envelopes.read([envelopeKey(id)]);
  return row === undefined ? undefined : decodeEnvelopeState(row.value);
}

const seen = (process: EngineProcess, { id, version }: EnvelopeItem): Promise<readonly boolean[]> =>
  process.checkpoints.seen('chats', [{ userId: 'u1', id, version, runId: 'r2' }], 1000);

describe('a discarded envelope', () => {
  it('that had claimed its items and written nothing is released, and they are taken as new', async () => {
    const world = newWorld();
    const held = await put(world, 'e1', item('a'), item('b'));
    await dieAt(world, held, 3);
    const process = new EngineProcess(world, { upstream });
    expect(await seen(process, item('a'))).toEqual([true]);
    expect(await mark(world, 'e1')).toBe('marked');
    await process.deliver(held);
    expect(await stateOf(world, 'e1')).toMatchObject({ kind: 'discarded', isReleased: true });
    // Also the tiers, which had learnt of it from the ledger.
    expect(await seen(process, item('a'))).toEqual([false]);
    expect(process.completeness.counters).toMatchObject({ settled: 2, known: 0, discarded: 2 });
    await process.deliver(await put(world, 'e2', item('a', 'a-1', 2000), item('b', 'b-1', 2000)));
    expect(lakeIds(world.lake)).toEqual(['u1/a', 'u1/b']);
    expect(await seen(process, item('a'))).toEqual([true]);
    expect(await mark(world, 'e1')).toBe('released');
  });

  it('that was done stays done', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await put(world, 'e1', item('a')));
    expect(await mark(world, 'e1')).toBe('in-lake');
    expect(await stateOf(world, 'e1')).toMatchObject({ kind: 'done', owned: 1 });
  });

  it('whose object was written before is done after all, and keeps its claims', async () => {
    const world = newWorld();
    const held = await put(world, 'e1', item('a'));
    await dieAt(world, held, 3, 'after');
    expect(await mark(world, 'e1')).toBe('marked');
    const process = new EngineProcess(world, { upstream });
    await process.deliver(held);
    expect(await stateOf(world, 'e1')).toMatchObject({ kind: 'done', items: 1, owned: 1 });
    await process.deliver(await put(world, 'e2', item('a', 'a-1', 2000)));
    expect(lakeIds(world.lake)).toEqual(['u1/a']);
    expect(process.completeness.counters).toMatchObject({ settled: 2, known: 1, discarded: 0 });
  });

  it.each([2, 3, 4, 5, 6])('is released by the next delivery when the one before died at its call %i', async (at) => {
    for (const when of ['before', 'after'] as const) {
      const world = newWorld();
      const held = await put(world, 'e1', item('a'), item('b'));
      await dieAt(world, held, 3);
      await mark(world, 'e1');
      await dieAt(world, held, at, when);
      const process = new EngineProcess(world, { upstream });
      await process.deliver(held);
      await process.deliver(await put(world, 'e2', item('a', 'a-1', 2000), item('b', 'b-1', 2000)));
      expect(lakeIds(world.lake)).toEqual(['u1/a', 'u1/b']);
    }
  });

  it('falls back to the version before it, and leaves a later one as it is', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    await process.deliver(await put(world, 'e1', item('a', 'v1', 1000)));
    const middle = await put(world, 'e2', item('a', 'v2', 2000));
    await dieAt(world, middle, 4);
    await mark(world, 'e2');
    await process.deliver(middle);
    expect(await seen(process, item('a', 'v1'))).toEqual([true]);
    const other = await put(world, 'e3', item('a', 'v3', 3000));
    await dieAt(world, other, 4);
    await process.deliver(await put(world, 'e4', item('a', 'v4', 4000)));
    await mark(world, 'e3');
    await process.deliver(other);
    expect(await seen(process, item('a', 'v4'))).toEqual([true]);
    expect(lakeRows(world.lake).map(({ version, late }) => [version, late])).toEqual([
      ['v1', false],
      ['v4', false],
    ]);
  });

  it('settles its other copies without a row', async () => {
    const world = newWorld();
    const process = new EngineProcess(world, { upstream });
    const [first, copy] = [await put(world, 'e1', item('a')), await put(world, 'e1', item('a'))];
    await mark(world, 'e1');
    await process.deliver(first);
    await process.deliver(copy);
    expect(world.bus.held).toEqual([]);
    expect(lakeIds(world.lake)).toEqual([]);
    expect(process.completeness.counters).toMatchObject({ settled: 1, discarded: 1 });
  });
});

describe('whoever sent a discarded envelope', () => {
  it('waits for it no longer once it is released, and its next run mines the items again', async () => {
    const world = newWorld();
    const lists = serveLists({ u1: [[{ id: 'a' }, { id: 'b' }]] });
    const process = new EngineProcess(world, { upstream: new ScriptedUpstream(lists) });
    await process.start('u1');
    await process.deliver(world.bus.in('chats-mining-queue')[0] ?? world.bus.held[0]!);
    const held = world.bus.in(INGESTION_QUEUE)[0]!;
    const { envelopeId } = envelopeIn(held);
    await dieAt(world, held, 3);
    const notice = (): Promise<void> => noticeIngested({ completeness: process.completeness, ledger: world.ledger });
    await mark(world, envelopeId);
    await notice();
    expect(process.completeness.unsettled()).toBe(1);
    await new EngineProcess(world, { upstream }).deliver(held);
    await notice();
    expect(process.completeness.unsettled()).toBe(0);
    expect(lakeIds(world.lake)).toEqual([]);
    await process.drain();
    await process.start('u1');
    await process.drain();
    expect(lakeIds(world.lake)).toEqual(['u1/a', 'u1/b']);
  });
});
