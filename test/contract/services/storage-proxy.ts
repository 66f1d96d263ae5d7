import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  request as httpRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to one request instead of being answered. */
export type StorageFault =
  | { readonly kind: 'refuse'; readonly status: number; readonly code: string; readonly retryAfterSeconds?: number }
  /** The service never hears of it. */
  | { readonly kind: 'cut' }
  /** The service does it, and its answer is lost. */
  | { readonly kind: 'answer-lost' }
  | { readonly kind: 'slow'; readonly ms: number }
  /** No answer, as long as the client waits. */
  | { readonly kind: 'hang' };

export interface StorageRequest {
  readonly method: string;
  readonly path: string;
}

/** An HTTP server in front of a storage service that does to requests what a test asks for. */
export class StorageProxy {
  /** Asked for each request; undefined = passed on. */
  fault: (request: StorageRequest) => StorageFault | undefined = () => undefined;
  /** Faults so far, by kind. */
  readonly done = new Map<StorageFault['kind'], number>();
  readonly #server: Server;
  readonly #target: URL;

  private constructor(target: URL) {
    this.#target = target;
    this.#server = createServer((request, response) => {
      void this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async open(target: string): Promise<StorageProxy> {
    const proxy = new StorageProxy(new URL(target));
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  /** Address of the service through the proxy. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}${this.#target.pathname}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/' } = request;
    const body = await bodyOf(request);
    const fault = this.fault({ method, path });
    if (fault !== undefined) this.done.set(fault.kind, (this.done.get(fault.kind) ?? 0) + 1);
    if (fault?.kind === 'hang') return;
    if (fault?.kind === 'cut') return void request.socket.destroy();
    if (fault?.kind === 'refuse') return refuse(response, fault);
    if (fault?.kind === 'slow') await new Promise((resolve) => setTimeout(resolve, fault.ms));
    const answer = await this.#pass(request, body);
    if (fault?.kind === 'answer-lost') return void request.socket.destroy();
    response.writeHead(answer.status, answer.headers).end(answer.body);
  }

  async #pass(request: IncomingMessage, body: Buffer): Promise<{ status: number; headers: string[]; body: Buffer }> {
    const { hostname, port } = this.#target;
    const { method, url, rawHeaders } = request;
    const passed = httpRequest({ hostname, port, method, path: url, headers: rawHeaders, setDefaultHeaders: false });
    passed.end(body);
    const [answer] = (await once(passed, 'response')) as [IncomingMessage];
    return { status: answer.statusCode ?? 0, headers: answer.rawHeaders, body: await bodyOf(answer) };
  }
}

function refuse(response: ServerResponse, fault: Extract<StorageFault, { kind: 'refuse' }>): void {
  const { status, code, retryAfterSeconds } = fault;
  const text = JSON.stringify({ 'odata.error': { code, message: { lang: 'en-US', value: 'not now' } } });
  const retryAfter = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
  response.writeHead(status, { 'content-type': 'application/json', 'x-ms-error-code': code, ...retryAfter }).end(text);
}

async function bodyOf(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts);
}
