import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Bodies } from '../../../runtime/local/broker/bodies.ts';
import { Journal } from '../../../runtime/local/broker/journal.ts';
import { messageOf } from '../../../runtime/local/broker/message.ts';
import type { Message } from '../../../runtime/local/broker/message.ts';
import { Store } from '../../../runtime/local/broker/store.ts';
import { Stage, queue, receiveOne, tempFolder } from './stage.ts';

let stateDir: string;
let store: Store;

beforeEach(async () => {
  stateDir = await tempFolder();
  store = new Store(stateDir);
});

afterEach(async () => {
  store.close();
  await rm(stateDir, { recursive: true, force: true });
});

function messageWith(raw: Buffer): Message {
  const draft = {
    messageId: 'm',
    sessionId: 's',
    isDurable: true,
    priority: 2,
    ttlMs: 9_000,
    notes: Buffer.from([1]),
    raw,
  };
  return messageOf(
    { ...draft, scheduledAtMs: undefined },
    { seq: store.nextSeq(), enqueueSeq: 1, nowMs: 1_000, ttlLimitMs: 5_000 },
  );
}

test('operations of one turn are committed together, and acknowledged after that', async () => {
  const journal = new Journal(store, () => undefined);
  const acknowledged: number[] = [];
  const messages = [1, 2, 3].map((byte) => messageWith(Buffer.from([byte])));
  for (const message of messages) {
    journal.commit(
      () => store.put(message, 1, message.raw ?? Buffer.alloc(0)),
      () => acknowledged.push(message.seq),
    );
  }
  expect(acknowledged).toEqual([]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(acknowledged).toEqual(messages.map((message) => message.seq));
  expect([...store.messages()].map((row) => ({ ...row.message }))).toEqual(
    messages.map((message) => ({ ...message, raw: undefined })),
  );
});

test('a transaction that fails acknowledges nothing, and nothing after it', () => {
  const failures: unknown[] = [];
  const journal = new Journal(store, (error) => failures.push(error));
  const acknowledged: string[] = [];
  const good = messageWith(Buffer.from('x'));
  journal.commit(
    () => store.put(good, 1, Buffer.from('x')),
    () => acknowledged.push('good'),
  );
  journal.commit(
    () => {
      throw new Error('disk full');
    },
    () => acknowledged.push('bad'),
  );
  journal.flush();
  journal.commit(
    () => undefined,
    () => acknowledged.push('later'),
  );
  journal.flush();
  expect(acknowledged).toEqual([]);
  expect(failures).toMatchObject([{ message: 'disk full' }]);
  expect([...store.messages()]).toEqual([]);
});

test('a body over the limit of memory is read from the journal', () => {
  const bodies = new Bodies(store, 100);
  const [small, large] = [messageWith(Buffer.alloc(60, 1)), messageWith(Buffer.alloc(60, 2))];
  store.transaction(() => {
    for (const message of [small, large]) store.put(message, 1, message.raw ?? Buffer.alloc(0));
  });
  bodies.keep(small);
  bodies.keep(large);
  expect([small.raw?.length, large.raw]).toEqual([60, undefined]);
  expect(bodies.load(large)).toEqual(Buffer.alloc(60, 2));
  bodies.drop(small);
  const third = messageWith(Buffer.alloc(90));
  bodies.keep(third);
  expect(third.raw?.length).toBe(90);
});

test('sequence numbers go on behind every one that was given', () => {
  store.transaction(() => store.remove(store.nextSeq()));
  const last = store.nextSeq();
  store.close();
  store = new Store(stateDir);
  expect(store.nextSeq()).toBeGreaterThan(last);
});

test('messages of an entity that is no longer listed wait until it is again', async () => {
  const stage = await Stage.open(queue('old'), queue('other'));
  await stage.client().createSender('old').sendMessages({ body: 'kept' });
  await stage.restart([queue('other')]);
  await stage.restart([queue('old'), queue('other')]);
  expect((await receiveOne(stage.client().createReceiver('old'))).body).toBe('kept');
  await stage.close();
});

test('the files do not grow with what has passed through', async () => {
  const stage = await Stage.open(queue('flow'));
  const client = stage.client();
  const sender = client.createSender('flow');
  const receiver = client.createReceiver('flow', { receiveMode: 'receiveAndDelete' });
  const body = Buffer.alloc(200_000, 1);
  for (let round = 0; round < 30; round++) {
    await Promise.all(Array.from({ length: 10 }, async () => sender.sendMessages({ body })));
    let count = 0;
    while (count < 10) count += (await receiver.receiveMessages(10 - count, { maxWaitTimeInMs: 2_000 })).length;
  }
  const names = await readdir(stage.stateDir);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(stage.stateDir, name))).size));
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(40_000_000);
  await stage.close();
});
