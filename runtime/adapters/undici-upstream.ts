import type { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { constants, createBrotliDecompress, createGunzip, createZstdDecompress } from 'node:zlib';

import { LRUCache } from 'lru-cache';
import { Agent, Pool, ProxyAgent } from 'undici';
import type { Dispatcher } from 'undici';

import { Fault } from '../core/faults.ts';
import type { Upstream, UpstreamAnswer, UpstreamCall } from '../ports.ts';

/** How long `close` waits for the calls that run before it cuts them, in ms. */
const CLOSE_GRACE_MS = 2_000;

/** A body encoded more often than this is an attack or an accident. */
const ENCODINGS_MAX = 2;

/** 8 MB, the most that RFC 9659 lets a server use for Zstandard over HTTP. */
const ZSTD_WINDOW_LOG_MAX = 23;

const BYTE_ORDER_MARK = 0xfeff;

type AgentOptions = Agent.Options & { readonly connectTimeout: number };

type Decoder = Transform & { readonly bytesWritten: number };

const DECODERS: Readonly<Record<string, () => Decoder>> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  br: () => createBrotliDecompress(),
  zstd: () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX } }),
};

/** Statuses with which a proxy says that the other side is at fault (RFC 9110, sections 15.6.3 and 15.6.5). */
const UPSTREAM_FAULT_STATUSES: ReadonlySet<number> = new Set([502, 504]);

/** Options of `openUndiciUpstream`. */
export interface UndiciUpstreamOptions {
  /** Sockets per origin, for the direct way and for each proxy. Default 64. */
  readonly connections?: number;
  /** How long an idle socket, and a proxy that nobody uses, is kept, in ms. Default 5 min (article: 2 h). */
  readonly idleMs?: number;
  /** Longest wait for one TCP or TLS connection, or for a proxy's answer to CONNECT, in ms. Default 10 s. */
  readonly connectTimeoutMs?: number;
  /** Proxies kept open at once; the least recently used one is closed when its calls have ended. Default 64. */
  readonly maxProxies?: number;
}

/**
 * Upstream over HTTP/1.1: one shared agent and one per distinct proxy, never one per user.
 * The caller closes it.
 */
export function openUndiciUpstream(options: UndiciUpstreamOptions = {}): Upstream {
  return new UndiciUpstream(options);
}

/** A proxy's agent, closed once it is evicted and its last call has ended. */
interface ProxyClient {
  readonly agent: ProxyAgent;
  calls: number;
  isEvicted: boolean;
}

class UndiciUpstream implements Upstream {
  readonly #options: AgentOptions;
  readonly #direct: Agent;
  readonly #proxies: LRUCache<string, ProxyClient>;
  /** Agents that are not closed yet, evicted ones included. */
  readonly #open = new Set<Dispatcher>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #cut = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(options: UndiciUpstreamOptions) {
    const { connections = 64, idleMs = 300_000, connectTimeoutMs = 10_000, maxProxies = 64 } = options;
    for (const [name, value] of Object.entries({ connections, idleMs, connectTimeoutMs, maxProxies })) {
      if (!Number.isSafeInteger(value) || value < 1)
        throw new RangeError(`${name} must be a whole number from 1, got ${value}`);
    }
    this.#options = {
      connections,
      allowH2: false,
      keepAliveTimeout: idleMs,
      keepAliveMaxTimeout: idleMs,
      connectTimeout: connectTimeoutMs,
      // One deadline per call covers headers and body together.
      headersTimeout: 0,
      bodyTimeout: 0,
    };
    this.#direct = new Agent(this.#options);
    this.#open.add(this.#direct);
    const dispose = (client: ProxyClient): void => this.#evict(client);
    this.#proxies = new LRUCache({ max: maxProxies, ttl: idleMs, updateAgeOnGet: true, dispose });
  }

  async call(call: UpstreamCall, signal?: AbortSignal): Promise<UpstreamAnswer> {
    signal?.throwIfAborted();
    const target = targetOf(call);
    if (this.#closed !== undefined) throw new Fault('transient', `${target.name}: the client is closed`);
    const client = call.proxyUrl === null ? undefined : this.#proxyClient(call.proxyUrl, target);
    const answer = fetchAnswer(client?.agent ?? this.#direct, call, target, [this.#cut.signal, signal]);
    this.#running.add(answer);
    if (client !== undefined) client.calls += 1;
    try {
      return await answer;
    } finally {
      this.#running.delete(answer);
      if (client !== undefined) client.calls -= 1;
      this.#closeUnused(client);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeAll();
    return this.#closed;
  }

  async #closeAll(): Promise<void> {
    this.#proxies.clear();
    const grace = new AbortController();
    const graceOver = delay(CLOSE_GRACE_MS, undefined, { signal: grace.signal }).catch(() => undefined);
    await Promise.race([graceOver, Promise.allSettled(this.#running)]);
    grace.abort();
    this.#cut.abort(new Error('the client was closed'));
    // Not `close` first: undici's agents forget their pools then, and a later `destroy` reaches nothing.
    await Promise.allSettled([...this.#open].map((agent) => agent.destroy()));
  }

  #proxyClient(proxyUrl: string, target: Target): ProxyClient {
    const known = this.#proxies.get(proxyUrl);
    if (known !== undefined) return known;
    const client: ProxyClient = { agent: openProxy(proxyUrl, target, this.#options), calls: 0, isEvicted: false };
    this.#open.add(client.agent);
    this.#proxies.purgeStale();
    this.#proxies.set(proxyUrl, client);
    return client;
  }

  #evict(client: ProxyClient): void {
    client.isEvicted = true;
    this.#closeUnused(client);
  }

  /** Not earlier: a closed ProxyAgent refuses the new tunnels that its queued calls may need. */
  #closeUnused(client: ProxyClient | undefined): void {
    if (client?.isEvicted !== true || client.calls > 0 || !this.#open.delete(client.agent)) return;
    // Nothing runs on it, so that a failure to close has nobody to be told.
    client.agent.close().catch(() => undefined);
  }
}

/** One call over one agent, under one deadline. `signals`: that of this client, that of the caller. */
async function fetchAnswer(
  dispatcher: Dispatcher,
  call: UpstreamCall,
  target: Target,
  signals: readonly [AbortSignal, AbortSignal | undefined],
): Promise<UpstreamAnswer> {
  const deadline = new Deadline(call.timeoutMs, signals);
  try {
    const request = dispatcher.request({
      origin: target.url.origin,
      path: `${target.url.pathname}${target.url.search}`,
      method: 'GET',
      headers: { ...call.headers, 'accept-encoding': 'gzip, br, zstd' },
      signal: deadline.signal,
    });
    // undici heeds the signal only once the request is on a connection, not while it waits for one.
    const response = await Promise.race([request, deadline.over]);
    const headers = joinHeaders(response.headers);
    const text = await readText(response, headers, call.maxBytes);
    const { statusCode: status } = response;
    const mayBeCut = status === 200 && !isLengthStated(headers);
    return mayBeCut ? { status, headers, text, mayBeCut } : { status, headers, text };
  } catch (error) {
    signals[1]?.throwIfAborted();
    throw asFault(error, target);
  } finally {
    deadline.release();
  }
}

/** Without it even a reset inside the body looks like its end (undici 8.12: client-h1.js, onHttpSocketError). */
function isLengthStated(headers: Readonly<Record<string, string>>): boolean {
  return headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
}

/** One signal for the time limit of a call and the signals that may end it earlier. The opener releases it. */
class Deadline {
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #sources: readonly (AbortSignal | undefined)[];
  /** Rejects with the reason when the time is over or a signal is aborted. */
  readonly over: Promise<never>;

  constructor(timeoutMs: number, sources: readonly (AbortSignal | undefined)[]) {
    this.#sources = sources;
    const { promise, reject } = Promise.withResolvers<never>();
    this.over = promise;
    this.over.catch(() => undefined);
    this.signal.addEventListener('abort', () => reject(this.signal.reason), { once: true });
    for (const source of sources) source?.addEventListener('abort', this.#onAbort, { once: true });
    this.#timer = setTimeout(
      () => this.#abort.abort(new Error(`no complete answer within ${timeoutMs} ms`)),
      timeoutMs,
    );
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  release(): void {
    clearTimeout(this.#timer);
    for (const source of this.#sources) source?.removeEventListener('abort', this.#onAbort);
  }

  readonly #onAbort = (event: Event): void => this.#abort.abort((event.target as AbortSignal).reason);
}

/** Host and path of a call: what messages may name of it. */
interface Target {
  readonly url: URL;
  readonly name: string;
  /** Host and port of the proxy, or null. */
  readonly proxy: string | null;
}

function targetOf(call: UpstreamCall): Target {
  const url = URL.parse(call.url);
  if (url === null || !url.protocol.startsWith('http'))
    throw new Fault('refused', 'the address of the call is not an http(s) URL');
  const proxy = call.proxyUrl === null ? null : (URL.parse(call.proxyUrl)?.host ?? '(address not valid)');
  return { url, name: `${url.host}${url.pathname}`, proxy };
}

function openProxy(proxyUrl: string, target: Target, options: AgentOptions): ProxyAgent {
  try {
    return new ProxyAgent({
      ...options,
      uri: proxyUrl,
      // Always a tunnel: one way for http and https, and the proxy is never sent the user's headers as its own request.
      proxyTunnel: true,
      clientFactory: (origin, pool) => new TunnelPool(origin, { ...pool, headersTimeout: options.connectTimeout }),
    });
  } catch {
    // The original error quotes the address with its password, so it is not kept as a cause.
    throw new Fault('refused', `${target.name}: the proxy's address is not valid`);
  }
}

/** A tunnel could not be opened. From the first packet to the proxy until its answer to CONNECT. */
class TunnelError extends Error {
  /** False: the proxy works, and says that the upstream does not. */
  readonly isProxyAtFault: boolean;

  constructor(message: string, isProxyAtFault: boolean, options?: ErrorOptions) {
    super(message, options);
    this.isProxyAtFault = isProxyAtFault;
  }
}

/**
 * The connections to a proxy. Whatever fails here failed before there was a tunnel, and only here can that be told from a
 * failure behind it: the codes are the same.
 */
class TunnelPool extends Pool {
  override async connect(options: Parameters<Pool['connect']>[0]): Promise<Dispatcher.ConnectData> {
    const { socket, statusCode, ...rest } = await super.connect(options).catch((cause: unknown) => {
      // A stable code, or nothing: an error of TLS may quote names, and undici tries for ever on some codes of its own.
      throw new TunnelError(`cannot be used (${codeOf(cause)})`, true, { cause });
    });
    if (statusCode === 200) return { socket, statusCode, ...rest };
    socket.on('error', () => undefined).destroy();
    throw new TunnelError(`refused the tunnel (status ${statusCode})`, !UPSTREAM_FAULT_STATUSES.has(statusCode));
  }
}

function joinHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  const joined: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined) joined[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  return joined;
}

/** The decoded body. Whatever happens, the body is read to its end or destroyed with its socket. */
async function readText(
  response: Dispatcher.ResponseData,
  headers: Readonly<Record<string, string>>,
  maxBytes: number,
): Promise<string> {
  const { body, statusCode } = response;
  try {
    const encodings = encodingsOf(headers['content-encoding']);
    const length = Number(headers['content-length']);
    if (statusCode === 204 || statusCode === 304 || length === 0) encodings.length = 0;
    if (encodings.length === 0 && length > maxBytes) throw tooLarge(maxBytes);
    const bytes = encodings.length === 0 ? await collect(body, maxBytes) : await decode(body, encodings, maxBytes);
    const text = bytes.toString('utf8');
    return text.charCodeAt(0) === BYTE_ORDER_MARK ? text.slice(1) : text;
  } finally {
    if (!body.readableEnded) body.on('error', () => undefined).destroy();
  }
}

/** Encodings in the order of undoing them. */
function encodingsOf(header: string | undefined): string[] {
  const names = (header ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim());
  const encodings = names.filter((name) => name !== '' && name !== 'identity').reverse();
  if (encodings.length > ENCODINGS_MAX) throw new Error(`content encoded ${encodings.length} times`);
  const unknown = encodings.find((name) => !Object.hasOwn(DECODERS, name));
  if (unknown !== undefined) throw new Error('content encoding not known');
  return encodings;
}

async function decode(body: Readable, encodings: readonly string[], maxBytes: number): Promise<Buffer> {
  const decoders = encodings.map((name) => (DECODERS[name] as () => Decoder)());
  let encodedBytes = 0;
  body.on('data', (chunk: Buffer) => (encodedBytes += chunk.length));
  const decoded = decoders.at(-1) ?? body;
  const [bytes] = await Promise.all([collect(decoded, maxBytes), pipeline([body, ...decoders])]);
  // Zstandard and Brotli decoders stop after the first frame without a word.
  const usedBytes = decoders[0]?.bytesWritten;
  if (usedBytes !== encodedBytes) throw new Error('bytes behind the end of the encoded body');
  return bytes;
}

/** Stops, and with it the decoders and the socket, as soon as the limit is passed. */
async function collect(chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of chunks) {
    sizeBytes += chunk.length;
    if (sizeBytes > maxBytes) throw tooLarge(maxBytes);
    parts.push(chunk);
  }
  return parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, sizeBytes);
}

class BodyTooLarge extends Error {}

function tooLarge(maxBytes: number): Error {
  return new BodyTooLarge(`body larger than ${maxBytes} bytes`);
}

/** By class and code of the error. Messages name host and path, never a query, a header or a proxy's password. */
function asFault(error: unknown, target: Target): Fault {
  if (error instanceof BodyTooLarge) return new Fault('page-too-large', `${target.name}: ${error.message}`);
  const code = codeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code === 'UND_ERR_INVALID_ARG')
    return new Fault('refused', `${target.name}: the request cannot be sent`, { cause: error });
  if (error instanceof TunnelError) {
    const { isProxyAtFault, message } = error;
    const what = `${target.name}: the proxy ${target.proxy} ${message}`;
    return new Fault(isProxyAtFault ? 'proxy' : 'transient', what, { cause: error });
  }
  const way = target.proxy === null ? '' : ` through the proxy ${target.proxy}`;
  return new Fault('transient', `${target.name}${way}: ${text}${code === '' ? '' : ` (${code})`}`, { cause: error });
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : '';
}
