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
  queue('grouped', { requiresSession: true }),
  topic('data'),
  subscription('data', 'lake', { forwardTo: 'work' }),
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

function open(): ServiceBusClient {
  const client = new ServiceBusClient(broker.connectionString, { retryOptions: RETRIES });
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
