import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { DeployedApp } from './deployed-app.ts';

/** Answers that the endpoint gives before it takes an archive: roles that have not spread yet, an app that starts. */
const HESITATION = [403, 503];

/**
 * The deployment endpoint of a Flex Consumption app and the app behind it, on one port of this machine. It hesitates as
 * Azure does, takes the archive, is polled to the end, and then runs what it was given.
 */
export class DeploymentEndpoint {
  readonly #server: Server;
  readonly #apps: DeployedApp[] = [];
  #hesitates = [...HESITATION];
  #polls = 0;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)));
    });
  }

  static async listen(): Promise<DeploymentEndpoint> {
    const endpoint = new DeploymentEndpoint();
    await new Promise<void>((resolve) => endpoint.#server.listen(0, '127.0.0.1', resolve));
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Archives that were taken. */
  get deployments(): number {
    return this.#apps.length;
  }

  /** What runs now. */
  get app(): DeployedApp {
    const app = this.#apps.at(-1);
    if (app === undefined) throw new Error('nothing was deployed');
    return app;
  }

  /** Version of what runs now. */
  version(): unknown {
    return (this.app.answer('version') as { readonly version?: unknown }).version;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { pathname } = new URL(request.url ?? '', this.url);
    if (request.method === 'POST' && pathname === '/api/publish') return this.#publish(Buffer.concat(chunks), response);
    if (pathname === '/api/version' && this.#apps.length > 0)
      return json(response, 200, await this.app.answer('version'));
    if (pathname.startsWith('/api/deployments/')) return this.#status(response);
    response.writeHead(404).end();
  }

  async #publish(archive: Buffer, response: ServerResponse): Promise<void> {
    const status = this.#hesitates.shift();
    if (status !== undefined) return void response.writeHead(status).end('not yet');
    this.#apps.push(await DeployedApp.start(archive));
    this.#hesitates = [...HESITATION];
    this.#polls = 0;
    response.writeHead(202, { location: `${this.url}/api/deployments/latest` }).end();
  }

  /** The first poll comes too early. */
  #status(response: ServerResponse): void {
    this.#polls += 1;
    json(response, 200, { status: this.#polls > 1 ? 4 : 1, complete: this.#polls > 1 });
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
