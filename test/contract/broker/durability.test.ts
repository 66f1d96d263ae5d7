import { rm } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ServiceBusClient } from '@azure/service-bus';
import {
  RETRIES,
  depthOf,
  plainAdmin,
  queue,
  receiveOne,
  spawnBroker,
  spawnClient,
  subscription,
  tempFolder,
  topic,
  until,
} from './stage.ts';
import type { BrokerProcess, LineProcess } from './stage.ts';

const ENTITIES = [
  queue('work'),
  queue('once', { duplicateDetectionMs: 600_000, maxDeliveryCount: 1_000, lockDurationMs: 3_000 }),
  queue('grouped', { requiresSession: true }),
  topic('data'),
  subscription('data', 'lake', { forwardTo: 'work' }),
  topic('news'),
  subscription('news', 'all', { forwardTo: 'once' }),
];

let stateDir: string;
let broker: BrokerProcess;
let clients: ServiceBusClient[];
let children: LineProcess[];

beforeEach(async () => {
  clients = [];
  children = [];
  stateDir = await tempFolder();
  broker = await spawnBroker(stateDir, ENTITIES);
});

afterEach(async () => {
  for (const child of children) await child.kill('SIGKILL');
  await Promise.all(clients.map(async (client) => client.close()));
  await broker.process.kill('SIGKILL');
  await rm(stateDir, { recursive: true, force: true });
});

function open(retryOptions = RETRIES): ServiceBusClient {
  const client = new ServiceBusClient(broker.connectionString, { retryOptions });
  clients.push(client);
  return client;
}

/** Kills the broker as a power cut would, and starts it again on the same port. */
async function crash(): Promise<void> {
  await broker.process.kill('SIGKILL');
  broker = await spawnBroker(stateDir, ENTITIES, broker.port);
}

async function depth(): Promise<{ active: number; deadLetter: number; scheduled: number }> {
  return depthOf(plainAdmin(broker.connectionString), 'work');
}

describe('a broker that is killed', () => {
  test('has every message that it acknowledged, and none twice', async () => {
    const acknowledged = new Set<string>();
    const senders = ['work', 'data'].map((entity) => spawnClient(broker.connectionString, 'send', entity, 100_000));
    children.push(...senders);
    const reading = senders.map(async (sender) => {
      for (let line = await sender.read(); line !== undefined; line = await sender.read())
        acknowledged.add(String(line['sent']));
    });
    await until(() => acknowledged.size > 300, 20_000);
    await broker.process.kill('SIGKILL');
    for (const sender of senders) await sender.kill('SIGKILL');
    await Promise.all(reading);
    broker = await spawnBroker(stateDir, ENTITIES, broker.port);
    const receiver = open().createReceiver('work', { receiveMode: 'receiveAndDelete' });
    const got: string[] = [];
    const { active } = await depth();
    await until(async () => {
      const messages = await receiver.receiveMessages(500, { maxWaitTimeInMs: 500 });
      got.push(...messages.map((message) => String(message.messageId)));
      return got.length >= active;
    }, 20_000);
    const missing = [...acknowledged].filter((messageId) => !got.includes(messageId));
    expect(missing).toEqual([]);
    expect(new Set(got).size).toBe(got.length);
    // One message per sender may have been on disk without its acknowledgement having arrived.
    expect(got.length - acknowledged.size).toBeLessThanOrEqual(2);
  });

  test('does not bring back what was settled', async () => {
    const client = open();
    await client
      .createSender('work')
      .sendMessages(Array.from({ length: 200 }, (_, index) => ({ messageId: `m${index}`, body: index })));
    const drainer = spawnClient(broker.connectionString, 'drain', 'work', 8);
    children.push(drainer);
    const completed = new Set<unknown>();
    while (completed.size < 60) completed.add((await drainer.read())?.['completed']);
    await broker.process.kill('SIGKILL');
    await drainer.kill('SIGKILL');
    for (let line = await drainer.read(); line !== undefined; line = await drainer.read())
      completed.add(line['completed']);
    broker = await spawnBroker(stateDir, ENTITIES, broker.port);
    const { active } = await depth();
    const receiver = open().createReceiver('work', { receiveMode: 'receiveAndDelete' });
    const messages = await receiver.receiveMessages(active, { maxWaitTimeInMs: 4_000 });
    expect(messages.filter((message) => completed.has(message.messageId))).toEqual([]);
    expect(messages.length + completed.size).toBeGreaterThanOrEqual(200 - 8);
    expect(messages.length + completed.size).toBeLessThanOrEqual(200);
  });

  test('remembers states, counts, reasons and numbers', async () => {
    const client = open();
    const sender = client.createSender('work');
    await sender.sendMessages(['dead', 'deferred', 'abandoned', 'ready'].map((body) => ({ body })));
    await sender.scheduleMessages({ body: 'scheduled' }, new Date(Date.now() + 600_000));
    const receiver = client.createReceiver('work');
    await receiver.deadLetterMessage(await receiveOne(receiver), {
      deadLetterReason: 'r',
      deadLetterErrorDescription: 'd',
    });
    const deferred = await receiveOne(receiver);
    await receiver.deferMessage(deferred);
    await receiver.abandonMessage(await receiveOne(receiver));
    await crash();
    expect(await depth()).toMatchObject({ active: 3, deadLetter: 1, scheduled: 1 });
    const again = open();
    const other = again.createReceiver('work');
    expect(await receiveOne(other)).toMatchObject({ body: 'abandoned', deliveryCount: 1 });
    const ready = await receiveOne(other);
    expect(ready).toMatchObject({ body: 'ready', deliveryCount: 0 });
    if (deferred.sequenceNumber === undefined) throw new Error('no sequence number');
    expect(await other.receiveDeferredMessages(deferred.sequenceNumber)).toMatchObject([{ body: 'deferred' }]);
    const graves = again.createReceiver('work', { subQueueType: 'deadLetter' });
    expect(await receiveOne(graves)).toMatchObject({ body: 'dead', deadLetterReason: 'r' });
    await again.createSender('work').sendMessages({ body: 'new' });
    const fresh = await receiveOne(other);
    expect(fresh.sequenceNumber?.toNumber()).toBeGreaterThan((ready.sequenceNumber?.toNumber() ?? Infinity) + 1);
  });

  test('is found again by clients that were connected', async () => {
    const client = open();
    const sender = client.createSender('work');
    const got: unknown[] = [];
    client.createReceiver('work').subscribe({
      async processMessage(message) {
        got.push(message.body);
      },
      async processError() {},
    });
    await sender.sendMessages({ body: 'before' });
    await until(() => got.includes('before'));
    await crash();
    await sender.sendMessages({ body: 'after' });
    await until(() => got.includes('after'), 10_000);
  });
});

test('killed again and again, it hands every acknowledged message to one completion', async () => {
  const acknowledged = new Set<string>();
  const completed: string[] = [];
  const delivered = new Set<string>();
  const finish = new AbortController();
  let count = 0;
  const sending = ['once', 'news', 'once', 'news'].map(async (entity) => {
    const sender = open({ ...RETRIES, timeoutInMs: 1_500 }).createSender(entity);
    while (!finish.signal.aborted) {
      const messageId = `m${count++}`;
      // The same id again after a failure: duplicate detection makes the retry safe.
      await until(async () => {
        const outcome = await Promise.allSettled([sender.sendMessages({ messageId, body: messageId })]);
        return outcome[0].status === 'fulfilled';
      }, 30_000);
      acknowledged.add(messageId);
    }
  });
  const receiver = open().createReceiver('once');
  const subscription = receiver.subscribe(
    {
      async processMessage(message) {
        const messageId = String(message.messageId);
        delivered.add(messageId);
        // A completion that the crash cut off is in doubt: done on disk, or delivered again.
        const [outcome] = await Promise.allSettled([receiver.completeMessage(message)]);
        if (outcome.status === 'fulfilled') completed.push(messageId);
      },
      async processError() {},
    },
    { maxConcurrentCalls: 16, autoCompleteMessages: false },
  );
  for (let round = 1; round <= 3; round++) {
    await until(() => completed.length > round * 200, 30_000);
    await crash();
  }
  finish.abort();
  await Promise.all(sending);
  await until(async () => (await depthOf(plainAdmin(broker.connectionString), 'once')).active === 0, 30_000);
  await subscription.close();
  expect([...acknowledged].filter((messageId) => !delivered.has(messageId))).toEqual([]);
  expect(completed.length).toBeGreaterThanOrEqual(acknowledged.size - 3 * 16);
  expect(new Set(completed).size).toBe(completed.length);
}, 60_000);

test('two client processes share a queue, and what one leaves the other gets', async () => {
  const sender = spawnClient(broker.connectionString, 'send', 'work', 300);
  const drainers = [1, 2].map(() => spawnClient(broker.connectionString, 'drain', 'work', 4));
  children.push(sender, ...drainers);
  const completed: unknown[] = [];
  const reading = drainers.map(async (drainer) => {
    for (let line = await drainer.read(); line !== undefined; line = await drainer.read())
      completed.push(line['completed']);
  });
  await until(() => completed.length > 50, 15_000);
  await drainers[0]?.kill('SIGKILL');
  await until(async () => completed.length >= 295 && (await depth()).active === 0, 15_000);
  await drainers[1]?.kill('SIGKILL');
  await Promise.all(reading);
  expect(new Set(completed).size).toBe(completed.length);
});
