import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceBusClient, ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';
import { bodiesOf, Stage, queue, receiveOne, spawnClient, until } from './stage.ts';

let stage: Stage;
let client: ServiceBusClient;

beforeAll(async () => {
  stage = await Stage.open(...['many', 'drain', 'tiny', 'shared', 'held', 'slow', 'large'].map((name) => queue(name)));
  client = stage.client();
});

afterAll(async () => stage.close());

/** Subscribes, completes everything, and resolves when `count` messages came. */
async function consume(receiver: ServiceBusReceiver, count: number, calls: number): Promise<readonly unknown[]> {
  const bodies: unknown[] = [];
  const done = Promise.withResolvers<void>();
  const subscription = receiver.subscribe(
    {
      async processMessage(message) {
        if (bodies.push(message.body) === count) done.resolve();
      },
      async processError({ error }) {
        done.reject(error);
      },
    },
    { maxConcurrentCalls: calls },
  );
  await done.promise;
  await subscription.close();
  return bodies;
}

describe('subscribe', () => {
  test('3,000 messages pass through 64 concurrent calls, each once and in order', async () => {
    const sender = client.createSender('many');
    for (let from = 0; from < 3_000; from += 250) {
      await sender.sendMessages(Array.from({ length: 250 }, (_, index) => ({ body: from + index })));
    }
    const bodies = await consume(client.createReceiver('many'), 3_000, 64);
    expect(bodies).toEqual(Array.from({ length: 3_000 }, (_, index) => index));
    await until(async () => (await stage.depth('many')).active === 0);
  });

  test('messages that are sent while receivers wait go to all of them', async () => {
    const other = stage.client();
    const first = consume(client.createReceiver('shared'), 20, 5);
    const second = consume(other.createReceiver('shared'), 20, 5);
    const sender = client.createSender('shared');
    for (let index = 0; index < 40; index++) await sender.sendMessages({ body: index });
    const bodies = [...(await first), ...(await second)];
    expect(new Set(bodies).size).toBe(40);
  });

  test('messages larger than a frame pass in parts', async () => {
    const sender = client.createSender('large');
    const bodies = Array.from({ length: 30 }, (_, index) => Buffer.alloc(200_000, index));
    for (const body of bodies) await sender.sendMessages({ body });
    const got = await consume(client.createReceiver('large'), 30, 16);
    expect(
      got.map((body) => Buffer.compare(Buffer.from(String(body)), Buffer.from(String(bodies[got.indexOf(body)])))),
    ).toEqual(bodies.map(() => 0));
  });

  test('one slow message stops its own receiver at the window, not the queue', async () => {
    const total = 2_600;
    const sender = client.createSender('slow');
    for (let from = 0; from < total; from += 200) {
      await sender.sendMessages(Array.from({ length: 200 }, (_, index) => ({ body: from + index })));
    }
    const slow = Promise.withResolvers<void>();
    let count = 0;
    const handlers = {
      async processMessage(message: ServiceBusReceivedMessage) {
        if (message.body === 0) await slow.promise;
        count += 1;
      },
      async processError() {},
    };
    const stuck = client.createReceiver('slow').subscribe(handlers, { maxConcurrentCalls: 100 });
    await until(() => count >= 2_000, 10_000);
    const other = client.createReceiver('slow').subscribe(handlers, { maxConcurrentCalls: 100 });
    await until(() => count === total - 1, 10_000);
    slow.resolve();
    await until(async () => (await stage.depth('slow')).active === 0);
    await Promise.all([stuck.close(), other.close()]);
  });
});

describe('drain', () => {
  test('asking for more than there is ends after the wait with what there is, again and again', async () => {
    const sender = client.createSender('drain');
    const receiver = client.createReceiver('drain');
    for (let round = 0; round < 3; round++) {
      await sender.sendMessages([{ body: 1 }, { body: 2 }, { body: 3 }]);
      const messages = await receiver.receiveMessages(10, { maxWaitTimeInMs: 2_000 });
      expect(messages).toHaveLength(3);
      for (const message of messages) await receiver.completeMessage(message);
    }
    expect((await stage.depth('drain')).active).toBe(0);
  });

  test('receive and delete with short waits loses nothing', async () => {
    const sender = client.createSender('tiny');
    const receiver = client.createReceiver('tiny', { receiveMode: 'receiveAndDelete' });
    const total = 120;
    const sending = (async () => {
      for (let index = 0; index < total; index++) await sender.sendMessages({ body: index });
    })();
    const bodies: unknown[] = [];
    await until(async () => {
      const messages = await receiver.receiveMessages(7, { maxWaitTimeInMs: 20 });
      bodies.push(...bodiesOf(messages));
      return bodies.length >= total;
    }, 20_000);
    await sending;
    expect(bodies.toSorted((one, other) => Number(one) - Number(other))).toEqual(
      Array.from({ length: total }, (_, index) => index),
    );
  });
});

describe('a consumer that dies', () => {
  test('its messages go to another receiver within a second, counted', async () => {
    await client.createSender('held').sendMessages(Array.from({ length: 5 }, (_, index) => ({ body: index })));
    const victim = spawnClient(stage.connectionString, 'hold', 'held', 5);
    expect(await victim.read()).toEqual({ held: 5 });
    expect(await client.createReceiver('held').receiveMessages(1, { maxWaitTimeInMs: 100 })).toEqual([]);
    await victim.kill('SIGKILL');
    const killedAtMs = performance.now();
    const message = await receiveOne(client.createReceiver('held'));
    expect(performance.now() - killedAtMs).toBeLessThan(1_000);
    expect(message).toMatchObject({ body: 0, deliveryCount: 1 });
  });
});
