import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A proxy that knows CONNECT and nothing else. */
export interface ConnectProxy {
  readonly port: number;
  /** What was asked for, one per tunnel. */
  readonly tunnels: readonly { readonly target: string; readonly authorization: string | undefined }[];
  /** Requests that were no CONNECT: the proxy would have seen what is in them. */
  readonly plainRequests: readonly string[];
  /** Local ports of the connections that it made to targets. */
  readonly ports: ReadonlySet<number>;
}

/** Starts a proxy on this machine. Closed after the test. */
export async function startProxy(): Promise<ConnectProxy> {
  const tunnels: { target: string; authorization: string | undefined }[] = [];
  const plainRequests: string[] = [];
  const ports = new Set<number>();
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
  };
  const server = createServer((request, response) => {
    plainRequests.push(request.url ?? '');
    response.writeHead(405).end();
  });
  server.on('connect', (request, client: Socket, head: Buffer) => {
    tunnels.push({ target: request.url ?? '', authorization: request.headers['proxy-authorization'] });
    const { hostname, port } = new URL(`http://${request.url}`);
    const target = connect(Number(port), hostname, () => {
      ports.add(target.localPort ?? 0);
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      target.write(head);
      client.pipe(target).pipe(client);
    });
    keep(client);
    keep(target);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, tunnels, plainRequests, ports };
}
