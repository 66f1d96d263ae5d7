import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ServiceBusAdministrationClient, ServiceBusClient } from '@azure/service-bus';
import type { RetryOptions, ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';
import type { Entity, QueueEntity, SubscriptionEntity, TopicEntity } from '../../../runtime/core/route.ts';
import { startBroker } from '../../../runtime/local/broker/broker.ts';
import type { Broker } from '../../../runtime/local/broker/broker.ts';

const ROOT = join(import.meta.dirname, '../../..');
const MAIN = join(ROOT, 'runtime/local/broker/main.ts');
const CLIENT = join(import.meta.dirname, 'client-process.ts');

/** Retries that fit a test; the client's own defaults wait for half a minute. */
export const RETRIES = { timeoutInMs: 5_000, retryDelayInMs: 100, maxRetries: 3 };

/** A queue with defaults that tests change. */
export function queue(name: string, changes: Partial<QueueEntity> = {}): QueueEntity {
  return {
    kind: 'queue',
    name,
    lockDurationMs: 30_000,
    maxDeliveryCount: 10,
    requiresSession: false,
    duplicateDetectionMs: 0,
    deadLetterOnExpiry: true,
    ...changes,
  };
}

export function topic(name: string, changes: Partial<TopicEntity> = {}): TopicEntity {
  return { kind: 'topic', name, duplicateDetectionMs: 0, ...changes };
}

export function subscription(of: string, name: string, changes: Partial<SubscriptionEntity> = {}): SubscriptionEntity {
  return {
    kind: 'subscription',
    topic: of,
    name,
    lockDurationMs: 30_000,
    maxDeliveryCount: 10,
    requiresSession: false,
    deadLetterOnExpiry: true,
    ...changes,
  };
}

export interface Depth {
  readonly active: number;
  readonly deadLetter: number;
  readonly scheduled: number;
  readonly stranded: number;
}

/** A broker in this process, its folder, and the clients that a test opened. */
export class Stage {
  readonly stateDir: string;
  readonly #entities: readonly Entity[];
  readonly #clients: ServiceBusClient[] = [];
  #broker: Broker;

  constructor(stateDir: string, entities: readonly Entity[], broker: Broker) {
    this.stateDir = stateDir;
    this.#entities = entities;
    this.#broker = broker;
  }

  static async open(...entities: readonly Entity[]): Promise<Stage> {
    const stateDir = await tempFolder();
    return new Stage(stateDir, entities, await startBroker({ stateDir, port: 0, entities }));
  }

  get connectionString(): string {
    return this.#broker.connectionString;
  }

  get port(): number {
    return this.#broker.port;
  }

  client(retryOptions: RetryOptions = RETRIES): ServiceBusClient {
    const client = new ServiceBusClient(this.connectionString, { retryOptions });
    this.#clients.push(client);
    return client;
  }

  admin(): ServiceBusAdministrationClient {
    return plainAdmin(this.connectionString);
  }

  /** Counts of a queue, or of `topic/Subscriptions/name`. */
  async depth(path: string): Promise<Depth> {
    return depthOf(this.admin(), path);
  }

  /** Closes clients and broker, and starts the broker on the same folder. */
  async restart(entities: readonly Entity[] = this.#entities): Promise<void> {
    await this.#end();
    this.#broker = await startBroker({ stateDir: this.stateDir, port: 0, entities });
  }

  async #end(): Promise<void> {
    await Promise.all(this.#clients.splice(0).map(async (client) => client.close()));
    await this.#broker.close();
  }

  async close(): Promise<void> {
    await this.#end();
    await rm(this.stateDir, { recursive: true, force: true });
  }
}

/** The administration client over plain HTTP: 7.9.5 knows only https. */
export function plainAdmin(connectionString: string): ServiceBusAdministrationClient {
  const admin = new ServiceBusAdministrationClient(connectionString);
  const internals: unknown = admin;
  const { pipeline } = internals as { pipeline?: { addPolicy(policy: unknown): void } };
  pipeline?.addPolicy({
    name: 'plain-http',
    sendRequest(request: HttpRequest, next: (request: HttpRequest) => unknown): unknown {
      request.url = request.url.replace(/^https:/, 'http:');
      request.allowInsecureConnection = true;
      return next(request);
    },
  });
  return admin;
}

interface HttpRequest {
  url: string;
  allowInsecureConnection: boolean;
}

export async function depthOf(admin: ServiceBusAdministrationClient, path: string): Promise<Depth> {
  const [owner = '', name] = path.split('/Subscriptions/');
  const counts =
    name === undefined
      ? await admin.getQueueRuntimeProperties(owner)
      : { scheduledMessageCount: 0, ...(await admin.getSubscriptionRuntimeProperties(owner, name)) };
  return {
    active: counts.activeMessageCount,
    deadLetter: counts.deadLetterMessageCount,
    scheduled: counts.scheduledMessageCount,
    stranded: counts.transferDeadLetterMessageCount,
  };
}

export async function tempFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'adit-broker-'));
}

/** Receives exactly one message. */
export async function receiveOne(receiver: ServiceBusReceiver): Promise<ServiceBusReceivedMessage> {
  const [message] = await receiver.receiveMessages(1, { maxWaitTimeInMs: 4_000 });
  if (message === undefined) throw new Error('no message arrived');
  return message;
}

/** What messages carry. The client types bodies as any. */
export function bodiesOf(messages: readonly { readonly body: unknown }[]): readonly unknown[] {
  return messages.map((message) => message.body);
}

/** Asks again until the condition holds. Fails after `limitMs`. */
export async function until(isTrue: () => boolean | Promise<boolean>, limitMs = 5_000): Promise<void> {
  const deadlineMs = performance.now() + limitMs;
  while (!(await isTrue())) {
    if (performance.now() > deadlineMs) throw new Error(`the condition did not hold within ${limitMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A child process that speaks in lines of JSON. */
export class LineProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<unknown>;
  readonly #lines: AsyncIterator<string>;

  constructor(script: string, args: readonly string[]) {
    this.child = spawn(process.execPath, [script, ...args], { cwd: ROOT, stdio: ['pipe', 'pipe', 'inherit'] });
    this.exited = once(this.child, 'exit');
    const { stdout } = this.child;
    if (stdout === null) throw new Error('the child has no stdout');
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  write(value: unknown): void {
    this.child.stdin?.write(`${JSON.stringify(value)}\n`);
  }

  /** The next line as JSON, `undefined` at the end. */
  async read(): Promise<Record<string, unknown> | undefined> {
    const next = await this.#lines.next();
    return next.done === true ? undefined : (JSON.parse(next.value) as Record<string, unknown>);
  }

  /** Waits for the exit. @returns its code and signal */
  async kill(signal: NodeJS.Signals): Promise<unknown> {
    this.child.kill(signal);
    return this.exited;
  }
}

/** A broker in a process of its own. */
export interface BrokerProcess {
  readonly process: LineProcess;
  readonly port: number;
  readonly connectionString: string;
}

export async function spawnBroker(stateDir: string, entities: readonly Entity[], port = 0): Promise<BrokerProcess> {
  const child = new LineProcess(MAIN, []);
  child.write({ stateDir, port, entities });
  const line = await child.read();
  if (typeof line?.['port'] !== 'number') throw new Error(`the broker did not start: ${JSON.stringify(line)}`);
  return { process: child, port: line['port'], connectionString: String(line['connectionString']) };
}

/** Starts a broker process without waiting for it. */
export function spawnMain(): LineProcess {
  return new LineProcess(MAIN, []);
}

/** A client in a process of its own, see `client-process.ts`. */
export function spawnClient(connectionString: string, role: string, entity: string, count: number): LineProcess {
  return new LineProcess(CLIENT, [connectionString, role, entity, String(count)]);
}
