import { type AddressInfo, createServer, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** Enough for a client that looks whether the server is ready. */
const INFO = 'redis_version:7.0.0\r\nloading:0\r\nrole:master\r\n';

/** A Redis that lets everybody in and refuses every command with what `says` answers for its number. Closed after the test. */
export async function startRefusingRedis(
  says: (command: number) => string,
): Promise<{ readonly port: number; refused(): number }> {
  let refused = 0;
  const sockets = new Set<Socket>();
  const answer = (name: string): string => {
    switch (name) {
      case 'AUTH':
      case 'SELECT':
      case 'CLIENT':
        return '+OK\r\n';
      case 'HELLO':
        return '%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n';
      case 'INFO':
        return `$${INFO.length}\r\n${INFO}\r\n`;
      default:
        refused += 1;
        return `-ERR ${says(refused)}\r\n`;
    }
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let read = readCommand(text); read !== undefined; read = readCommand(text)) {
        text = text.slice(read.length);
        socket.write(answer(read.name));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, refused: () => refused };
}

/** The first command of a stream: an array of texts, each behind its length. */
function readCommand(text: string): { readonly name: string; readonly length: number } | undefined {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return undefined;
  let at = head[0].length;
  let name = '';
  for (let part = 0; part < Number(head[1]); part += 1) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (size === null) return undefined;
    const start = at + size[0].length;
    const end = start + Number(size[1]);
    if (text.length < end + 2) return undefined;
    if (part === 0) name = text.slice(start, end).toUpperCase();
    at = end + 2;
  }
  return { name, length: at };
}
