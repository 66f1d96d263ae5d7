import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ServiceBusClient } from '@azure/service-bus';
import { bodiesOf, Stage, queue, receiveOne, subscription, topic, until } from './stage.ts';

let stage: Stage;
let client: ServiceBusClient;

beforeAll(async () => {
  stage = await Stage.open(
    subscription('data', 'lake', { forwardTo: 'ingest' }),
    topic('data'),
    subscription('data', 'own'),
    queue('ingest'),
    topic('rules'),
    subscription('rules', 'some'),
    topic('broken'),
    subscription('broken', 'lost', { forwardTo: 'nowhere' }),
    subscription('broken', 'sessions', { forwardTo: 'grouped' }),
    queue('grouped', { requiresSession: true }),
    queue('loop', { forwardTo: 'loop' }),
    queue('first', { forwardTo: 'second' }),
    queue('second', { forwardTo: 'third' }),
    queue('third', { duplicateDetectionMs: 60_000 }),
  );
  client = stage.client();
});

afterAll(async () => stage.close());

describe('a topic', () => {
  test('gives every subscription a copy, and forwards', async () => {
    await client.createSender('data').sendMessages([{ body: 1 }, { body: 2 }]);
    const own = await client.createReceiver('data', 'own').receiveMessages(2, { maxWaitTimeInMs: 2_000 });
    const forwarded = await client.createReceiver('ingest').receiveMessages(2, { maxWaitTimeInMs: 2_000 });
    expect(bodiesOf(own)).toEqual([1, 2]);
    expect(bodiesOf(forwarded)).toEqual([1, 2]);
    expect(await stage.depth('data/Subscriptions/lake')).toMatchObject({ active: 0, stranded: 0 });
    const [copy] = forwarded;
    expect(copy?.enqueuedSequenceNumber).toBeLessThan(copy?.sequenceNumber?.toNumber() ?? 0);
  });

  test('holds scheduled messages and fans them out when their time has come', async () => {
    const sender = client.createSender('data');
    await sender.scheduleMessages({ body: 'later' }, new Date(Date.now() + 300));
    expect((await stage.admin().getTopicRuntimeProperties('data')).scheduledMessageCount).toBe(1);
    expect((await receiveOne(client.createReceiver('data', 'own'))).body).toBe('later');
    expect((await receiveOne(client.createReceiver('ingest'))).body).toBe('later');
  });

  test('can be sent to and not received from, a subscription the other way round', async () => {
    const receiving = client.createReceiver('data').receiveMessages(1);
    await expect(receiving).rejects.toMatchObject({ code: 'MessagingEntityNotFound' });
    const sending = client.createSender('data/Subscriptions/own').sendMessages({ body: 1 });
    await expect(sending).rejects.toThrow(/InvalidOperationError/);
  });
});

describe('forwarding', () => {
  test('goes over several queues, and duplicates end at the one that detects them', async () => {
    const sender = client.createSender('first');
    await sender.sendMessages([
      { messageId: 'x', body: 1 },
      { messageId: 'x', body: 2 },
    ]);
    expect((await receiveOne(client.createReceiver('third'))).body).toBe(1);
    expect((await stage.depth('third')).active).toBe(1);
    expect((await stage.depth('first')).active).toBe(0);
  });

  test('that cannot be done ends in the transfer dead-letter queue', async () => {
    await client.createSender('broken').sendMessages({ body: 1 });
    expect(await stage.depth('broken/Subscriptions/lost')).toMatchObject({ active: 0, deadLetter: 0, stranded: 1 });
    expect((await stage.depth('broken/Subscriptions/sessions')).stranded).toBe(1);
    const graves = client.createReceiver('broken', 'lost', { subQueueType: 'transferDeadLetter' });
    const message = await receiveOne(graves);
    expect(message).toMatchObject({ body: 1, deadLetterSource: 'broken/Subscriptions/lost' });
    expect(message.deadLetterErrorDescription).toMatch(/nowhere/);
    await graves.completeMessage(message);
    expect((await stage.depth('broken/Subscriptions/lost')).stranded).toBe(0);
  });

  test('in a circle ends after four hops', async () => {
    await client.createSender('loop').sendMessages({ body: 1 });
    expect(await stage.depth('loop')).toMatchObject({ active: 0, stranded: 1 });
  });
});

/** The type of the package lacks this method of the rule manager. */
async function rulesOf(topicName: string, name: string): Promise<unknown> {
  const manager: unknown = client.createRuleManager(topicName, name);
  return (manager as { getRules(): Promise<unknown> }).getRules();
}

describe('rules', () => {
  test('decide what a subscription gets, and outlive the broker', async () => {
    const manager = client.createRuleManager('rules', 'some');
    await manager.deleteRule('$Default');
    await manager.createRule('red', { applicationProperties: { colour: 'red' }, subject: 'car' });
    const action = { sqlExpression: 'SET seen = 1' };
    await manager.createRule('big', { sqlExpression: "size > 10 AND sys.Label = 'car'" }, action);
    await expect(manager.createRule('red', { sqlExpression: '1=1' })).rejects.toThrow(/already exists/);
    await expect(manager.createRule('bad', { sqlExpression: 'size >' })).rejects.toThrow(/filter/);
    await stage.restart();
    client = stage.client();
    await client.createSender('rules').sendMessages([
      { body: 'red car', subject: 'car', applicationProperties: { colour: 'red' } },
      { body: 'red bus', subject: 'bus', applicationProperties: { colour: 'red', size: 20 } },
      { body: 'big car', subject: 'car', applicationProperties: { Size: 11 } },
      { body: 'small car', subject: 'car', applicationProperties: { size: 10 } },
    ]);
    const receiver = client.createReceiver('rules', 'some', { receiveMode: 'receiveAndDelete' });
    const messages = await receiver.receiveMessages(2, { maxWaitTimeInMs: 2_000 });
    expect(bodiesOf(messages)).toEqual(['red car', 'big car']);
    await until(async () => (await stage.depth('rules/Subscriptions/some')).active === 0);
  });

  test('are listed by name', async () => {
    expect(await rulesOf('rules', 'some')).toMatchObject([
      {
        name: 'big',
        filter: { sqlExpression: "size > 10 AND sys.Label = 'car'" },
        action: { sqlExpression: 'SET seen = 1' },
      },
      { name: 'red', filter: { subject: 'car', applicationProperties: { colour: 'red' } } },
    ]);
    const listed: unknown[] = [];
    for await (const rule of stage.admin().listRules('rules', 'some')) listed.push(rule.name);
    expect(listed).toEqual(['big', 'red']);
  });
});
