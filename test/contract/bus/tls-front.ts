import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type AddressInfo, connect } from 'node:net';
import { createServer, getCACertificates, setDefaultCACertificates } from 'node:tls';

/** TLS on a port of its own in front of a plain one, for clients that only speak TLS. Trusted by this process until `close`. */
export async function openTlsFront(
  port: number,
  pem: { readonly caFile: string; readonly keyFile: string },
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const [cert, key] = await Promise.all([readFile(pem.caFile, 'utf8'), readFile(pem.keyFile, 'utf8')]);
  const before = getCACertificates('default');
  setDefaultCACertificates([...before, cert]);
  const server = createServer({ cert, key }, (client) => {
    const plain = connect({ host: '127.0.0.1', port });
    for (const socket of [client, plain]) socket.on('error', () => undefined);
    client.pipe(plain).pipe(client);
    client.once('close', () => plain.destroy());
    plain.once('close', () => client.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      setDefaultCACertificates(before);
      server.close();
      await once(server, 'close');
    },
  };
}
