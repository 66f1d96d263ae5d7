import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { Pace } from './pace.ts';

/** What happens to new and open connections: passed on to a port, accepted and left without an answer, or cut. */
export type GateTarget = number | 'silent' | 'cut';

/** A TCP proxy on a fixed port of 127.0.0.1, so that a test can take a server away and bring another one back. */
export class TcpGate {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #pace: Pace;
  #target: GateTarget;
  #isDeaf = false;

  private constructor(server: Server, target: GateTarget, pace: Pace) {
    this.#server = server;
    this.#target = target;
    this.#pace = pace;
    server.on('connection', (socket) => this.#accept(socket));
  }

  /** `pace`: of everything that goes through. Default: as fast as it can be. */
  static async open(target: GateTarget, pace = new Pace()): Promise<TcpGate> {
    const server = createServer();
    const gate = new TcpGate(server, target, pace);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return gate;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Connections made so far that are still open, on the client's side and the server's. */
  get sockets(): number {
    return this.#sockets.size;
  }

  /** Cuts what is open, unless it shall fall silent, and sends what comes from now on to `target`. */
  turn(target: GateTarget): void {
    this.#target = target;
    for (const socket of this.#sockets) {
      if (target === 'silent') socket.unpipe().resume();
      else socket.destroy();
    }
  }

  /** Sends what comes from now on to `target`, and leaves what is open as it is. */
  lead(target: GateTarget): void {
    this.#target = target;
  }

  /** From now on what is passed on takes so much longer, in each direction; 0 = as fast as it can be. */
  slowDown(delayMs: number): void {
    this.#pace.delay(delayMs);
  }

  /** While deaf, clients' bytes still arrive and what the server answers is lost. */
  setDeaf(isDeaf: boolean): void {
    this.#isDeaf = isDeaf;
  }

  async close(): Promise<void> {
    this.turn('cut');
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(client: Socket): void {
    this.#keep(client);
    if (this.#target === 'cut') {
      client.destroy();
    } else if (this.#target === 'silent') {
      client.resume();
    } else {
      const server = connect({ host: '127.0.0.1', port: this.#target });
      this.#keep(server);
      client.pipe(this.#pace.stream()).pipe(server);
      server.pipe(this.#pace.stream(() => this.#isDeaf)).pipe(client);
      client.once('close', () => server.destroy());
      server.once('close', () => client.destroy());
    }
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
