import type { Entity } from '../../core/route.ts';
import { AmqpServer } from './amqp-server.ts';
import { answerAtom } from './atom.ts';
import { BrokerError } from './broker-error.ts';
import { Journal } from './journal.ts';
import { Namespace } from './namespace.ts';
import { Port } from './port.ts';
import { Store } from './store.ts';

/** What a broker needs; all but `stateDir`, `port` and `entities` has defaults. */
export interface BrokerOptions {
  /** Folder of the journal `broker.db`; created when it is not there. One broker at a time. */
  readonly stateDir: string;
  /** 0 = any free port. */
  readonly port: number;
  /** Default 127.0.0.1. The broker asks nobody for a password: keep it on this machine. */
  readonly host?: string;
  /** Queues, topics and subscriptions to serve. Messages of entities that are not listed stay in the journal. */
  readonly entities: readonly Entity[];
  /** Largest message or batch, in bytes. Default 262,144, as in the Standard tier. */
  readonly maxMessageBytes?: number;
  /**
   * How long a token counts at most, in ms, 1..2^31-1: a link whose token was not renewed in time is then detached, and a token
   * whose own end has passed is refused, as on Azure. Default: every token is good for ever.
   */
  readonly tokenLifetimeMs?: number;
}

/** A running broker. */
export interface Broker {
  readonly port: number;
  /** For @azure/service-bus. */
  readonly connectionString: string;
  /** Resolves with the reason when the journal cannot be written any more; the broker has then cut all connections. */
  readonly failed: Promise<BrokerError>;
  /** Closes connections, commits what was accepted, and ends. Idempotent. */
  close(): Promise<void>;
}

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_MAX_MESSAGE_BYTES = 262_144;

/**
 * Starts a Service Bus-compatible broker: AMQP 1.0 and the management API over HTTP on one port, every message in a
 * journal on disk before it is acknowledged. The caller closes it.
 * @throws BrokerError with `code` EADDRINUSE and the like, STATE_NEWER, STATE_LOCKED or STATE_UNREADABLE
 */
export async function startBroker(options: BrokerOptions): Promise<Broker> {
  const { host = DEFAULT_HOST, maxMessageBytes = DEFAULT_MAX_MESSAGE_BYTES, entities } = options;
  const store = new Store(options.stateDir);
  const failure = Promise.withResolvers<BrokerError>();
  const journal = new Journal(store, (error) => {
    port.stop();
    port.cutOff();
    failure.resolve(new BrokerError('JOURNAL', `the broker's journal cannot be written: ${String(error)}`, error));
  });
  const space = openNamespace(store, {
    ...{ store, journal, entities, maxMessageBytes, now: Date.now },
    ...(options.tokenLifetimeMs !== undefined && { tokenLifetimeMs: options.tokenLifetimeMs }),
  });
  const amqp = new AmqpServer(space);
  const port = new Port(
    (socket) => amqp.accept(socket),
    (request, response) => answerAtom(space, request, response),
  );
  const release = (): void => {
    space.close();
    journal.close();
    store.close();
  };
  const number = await listen(port, options.port, host, release);
  const close = once(async () => {
    port.stop();
    await amqp.close();
    port.cutOff();
    release();
  });
  const keys = 'SharedAccessKeyName=local;SharedAccessKey=local;UseDevelopmentEmulator=true';
  return { port: number, connectionString: `Endpoint=sb://${host}:${number};${keys}`, failed: failure.promise, close };
}

function openNamespace(store: Store, options: ConstructorParameters<typeof Namespace>[0]): Namespace {
  try {
    return new Namespace(options);
  } catch (error) {
    store.close();
    throw error;
  }
}

async function listen(port: Port, number: number, host: string, release: () => void): Promise<number> {
  try {
    return await port.listen(number, host);
  } catch (error) {
    release();
    throw error;
  }
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return () => (running ??= run());
}
