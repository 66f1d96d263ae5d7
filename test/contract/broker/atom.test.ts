import { afterAll, beforeAll, expect, test } from 'vitest';
import { Stage, queue, subscription, topic } from './stage.ts';

let stage: Stage;

beforeAll(async () => {
  const queues = Array.from({ length: 120 }, (_, index) => queue(`q${index}`));
  stage = await Stage.open(
    ...queues,
    queue('Grouped/Name', { requiresSession: true, lockDurationMs: 5_000, maxDeliveryCount: 7, defaultTtlMs: 60_000 }),
    topic('data', { duplicateDetectionMs: 20_000 }),
    subscription('data', 'lake', { forwardTo: 'q0' }),
  );
});

afterAll(async () => stage.close());

test('entities are described as the catalog has them', async () => {
  const admin = stage.admin();
  expect(await admin.getQueue('Grouped/Name')).toMatchObject({
    name: 'Grouped/Name',
    requiresSession: true,
    lockDuration: 'PT5S',
    maxDeliveryCount: 7,
    defaultMessageTimeToLive: 'PT60S',
  });
  expect(await admin.getTopic('data')).toMatchObject({ name: 'data', requiresDuplicateDetection: true });
  expect(await admin.getSubscription('data', 'lake')).toMatchObject({ subscriptionName: 'lake', forwardTo: 'q0' });
  expect((await admin.getNamespaceProperties()).messagingSku).toBe('Standard');
});

test('lists are paged to their end', async () => {
  const names: string[] = [];
  for await (const item of stage.admin().listQueuesRuntimeProperties()) names.push(item.name);
  expect(names).toHaveLength(121);
  const topics: string[] = [];
  for await (const item of stage.admin().listTopics()) topics.push(item.name);
  expect(topics).toEqual(['data']);
  const subscriptions: string[] = [];
  for await (const item of stage.admin().listSubscriptions('data')) subscriptions.push(item.subscriptionName);
  expect(subscriptions).toEqual(['lake']);
});

test('what is not there is not found', async () => {
  const admin = stage.admin();
  expect(await admin.queueExists('q0')).toBe(true);
  expect(await admin.queueExists('none')).toBe(false);
  await expect(admin.getQueue('none')).rejects.toMatchObject({ code: 'MessageEntityNotFoundError' });
  await expect(admin.getRule('data', 'lake', 'none')).rejects.toMatchObject({ code: 'MessageEntityNotFoundError' });
});

test('it only reads', async () => {
  const response = await fetch(`http://127.0.0.1:${stage.port}/q0`, { method: 'DELETE' });
  expect(response.status).toBe(405);
  const broken = await fetch(`http://127.0.0.1:${stage.port}/%E0%A4%A`);
  expect(broken.status).toBe(400);
});
