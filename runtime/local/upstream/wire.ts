import type { ServerResponse } from 'node:http';
import { brotliCompress, constants, gzip, zstdCompress } from 'node:zlib';

import type { Encoding, PageReply } from './world.ts';

const DRIP_EVERY_MS = 1_000;

/** How a reply ended: its status, `reset` for a connection that was cut, `lost` for a client that went away. */
export type Ending = number | 'reset' | 'lost';

/**
 * Sends a reply as its cut says. `ended` is told once; with the status only when every byte has been handed to the
 * operating system.
 */
export function send(response: ServerResponse, reply: PageReply, ended: (ending: Ending) => void): void {
  const socket = response.socket;
  if (response.destroyed || socket === null) return ended('lost');
  let hasEnded = false;
  const end = (ending: Ending): void => {
    if (!hasEnded) ended(ending);
    hasEnded = true;
  };
  response.on('finish', () => {
    end(reply.status);
    // In order, so that the client has the page: a reset might overtake it, and nobody could tell what was delivered.
    if (reply.cut === 'after') socket.destroySoon();
  });
  response.on('close', () => end(reply.cut === 'inside' || reply.cut === 'before' ? 'reset' : 'lost'));
  if (reply.cut === 'before') socket.resetAndDestroy();
  else if (reply.cut === 'drip') drip(response);
  else if (reply.cut !== 'hang') writeBody(response, reply);
}

/** Headers, and then a byte now and then until the client has had enough. */
function drip(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json' }).write('{"data":[');
  const timer = setInterval(() => response.write(' '), DRIP_EVERY_MS);
  response.on('close', () => clearInterval(timer));
}

function writeBody(response: ServerResponse, reply: PageReply): void {
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body;
  const { encoding } = reply;
  if (encoding === undefined) return write(response, reply, body);
  const known = compressed.get(body);
  if (known?.encoding === encoding) return write(response, reply, known.bytes, encoding);
  compress(encoding, body, (bytes) => {
    compressed.set(body, { encoding, bytes });
    write(response, reply, bytes, encoding);
  });
}

/** Kept as long as the body itself is. */
const compressed = new WeakMap<Buffer, { readonly encoding: Encoding; readonly bytes: Buffer }>();

function write(response: ServerResponse, reply: PageReply, body: Buffer, encoding?: Encoding): void {
  const headers: Record<string, string | number> = { ...reply.headers };
  if (encoding !== undefined) headers['content-encoding'] = encoding;
  // Half of the cut bodies show in their length, the others in chunks that do not end.
  if (reply.cut !== 'inside' || body.length % 2 === 0) headers['content-length'] = body.length;
  response.writeHead(reply.status, headers);
  if (reply.cut !== 'inside') response.end(body);
  else response.write(body.subarray(0, body.length >> 1), () => response.socket?.resetAndDestroy());
}

/** The fastest level of each: the simulator shares the machine with what it is there for. */
function compress(encoding: Encoding, body: Buffer, done: (body: Buffer) => void): void {
  const callback = (error: Error | null, bytes: Buffer): void => {
    if (error !== null) throw error;
    done(bytes);
  };
  if (encoding === 'gzip') gzip(body, { level: 1 }, callback);
  else if (encoding === 'zstd') zstdCompress(body, callback);
  else brotliCompress(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }, callback);
}
