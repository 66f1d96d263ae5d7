import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';

/** One call that reached the upstream. */
export interface Call {
  readonly userId: string;
  readonly miner: string;
  readonly limit: number;
  /** Marker asked for; null = head of the list. */
  readonly after: string | null;
  /** Calls for the same user, miner and marker before this one. The probe before a run counts like any other. */
  readonly earlier: number;
  readonly token: string;
  readonly host: string;
  /** Port of whoever connected: the client itself, or a proxy. */
  readonly clientPort: number;
  readonly atMs: number;
}

/** What a script answers with: text as it is, or whatever it does to the socket by itself. */
export type Reply =
  | {
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body: string | Uint8Array;
    }
  | ((response: ServerResponse, request: IncomingMessage) => void | Promise<void>);

export interface ScriptedUpstream {
  readonly url: string;
  readonly port: number;
  readonly calls: readonly Call[];
  /** Paths that are no list of a user. */
  readonly strays: readonly string[];
}

/** Starts an upstream on this machine that answers with what `script` says. Closed after the test. */
export async function startUpstream(script: (call: Call) => Reply | Promise<Reply>): Promise<ScriptedUpstream> {
  const calls: Call[] = [];
  const strays: string[] = [];
  const visits = new Map<string, number>();
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const call = readCall(request, visits);
    if (call === undefined) {
      strays.push(request.url ?? '');
      response.writeHead(404).end('nothing here');
      return;
    }
    calls.push(call);
    await send(await script(call), request, response);
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, calls, strays };
}

function readCall(request: IncomingMessage, visits: Map<string, number>): Call | undefined {
  const url = new URL(request.url ?? '', 'http://upstream');
  const [, userId, miner] = /^\/users\/([^/]+)\/([^/]+)$/.exec(url.pathname) ?? [];
  if (userId === undefined || miner === undefined) return undefined;
  const after = url.searchParams.get('after');
  const visit = JSON.stringify([userId, miner, after]);
  const earlier = visits.get(visit) ?? 0;
  visits.set(visit, earlier + 1);
  return {
    userId: decodeURIComponent(userId),
    miner,
    limit: Number(url.searchParams.get('limit')),
    after,
    earlier,
    token: (request.headers.authorization ?? '').replace(/^Bearer /, ''),
    host: request.headers.host ?? '',
    clientPort: request.socket.remotePort ?? 0,
    atMs: Date.now(),
  };
}

async function send(reply: Reply, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (typeof reply === 'function') return reply(response, request);
  response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers });
  response.end(reply.body);
}

/** The text of a page. Items are JSON texts, sent as they are; `next` is the marker of the page behind it. */
export function pageText(items: readonly string[], next?: string, nextUrl = 'http://unused.invalid/next'): string {
  const paging = next === undefined ? {} : { cursors: { after: next }, next: nextUrl };
  return `{"data":[${items.join(',')}],"paging":${JSON.stringify(paging)}}`;
}

/** A page as a reply. */
export function page(items: readonly string[], next?: string): Reply {
  return { body: pageText(items, next) };
}

/** The error envelope of the contract. */
export function refusal(
  status: number,
  error: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return { status, headers, body: JSON.stringify({ error: { message: 'no', type: 'OAuthException', ...error } }) };
}

/** A list cut into pages of `size`: the marker is the index of the next item. */
export function listOf(items: readonly string[], size: number): (call: Call) => Reply {
  return ({ after }) => {
    const from = Number(after ?? 0);
    const to = from + size;
    return page(items.slice(from, to), to < items.length ? String(to) : undefined);
  };
}

/** Items `{"id":"<prefix>0","n":0}` and so on. */
export function plainItems(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `{"id":"${prefix}${index}","n":${index}}`);
}
