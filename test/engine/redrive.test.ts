import { describe, expect, it, vi } from 'vitest';
import { deadLetterReason, REDRIVES } from '../../runtime/core/redrive.ts';
import { entitiesOf, INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import { Redriver, type Sweep } from '../../runtime/engine/redrive.ts';
import type { OutgoingMessage } from '../../runtime/ports.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { lakeIds, NEVER_LOST, userNamed } from '../fakes/engine-rig.ts';
import { MemoryBus } from '../fakes/memory-bus.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { serveLists } from '../fakes/scripted-upstream.ts';
import { CHATS, pipelineRig } from './pipeline-rig.ts';

const QUEUE = routeOf(CHATS).miningQueue;
const DEAD = `${QUEUE}/$DeadLetterQueue`;
const SILENT = { info: () => undefined, warn: () => undefined };

const message = (id: string, properties: OutgoingMessage['properties'] = {}): OutgoingMessage => ({
  messageId: id,
  body: Buffer.from(`body of ${id}`),
  contentType: 'application/x',
  subject: 'chats',
  properties,
});

/** Dead letters by their ids, each with a reason. */
async function rig(letters: Readonly<Record<string, string>>) {
  const clock = new AutoClock();
  const bus = new MemoryBus({ clock, entities: entitiesOf([CHATS]) });
  await bus.send(
    QUEUE,
    Object.keys(letters).map((id) => message(id, { minerName: 'chats' })),
  );
  const consumer = bus.consume(QUEUE, { concurrency: 10, onError: () => undefined }, async ({ messageId }) => ({
    settlement: { kind: 'dead-letter', reason: letters[messageId] ?? '', description: 'why' },
  }));
  await vi.waitFor(() => expect(bus.messages(DEAD)).toHaveLength(Object.keys(letters).length));
  await consumer.stop(0);
  const redriver = new Redriver({ bus, clock, random: seededRandom(1), log: SILENT });
  const sweep: Sweep = {
    ...{ path: DEAD, sendTo: QUEUE, concurrency: 50, limit: 100 },
    notBeforeMs: (letter) => (deadLetterReason(letter) === 'wanted' ? 0 : undefined),
  };
  return { clock, bus, redriver, sweep };
}

describe('a sweep over dead letters', () => {
  it('sends those that are meant under new ids, and leaves the others where they were', async () => {
    const one = await rig({ a: 'wanted', b: 'other', c: 'wanted' });
    const counted: number[] = [];
    const swept = await one.redriver.sweep({ ...one.sweep, onSent: (count) => counted.push(count) });
    expect(swept).toEqual({ sent: 2, left: 1, error: undefined });
    expect(counted).toEqual([1, 2]);
    const sent = one.bus.messages(QUEUE);
    expect(sent.map(({ body }) => Buffer.from(body).toString()).toSorted()).toEqual(['body of a', 'body of c']);
    for (const { messageId, properties, subject, contentType } of sent) {
      expect(['a', 'b', 'c']).not.toContain(messageId);
      expect(properties).toEqual({ minerName: 'chats', [REDRIVES]: 1 });
      expect([subject, contentType]).toEqual(['chats', 'application/x']);
    }
    expect(one.bus.messages(DEAD).map(({ messageId }) => messageId)).toEqual(['b']);
  });

  it('finds nothing when it is done again', async () => {
    const one = await rig({ a: 'wanted', b: 'other' });
    await one.redriver.sweep(one.sweep);
    expect(await one.redriver.sweep(one.sweep)).toMatchObject({ sent: 0, left: 1 });
    expect(one.bus.messages(QUEUE)).toHaveLength(1);
  });

  it('keeps its limit, and can be stopped', async () => {
    const letters = Object.fromEntries(Array.from({ length: 30 }, (_, at) => [`m${at}`, 'wanted']));
    const one = await rig(letters);
    expect(await one.redriver.sweep({ ...one.sweep, limit: 7 })).toMatchObject({ sent: 7 });
    expect(one.bus.messages(DEAD)).toHaveLength(23);
    const stop = new AbortController();
    const swept = await one.redriver.sweep(
      { ...one.sweep, concurrency: 1, onSent: (count) => void (count === 3 && stop.abort()) },
      stop.signal,
    );
    expect(swept.sent).toBeGreaterThanOrEqual(3);
    expect(swept.sent).toBeLessThan(23);
    expect(one.bus.messages(QUEUE)).toHaveLength(7 + swept.sent);
    expect(one.bus.messages(DEAD)).toHaveLength(23 - swept.sent);
  });

  it('loses nothing when it cannot send', async () => {
    const one = await rig({ a: 'wanted', b: 'wanted' });
    one.bus.failSends(new Error('away'));
    const swept = await one.redriver.sweep(one.sweep);
    expect(swept).toMatchObject({ sent: 0, error: new Error('away') });
    expect(one.bus.messages(DEAD)).toHaveLength(2);
  });
});

describe('an envelope whose every delivery crashed', () => {
  it('is sent again by the monitor, three times at most, and then left for a person', async () => {
    const clock = new AutoClock();
    const one = pipelineRig({ clock, script: serveLists({ u1: [[{ id: 'a' }]] }) });
    let lives = 0;
    // A delivery that crashes its process decides nothing: the broker counts it.
    const crashing = one.bus.consume(INGESTION_QUEUE, { concurrency: 1, onError: () => undefined }, async () => {
      lives += 1;
      return { settlement: { kind: 'abandon' } };
    });
    const pipeline = one.open();
    pipeline.joinFleet();
    await one.bus.send(INGESTION_QUEUE, [message('e', { minerName: 'chats' })]);
    const dead = (): readonly OutgoingMessage[] => one.bus.messages(`${INGESTION_QUEUE}/$DeadLetterQueue`);
    for (let round = 1; round <= 4; round += 1) {
      await vi.waitFor(() => expect(dead()).toHaveLength(1), { timeout: 10_000 });
      expect(lives).toBe(round * 100);
      await pipeline.watch();
    }
    expect(dead()[0]?.properties).toMatchObject({ [REDRIVES]: 3 });
    expect(lives).toBe(400);
    await crashing.stop(0);
    await one.bus.close();
  });

  it('is in the lake in the end, and a run that waits for it is not called stuck', async () => {
    const clock = new AutoClock();
    const one = pipelineRig({ clock, script: serveLists({ u1: [[{ id: 'a' }]] }) });
    const crashing = one.bus.consume(INGESTION_QUEUE, { concurrency: 1, onError: () => undefined }, async () => ({
      settlement: { kind: 'abandon' },
    }));
    const pipeline = one.open();
    await pipeline.users.import([userNamed('u1')]);
    pipeline.startMining();
    await pipeline.fireMiner('chats', [userNamed('u1')], NEVER_LOST);
    await vi.waitFor(() => expect(one.bus.messages(`${INGESTION_QUEUE}/$DeadLetterQueue`)).toHaveLength(1), {
      timeout: 10_000,
    });
    await crashing.stop(0);
    pipeline.startIngest();
    await vi.waitFor(async () => expect(await pipeline.state()).toBe('drained'), { timeout: 10_000 });
    expect(lakeIds(one.lake)).toEqual(['u1/a']);
    await pipeline.stop(0);
    await one.bus.close();
  });
});
