import type { Socket } from 'node:net';
import { type TestServer, startRawServer } from '../upstream/servers.ts';
import type { HostileCall, HostileReply } from './hostile-case.ts';

export interface HostileServer extends TestServer {
  /** Every call, in the order of their coming. */
  readonly calls: readonly (HostileCall & { readonly userId: string; readonly token: string })[];
}

/** Answers every user with what `answerOf` gives for it; sockets are raw, so that nothing is too wrong to be sent. */
export async function startHostileServer(
  answerOf: (userId: string) => ((call: HostileCall) => HostileReply) | undefined,
  now: () => number,
): Promise<HostileServer> {
  const calls: (HostileCall & { userId: string; token: string })[] = [];
  const indexes = new Map<string, number>();
  const count = (key: string): number => {
    const before = indexes.get(key) ?? 0;
    indexes.set(key, before + 1);
    return before;
  };
  const server = await startRawServer((socket, head) => {
    const url = new URL(/^GET (\S+) /.exec(head)?.[1] ?? '/', 'http://upstream');
    const userId = decodeURIComponent(/^\/users\/([^/]+)\/chats$/.exec(url.pathname)?.[1] ?? '');
    const after = url.searchParams.get('after');
    const token = /^authorization: Bearer (.*)$/im.exec(head)?.[1] ?? '';
    const call = {
      after,
      limit: Number(url.searchParams.get('limit')),
      earlier: count(JSON.stringify([userId, after])),
      index: count(userId),
      nowMs: now(),
    };
    calls.push({ ...call, userId, token });
    send(socket, answerOf(userId)?.(call) ?? { status: 404 });
  });
  return { ...server, calls };
}

function send(socket: Socket, reply: HostileReply): void {
  if (typeof reply === 'function') {
    reply(socket);
    return;
  }
  const { status = 200, headers = {}, body = '' } = reply;
  const bytes = Buffer.from(body);
  const hasNone = status < 200 || status === 204 || status === 304;
  const all = {
    'content-type': 'application/json',
    ...(hasNone ? {} : { 'content-length': String(bytes.length) }),
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  // Latin-1, so that a header may hold any byte.
  socket.write(Buffer.from(`HTTP/1.1 ${status} Status\r\n${lines.join('')}\r\n`, 'latin1'));
  if (!hasNone) socket.write(bytes);
}
