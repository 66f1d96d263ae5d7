import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceBusClient } from '@azure/service-bus';
import { bodiesOf, Stage, queue, receiveOne, until } from './stage.ts';

let stage: Stage;
let client: ServiceBusClient;

beforeAll(async () => {
  stage = await Stage.open(
    queue('later'),
    queue('cancel'),
    queue('lives'),
    queue('default', { defaultTtlMs: 300 }),
    queue('window', { duplicateDetectionMs: 300 }),
    queue('dropped', { deadLetterOnExpiry: false }),
  );
  client = stage.client();
});

afterAll(async () => stage.close());

describe('scheduled messages', () => {
  test('arrive when their time has come, by request or by annotation, with a new number', async () => {
    const sender = client.createSender('later');
    const at = new Date(Date.now() + 400);
    const [number] = await sender.scheduleMessages({ body: 'requested' }, at);
    await sender.sendMessages({ body: 'annotated', scheduledEnqueueTimeUtc: at });
    expect(await stage.depth('later')).toMatchObject({ active: 0, scheduled: 2 });
    const receiver = client.createReceiver('later');
    const first = await receiveOne(receiver);
    const second = await receiveOne(receiver);
    expect(Date.now()).toBeGreaterThanOrEqual(at.getTime());
    expect([first.body, second.body]).toEqual(['requested', 'annotated']);
    expect(first.sequenceNumber?.toNumber()).toBeGreaterThan(number?.toNumber() ?? Infinity);
    expect(first.enqueuedTimeUtc?.getTime()).toBeGreaterThanOrEqual(at.getTime());
    expect(await stage.depth('later')).toMatchObject({ active: 2, scheduled: 0 });
  });

  test('a time in the past means now', async () => {
    await client.createSender('cancel').scheduleMessages({ body: 'now' }, new Date(Date.now() - 1_000));
    const receiver = client.createReceiver('cancel', { receiveMode: 'receiveAndDelete' });
    expect((await receiveOne(receiver)).body).toBe('now');
  });

  test('can be cancelled once', async () => {
    const sender = client.createSender('cancel');
    const numbers = await sender.scheduleMessages([{ body: 1 }, { body: 2 }], new Date(Date.now() + 60_000));
    await sender.cancelScheduledMessages(numbers);
    expect((await stage.depth('cancel')).scheduled).toBe(0);
    await expect(sender.cancelScheduledMessages(numbers)).rejects.toMatchObject({ code: 'MessageNotFound' });
  });
});

describe('time to live', () => {
  test('a message that expires is dead-lettered, also behind one that lives', async () => {
    const sender = client.createSender('lives');
    await sender.sendMessages([{ body: 'stays' }, { body: 'goes', timeToLive: 200 }]);
    await until(async () => (await stage.depth('lives')).deadLetter === 1);
    const dead = await receiveOne(client.createReceiver('lives', { subQueueType: 'deadLetter' }));
    expect(dead).toMatchObject({ body: 'goes', deadLetterReason: 'TTLExpiredException' });
    expect((await receiveOne(client.createReceiver('lives'))).body).toBe('stays');
  });

  test("the queue's limit holds for messages without their own", async () => {
    await client.createSender('default').sendMessages({ body: 1 });
    await until(async () => (await stage.depth('default')).deadLetter === 1);
    expect((await stage.depth('default')).active).toBe(0);
  });

  test('a locked message does not expire before its lock ends', async () => {
    const sender = client.createSender('default');
    await sender.sendMessages({ body: 'held' });
    const receiver = client.createReceiver('default');
    const message = await receiveOne(receiver);
    await until(() => Date.now() > (message.enqueuedTimeUtc?.getTime() ?? 0) + 400);
    expect((await stage.depth('default')).active).toBe(1);
    await receiver.completeMessage(message);
    expect((await stage.depth('default')).active).toBe(0);
  });

  test('without dead-lettering the message is gone', async () => {
    await client.createSender('dropped').sendMessages({ body: 1, timeToLive: 100 });
    await until(async () => (await stage.depth('dropped')).active === 0);
    expect((await stage.depth('dropped')).deadLetter).toBe(0);
  });
});

test('a duplicate is a new message again when the window is over', async () => {
  const sender = client.createSender('window');
  await sender.sendMessages([
    { messageId: 'a', body: 1 },
    { messageId: 'a', body: 2 },
  ]);
  expect((await stage.depth('window')).active).toBe(1);
  await until(async () => {
    await sender.sendMessages({ messageId: 'a', body: 3 });
    return (await stage.depth('window')).active === 2;
  });
  const receiver = client.createReceiver('window', { receiveMode: 'receiveAndDelete' });
  const messages = await receiver.receiveMessages(2, { maxWaitTimeInMs: 2_000 });
  expect(bodiesOf(messages)).toEqual([1, 3]);
});
