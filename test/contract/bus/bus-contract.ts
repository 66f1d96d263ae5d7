import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Entity, QueueEntity, SubscriptionEntity } from '../../../runtime/core/route.ts';
import type { Bus, Consumer, Depths, Handled, IncomingMessage, OutgoingMessage } from '../../../runtime/ports.ts';

/** One implementation under test. */
export interface BusUnderTest {
  readonly bus: Bus;
  readonly depths: Depths;
  readonly nowMs: () => number;
  /** Lets time pass for the bus. */
  pass(ms: number): Promise<void>;
  close(): Promise<void>;
}

/** The entities that the contract needs: a queue per test, so that no test sees another's messages. */
export const CONTRACT_ENTITIES: readonly Entity[] = [
  ...Array.from({ length: 20 }, (_, index) => queueEntity(`queue-${index}`)),
  { ...queueEntity('two-deliveries'), maxDeliveryCount: 2 },
  queueEntity('forwarded'),
  { kind: 'topic', name: 'data-topic', duplicateDetectionMs: 0 },
  { ...subscriptionEntity('lake'), forwardTo: 'forwarded' },
  subscriptionEntity('team'),
];

const COMPLETE: Handled = { settlement: { kind: 'complete' } };
const WAIT = { timeout: 10_000, interval: 10 };

export function queueEntity(name: string, lockDurationMs = 30_000): QueueEntity {
  return {
    kind: 'queue',
    name,
    lockDurationMs,
    maxDeliveryCount: 10,
    requiresSession: false,
    duplicateDetectionMs: 0,
    deadLetterOnExpiry: true,
  };
}

function subscriptionEntity(name: string): SubscriptionEntity {
  return {
    kind: 'subscription',
    topic: 'data-topic',
    name,
    lockDurationMs: 30_000,
    maxDeliveryCount: 10,
    requiresSession: false,
    deadLetterOnExpiry: true,
  };
}

export function outgoing(text: string, changes: Partial<OutgoingMessage> = {}): OutgoingMessage {
  const body = Buffer.from(text, 'utf8');
  return { messageId: randomUUID(), body, contentType: 'text/plain', properties: {}, ...changes };
}

export function textOf(message: IncomingMessage): string {
  return Buffer.from(message.body).toString('utf8');
}

/** What every `Bus` does: run on the fake and on the Service Bus client with the local broker. `open` is called once. */
export function describeBus(name: string, open: () => Promise<BusUnderTest>): void {
  describe(`bus contract: ${name}`, () => {
    let opened: BusUnderTest;
    beforeAll(async () => {
      opened = await open();
    });
    afterAll(() => opened.close());
    const under = (): BusUnderTest => opened;
    sending(under);
    settling(under);
    stopping(under);
  });
}

/** Consumes until `count` messages were handled, then stops. */
async function take(
  { bus }: BusUnderTest,
  entity: string,
  count: number,
  decide: (message: IncomingMessage) => Handled = () => COMPLETE,
): Promise<readonly IncomingMessage[]> {
  const taken: IncomingMessage[] = [];
  let settled = 0;
  const consumer = bus.consume(entity, { concurrency: 8, onError: () => undefined }, async (message) => {
    taken.push(message);
    const handled = decide(message);
    return { settlement: handled.settlement, settled: () => (settled += 1) };
  });
  await vi.waitFor(() => expect(settled).toBeGreaterThanOrEqual(count), WAIT);
  await consumer.stop(5000);
  expect(settled).toBe(count);
  return taken;
}

function sending(under: () => BusUnderTest): void {
  it('delivers body, content type, subject and properties as they were sent', async () => {
    const body = randomBytes(5000);
    const properties = { schemaVersion: 3, contentEncoding: 'br', isSealed: true, ratio: 0.25, big: 2 ** 40 };
    const sent = outgoing('', { body, contentType: 'application/x-envelope', subject: 'fans', properties });
    await under().bus.send('queue-0', [sent]);
    const [message] = await take(under(), 'queue-0', 1);
    expect(Buffer.from(message?.body ?? []).equals(body)).toBe(true);
    expect(message).toMatchObject({ messageId: sent.messageId, contentType: sent.contentType, subject: 'fans' });
    expect(message?.properties).toEqual(properties);
    expect(message?.deliveryCount).toBe(0);
    expect(Math.abs((message?.enqueuedAtMs ?? 0) - under().nowMs())).toBeLessThan(60_000);
  });

  it.each([
    ['an empty body', Buffer.alloc(0)],
    ['JSON', Buffer.from('{"a": 1.0}')],
    ['a body of 200 KB', randomBytes(200_000)],
  ])('delivers %s byte by byte', async (_, body) => {
    await under().bus.send('queue-1', [outgoing('', { body })]);
    const [message] = await take(under(), 'queue-1', 1);
    expect(Buffer.from(message?.body ?? []).equals(body)).toBe(true);
  });

  it('counts what is waiting', async () => {
    const { bus, depths } = under();
    await bus.send(
      'queue-2',
      ['a', 'b', 'c'].map((text) => outgoing(text)),
    );
    expect(await depths.depth('queue-2')).toEqual({ active: 3, scheduled: 0, deadLetter: 0, transferDeadLetter: 0 });
    await take(under(), 'queue-2', 3);
    expect((await depths.depth('queue-2')).active).toBe(0);
  });

  it('delivers many messages of one call', async () => {
    const texts = Array.from({ length: 700 }, (_, index) => `message ${index} ${'x'.repeat(1000)}`);
    await under().bus.send(
      'queue-3',
      texts.map((text) => outgoing(text)),
    );
    const taken = await take(under(), 'queue-3', texts.length);
    expect(new Set(taken.map(textOf))).toEqual(new Set(texts));
  });

  it('holds a scheduled message back until its time', async () => {
    const { bus, depths } = under();
    const notBeforeMs = under().nowMs() + 1500;
    await bus.send('queue-4', [outgoing('later', { notBeforeMs }), outgoing('now')]);
    expect(await depths.depth('queue-4')).toMatchObject({ active: 1, scheduled: 1 });
    expect((await take(under(), 'queue-4', 1)).map(textOf)).toEqual(['now']);
    await under().pass(1600);
    expect((await take(under(), 'queue-4', 1)).map(textOf)).toEqual(['later']);
    expect(under().nowMs()).toBeGreaterThanOrEqual(notBeforeMs);
  });

  it('refuses one message over the limit and sends those of other callers', async () => {
    const { bus } = under();
    const huge = bus.send('queue-5', [outgoing('', { body: randomBytes(300_000) })]);
    const others = ['a', 'b'].map((text) => bus.send('queue-5', [outgoing(text)]));
    await expect(huge).rejects.toMatchObject({ code: 'MESSAGE_TOO_LARGE' });
    await Promise.all(others);
    expect((await take(under(), 'queue-5', 2)).map(textOf).toSorted()).toEqual(['a', 'b']);
  });

  it('rejects a send to an entity that does not exist', async () => {
    await expect(under().bus.send('no-such-queue', [outgoing('a')])).rejects.toMatchObject({
      code: 'MessagingEntityNotFound',
    });
  });

  it('rejects a send whose signal is aborted, and sends nothing', async () => {
    const { bus, depths } = under();
    await expect(bus.send('queue-6', [outgoing('a')], AbortSignal.abort(new Error('too late')))).rejects.toThrow(
      'too late',
    );
    expect((await depths.depth('queue-6')).active).toBe(0);
  });

  it('resolves for no message at all', async () => {
    await under().bus.send('queue-6', []);
  });

  it('copies a message of a topic to each subscription, and forwards it where that is asked', async () => {
    await under().bus.send('data-topic', [outgoing('for all')]);
    expect((await take(under(), 'forwarded', 1)).map(textOf)).toEqual(['for all']);
    expect((await take(under(), 'data-topic/Subscriptions/team', 1)).map(textOf)).toEqual(['for all']);
    expect((await under().depths.depth('data-topic/Subscriptions/lake')).active).toBe(0);
  });
}

/** Complete, abandon once, dead-letter with a reason of its own, in turn. */
function settlementOf(text: string, deliveryCount: number): Handled['settlement'] {
  const turn = Number(text) % 3;
  if (turn === 2) return { kind: 'dead-letter', reason: `reason ${text}`, description: text };
  return { kind: turn === 1 && deliveryCount === 0 ? 'abandon' : 'complete' };
}

function settling(under: () => BusUnderTest): void {
  it('delivers an abandoned message again, counted', async () => {
    await under().bus.send('queue-7', [outgoing('a')]);
    const taken = await take(under(), 'queue-7', 3, ({ deliveryCount }) =>
      deliveryCount < 2 ? { settlement: { kind: 'abandon' } } : COMPLETE,
    );
    expect(taken.map(({ deliveryCount }) => deliveryCount)).toEqual([0, 1, 2]);
  });

  it('abandons the message of a handler that throws, and says why', async () => {
    const { bus } = under();
    await bus.send('queue-8', [outgoing('a')]);
    const errors: unknown[] = [];
    const done = Promise.withResolvers<void>();
    const options = { concurrency: 1, onError: (error: unknown) => void errors.push(error) };
    const consumer = bus.consume('queue-8', options, async ({ deliveryCount }) => {
      if (deliveryCount === 0) throw new Error('handler failed');
      return { ...COMPLETE, settled: done.resolve };
    });
    await done.promise;
    await consumer.stop(5000);
    expect(errors).toEqual([expect.objectContaining({ message: 'handler failed' })]);
  });

  it('dead-letters with reason and description', async () => {
    const { bus, depths } = under();
    const sent = outgoing('poison', { properties: { schemaVersion: 1 } });
    await bus.send('queue-9', [sent]);
    const settlement = { kind: 'dead-letter', reason: 'UNDECODABLE', description: 'not Brotli' } as const;
    await take(under(), 'queue-9', 1, () => ({ settlement }));
    expect(await depths.depth('queue-9')).toMatchObject({ active: 0, deadLetter: 1 });
    const [dead] = await take(under(), 'queue-9/$DeadLetterQueue', 1);
    expect(dead?.messageId).toBe(sent.messageId);
    expect(dead === undefined ? '' : textOf(dead)).toBe('poison');
    expect(dead?.properties).toEqual({
      schemaVersion: 1,
      DeadLetterReason: 'UNDECODABLE',
      DeadLetterErrorDescription: 'not Brotli',
    });
    expect((await depths.depth('queue-9')).deadLetter).toBe(0);
  });

  it('dead-letters a message after its last delivery', async () => {
    const { bus, depths } = under();
    await bus.send('two-deliveries', [outgoing('a')]);
    await take(under(), 'two-deliveries', 2, () => ({ settlement: { kind: 'abandon' } }));
    expect(await depths.depth('two-deliveries')).toMatchObject({ active: 0, deadLetter: 1 });
    const [dead] = await take(under(), 'two-deliveries/$DeadLetterQueue', 1);
    expect(dead?.properties).toMatchObject({ DeadLetterReason: 'MaxDeliveryCountExceeded' });
  });

  it('moves a message whose time to live is over to the dead letters, whole', async () => {
    const { bus, depths } = under();
    const body = Buffer.from([0xff, 0x00, 0xc3, 0x28]);
    const sent = outgoing('', { body, properties: { deadLetterReason: 'MALFORMED' }, timeToLiveMs: 1 });
    await bus.send('queue-15', [outgoing('stays'), sent, outgoing('stays too', { timeToLiveMs: 3_600_000 })]);
    await under().pass(50);
    await vi.waitFor(
      async () => expect(await depths.depth('queue-15')).toMatchObject({ active: 2, deadLetter: 1 }),
      WAIT,
    );
    const [dead] = await take(under(), 'queue-15/$DeadLetterQueue', 1);
    expect(dead).toMatchObject({ messageId: sent.messageId, properties: { DeadLetterReason: 'TTLExpiredException' } });
    expect(dead?.properties).toMatchObject({ deadLetterReason: 'MALFORMED' });
    expect(Buffer.from(dead?.body ?? []).equals(body)).toBe(true);
    expect((await take(under(), 'queue-15', 2)).map(textOf)).toEqual(['stays', 'stays too']);
  });

  it('lets a message that expires in the hands of its handler be settled, and dead-letters it when it comes back', async () => {
    const { bus, depths } = under();
    await bus.send('queue-16', [outgoing('a', { timeToLiveMs: 300 }), outgoing('b', { timeToLiveMs: 300 })]);
    const released = Promise.withResolvers<void>();
    let settled = 0;
    const consumer = bus.consume('queue-16', { concurrency: 2, onError: () => undefined }, async (message) => {
      await released.promise;
      const settlement = { kind: textOf(message) === 'a' ? 'complete' : 'abandon' } as const;
      return { settlement, settled: () => (settled += 1) };
    });
    await vi.waitFor(() => expect(consumer.inFlight()).toBe(2), WAIT);
    await under().pass(400);
    released.resolve();
    await vi.waitFor(() => expect(settled).toBe(2), WAIT);
    await consumer.stop(5000);
    await vi.waitFor(
      async () => expect(await depths.depth('queue-16')).toMatchObject({ active: 0, deadLetter: 1 }),
      WAIT,
    );
    expect((await take(under(), 'queue-16/$DeadLetterQueue', 1)).map(textOf)).toEqual(['b']);
  });

  it('settles messages of one moment each in its own way (rhea: neighbours shared the outcome of the first)', async () => {
    const { bus, depths } = under();
    const texts = Array.from({ length: 30 }, (_, index) => `${index}`);
    await bus.send(
      'queue-17',
      texts.map((text) => outgoing(text)),
    );
    const released = Promise.withResolvers<void>();
    const seen = new Map<string, number>();
    let settled = 0;
    const consumer = bus.consume('queue-17', { concurrency: 30, onError: () => undefined }, async (message) => {
      await released.promise;
      const text = textOf(message);
      seen.set(text, (seen.get(text) ?? 0) + 1);
      return { settlement: settlementOf(text, message.deliveryCount), settled: () => (settled += 1) };
    });
    await vi.waitFor(() => expect(consumer.inFlight()).toBe(30), WAIT);
    released.resolve();
    await vi.waitFor(() => expect(settled).toBe(40), WAIT);
    await consumer.stop(5000);
    expect(texts.filter((text) => seen.get(text) !== (Number(text) % 3 === 1 ? 2 : 1))).toEqual([]);
    expect(await depths.depth('queue-17')).toMatchObject({ active: 0, deadLetter: 10 });
    const dead = await take(under(), 'queue-17/$DeadLetterQueue', 10);
    expect(dead.filter((message) => message.properties['DeadLetterReason'] !== `reason ${textOf(message)}`)).toEqual(
      [],
    );
  });

  it('never runs more handlers than it may', async () => {
    const { bus } = under();
    await bus.send(
      'queue-10',
      Array.from({ length: 100 }, (_, index) => outgoing(`${index}`)),
    );
    let running = 0;
    let most = 0;
    let settled = 0;
    const consumer: Consumer = bus.consume('queue-10', { concurrency: 7, onError: () => undefined }, async () => {
      running += 1;
      most = Math.max(most, running, consumer.inFlight());
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
      return { ...COMPLETE, settled: () => (settled += 1) };
    });
    await vi.waitFor(() => expect(settled).toBe(100), WAIT);
    await consumer.stop(5000);
    expect(most).toBe(7);
    expect(consumer.inFlight()).toBe(0);
  });

  it.each([0, 501, 1.5])('refuses a concurrency of %d', (concurrency) => {
    const handler = async (): Promise<Handled> => COMPLETE;
    expect(() => under().bus.consume('queue-11', { concurrency, onError: () => undefined }, handler)).toThrow(
      RangeError,
    );
  });
}

function stopping(under: () => BusUnderTest): void {
  it('waits for running handlers and their settlements when it stops', async () => {
    const { bus, depths } = under();
    await bus.send(
      'queue-12',
      Array.from({ length: 20 }, (_, index) => outgoing(`${index}`)),
    );
    const release = Promise.withResolvers<void>();
    let started = 0;
    let settled = 0;
    const consumer = bus.consume('queue-12', { concurrency: 5, onError: () => undefined }, async () => {
      started += 1;
      await release.promise;
      return { ...COMPLETE, settled: () => (settled += 1) };
    });
    await vi.waitFor(() => expect(started).toBe(5), WAIT);
    expect(consumer.inFlight()).toBe(5);
    const stopped = consumer.stop(30_000);
    release.resolve();
    await stopped;
    expect([started, settled]).toEqual([5, 5]);
    expect((await depths.depth('queue-12')).active).toBe(15);
    await take(under(), 'queue-12', 15);
  });

  it('aborts the locks of handlers that outlast the grace, and their messages come back at once', async () => {
    const { bus } = under();
    await bus.send(
      'queue-13',
      ['a', 'b'].map((text) => outgoing(text)),
    );
    const aborted: unknown[] = [];
    let settled = 0;
    const consumer = bus.consume('queue-13', { concurrency: 2, onError: () => undefined }, async (_, lock) => {
      await new Promise((resolve) => lock.addEventListener('abort', resolve));
      aborted.push(lock.reason);
      return { ...COMPLETE, settled: () => (settled += 1) };
    });
    await vi.waitFor(() => expect(consumer.inFlight()).toBe(2), WAIT);
    await consumer.stop(50);
    await vi.waitFor(() => expect(aborted).toHaveLength(2), WAIT);
    const again = await take(under(), 'queue-13', 2);
    expect(again.map(({ deliveryCount }) => deliveryCount)).toEqual([1, 1]);
    expect(settled).toBe(0);
  });

  it('stops twice with one result', async () => {
    const consumer = under().bus.consume(
      'queue-14',
      { concurrency: 1, onError: () => undefined },
      async () => COMPLETE,
    );
    expect(await Promise.all([consumer.stop(1000), consumer.stop(1000)])).toEqual([undefined, undefined]);
    expect(consumer.inFlight()).toBe(0);
  });
}
