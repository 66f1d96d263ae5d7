import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import type { RequestListener } from 'node:http';
import { connect, createServer as createTcpServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export interface TestServer {
  readonly url: string;
  readonly host: string;
  /** Connections that were accepted so far. */
  accepted(): number;
  /** Connections that are open now. */
  open(): number;
  /** Resolves when no connection is open. */
  idle(): Promise<void>;
  close(): Promise<void>;
}

async function listen(server: Server): Promise<TestServer> {
  const sockets = new Set<Socket>();
  const closed = new EventTarget();
  let accepted = 0;
  server.on('connection', (socket: Socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => {
      sockets.delete(socket);
      closed.dispatchEvent(new Event('close'));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `http://${host}`,
    host,
    accepted: () => accepted,
    open: () => sockets.size,
    async idle() {
      while (sockets.size > 0)
        await new Promise((resolve) => closed.addEventListener('close', resolve, { once: true }));
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function startHttpServer(listener: RequestListener): Promise<TestServer> {
  return listen(createHttpServer({ keepAliveTimeout: 60_000 }, listener));
}

/** Answers every request head on a connection with whatever `answer` writes. */
export function startRawServer(answer: (socket: Socket, head: string) => void): Promise<TestServer> {
  return listen(
    createTcpServer((socket) => {
      let head = '';
      socket.on('data', (chunk: Buffer) => {
        head += chunk.toString('latin1');
        if (!head.includes('\r\n\r\n')) return;
        const request = head;
        head = '';
        answer(socket, request);
      });
    }),
  );
}

export interface ProxyOptions {
  /** The value of proxy-authorization that is let through; absent: all are. */
  readonly authorization?: string;
  readonly onConnect?: (target: string) => void;
}

/** A CONNECT proxy in a few lines. */
export function startProxy(options: ProxyOptions = {}): Promise<TestServer> {
  const server = createHttpServer((_request, response) => response.writeHead(405).end());
  server.on('connect', (request, client: Socket, head) => {
    client.on('error', () => undefined);
    if (options.authorization !== undefined && request.headers['proxy-authorization'] !== options.authorization) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    options.onConnect?.(request.url ?? '');
    const [host, port] = (request.url ?? '').split(':');
    const origin = connect(Number(port), host);
    origin.on('error', () => client.destroy());
    client.on('close', () => origin.destroy());
    origin.on('connect', () => {
      client.write('HTTP/1.1 200 Connection Established\r\n\r\n');
      origin.write(head);
      origin.pipe(client).pipe(origin);
    });
  });
  return listen(server);
}

/** A port that nobody listens on: one that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
