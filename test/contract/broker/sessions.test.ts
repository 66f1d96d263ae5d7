import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceBusClient } from '@azure/service-bus';
import { bodiesOf, Stage, queue, receiveOne, subscription, topic, until } from './stage.ts';

let stage: Stage;
let client: ServiceBusClient;
const names = ['named', 'next', 'state', 'kinds', 'order', 'many', 'deferred'];

beforeAll(async () => {
  stage = await Stage.open(
    ...names.map((name) => queue(name, { requiresSession: true, maxDeliveryCount: 3 })),
    queue('short', { requiresSession: true, lockDurationMs: 600 }),
    queue('plain'),
    topic('news'),
    subscription('news', 'grouped', { requiresSession: true }),
  );
  client = stage.client();
});

afterAll(async () => stage.close());

describe('a named session', () => {
  test('gives its own messages in order, and is held by one receiver', async () => {
    const sender = client.createSender('named');
    await sender.sendMessages([
      { body: 1, sessionId: 'a' },
      { body: 2, sessionId: 'b' },
      { body: 3, sessionId: 'a' },
    ]);
    const session = await client.acceptSession('named', 'a');
    expect(session.sessionLockedUntilUtc.getTime()).toBeGreaterThan(Date.now() + 20_000);
    const other = stage.client().acceptSession('named', 'a');
    await expect(other).rejects.toMatchObject({ code: 'SessionCannotBeLocked' });
    const messages = await session.receiveMessages(2, { maxWaitTimeInMs: 2_000 });
    expect(bodiesOf(messages)).toEqual([1, 3]);
    for (const message of messages) await session.completeMessage(message);
    await session.close();
    const again = await client.acceptSession('named', 'a');
    expect(await again.receiveMessages(1, { maxWaitTimeInMs: 100 })).toEqual([]);
    await again.close();
  });

  test('keeps its state over receivers and restarts', async () => {
    const session = await client.acceptSession('state', 'empty');
    expect(await session.getSessionState()).toBeNull();
    await session.setSessionState({ step: 4 });
    await stage.restart();
    client = stage.client();
    const again = await client.acceptSession('state', 'empty');
    expect(await again.getSessionState()).toEqual({ step: 4 });
    await again.setSessionState(null);
    expect(await again.getSessionState()).toBeNull();
    await again.close();
  });

  test('gives unsettled messages back, first and counted, when its receiver closes', async () => {
    await client.createSender('order').sendMessages([1, 2].map((body) => ({ body, sessionId: 'x' })));
    const session = await client.acceptSession('order', 'x');
    await receiveOne(session);
    await session.close();
    const again = await client.acceptSession('order', 'x');
    const messages = await again.receiveMessages(2, { maxWaitTimeInMs: 2_000 });
    expect(messages).toMatchObject([
      { body: 1, deliveryCount: 1 },
      { body: 2, deliveryCount: 0 },
    ]);
    for (const message of messages) await again.completeMessage(message);
    await again.close();
  });

  test('defers and receives by number', async () => {
    await client.createSender('deferred').sendMessages({ body: 1, sessionId: 'd' });
    const session = await client.acceptSession('deferred', 'd');
    const message = await receiveOne(session);
    await session.deferMessage(message);
    const number = message.sequenceNumber;
    if (number === undefined) throw new Error('no sequence number');
    const [again] = await session.receiveDeferredMessages(number);
    if (again !== undefined) await session.completeMessage(again);
    expect(again?.body).toBe(1);
    expect((await stage.depth('deferred')).active).toBe(0);
    await session.close();
  });
});

describe('the next session', () => {
  test('is the one that has waited longest', async () => {
    await client.createSender('next').sendMessages(['p', 'q'].map((sessionId) => ({ body: sessionId, sessionId })));
    const first = await client.acceptNextSession('next');
    const second = await client.acceptNextSession('next');
    expect([first.sessionId, second.sessionId]).toEqual(['p', 'q']);
    for (const session of [first, second]) {
      await session.completeMessage(await receiveOne(session));
      await session.close();
    }
  });

  test('is waited for', async () => {
    const accepted = client.acceptNextSession('next');
    await client.createSender('next').sendMessages({ body: 1, sessionId: 'fresh' });
    const session = await accepted;
    expect(session.sessionId).toBe('fresh');
    await session.completeMessage(await receiveOne(session));
    await session.close();
  });

  test('ends the wait with the code of a timeout, and the wait takes no session after it', async () => {
    const impatient = stage.client({ timeoutInMs: 600, maxRetries: 0 });
    await expect(impatient.acceptNextSession('next')).rejects.toMatchObject({ code: 'ServiceTimeout' });
    await client.createSender('next').sendMessages({ body: 1, sessionId: 'after' });
    const session = await client.acceptNextSession('next');
    await session.completeMessage(await receiveOne(session));
    await session.close();
  });

  test('many workers share many sessions, each message once', async () => {
    const sender = client.createSender('many');
    const sessions = Array.from({ length: 40 }, (_, index) => `s${index}`);
    for (const sessionId of sessions) await sender.sendMessages([1, 2, 3].map((body) => ({ body, sessionId })));
    const got: string[] = [];
    const workers = stage.client({ timeoutInMs: 600, maxRetries: 0 });
    const work = async (): Promise<void> => {
      while (got.length < 120) {
        const session = await workers.acceptNextSession('many').catch(() => undefined);
        if (session === undefined) continue;
        for (const message of await session.receiveMessages(3, { maxWaitTimeInMs: 500 })) {
          got.push(`${message.sessionId}:${message.body}`);
          await session.completeMessage(message);
        }
        await session.close();
      }
    };
    await Promise.all(Array.from({ length: 4 }, work));
    expect(new Set(got).size).toBe(120);
    expect(got).toHaveLength(120);
  });
});

describe('a session lock', () => {
  test('that runs out closes the receiver, and the session is free', async () => {
    await client.createSender('short').sendMessages({ body: 1, sessionId: 'l' });
    const session = await client.acceptSession('short', 'l', { maxAutoLockRenewalDurationInMs: 0 });
    const message = await receiveOne(session);
    await until(() => session.isClosed);
    await expect(session.completeMessage(message)).rejects.toMatchObject({ code: 'SessionLockLost' });
    const again = await client.acceptSession('short', 'l', { maxAutoLockRenewalDurationInMs: 0 });
    const redelivered = await receiveOne(again);
    expect(redelivered.deliveryCount).toBe(1);
    const before = again.sessionLockedUntilUtc.getTime();
    await again.renewSessionLock();
    expect(again.sessionLockedUntilUtc.getTime()).toBeGreaterThanOrEqual(before);
    await again.completeMessage(redelivered);
    await again.close();
  });
});

describe('the wrong kind', () => {
  test('of receiver or message is refused', async () => {
    const plainReceiver = client.createReceiver('kinds').receiveMessages(1, { maxWaitTimeInMs: 500 });
    await expect(plainReceiver).rejects.toThrow(/InvalidOperationError/);
    // The client has one error for every refusal of a named session.
    await expect(client.acceptSession('plain', 'x')).rejects.toMatchObject({ code: 'SessionCannotBeLocked' });
    await expect(client.createSender('kinds').sendMessages({ body: 1 })).rejects.toThrow(/InvalidOperationError/);
  });

  test('the dead-letter queue of a session queue needs no session', async () => {
    await client.createSender('kinds').sendMessages({ body: 1, sessionId: 'z' });
    const session = await client.acceptSession('kinds', 'z');
    await session.deadLetterMessage(await receiveOne(session));
    await session.close();
    const dead = await receiveOne(client.createReceiver('kinds', { subQueueType: 'deadLetter' }));
    expect(dead).toMatchObject({ body: 1, sessionId: 'z' });
  });
});

test('a subscription can have sessions', async () => {
  await client.createSender('news').sendMessages({ body: 1, sessionId: 'n' });
  const session = await client.acceptNextSession('news', 'grouped');
  expect((await receiveOne(session)).body).toBe(1);
  await session.close();
});
