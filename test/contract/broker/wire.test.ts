import { once } from 'node:events';
import { connect } from 'node:net';
import rhea from 'rhea';
import type { Connection, EventContext, Receiver, Sender } from 'rhea';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { receiveRaw } from '../../../runtime/local/broker/rhea-patches.ts';
import { Stage, queue, receiveOne, until } from './stage.ts';

const SESSION_FILTER = 'com.microsoft:session-filter';

let stage: Stage;
let connection: Connection;

beforeEach(async () => {
  stage = await Stage.open(queue('q'), queue('s', { requiresSession: true }));
  const container = rhea.create_container();
  container.on('disconnected', () => undefined);
  connection = container.connect({ port: stage.port, host: '127.0.0.1', username: 'local', reconnect: false });
});

afterEach(async () => {
  connection.close();
  await stage.close();
});

async function event(emitter: Sender | Receiver, name: string): Promise<EventContext> {
  const values: unknown[] = await once(emitter, name);
  const context = values[0] as EventContext | undefined;
  if (context === undefined) throw new Error(`${name} came without context`);
  return context;
}

async function openSender(address: string): Promise<Sender> {
  const sender = connection.open_sender({ target: address, autosettle: true });
  await once(sender, 'sendable');
  return sender;
}

function openSessionReceiver(filter: unknown): Receiver {
  return connection.open_receiver({
    source: { address: 's', filter: { [SESSION_FILTER]: filter } },
    credit_window: 0,
    properties: { 'com.microsoft:timeout': 30_000 },
  });
}

const PROPERTIES = Buffer.from('005373c00601a1036d7367', 'hex');
/** int -5, a decimal32, a uuid, a symbol and the long 7: what JavaScript cannot tell apart or does not know. */
const APPLICATION = Buffer.from(
  '005374d10000003c0000000aa1016171fffffffba1016274deadbeefa1016398000102030405060708090a0b0c0d0e0fa10164a30373796da10165810000000000000007',
  'hex',
);

test('what a sender wrote arrives bit for bit, from the properties on', async () => {
  const raw = Buffer.concat([
    PROPERTIES,
    APPLICATION,
    Buffer.from('005375a003010203', 'hex'),
    Buffer.from('005378c10100', 'hex'),
  ]);
  const header = Buffer.from('005370c0020141', 'hex');
  const sender = await openSender('q');
  sender.send(Buffer.concat([header, raw]), undefined, 0);
  await once(sender, 'accepted');
  receiveRaw(connection);
  const receiver = connection.open_receiver({ source: 'q', autoaccept: false, credit_window: 1 });
  const { message } = await event(receiver, 'message');
  if (!Buffer.isBuffer(message)) throw new Error('no bytes');
  expect(message.subarray(-raw.length).toString('hex')).toBe(raw.toString('hex'));
  // The header is the broker's own: durable as sent, first delivery.
  expect(message.subarray(0, 7).toString('hex')).toBe('005370c00b0541');
});

test('bytes that are no message are refused, and the broker goes on', async () => {
  const sender = await openSender('q');
  sender.send(Buffer.from('not a message'), undefined, 0);
  const { delivery } = await event(sender, 'rejected');
  expect(delivery?.remote_state?.['error']).toMatchObject({ condition: 'amqp:decode-error' });
  sender.send({ body: 'fine' });
  await once(sender, 'accepted');
  expect((await stage.depth('q')).active).toBe(1);
});

test('a batch that holds something else is refused whole', async () => {
  const sender = await openSender('q');
  const good = rhea.message.encode({ body: 1 });
  const batch = rhea.message.encode({ body: rhea.message.data_sections([good, Buffer.from('bad')]) as unknown });
  sender.send(batch, undefined, 0x80013700);
  await once(sender, 'rejected');
  expect((await stage.depth('q')).active).toBe(0);
});

test('a peer that speaks no AMQP loses its connection, and the broker goes on', async () => {
  for (const text of [
    'AMQPnonsense and more of it',
    'AMQP\u0000\u0001\u0000\u0000\u00ff\u00ff\u00ff\u00ff',
    '\u0016\u0003\u0001',
  ]) {
    const socket = connect(stage.port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(Buffer.from(text, 'latin1'));
    socket.end();
    await once(socket.resume(), 'close');
  }
  const client = stage.client();
  await client.createSender('q').sendMessages({ body: 1 });
  expect((await receiveOne(client.createReceiver('q'))).body).toBe(1);
});

test("a session is granted to .NET's described filter", async () => {
  const receiver = openSessionReceiver(rhea.types.wrap_described('mine', 0x137000000c));
  await once(receiver, 'receiver_open');
  expect(receiver.source.filter?.[SESSION_FILTER]).toBe('mine');
  const lockedUntil: unknown = receiver.properties?.['com.microsoft:locked-until-utc'];
  expect(Buffer.isBuffer(lockedUntil) && lockedUntil.length).toBe(8);
});

test('a session goes to the next receiver when the one that waited for it is dead', async () => {
  openSessionReceiver(null);
  // The answer to a later link shows that the broker has seen the first.
  await openSender('q');
  const internals: unknown = connection;
  (internals as { socket: { destroy(): void } }).socket.destroy();
  const client = stage.client();
  await until(async () => (await stage.depth('s')).active === 0);
  await client.createSender('s').sendMessages({ body: 1, sessionId: 'left' });
  const session = await client.acceptNextSession('s');
  expect(session.sessionId).toBe('left');
  await session.close();
});

test('a receiver that gives up waiting gets its detach answered', async () => {
  const receiver = openSessionReceiver(null);
  await openSender('q');
  receiver.close();
  await once(receiver, 'receiver_close');
});

test('a released message comes back at once and uncounted', async () => {
  const sender = await openSender('q');
  sender.send({ body: 1 });
  await once(sender, 'accepted');
  const receiver = connection.open_receiver({ source: 'q', autoaccept: false, credit_window: 0, rcv_settle_mode: 1 });
  receiver.add_credit(2);
  const first = await event(receiver, 'message');
  first.delivery?.release();
  const second = await event(receiver, 'message');
  expect(second.message?.delivery_count).toBe(0);
});

test('an unknown operation is answered, not ignored', async () => {
  const receiver = connection.open_receiver({ source: 'q/$management', target: 'me', name: 'me' });
  await once(receiver, 'receiver_open');
  const sender = await openSender('q/$management');
  const answered = event(receiver, 'message');
  const properties = { operation: 'com.microsoft:nonsense' };
  sender.send({ message_id: '1', reply_to: 'me', application_properties: properties, body: {} });
  const { message } = await answered;
  expect(message).toMatchObject({ correlation_id: '1', application_properties: { statusCode: 400 } });
  const broken = event(receiver, 'message');
  const peek = { operation: 'com.microsoft:renew-lock' };
  sender.send({ message_id: '2', reply_to: 'me', application_properties: peek, body: { 'lock-tokens': 'x' } });
  const { message: reply } = await broken;
  expect(reply?.application_properties).toMatchObject({ statusCode: 400, errorCondition: 'amqp:not-allowed' });
});
