import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import rhea from 'rhea';
import type { Connection, Container } from 'rhea';
import type { Namespace } from './namespace.ts';
import { complain } from '../last-words.ts';
import { Peer } from './peer.ts';
import { acceptSocket, acknowledgeReads, corkTurns, receiveRaw } from './rhea-patches.ts';

/** Frames as large as Azure's. */
const MAX_FRAME_BYTES = 65_536;
/** AMQP sessions per connection: the client opens one per sender, receiver and management link. */
const CHANNEL_LIMIT = 4_999;
/** Deliveries per AMQP session that may be unsettled; clients stop at 2,048 of their own. */
const SESSION_BUFFER = 16_384;
/** A client that is silent for twice this long is taken for dead. Clients send an empty frame at half of it. */
const IDLE_MS = 60_000;
/** Wait for clients to answer the close of their connection. */
const CLOSE_WAIT_MS = 1_000;

/** rhea's table of SASL mechanisms: a factory per name. */
interface SaslMechanisms {
  enable_anonymous(): void;
  MSSBCBS?: () => { outcome: boolean | undefined; start: () => void };
}

/** The AMQP side of the broker. It is given sockets, it does not listen. */
export class AmqpServer {
  readonly #space: Namespace;
  readonly #container: Container;
  readonly #connections = new Map<Socket, Connection>();
  #isClosing = false;

  constructor(space: Namespace) {
    this.#space = space;
    this.#container = rhea.create_container({ id: randomUUID() });
    const mechanisms = this.#container.sasl_server_mechanisms as SaslMechanisms;
    mechanisms.enable_anonymous();
    // .NET clients insist on this name; what they send with it is as good as anonymous here.
    mechanisms.MSSBCBS = () => ({ outcome: undefined, start: acceptAnyone });
    for (const name of ['disconnected', 'connection_close', 'session_close']) this.#container.on(name, () => undefined);
  }

  /** Serves one client. The socket must not have been read from, or the read bytes be unshifted. */
  accept(socket: Socket): void {
    const connection = acceptSocket(this.#container, socket, {
      autoaccept: false,
      credit_window: 0,
      treat_modified_as_released: false,
      tcp_no_delay: true,
      max_frame_size: MAX_FRAME_BYTES,
      channel_max: CHANNEL_LIMIT,
      session_buffer_size: SESSION_BUFFER,
      idle_time_out: IDLE_MS,
    });
    const peer = new Peer(this.#space, connection, `${socket.localAddress ?? ''}:${socket.localPort ?? ''}`);
    receiveRaw(connection);
    corkTurns(connection, socket, () => peer.afterTurn());
    acknowledgeReads(connection, socket);
    // A client that breaks the protocol loses its connection, not the broker.
    for (const name of ['error', 'protocol_error']) {
      connection.on(name, (error: unknown) => {
        complain(`broker: a connection is cut off: ${String(error)}`);
        socket.destroy();
      });
    }
    this.#connections.set(socket, connection);
    socket.on('close', () => {
      this.#connections.delete(socket);
      // A broker that closes counts no delivery against the messages that its clients held: the journal has them.
      if (!this.#isClosing) peer.end();
    });
  }

  /** Asks every client to go, and cuts off who does not. */
  async close(): Promise<void> {
    this.#isClosing = true;
    const sockets = [...this.#connections.keys()];
    const description = 'The broker is closing.';
    for (const connection of this.#connections.values())
      connection.close({ condition: 'amqp:connection:forced', description });
    const timer = setTimeout(() => this.cutOff(), CLOSE_WAIT_MS);
    await Promise.all(sockets.map(async (socket) => closed(socket)));
    clearTimeout(timer);
  }

  /** Destroys every connection. */
  cutOff(): void {
    for (const socket of this.#connections.keys()) socket.destroy();
  }
}

function acceptAnyone(this: { outcome: boolean | undefined }): void {
  this.outcome = true;
}

async function closed(socket: Socket): Promise<void> {
  if (socket.closed) return;
  await new Promise<void>((resolve) => {
    socket.once('close', () => resolve());
  });
}
