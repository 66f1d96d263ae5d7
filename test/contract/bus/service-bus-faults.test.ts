import { setTimeout as delay } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ReceiverLink } from '../../../runtime/adapters/service-bus-link.ts';
import { SessionSource } from '../../../runtime/adapters/service-bus-session.ts';
import { systemClock } from '../../../runtime/adapters/system.ts';
import { BusBed, COMPLETE, Seen, WAIT, texts } from './bus-bed.ts';
import { outgoing, queueEntity, textOf } from './bus-contract.ts';

vi.setConfig({ testTimeout: 90_000 });

/** Locks of 2 s in queues whose name says so, so that their renewal can be seen. */
const ENTITIES = [
  ...Array.from({ length: 12 }, (_, index) => queueEntity(`queue-${index}`)),
  ...Array.from({ length: 3 }, (_, index) => queueEntity(`short-lock-${index}`, 2000)),
];

let bed: BusBed;
beforeAll(async () => {
  bed = await BusBed.start(ENTITIES);
});
afterEach(() => bed.endTest());
afterAll(() => bed.broker.remove());

/** The client's own link of its first receiver, which it does not export. */
function firstLink(client: ServiceBusClient): object {
  const receivers = child(client, '_connectionContext', 'messageReceivers');
  return child(receivers, Object.keys(receivers)[0] ?? '', 'link');
}

function child(from: object, ...path: readonly string[]): object {
  let value: unknown = from;
  for (const name of path) {
    expect(value).toBeTypeOf('object');
    value = Reflect.get(value as object, name);
  }
  expect(value).toBeTypeOf('object');
  return value as object;
}

describe('faults of the Service Bus client', () => {
  it('C2: renews the lock of each of two messages with one id', async () => {
    const bus = bed.open({ lockDurationMs: 2000 });
    const seen = new Seen();
    await bus.send(
      'short-lock-0',
      ['a', 'b'].map((text) => outgoing(text, { messageId: 'same' })),
    );
    const lost: unknown[] = [];
    const consumer = bus.consume('short-lock-0', { concurrency: 2, onError: seen.onError }, async (message, lock) => {
      lock.addEventListener('abort', () => lost.push(lock.reason));
      await delay(5500);
      return seen.add(textOf(message));
    });
    await seen.waitForSettled(2);
    await consumer.stop(5000);
    expect([[...seen.handled.values()], lost, seen.errors]).toEqual([[1, 1], [], []]);
  });

  it('C2: renews locks on time when the clock is set back or forward meanwhile', async () => {
    let skewMs = 0;
    const clock = { ...systemClock, now: () => Date.now() + skewMs };
    const bus = bed.open({ lockDurationMs: 2000, clock });
    const seen = new Seen();
    await bus.send('short-lock-2', [outgoing('a'), outgoing('b')]);
    const lost: unknown[] = [];
    const consumer = bus.consume('short-lock-2', { concurrency: 2, onError: seen.onError }, async (message, lock) => {
      lock.addEventListener('abort', () => lost.push(lock.reason));
      skewMs = -3_600_000;
      await delay(4000);
      skewMs = 86_400_000;
      await delay(2500);
      return seen.add(textOf(message));
    });
    await seen.waitForSettled(2);
    await consumer.stop(5000);
    expect([[...seen.handled.values()], lost, seen.errors]).toEqual([[1, 1], [], []]);
  });

  it('C2: aborts the handler of a message whose lock is lost, and does not call it settled', async () => {
    const bus = bed.open({ lockDurationMs: 2000 });
    const seen = new Seen();
    await bus.send('short-lock-1', [outgoing('a')]);
    const reasons: unknown[] = [];
    const consumer = bus.consume('short-lock-1', { concurrency: 1, onError: seen.onError }, async (message, lock) => {
      if (message.deliveryCount > 0) return seen.add(textOf(message));
      bed.broker.freeze();
      await new Promise((resolve) => lock.addEventListener('abort', resolve));
      reasons.push(lock.reason);
      bed.broker.thaw();
      return { ...COMPLETE, settled: () => seen.onError('settled without a lock') };
    });
    await seen.waitForSettled(1);
    await consumer.stop(5000);
    expect(reasons).toEqual([expect.objectContaining({ code: 'LOCK_LOST' })]);
    expect(seen.errors).not.toContain('settled without a lock');
    expect(bed.events).toContainEqual(expect.objectContaining({ kind: 'renew-failed', entity: 'short-lock-1' }));
  });

  it('C7: gives back at once what was delivered but not started when it stops', async () => {
    const bus = bed.open();
    await bus.send(
      'queue-6',
      texts(300).map((text) => outgoing(text)),
    );
    const seen = new Seen();
    const first = bus.consume('queue-6', { concurrency: 100, onError: seen.onError }, async (message) => {
      await delay(20);
      return seen.add(textOf(message));
    });
    await vi.waitFor(() => expect(seen.settled).toBeGreaterThan(20), WAIT);
    await first.stop(10_000);
    expect(seen.settled).toBe(seen.handled.size);
    const second = bus.consume('queue-6', { concurrency: 100, onError: seen.onError }, async (message) =>
      seen.add(textOf(message)),
    );
    await seen.waitForSettled(300);
    await second.stop(5000);
    expect([seen.handled.size, seen.twice, seen.errors]).toEqual([300, [], []]);
  });

  it('C7: hands messages back without an error while their handlers end', async () => {
    const bus = bed.open();
    const seen = new Seen();
    await bus.send('queue-10', [outgoing('a'), outgoing('b')]);
    const rounds = 8;
    for (let round = 0; round < rounds; round += 1) {
      const consumer = bus.consume('queue-10', { concurrency: 2, onError: seen.onError }, async (message, lock) => {
        await new Promise((resolve) => lock.addEventListener('abort', resolve));
        return seen.add(textOf(message));
      });
      await vi.waitFor(() => expect(consumer.inFlight()).toBe(2), WAIT);
      await consumer.stop(0);
    }
    expect([seen.settled, seen.errors]).toEqual([0, []]);
    const last = bus.consume('queue-10', { concurrency: 2, onError: seen.onError }, async (message) => {
      expect(message.deliveryCount).toBe(rounds);
      return seen.add(textOf(message));
    });
    await seen.waitForSettled(2);
    await last.stop(5000);
    expect(seen.errors).toEqual([]);
  });

  it('C7: keeps the process alive when a detach fails that the client makes without a catch', async () => {
    const rejections: unknown[] = [];
    const onRejection = (error: unknown): void => void rejections.push(error);
    process.on('unhandledRejection', onRejection);
    const connect = { connectionString: bed.broker.connectionString };
    const source = new SessionSource({ connect, requestTimeoutMs: 1000, clock: systemClock, onEvent: () => undefined });
    try {
      const attached = async (): Promise<ReceiverLink> => {
        const ready = Promise.withResolvers<void>();
        const onMessage = async (): Promise<boolean> => true;
        const session = source.current();
        const link = new ReceiverLink({
          session,
          entity: 'queue-10',
          window: 1,
          onMessage,
          onReady: () => ready.resolve(),
        });
        await ready.promise;
        // Only a link that has asked for messages is drained, and only a drain leads to that detach.
        await vi.waitFor(() => expect(Reflect.get(firstLink(session.client), 'credit')).toBe(1), WAIT);
        return link;
      };
      const first = await attached();
      // The class of links is not exported by the client; its instances lead to it.
      const linkClass: unknown = Object.getPrototypeOf(Object.getPrototypeOf(firstLink(source.current().client)));
      await first.stopIntake();
      const close = vi.spyOn(linkClass as { close(): Promise<void> }, 'close').mockRejectedValue(new Error('refused'));
      const second = await attached();
      bed.broker.freeze();
      await second.stopIntake();
      expect(close).toHaveBeenCalled();
      close.mockRestore();
    } finally {
      bed.broker.thaw();
      await source.close();
      process.off('unhandledRejection', onRejection);
    }
    expect(rejections).toEqual([]);
  });

  it('C8: sends without the delay of small packets', async () => {
    const { Socket } = await import('node:net');
    const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
    await bed.open().send('queue-7', [outgoing('a')]);
    expect(setNoDelay).toHaveBeenCalledWith(true);
    setNoDelay.mockRestore();
  });

  it('delivers the exact bytes of a body that was sent as text by another client', async () => {
    const client = new ServiceBusClient(bed.broker.connectionString);
    await client.createSender('queue-8').sendMessages({ body: 'text', messageId: '1' });
    await client.close();
    const bus = bed.open();
    const body = Promise.withResolvers<string>();
    bus.consume('queue-8', { concurrency: 1, onError: () => undefined }, async (message) => {
      body.resolve(textOf(message));
      return COMPLETE;
    });
    expect(await body.promise).toBe('"text"');
  });
});
