import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import rhea from 'rhea';
import type { Connection, Delivery, EventContext, Receiver, ReceiverOptions, Sender } from 'rhea';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  ACCEPTED,
  RAW_FORMAT,
  acceptSocket,
  acknowledgeReads,
  answerDrain,
  corkTurns,
  isBlocked,
  presettle,
  receiveRaw,
  rejectedState,
  roomOf,
  setAttach,
  settleForGood,
  waitingOf,
  withholdAttach,
} from '../../../runtime/local/broker/rhea-patches.ts';
import { until } from './stage.ts';

const OPTIONS = { autoaccept: false, credit_window: 0, treat_modified_as_released: false, session_buffer_size: 8 };

let listener: Server;
let sockets: Socket[];
let served: PromiseWithResolvers<{ connection: Connection; socket: Socket }>;
let client: Connection;

beforeEach(async () => {
  sockets = [];
  served = Promise.withResolvers();
  const container = rhea.create_container();
  container.on('disconnected', () => undefined);
  listener = createServer((socket) => {
    sockets.push(socket);
    served.resolve({ connection: acceptSocket(container, socket, OPTIONS), socket });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
});

afterEach(() => {
  for (const socket of sockets) socket.destroy();
  client?.close();
  listener.close();
});

/** Opens a client and gives both ends. */
async function open(options: Record<string, unknown> = {}): Promise<{ connection: Connection; socket: Socket }> {
  const address: AddressInfo | string | null = listener.address();
  const port = typeof address === 'object' ? (address?.port ?? 0) : 0;
  const container = rhea.create_container();
  container.on('disconnected', () => undefined);
  client = container.connect({ port, host: '127.0.0.1', reconnect: false, ...options });
  return served.promise;
}

async function event(emitter: Connection | Sender | Receiver, name: string): Promise<EventContext> {
  const values: unknown[] = await once(emitter, name);
  const context = values[0] as EventContext | undefined;
  if (context === undefined) throw new Error(`${name} came without context`);
  return context;
}

/** A receiver of the client, and the server's end of it. */
async function openReceiver(
  fields: ReceiverOptions = {},
  options: Record<string, unknown> = {},
): Promise<{ sender: Sender; receiver: Receiver }> {
  const { connection } = await open(options);
  const opened = event(connection, 'sender_open');
  const settings: ReceiverOptions = {
    source: 'q',
    credit_window: 0,
    autoaccept: false,
    rcv_settle_mode: 1,
    snd_settle_mode: 0,
    ...fields,
  };
  const receiver = client.open_receiver(settings);
  const { sender } = await opened;
  if (sender === undefined) throw new Error('no sender');
  setAttach(sender, { rcv_settle_mode: 1, snd_settle_mode: 0 });
  return { sender, receiver };
}

test('receiveRaw hands over the exact bytes of a message', async () => {
  const { connection } = await open();
  receiveRaw(connection);
  const message = event(connection, 'message');
  connection.on('receiver_open', ({ receiver }: EventContext) => receiver?.add_credit(10));
  const sender = client.open_sender('q');
  const bytes = Buffer.from([0x00, 0x53, 0x75, 0xa0, 0x02, 0x01, 0x02]);
  await event(sender, 'sendable');
  sender.send(bytes, undefined, 0);
  const { message: got, delivery } = await message;
  expect(Buffer.isBuffer(got) && Buffer.compare(got, bytes)).toBe(0);
  expect(delivery?.format).toBe(RAW_FORMAT);
});

test('receiveRaw leaves other formats and messages in many frames as they are', async () => {
  const { connection } = await open({ max_frame_size: 512 });
  receiveRaw(connection);
  connection.on('receiver_open', ({ receiver }: EventContext) => receiver?.add_credit(10));
  const sender = client.open_sender('q');
  await event(sender, 'sendable');
  const bytes = Buffer.alloc(100_000, 7);
  const message = event(connection, 'message');
  sender.send(bytes, undefined, 0x80013700);
  const { message: got, delivery } = await message;
  expect(Buffer.isBuffer(got) && Buffer.compare(got, bytes)).toBe(0);
  expect(delivery?.format).toBe(0x80013700);
});

test('settleForGood frees deliveries in second mode beyond the buffer of the session', async () => {
  const { sender, receiver } = await openReceiver();
  let count = 0;
  receiver.on('message', ({ delivery }: EventContext) => {
    count += 1;
    delivery?.update(false, ACCEPTED);
  });
  sender.on('accepted', ({ delivery }: EventContext) => {
    if (delivery !== undefined) settleForGood(delivery, ACCEPTED);
  });
  receiver.add_credit(100);
  for (let index = 0; index < 50; index++) {
    await until(() => roomOf(sender) > 0);
    sender.send({ body: index });
  }
  await until(() => count === 50);
});

test('settleForGood carries the reason of a refusal', async () => {
  const { sender, receiver } = await openReceiver();
  receiver.on('message', ({ delivery }: EventContext) => delivery?.update(false, ACCEPTED));
  sender.on('accepted', ({ delivery }: EventContext) => {
    if (delivery !== undefined) settleForGood(delivery, rejectedState({ condition: 'x:lost', description: 'gone' }));
  });
  receiver.add_credit(1);
  await until(() => roomOf(sender) > 0);
  const settled = event(receiver, 'settled');
  sender.send({ body: 1 });
  const { delivery } = await settled;
  expect(delivery?.remote_state?.['error']).toMatchObject({ condition: 'x:lost', description: 'gone' });
});

test('presettle sends a message that expects no answer', async () => {
  const { sender, receiver } = await openReceiver();
  receiver.add_credit(100);
  const message = event(receiver, 'message');
  await until(() => roomOf(sender) > 0);
  for (let index = 0; index < 30; index++) {
    await until(() => roomOf(sender) > 0);
    presettle(sender.send({ body: index }));
  }
  expect((await message).delivery?.remote_settled).toBe(true);
});

test('answerDrain speaks also when no credit is left', async () => {
  const { sender, receiver } = await openReceiver();
  sender.on('sender_draining', () => answerDrain(sender));
  receiver.add_credit(3);
  await until(() => roomOf(sender) === 3);
  const first = event(receiver, 'receiver_drained');
  receiver.drain_credit();
  await first;
  expect(roomOf(sender)).toBe(0);
  const second = event(receiver, 'receiver_drained');
  receiver.drain_credit();
  await second;
});

test('roomOf counts what rhea has not written yet', async () => {
  const { sender, receiver } = await openReceiver();
  receiver.add_credit(5);
  await until(() => roomOf(sender) === 5);
  sender.send({ body: 1 });
  sender.send({ body: 2 });
  expect([roomOf(sender), waitingOf(sender)]).toEqual([3, 2]);
  await until(() => waitingOf(sender) === 0);
  expect(roomOf(sender)).toBe(3);
});

test("isBlocked tells the peer's window from its credit", async () => {
  const { sender, receiver } = await openReceiver({}, { session_buffer_size: 4 });
  await until(() => !isBlocked(sender));
  const deliveries: Delivery[] = [];
  receiver.on('message', ({ delivery }: EventContext) => delivery && deliveries.push(delivery));
  receiver.add_credit(100);
  await until(() => {
    while (roomOf(sender) > 0) presettle(sender.send({ body: 1 }));
    return isBlocked(sender) && waitingOf(sender) === 0;
  });
  await until(() => deliveries.length === 4);
  for (const delivery of deliveries) delivery.update(true, ACCEPTED);
  await until(() => !isBlocked(sender) && roomOf(sender) > 0);
});

test('a sender has no room before its attach is written, which rhea would write after the message', async () => {
  const { connection } = await open();
  const rooms: number[] = [];
  connection.on('sender_flow', ({ sender }: EventContext) => sender && rooms.push(roomOf(sender)));
  // Attach and credit arrive in one piece.
  client.open_receiver({ source: 'q', credit_window: 0 }).add_credit(5);
  await until(() => rooms.length > 0);
  expect(rooms).toEqual([0]);
});

test('a withheld attach goes out later', async () => {
  const { connection } = await open();
  const withheld = Promise.withResolvers<Sender>();
  connection.once('sender_open', ({ sender }: EventContext) => {
    if (sender === undefined) return;
    withholdAttach(sender);
    withheld.resolve(sender);
  });
  const receiver = client.open_receiver('q');
  const receiverOpened = event(receiver, 'receiver_open');
  const sender = await withheld.promise;
  // Another link on the same connection is answered: the first one would have been too.
  await event(client.open_receiver('other'), 'receiver_open');
  expect(receiver.is_open()).toBe(false);
  setAttach(sender, { properties: { granted: 'x' } });
  sender.attach();
  await receiverOpened;
  expect(receiver.properties).toEqual({ granted: 'x' });
});

test('corkTurns writes the frames of one turn at once, then runs what follows', async () => {
  const { connection, socket } = await open();
  let turns = 0;
  corkTurns(connection, socket, () => {
    turns += 1;
  });
  await event(client.open_receiver('q'), 'receiver_open');
  expect(turns).toBeGreaterThan(0);
  expect(socket.writableCorked).toBe(0);
});

test('acknowledgeReads answers a read that produced nothing with an empty frame', async () => {
  const { connection, socket } = await open();
  await event(client, 'connection_open');
  acknowledgeReads(connection, socket);
  const writtenBytes = socket.bytesWritten;
  const internals: unknown = client;
  (internals as { socket: Socket }).socket.write(Buffer.from([0, 0, 0, 8, 2, 0, 0, 0]));
  await until(() => socket.bytesWritten > writtenBytes);
  expect(socket.bytesWritten - writtenBytes).toBe(8);
});

test('a destroyed socket ends the timers of its connection', async () => {
  const { connection, socket } = await open();
  await event(client, 'connection_open');
  const gone = event(connection, 'disconnected');
  socket.destroy();
  await gone;
  expect(connection.is_open()).toBe(false);
  const plain = connect((listener.address() as AddressInfo).port, '127.0.0.1');
  await once(plain, 'connect');
  plain.destroy();
});
