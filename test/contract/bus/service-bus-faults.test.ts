import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { ServiceBusClient } from '@azure/service-bus';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { ReceiverLink } from '../../../runtime/adapters/service-bus-link.ts';
import { SessionSource } from '../../../runtime/adapters/service-bus-session.ts';
import type { ServiceBusEvent } from '../../../runtime/adapters/service-bus-session.ts';
import { systemClock } from '../../../runtime/adapters/service-bus-time.ts';
import { openServiceBus } from '../../../runtime/adapters/service-bus.ts';
import type { ServiceBusOptions } from '../../../runtime/adapters/service-bus.ts';
import type { Bus, Handled } from '../../../runtime/ports.ts';
import { BrokerProcess } from './broker-process.ts';
import { outgoing, queueEntity, textOf } from './bus-contract.ts';

vi.setConfig({ testTimeout: 90_000 });

const COMPLETE: Handled = { settlement: { kind: 'complete' } };
const WAIT = { timeout: 60_000, interval: 20 };
const WORKER = join(import.meta.dirname, 'bus-worker.ts');

/** Locks of 2 s in queues whose name says so, so that their renewal can be seen. */
const ENTITIES = [
  ...Array.from({ length: 12 }, (_, index) => queueEntity(`queue-${index}`)),
  ...Array.from({ length: 4 }, (_, index) => queueEntity(`short-lock-${index}`, 2000)),
];

let broker: BrokerProcess;
const buses: Bus[] = [];
const events: ServiceBusEvent[] = [];

beforeAll(async () => {
  broker = await BrokerProcess.start(ENTITIES);
});
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
  events.length = 0;
});
afterAll(() => broker.remove());

function open(options: Partial<ServiceBusOptions> = {}): Bus {
  const connect = { connectionString: broker.connectionString };
  const bus = openServiceBus({ connect, lockDurationMs: 30_000, onEvent: (event) => events.push(event), ...options });
  buses.push(bus);
  return bus;
}

function texts(count: number, prefix = 'm'): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

/** Counts how often each text was handled and settled. */
class Seen {
  readonly handled = new Map<string, number>();
  settled = 0;
  readonly errors: unknown[] = [];
  readonly onError = (error: unknown): void => void this.errors.push(error);

  add(text: string): Handled {
    this.handled.set(text, (this.handled.get(text) ?? 0) + 1);
    return { ...COMPLETE, settled: () => (this.settled += 1) };
  }

  get twice(): readonly string[] {
    return [...this.handled].filter(([, times]) => times > 1).map(([text]) => text);
  }
}

/** The client's own link of its first receiver, which it does not export. */
function firstLink(client: ServiceBusClient): object {
  const context: unknown = Reflect.get(client, '_connectionContext');
  const [receiver]: unknown[] = Object.values(Object(Reflect.get(Object(context), 'messageReceivers')));
  return Object(Reflect.get(Object(receiver), 'link'));
}

describe('load', () => {
  it('handles 2,500 messages once each with a concurrency of 64', async () => {
    const bus = open();
    const seen = new Seen();
    await bus.send(
      'queue-0',
      texts(2500).map((text) => outgoing(text)),
    );
    const startedAtMs = performance.now();
    const consumer = bus.consume('queue-0', { concurrency: 64, onError: seen.onError }, async (message) =>
      seen.add(textOf(message)),
    );
    await vi.waitFor(() => expect(seen.settled).toBe(2500), WAIT);
    console.log(`consumed ${Math.round((2500 / (performance.now() - startedAtMs)) * 1000)} messages/s`);
    await consumer.stop(5000);
    expect([seen.handled.size, seen.twice, seen.errors]).toEqual([2500, [], []]);
  });

  it('shares a queue between two processes without handling a message twice', async () => {
    const bus = open();
    const workers = [0, 1].map(() => spawn(process.execPath, [WORKER, broker.connectionString, 'queue-1']));
    const lines: string[][] = workers.map(({ stdout }) => {
      const own: string[] = [];
      createInterface({ input: stdout }).on('line', (line) => own.push(line));
      return own;
    });
    await bus.send(
      'queue-1',
      texts(50, 'first').map((text) => outgoing(text)),
    );
    await vi.waitFor(() => expect(lines.flat()).toHaveLength(50), WAIT);
    for (let round = 0; lines.some((own) => own.length === 0) || round < 4; round += 1) {
      if (round > 50) throw new Error('one process took everything');
      const before = lines.flat().length;
      await bus.send(
        'queue-1',
        texts(200, `round ${round} `).map((text) => outgoing(text)),
      );
      await vi.waitFor(() => expect(lines.flat().length).toBe(before + 200), WAIT);
    }
    for (const { stdin } of workers) stdin.end();
    await Promise.all(workers.map((worker) => once(worker, 'exit')));
    expect(new Set(lines.flat()).size).toBe(lines.flat().length);
  });
});

describe('faults of the client', () => {
  it('C1: handles 2,100 other messages while one handler holds its message', async () => {
    const bus = open();
    const seen = new Seen();
    const release = Promise.withResolvers<void>();
    await bus.send('queue-2', [outgoing('slow')]);
    await bus.send(
      'queue-2',
      texts(2600).map((text) => outgoing(text)),
    );
    const consumer = bus.consume('queue-2', { concurrency: 32, onError: seen.onError }, async (message) => {
      const text = textOf(message);
      if (text === 'slow') await release.promise;
      return seen.add(text);
    });
    await vi.waitFor(() => expect(seen.settled).toBe(2600), WAIT);
    expect(events).toContainEqual({ kind: 'receiver-rolled', entity: 'queue-2' });
    release.resolve();
    await vi.waitFor(() => expect(seen.settled).toBe(2601), WAIT);
    await consumer.stop(5000);
    expect([seen.twice, seen.errors]).toEqual([[], []]);
  });

  it('C2: renews the lock of each of two messages with one id', async () => {
    const bus = open({ lockDurationMs: 2000 });
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
    await vi.waitFor(() => expect(seen.settled).toBe(2), WAIT);
    await consumer.stop(5000);
    expect([[...seen.handled.values()], lost, seen.errors]).toEqual([[1, 1], [], []]);
  });

  it('C2: aborts the handler of a message whose lock is lost, and does not call it settled', async () => {
    const bus = open({ lockDurationMs: 2000 });
    const seen = new Seen();
    await bus.send('short-lock-1', [outgoing('a')]);
    const reasons: unknown[] = [];
    const consumer = bus.consume('short-lock-1', { concurrency: 1, onError: seen.onError }, async (message, lock) => {
      if (message.deliveryCount > 0) return seen.add(textOf(message));
      broker.freeze();
      await new Promise((resolve) => lock.addEventListener('abort', resolve));
      reasons.push(lock.reason);
      broker.thaw();
      return { ...COMPLETE, settled: () => seen.onError('settled without a lock') };
    });
    await vi.waitFor(() => expect(seen.settled).toBe(1), WAIT);
    await consumer.stop(5000);
    expect(reasons).toEqual([expect.objectContaining({ code: 'LOCK_LOST' })]);
    expect(seen.errors).not.toContain('settled without a lock');
    expect(events).toContainEqual(expect.objectContaining({ kind: 'renew-failed', entity: 'short-lock-1' }));
  });

  it('C3 and C4: loses nothing and recovers by itself when the broker is killed while sending and consuming', async () => {
    const bus = open();
    const seen = new Seen();
    const consumer = bus.consume('queue-3', { concurrency: 16, onError: seen.onError }, async (message) =>
      seen.add(textOf(message)),
    );
    let acknowledged = 0;
    const ended = new AbortController();
    const sent: string[] = [];
    const sender = async (name: string): Promise<void> => {
      for (let index = 0; !ended.signal.aborted; index += 1) {
        const text = `${name} ${index}`;
        sent.push(text);
        await bus.send('queue-3', [outgoing(text)]);
        acknowledged += 1;
        await delay(2);
      }
    };
    const senders = ['a', 'b', 'c', 'd'].map((name) => sender(name));
    await vi.waitFor(() => expect(seen.settled).toBeGreaterThan(200), WAIT);
    await broker.kill();
    await delay(2000);
    await broker.restart();
    const backAtMs = performance.now();
    const [acknowledgedBefore, settledBefore] = [acknowledged, seen.settled];
    await vi.waitFor(() => expect(acknowledged).toBeGreaterThan(acknowledgedBefore), WAIT);
    const sendMs = performance.now() - backAtMs;
    await vi.waitFor(() => expect(seen.settled).toBeGreaterThan(settledBefore), WAIT);
    const receiveMs = performance.now() - backAtMs;
    console.log(
      `after an outage of 2 s: sends after ${Math.round(sendMs)} ms, receives after ${Math.round(receiveMs)} ms`,
    );
    ended.abort();
    await Promise.all(senders);
    await vi.waitFor(() => expect(seen.handled.size).toBe(sent.length), WAIT);
    await consumer.stop(5000);
    expect(new Set(seen.handled.keys())).toEqual(new Set(sent));
    expect(events.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['client-replaced', 'reconnected', 'send-retried']),
    );
  });

  it('C3: gives a send up in the end, with the error of the client', async () => {
    let nowMs = 0;
    const clock = {
      now: () => nowMs,
      sleep: async (ms: number): Promise<void> => {
        nowMs += ms;
        await delay(1);
      },
    };
    const connectionString = broker.connectionString.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:1');
    const bus = open({ connect: { connectionString }, clock });
    await expect(bus.send('queue-4', [outgoing('a')])).rejects.toThrow(/ECONNREFUSED|connect|lost/);
    expect(nowMs).toBeGreaterThanOrEqual(60_000);
    expect(nowMs).toBeLessThan(120_000);
  });

  it('C5: sends 5,000 messages of as many callers at once', async () => {
    const bus = open();
    const startedAtMs = performance.now();
    await Promise.all(texts(5000).map((text) => bus.send('queue-5', [outgoing(text)])));
    console.log(`sent ${Math.round((5000 / (performance.now() - startedAtMs)) * 1000)} messages/s in single sends`);
    const seen = new Seen();
    const consumer = bus.consume('queue-5', { concurrency: 500, onError: seen.onError }, async (message) =>
      seen.add(textOf(message)),
    );
    await vi.waitFor(() => expect(seen.settled).toBe(5000), WAIT);
    await consumer.stop(5000);
    expect([seen.handled.size, seen.twice]).toEqual([5000, []]);
  });

  it('C7: gives back at once what was delivered but not started when it stops', async () => {
    const bus = open();
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
    await vi.waitFor(() => expect(seen.settled).toBe(300), { timeout: 10_000 });
    await second.stop(5000);
    expect([seen.handled.size, seen.twice, seen.errors]).toEqual([300, [], []]);
  });

  it('C7: hands messages back without an error while their handlers end', async () => {
    const bus = open();
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
    await vi.waitFor(() => expect(seen.settled).toBe(2), WAIT);
    await last.stop(5000);
    expect(seen.errors).toEqual([]);
  });

  it('C8: sends without the delay of small packets', async () => {
    const { Socket } = await import('node:net');
    const setNoDelay = vi.spyOn(Socket.prototype, 'setNoDelay');
    await open().send('queue-7', [outgoing('a')]);
    expect(setNoDelay).toHaveBeenCalledWith(true);
    setNoDelay.mockRestore();
  });

  it('delivers the exact bytes of a body that was sent as text by another client', async () => {
    const client = new ServiceBusClient(broker.connectionString);
    await client.createSender('queue-8').sendMessages({ body: 'text', messageId: '1' });
    await client.close();
    const bus = open();
    const body = Promise.withResolvers<string>();
    bus.consume('queue-8', { concurrency: 1, onError: () => undefined }, async (message) => {
      body.resolve(textOf(message));
      return COMPLETE;
    });
    expect(await body.promise).toBe('"text"');
  });

  it('C4: goes on by itself when the queue of a consumer does not exist, and stops at once', async () => {
    const bus = open();
    const seen = new Seen();
    const consumer = bus.consume('no-such-queue', { concurrency: 1, onError: seen.onError }, async () => COMPLETE);
    await vi.waitFor(() => expect(seen.errors.length).toBeGreaterThan(2), WAIT);
    expect(seen.errors).toContainEqual(expect.objectContaining({ code: 'MessagingEntityNotFound' }));
    expect(events.filter(({ kind }) => kind === 'client-replaced')).toEqual([]);
    await consumer.stop(1000);
    const after = seen.errors.length;
    await delay(600);
    expect(seen.errors.length).toBe(after);
  });

  it('C7: keeps the process alive when a detach fails that the client makes without a catch', async () => {
    const rejections: unknown[] = [];
    const onRejection = (error: unknown): void => void rejections.push(error);
    process.on('unhandledRejection', onRejection);
    const connect = { connectionString: broker.connectionString };
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
      broker.freeze();
      await second.stopIntake();
      expect(close).toHaveBeenCalled();
      close.mockRestore();
    } finally {
      broker.thaw();
      await source.close();
      process.off('unhandledRejection', onRejection);
    }
    expect(rejections).toEqual([]);
  });

  it('rejects what is not sent when it is closed, and every later send', async () => {
    const bus = open();
    broker.freeze();
    const sent = bus.send('queue-11', [outgoing('a')]);
    const refused = expect(sent).rejects.toMatchObject({ code: 'BUS_CLOSED' });
    await bus.close();
    broker.thaw();
    await refused;
    await expect(bus.send('queue-11', [outgoing('b')])).rejects.toMatchObject({ code: 'BUS_CLOSED' });
  });

  it('survives a broker that answers nothing for a while, and closes while it does not answer', async () => {
    const rejections: unknown[] = [];
    const onRejection = (error: unknown): void => void rejections.push(error);
    process.on('unhandledRejection', onRejection);
    try {
      const bus = open({ sendTimeoutMs: 500 });
      const seen = new Seen();
      bus.consume('queue-9', { concurrency: 4, onError: seen.onError }, async (message) => seen.add(textOf(message)));
      await bus.send('queue-9', [outgoing('before')]);
      await vi.waitFor(() => expect(seen.settled).toBe(1), WAIT);
      broker.freeze();
      const sent = bus.send('queue-9', [outgoing('meanwhile')]);
      await vi.waitFor(() => expect(events).toContainEqual(expect.objectContaining({ kind: 'send-retried' })), WAIT);
      broker.thaw();
      await sent;
      await vi.waitFor(() => expect(seen.handled.get('meanwhile')).toBeGreaterThan(0), WAIT);
      broker.freeze();
      await bus.close();
    } finally {
      broker.thaw();
      process.off('unhandledRejection', onRejection);
    }
    expect(rejections).toEqual([]);
  });

  it('replaces the client when tokens come again after one was refused', async () => {
    let mayHaveToken = false;
    const credential = {
      getToken: async () => {
        if (!mayHaveToken) throw new Error('identity endpoint is down');
        return { token: 'token', expiresOnTimestamp: Date.now() + 3_600_000 };
      },
    };
    const sleeps: number[] = [];
    const clock = {
      now: () => Date.now(),
      sleep: async (ms: number): Promise<void> => {
        sleeps.push(ms);
        mayHaveToken ||= sleeps.length > 3;
        await delay(1);
      },
    };
    const connect = { fullyQualifiedNamespace: '127.0.0.1', credential };
    const source = new SessionSource({
      connect,
      requestTimeoutMs: 1000,
      clock,
      onEvent: (event) => events.push(event),
    });
    const session = source.current();
    const watched: unknown = Reflect.get(
      Reflect.get(session.client, '_connectionContext') as object,
      'tokenCredential',
    );
    const { getToken } = watched as typeof credential;
    await expect(getToken()).rejects.toThrow('identity endpoint is down');
    await vi.waitFor(() => expect(session.lost.aborted).toBe(true), WAIT);
    expect(events).toEqual([{ kind: 'client-replaced', reason: 'token' }]);
    expect(source.current()).not.toBe(session);
    await source.close();
  });
});
