import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { openServiceBusDeadLetters } from '../../../runtime/adapters/service-bus-dead-letters.ts';
import { systemClock, systemRandom } from '../../../runtime/adapters/system.ts';
import { deadLetterDescription, deadLetterReason, REDRIVES, timesRedriven } from '../../../runtime/core/redrive.ts';
import type { QueueEntity } from '../../../runtime/core/route.ts';
import { sendToDeadLetters } from '../../../runtime/engine/dead-letter.ts';
import { Redriver, type Sweep } from '../../../runtime/engine/redrive.ts';
import type { Bus, IncomingMessage } from '../../../runtime/ports.ts';
import { BusBed, COMPLETE, WAIT } from './bus-bed.ts';
import { outgoing, queueEntity, textOf } from './bus-contract.ts';

vi.setConfig({ testTimeout: 120_000 });

const QUEUES = Array.from({ length: 6 }, (_, at) => `dead-${at}`);
/** Duplicate detection is on: a copy under its old id would be swallowed. */
const ENTITIES: readonly QueueEntity[] = QUEUES.map((name) => ({
  ...queueEntity(name),
  duplicateDetectionMs: 600_000,
}));

let bed: BusBed;
beforeAll(async () => {
  bed = await BusBed.start(ENTITIES);
});
afterEach(() => bed.endTest());
afterAll(() => bed.broker.remove());

const deadOf = (queue: string): string => `${queue}/$DeadLetterQueue`;
const ignore = (): void => undefined;

/** Makes dead letters of texts, each with a reason. */
async function bury(bus: Bus, queue: string, reasons: Readonly<Record<string, string>>): Promise<void> {
  let buried = 0;
  const consumer = bus.consume(queue, { concurrency: 50, onError: ignore }, async (message) => ({
    settlement: { kind: 'dead-letter', reason: reasons[textOf(message)] ?? '', description: 'for a test' },
    settled: () => (buried += 1),
  }));
  const texts = Object.keys(reasons);
  await bus.send(
    queue,
    texts.map((text) => outgoing(text, { messageId: `id of ${text}`, properties: { minerName: 'chats' } })),
  );
  await vi.waitFor(() => expect(buried).toBe(texts.length), WAIT);
  await consumer.stop(5000);
}

async function peekAll(path: string): Promise<readonly IncomingMessage[]> {
  const letters = openServiceBusDeadLetters({ connect: { connectionString: bed.broker.connectionString } });
  const seen: IncomingMessage[] = [];
  for await (const letter of letters.peek(path, 10_000)) seen.push(letter);
  await letters.close();
  return seen;
}

const redriverOn = (bus: Bus): Redriver =>
  new Redriver({ bus, clock: systemClock, random: systemRandom, log: { info: ignore, warn: ignore } });

const sweepOf = (queue: string, reason: string): Sweep => ({
  ...{ path: deadOf(queue), sendTo: queue, concurrency: 100, limit: 10_000 },
  notBeforeMs: (letter) => (deadLetterReason(letter) === reason ? 0 : undefined),
});

/** Texts that arrive in a queue. */
async function received(bus: Bus, queue: string, count: number): Promise<readonly IncomingMessage[]> {
  const seen: IncomingMessage[] = [];
  const consumer = bus.consume(queue, { concurrency: 50, onError: ignore }, async (message) => {
    seen.push(message);
    return COMPLETE;
  });
  await vi.waitFor(() => expect(seen.length).toBeGreaterThanOrEqual(count), WAIT);
  await consumer.stop(5000);
  return seen;
}

describe('dead letters on the real client and broker', () => {
  it('are looked at page by page, without a lock or a delivery', async () => {
    const bus = bed.open();
    const texts = Array.from({ length: 600 }, (_, at) => `m${at}`);
    await bury(bus, QUEUES[0]!, Object.fromEntries(texts.map((text) => [text, 'why'])));
    const seen = await peekAll(deadOf(QUEUES[0]!));
    expect(seen.map(textOf).toSorted()).toEqual(texts.toSorted());
    expect(new Set(seen.map(deadLetterReason))).toEqual(new Set(['why']));
    expect(deadLetterDescription(seen[0]!)).toBe('for a test');
    expect((await peekAll(deadOf(QUEUES[0]!))).length).toBe(600);
    expect(await peekAll(deadOf(QUEUES[5]!))).toEqual([]);
  });

  it('that are meant are sent again under new ids, and the others stay', async () => {
    const [bus, queue] = [bed.open(), QUEUES[1]!];
    const reasons = Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`m${at}`, at % 4 === 0 ? 'a' : 'b']));
    await bury(bus, queue, reasons);
    const swept = await redriverOn(bus).sweep(sweepOf(queue, 'a'));
    expect(swept).toMatchObject({ sent: 10, error: undefined });
    const back = await received(bus, queue, 10);
    expect(back.map(textOf).toSorted()).toEqual(
      Object.keys(reasons)
        .filter((text) => reasons[text] === 'a')
        .toSorted(),
    );
    for (const message of back) {
      expect(message.messageId).not.toMatch(/^id of/);
      expect(message.properties).toEqual({ minerName: 'chats', [REDRIVES]: 1 });
    }
    expect(await peekAll(deadOf(queue))).toHaveLength(30);
  });

  it('that are sent again twice by two commands at once arrive at least once each, and none is left', async () => {
    const [bus, other, queue] = [bed.open(), bed.open(), QUEUES[2]!];
    await bury(bus, queue, Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`m${at}`, 'a'])));
    const swept = await Promise.all([bus, other].map((one) => redriverOn(one).sweep(sweepOf(queue, 'a'))));
    expect(swept.reduce((sum, { sent }) => sum + sent, 0)).toBe(60);
    const back = await received(bus, queue, 60);
    expect(new Set(back.map(textOf)).size).toBe(60);
    expect(await peekAll(deadOf(queue))).toEqual([]);
  });

  it('that are given up are gone for good, but for those that somebody has to release, and for what failed', async () => {
    const [bus, queue] = [bed.open(), QUEUES[4]!];
    await bury(bus, queue, { drop: 'a', send: 'a', other: 'b' });
    const treat: Sweep['treat'] = async (letter) => (textOf(letter) === 'drop' ? 'drop' : 'send');
    expect(await redriverOn(bus).sweep({ ...sweepOf(queue, 'a'), treat })).toMatchObject({ sent: 2, left: 1 });
    const back = await received(bus, queue, 1);
    expect(back.map(textOf)).toEqual(['send']);
    expect((await peekAll(deadOf(queue))).map(textOf)).toEqual(['other']);
    const failing = { ...sweepOf(queue, 'b'), treat: () => Promise.reject(new Error('the ledger is away')) };
    expect(await redriverOn(bus).sweep(failing)).toMatchObject({ sent: 0, error: new Error('the ledger is away') });
    expect((await peekAll(deadOf(queue))).map(textOf)).toEqual(['other']);
  });

  it('that a Functions host made by a copy that expires have our reason, and come back whole', async () => {
    const [bus, queue] = [bed.open(), QUEUES[3]!];
    const message: IncomingMessage = {
      ...{ messageId: 'm', body: Buffer.from([0xff, 0x00, 0xc3]), contentType: 'application/x', subject: 'chats' },
      ...{ properties: { minerName: 'chats' }, sessionId: undefined, deliveryCount: 4, enqueuedAtMs: 0 },
    };
    const why = {
      kind: 'dead-letter',
      reason: 'poison-message',
      description: 'after 5 deliveries: TypeError: x',
    } as const;
    await sendToDeadLetters({ bus, random: systemRandom }, queue, message, why);
    await vi.waitFor(async () => expect(await peekAll(deadOf(queue))).toHaveLength(1), WAIT);
    const [letter] = await peekAll(deadOf(queue));
    expect(deadLetterReason(letter!)).toBe('poison-message');
    await redriverOn(bus).sweep(sweepOf(queue, 'poison-message'));
    const [back] = await received(bus, queue, 1);
    expect(Buffer.from(back!.body)).toEqual(Buffer.from(message.body));
    expect(back!.properties).toEqual({ minerName: 'chats', [REDRIVES]: 1 });
    expect(timesRedriven(back!)).toBe(1);
  });
});
