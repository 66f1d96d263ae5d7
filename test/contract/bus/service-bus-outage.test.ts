import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { SessionSource } from '../../../runtime/adapters/service-bus-session.ts';
import { BusBed, COMPLETE, Seen, WAIT } from './bus-bed.ts';
import { outgoing, queueEntity, textOf } from './bus-contract.ts';

vi.setConfig({ testTimeout: 90_000 });

let bed: BusBed;
beforeAll(async () => {
  bed = await BusBed.start(Array.from({ length: 12 }, (_, index) => queueEntity(`queue-${index}`)));
});
afterEach(() => bed.endTest());
afterAll(() => bed.broker.remove());

describe('Service Bus client in an outage', () => {
  it('C3 and C4: loses nothing and recovers by itself when the broker is killed while sending and consuming', async () => {
    const bus = bed.open();
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
    await bed.broker.kill();
    await delay(2000);
    await bed.broker.restart();
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
    expect(bed.events.map(({ kind }) => kind)).toEqual(
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
    const connectionString = bed.broker.connectionString.replace(/127\.0\.0\.1:\d+/, '127.0.0.1:1');
    const bus = bed.open({ connect: { connectionString }, clock });
    await expect(bus.send('queue-4', [outgoing('a')])).rejects.toThrow(/ECONNREFUSED|connect|lost/);
    expect(nowMs).toBeGreaterThanOrEqual(60_000);
    expect(nowMs).toBeLessThan(120_000);
  });

  it('C4: goes on by itself when the queue of a consumer does not exist, and stops at once', async () => {
    const bus = bed.open();
    const seen = new Seen();
    const consumer = bus.consume('no-such-queue', { concurrency: 1, onError: seen.onError }, async () => COMPLETE);
    await vi.waitFor(() => expect(seen.errors.length).toBeGreaterThan(2), WAIT);
    expect(seen.errors).toContainEqual(expect.objectContaining({ code: 'MessagingEntityNotFound' }));
    expect(bed.events.filter(({ kind }) => kind === 'client-replaced')).toEqual([]);
    await consumer.stop(1000);
    const after = seen.errors.length;
    await delay(600);
    expect(seen.errors.length).toBe(after);
  });

  it('rejects what is not sent when it is closed, and every later send', async () => {
    const bus = bed.open();
    bed.broker.freeze();
    const sent = bus.send('queue-11', [outgoing('a')]).catch((error: unknown) => error);
    await bus.close();
    bed.broker.thaw();
    expect(await sent).toMatchObject({ code: 'BUS_CLOSED' });
    await expect(bus.send('queue-11', [outgoing('b')])).rejects.toMatchObject({ code: 'BUS_CLOSED' });
  });

  it('survives a broker that answers nothing for a while, and closes while it does not answer', async () => {
    const rejections: unknown[] = [];
    const onRejection = (error: unknown): void => void rejections.push(error);
    process.on('unhandledRejection', onRejection);
    try {
      const bus = bed.open({ sendTimeoutMs: 500 });
      const seen = new Seen();
      bus.consume('queue-9', { concurrency: 4, onError: seen.onError }, async (message) => seen.add(textOf(message)));
      await bus.send('queue-9', [outgoing('before')]);
      await seen.waitForSettled(1);
      bed.broker.freeze();
      const sent = bus.send('queue-9', [outgoing('meanwhile')]);
      await vi.waitFor(
        () => expect(bed.events).toContainEqual(expect.objectContaining({ kind: 'send-retried' })),
        WAIT,
      );
      bed.broker.thaw();
      await sent;
      await vi.waitFor(() => expect(seen.handled.get('meanwhile')).toBeGreaterThan(0), WAIT);
      bed.broker.freeze();
      await bus.close();
    } finally {
      bed.broker.thaw();
      process.off('unhandledRejection', onRejection);
    }
    expect(rejections).toEqual([]);
  });

  it('replaces a connected client that only failed for 30 s', async () => {
    let nowMs = 0;
    const clock = { now: () => nowMs, sleep: (ms: number) => delay(ms) };
    const connect = { connectionString: bed.broker.connectionString };
    const onEvent = bed.events.push.bind(bed.events);
    const source = new SessionSource({ connect, requestTimeoutMs: 1000, clock, onEvent });
    const session = source.current();
    await session.run(async () => session.client.createSender('queue-8').createMessageBatch());
    const failThreeTimes = (): void => {
      for (let failures = 0; failures < 3; failures += 1) session.noteFailure();
    };
    failThreeTimes();
    session.noteSuccess();
    nowMs += 30_000;
    failThreeTimes();
    expect(session.lost.aborted).toBe(false);
    nowMs += 30_000;
    session.noteFailure();
    expect(session.lost.aborted).toBe(true);
    expect(bed.events).toEqual([{ kind: 'client-replaced', reason: 'no-progress' }]);
    await source.close();
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
      onEvent: (event) => bed.events.push(event),
    });
    const session = source.current();
    const watched: unknown = Reflect.get(
      Reflect.get(session.client, '_connectionContext') as object,
      'tokenCredential',
    );
    const { getToken } = watched as typeof credential;
    await expect(getToken()).rejects.toThrow('identity endpoint is down');
    await vi.waitFor(() => expect(session.lost.aborted).toBe(true), WAIT);
    expect(bed.events).toEqual([{ kind: 'client-replaced', reason: 'token' }]);
    expect(source.current()).not.toBe(session);
    await source.close();
  });
});
