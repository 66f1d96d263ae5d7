import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceBusClient } from '@azure/service-bus';
import { bodiesOf, Stage, queue, receiveOne, until } from './stage.ts';

let stage: Stage;
let client: ServiceBusClient;
const names = ['plain', 'batch', 'destroy', 'abandon', 'limit', 'dead', 'defer', 'peek', 'kept'];

beforeAll(async () => {
  const entities = names.map((name) => queue(name, { maxDeliveryCount: 3 }));
  stage = await Stage.open(
    ...entities,
    queue('short', { lockDurationMs: 500 }),
    queue('once', { duplicateDetectionMs: 60_000 }),
  );
  client = stage.client();
});

afterAll(async () => stage.close());

describe('send and receive', () => {
  test('a message arrives as it was sent, with number, times and lock', async () => {
    const applicationProperties = { text: 'ä', whole: 7, broken: 1.5, flag: true };
    const body = Buffer.from('bytes \u0000 \u00ff');
    await client.createSender('plain').sendMessages({ body, subject: 's', contentType: 'a/b', applicationProperties });
    const receiver = client.createReceiver('plain');
    const message = await receiveOne(receiver);
    expect(message.body).toEqual(body);
    expect(message).toMatchObject({ subject: 's', contentType: 'a/b', applicationProperties, deliveryCount: 0 });
    expect(message.sequenceNumber?.toNumber()).toBeGreaterThan(0);
    expect(message.enqueuedTimeUtc?.getTime()).toBeLessThanOrEqual(Date.now());
    expect(message.lockedUntilUtc?.getTime()).toBeGreaterThan(Date.now() + 20_000);
    expect(message.state).toBe('active');
    await receiver.completeMessage(message);
    expect(await stage.depth('plain')).toEqual({ active: 0, deadLetter: 0, scheduled: 0, stranded: 0 });
  });

  test('a message without id gets one, so that it can be settled', async () => {
    await client.createSender('plain').sendMessages({ body: 1 });
    const receiver = client.createReceiver('plain');
    const message = await receiveOne(receiver);
    expect(message.messageId).toMatch(/^[0-9a-f]{32}$/);
    await receiver.completeMessage(message);
  });

  test('a batch arrives whole and in order', async () => {
    const sender = client.createSender('batch');
    const batch = await sender.createMessageBatch();
    expect(batch.maxSizeInBytes).toBe(262_144);
    for (let index = 0; index < 50; index++) expect(batch.tryAddMessage({ body: index })).toBe(true);
    await sender.sendMessages(batch);
    const receiver = client.createReceiver('batch', { receiveMode: 'receiveAndDelete' });
    const messages = await receiver.receiveMessages(50, { maxWaitTimeInMs: 4_000 });
    expect(bodiesOf(messages)).toEqual(Array.from({ length: 50 }, (_, index) => index));
    expect((await stage.depth('batch')).active).toBe(0);
  });

  test('receive and delete needs no settlement', async () => {
    await client.createSender('destroy').sendMessages([{ body: 1 }, { body: 2 }]);
    const receiver = client.createReceiver('destroy', { receiveMode: 'receiveAndDelete' });
    const messages = await receiver.receiveMessages(2, { maxWaitTimeInMs: 4_000 });
    expect(bodiesOf(messages)).toEqual([1, 2]);
    await stage.restart();
    client = stage.client();
    expect((await stage.depth('destroy')).active).toBe(0);
  });

  test('an empty queue answers after the wait', async () => {
    const messages = await client.createReceiver('plain').receiveMessages(5, { maxWaitTimeInMs: 300 });
    expect(messages).toEqual([]);
  });

  test('a message over the limit is refused, and one at the limit is not', async () => {
    const sender = client.createSender('kept');
    const tooLarge = sender.sendMessages({ body: Buffer.alloc(262_144) });
    await expect(tooLarge).rejects.toMatchObject({ code: 'MessageSizeExceeded' });
    await sender.sendMessages({ body: Buffer.alloc(262_144 - 200, 1) });
    const receiver = client.createReceiver('kept', { receiveMode: 'receiveAndDelete' });
    expect((await receiveOne(receiver)).body).toHaveLength(262_144 - 200);
  });

  test('an entity that is not there is named in the error', async () => {
    const sending = client.createSender('nowhere').sendMessages({ body: 1 });
    await expect(sending).rejects.toMatchObject({ code: 'MessagingEntityNotFound' });
    const receiving = client.createReceiver('nowhere').receiveMessages(1);
    await expect(receiving).rejects.toMatchObject({ code: 'MessagingEntityNotFound' });
  });

  test('a duplicate within the window is acknowledged and dropped', async () => {
    const sender = client.createSender('once');
    await sender.sendMessages([
      { messageId: 'a', body: 1 },
      { messageId: 'b', body: 2 },
      { messageId: 'a', body: 3 },
    ]);
    await sender.sendMessages({ messageId: 'b', body: 4 });
    await stage.restart();
    client = stage.client();
    await client.createSender('once').sendMessages({ messageId: 'a', body: 5 });
    expect((await stage.depth('once')).active).toBe(2);
  });
});

describe('settlement', () => {
  test('abandon brings the message back first, counted and with changed properties', async () => {
    await client.createSender('abandon').sendMessages([{ body: 1, applicationProperties: { old: 1 } }, { body: 2 }]);
    const receiver = client.createReceiver('abandon');
    await receiver.abandonMessage(await receiveOne(receiver), { tries: 1 });
    const again = await receiveOne(receiver);
    expect(again).toMatchObject({ body: 1, deliveryCount: 1, applicationProperties: { old: 1, tries: 1 } });
    await receiver.completeMessage(again);
    expect((await receiveOne(receiver)).body).toBe(2);
  });

  test('at the delivery limit the message is dead-lettered with its count', async () => {
    await client.createSender('limit').sendMessages({ body: 1 });
    const receiver = client.createReceiver('limit');
    for (let count = 0; count < 3; count++) await receiver.abandonMessage(await receiveOne(receiver));
    const dead = await receiveOne(client.createReceiver('limit', { subQueueType: 'deadLetter' }));
    expect(dead).toMatchObject({ body: 1, deliveryCount: 3, deadLetterReason: 'MaxDeliveryCountExceeded' });
    expect(dead.deadLetterSource).toBe('limit');
    expect(await stage.depth('limit')).toMatchObject({ active: 0, deadLetter: 1 });
  });

  test('dead-letter keeps count and number, and carries the reason', async () => {
    await client.createSender('dead').sendMessages({ body: 1 });
    const receiver = client.createReceiver('dead');
    const message = await receiveOne(receiver);
    const options = { deadLetterReason: 'why', deadLetterErrorDescription: 'because', extra: 'x' };
    await receiver.deadLetterMessage(message, options);
    const graves = client.createReceiver('dead', { subQueueType: 'deadLetter' });
    const dead = await receiveOne(graves);
    expect(dead).toMatchObject({ deadLetterReason: 'why', deadLetterErrorDescription: 'because', deliveryCount: 0 });
    expect(dead.applicationProperties).toMatchObject({ extra: 'x' });
    expect(dead.sequenceNumber?.toNumber()).toBe(message.sequenceNumber?.toNumber());
    await graves.abandonMessage(dead);
    const again = await receiveOne(graves);
    expect(again.deliveryCount).toBe(0);
    await expect(graves.deadLetterMessage(again)).rejects.toThrow(/InvalidOperationError/);
  });

  test('a deferred message is received by number only, and counted', async () => {
    await client.createSender('defer').sendMessages({ body: 1 });
    const receiver = client.createReceiver('defer');
    const message = await receiveOne(receiver);
    await receiver.deferMessage(message, { note: 'later' });
    expect(await receiver.receiveMessages(1, { maxWaitTimeInMs: 200 })).toEqual([]);
    const number = message.sequenceNumber;
    if (number === undefined) throw new Error('no sequence number');
    const [first] = await receiver.receiveDeferredMessages(number);
    expect(first).toMatchObject({
      body: 1,
      deliveryCount: 1,
      state: 'deferred',
      applicationProperties: { note: 'later' },
    });
    if (first !== undefined) await receiver.abandonMessage(first);
    const [second] = await receiver.receiveDeferredMessages(number);
    expect(second?.deliveryCount).toBe(2);
    if (second !== undefined) await receiver.completeMessage(second);
    await expect(receiver.receiveDeferredMessages(number)).rejects.toMatchObject({ code: 'MessageNotFound' });
    expect((await stage.depth('defer')).active).toBe(0);
  });

  test('a lock that ran out is lost, and the message comes back counted', async () => {
    await client.createSender('short').sendMessages({ body: 1 });
    const receiver = client.createReceiver('short', { maxAutoLockRenewalDurationInMs: 0 });
    const message = await receiveOne(receiver);
    const other = client.createReceiver('short', { maxAutoLockRenewalDurationInMs: 0 });
    const again = await receiveOne(other);
    expect(again.deliveryCount).toBe(1);
    await expect(receiver.completeMessage(message)).rejects.toMatchObject({ code: 'MessageLockLost' });
    await expect(receiver.renewMessageLock(message)).rejects.toMatchObject({ code: 'MessageLockLost' });
    await other.completeMessage(again);
  });

  test('a renewed lock holds', async () => {
    await client.createSender('short').sendMessages({ body: 1 });
    const receiver = client.createReceiver('short', { maxAutoLockRenewalDurationInMs: 0 });
    const message = await receiveOne(receiver);
    const firstEnd = message.lockedUntilUtc?.getTime() ?? 0;
    await until(async () => (await receiver.renewMessageLock(message)).getTime() > firstEnd + 400);
    await receiver.completeMessage(message);
    expect((await stage.depth('short')).active).toBe(0);
  });

  test('a lock outlives its receiver and can still be settled', async () => {
    await client.createSender('plain').sendMessages({ body: 'late' });
    const receiver = client.createReceiver('plain');
    const message = await receiveOne(receiver);
    await receiver.close();
    expect(await client.createReceiver('plain').receiveMessages(1, { maxWaitTimeInMs: 200 })).toEqual([]);
    expect((await stage.depth('plain')).active).toBe(1);
    const renewed = await client.createReceiver('plain').renewMessageLock(message);
    expect(renewed.getTime()).toBeGreaterThan(Date.now());
  });
});

describe('peek', () => {
  test('shows active, locked, deferred and scheduled messages without locking them', async () => {
    const sender = client.createSender('peek');
    await sender.sendMessages([{ body: 'locked' }, { body: 'deferred' }, { body: 'active' }]);
    await sender.scheduleMessages({ body: 'scheduled' }, new Date(Date.now() + 60_000));
    const receiver = client.createReceiver('peek');
    await receiveOne(receiver);
    await receiver.deferMessage(await receiveOne(receiver));
    const other = client.createReceiver('peek');
    const messages = await other.peekMessages(10);
    const states = messages.map((message) => `${message.body}:${message.state}`);
    expect(states).toEqual(['locked:active', 'deferred:deferred', 'active:active', 'scheduled:scheduled']);
    expect(await other.peekMessages(10)).toEqual([]);
    const [first] = messages;
    if (first?.sequenceNumber === undefined) throw new Error('no sequence number');
    expect(await other.peekMessages(2, { fromSequenceNumber: first.sequenceNumber })).toHaveLength(2);
  });
});
