import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

/** A proxy that knows CONNECT and nothing else. */
export interface ConnectProxy {
  readonly port: number;
  /** What was asked for, one per tunnel. */
  readonly tunnels: readonly { readonly target: string; readonly authorization: string | undefined }[];
  /** Requests that were no CONNECT: the proxy would have seen what is in them. */
  readonly plainRequests: readonly string[];
  /** Local ports of the connections that it made to targets. */
  readonly ports: ReadonlySet<number>;
  /** Cuts every tunnel. */
  close(): void;
}

/** Tunnels that are remembered; what was asked for first is forgotten. */
const TUNNELS_LIMIT = 10_000;

/** Starts a proxy on this machine. The caller closes it. */
export async function openConnectProxy(): Promise<ConnectProxy> {
  const tunnels: { target: string; authorization: string | undefined }[] = [];
  const plainRequests: string[] = [];
  const ports = new Set<number>();
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => sockets.delete(socket));
  };
  const server = createServer((request, response) => {
    plainRequests.push(request.url ?? '');
    response.writeHead(405).end();
  });
  server.on('connect', (request, client: Socket, head: Buffer) => {
    tunnels.push({ target: request.url ?? '', authorization: request.headers['proxy-authorization'] });
    if (tunnels.length > TUNNELS_LIMIT) tunnels.shift();
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
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: (server.address() as AddressInfo).port, tunnels, plainRequests, ports, close };
}
