import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One scripted answer; `hang`: none, ever; `cut`: the connection is closed. */
export type ScriptedAnswer =
  | { readonly status: number; readonly body?: string; readonly headers?: Readonly<Record<string, string>> }
  | 'hang'
  | 'cut';

/** Answers per kind of request, used up from the front; the last one is repeated. */
export interface EndpointScript {
  readonly uploads?: readonly ScriptedAnswer[];
  readonly statuses?: readonly ScriptedAnswer[];
  readonly logs?: readonly ScriptedAnswer[];
  readonly versions?: readonly ScriptedAnswer[];
}

/** A request as it came in. */
export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly authorization: string | undefined;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}

const NOTHING: ScriptedAnswer = { status: 404, body: 'nothing here' };

/** A deployment endpoint and the app behind it, on one port of this machine. */
export class ScmEndpoint {
  readonly seen: SeenRequest[] = [];
  readonly #server: Server;
  readonly #used = new Map<string, number>();
  #script: EndpointScript;

  private constructor(script: EndpointScript) {
    this.#script = script;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(script: EndpointScript): Promise<ScmEndpoint> {
    const endpoint = new ScmEndpoint(script);
    await new Promise<void>((resolve) => endpoint.#server.listen(0, '127.0.0.1', resolve));
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Paths in order, with their methods. */
  get paths(): readonly string[] {
    return this.seen.map(({ method, path }) => `${method} ${path}`);
  }

  get uploads(): readonly SeenRequest[] {
    return this.seen.filter(({ method }) => method === 'POST');
  }

  /** Starts another script from its beginning. */
  play(script: EndpointScript): void {
    this.#script = script;
    this.#used.clear();
    this.seen.length = 0;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url: path = '', headers } = request;
    const { authorization, 'content-type': contentType } = headers;
    this.seen.push({ method, path, authorization, contentType, body: Buffer.concat(chunks) });
    const answer = this.#answerTo(method, path);
    if (answer === 'hang') return;
    if (answer === 'cut') return void request.socket.destroy();
    response.writeHead(answer.status, answer.headers).end(answer.body ?? '');
  }

  #answerTo(method: string, path: string): ScriptedAnswer {
    if (method === 'POST' && path.startsWith('/api/publish')) return this.#next('uploads');
    if (/^\/api\/deployments\/[^/]+\/log/.test(path)) return this.#next('logs');
    if (path.startsWith('/api/deployments/')) return this.#next('statuses');
    return path === '/api/version' ? this.#next('versions') : NOTHING;
  }

  #next(kind: keyof EndpointScript): ScriptedAnswer {
    const answers = this.#script[kind] ?? [];
    const used = this.#used.get(kind) ?? 0;
    this.#used.set(kind, used + 1);
    return answers[Math.min(used, answers.length - 1)] ?? NOTHING;
  }
}

/** A JSON answer. */
export function json(value: unknown, status = 200): ScriptedAnswer {
  return { status, body: JSON.stringify(value), headers: { 'content-type': 'application/json' } };
}
