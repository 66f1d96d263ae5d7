import { createServer as createHttpServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { BrokerError } from './broker-error.ts';

/** First byte of AMQP's protocol header: the A of "AMQP". No HTTP verb starts with it. */
const AMQP_FIRST_BYTE = 0x41;

/** A connection that says nothing for this long after it was opened is closed. */
const SILENCE_LIMIT_MS = 60_000;

/** One listening port for AMQP and HTTP, told apart by the first byte that a client sends. */
export class Port {
  readonly #server: Server;
  readonly #http;
  readonly #sockets = new Set<Socket>();

  constructor(onAmqp: (socket: Socket) => void, onRequest: RequestListener) {
    this.#http = createHttpServer(onRequest);
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
      // Clients break off at any time; what follows is done on `close`.
      socket.on('error', () => undefined);
      this.#sort(socket, onAmqp);
    });
  }

  #sort(socket: Socket, onAmqp: (socket: Socket) => void): void {
    socket.setTimeout(SILENCE_LIMIT_MS, () => socket.destroy());
    socket.once('data', (chunk) => {
      socket.pause();
      socket.setTimeout(0);
      socket.removeAllListeners('timeout');
      socket.unshift(chunk);
      if (chunk[0] === AMQP_FIRST_BYTE) onAmqp(socket);
      else this.#http.emit('connection', socket);
      socket.resume();
    });
  }

  /** @returns the port number. @throws BrokerError with the system's code, EADDRINUSE for instance */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error: NodeJS.ErrnoException) => {
        reject(
          new BrokerError(
            error.code ?? 'LISTEN',
            `the broker cannot listen on ${host}:${port}: ${error.message}`,
            error,
          ),
        );
      });
      this.#server.listen(port, host, resolve);
    });
    const address: AddressInfo | string | null = this.#server.address();
    if (address === null || typeof address === 'string') throw new BrokerError('LISTEN', 'the broker has no port');
    return address.port;
  }

  /** Takes no new connection. */
  stop(): void {
    this.#server.close();
    this.#http.close();
  }

  /** Destroys what is still connected. */
  cutOff(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
