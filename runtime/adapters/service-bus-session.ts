import { AsyncLocalStorage } from 'node:async_hooks';
import { setMaxListeners } from 'node:events';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { Socket } from 'node:net';
import { RetryMode, ServiceBusClient, parseServiceBusConnectionString } from '@azure/service-bus';
import type { ServiceBusClientOptions, ServiceBusReceiver, TokenCredential } from '@azure/service-bus';
import type { Clock } from '../ports.ts';
import { isPermanent, isUnauthorized } from './service-bus-message.ts';
import { RECONNECT_BACKOFF, codedError, finishedWithin } from './service-bus-time.ts';

type AccessToken = NonNullable<Awaited<ReturnType<TokenCredential['getToken']>>>;

/** How to reach the namespace. */
export type ServiceBusConnect =
  | { readonly connectionString: string }
  | { readonly fullyQualifiedNamespace: string; readonly credential: TokenCredential };

/** What the adapter survives by itself and tells about. */
export type ServiceBusEventKind =
  | 'reconnected'
  | 'receiver-rolled'
  | 'client-replaced'
  | 'send-retried'
  | 'renew-failed';

/** Something that the adapter survived, for counters and logs. */
export interface ServiceBusEvent {
  readonly kind: ServiceBusEventKind;
  readonly entity?: string;
  readonly reason?: string;
}

/** How clients are made and replaced. */
export interface SessionSettings {
  readonly connect: ServiceBusConnect;
  /** Limit of one request of the client, in ms. */
  readonly requestTimeoutMs: number;
  readonly onEvent: (event: ServiceBusEvent) => void;
  readonly clock: Clock;
}

/** A client that only failed for this long, and at least `FAILURES_BEFORE_REPLACE` times, is replaced. */
const NO_PROGRESS_MS = 30_000;
const FAILURES_BEFORE_REPLACE = 3;

/** How long a client may take to close before its sockets are cut (azure-sdk-for-js #24542: close may never end). */
const CLOSE_LIMIT_MS = 3000;

/** A client whose tokens are only refused for this long is replaced, in ms: by then each link has asked for a new one. */
const REFUSED_LIMIT_MS = 3000;

/** First and longest wait between questions for a token after one was refused. */
const TOKEN_PROBE = { firstMs: 1000, maxMs: 30_000 } as const;

/** How long before the end of a token 7.9.5 renews it (linkEntity.js, read 2026-11-28), and our shortest wait before a renewal. */
const CLIENT_RENEWAL_MARGIN_MS = 120_000;
const RENEWAL_WAIT_MIN_MS = 1000;

const TOKEN_SCOPE = 'https://servicebus.azure.net/.default';

/** Node's diagnostics channel for every client socket, plain and TLS. */
const SOCKET_CHANNEL = 'net.client.socket';

/**
 * One ServiceBusClient with its one connection, from its first use to the first loss. A lost connection ends the
 * session: 7.9.5 recovers by itself only after 30 s, forgets sends in flight and keeps half-open state, so recovery
 * here is always a new client.
 */
export class Session {
  readonly client: ServiceBusClient;
  readonly #lost = new AbortController();
  readonly #source: SessionSource;
  readonly #settlers = new Map<string, ServiceBusReceiver>();
  readonly #sockets = new Set<Socket>();
  #isConnected = false;
  #wasLetIn = false;
  #refusedSinceMs: number | undefined;
  #failures = 0;
  #failingSinceMs = 0;

  constructor(source: SessionSource, client: ServiceBusClient) {
    this.#source = source;
    this.client = client;
    // Every send and settlement in flight listens; their number is bounded elsewhere.
    setMaxListeners(0, this.#lost.signal);
  }

  /** Aborted once, when this client must not be used any more. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Calls the client so that a socket it opens is known to be this session's. */
  run<T>(work: () => T): T {
    return this.#source.inside(this, work);
  }

  /** A receiver that never receives: settles and renews messages of any link, also of a link that is gone. */
  settler(entity: string): ServiceBusReceiver {
    const known = this.#settlers.get(entity);
    if (known !== undefined) return known;
    const receiver = createReceiver(this.client, entity);
    this.#settlers.set(entity, receiver);
    return receiver;
  }

  /** True from the first connection on, until the session is lost. */
  get isConnected(): boolean {
    return this.#isConnected && !this.#lost.signal.aborted;
  }

  /** A request was answered. */
  noteSuccess(): void {
    this.#failures = 0;
    this.#wasLetIn = true;
    this.#refusedSinceMs = undefined;
    this.#source.letIn();
  }

  /**
   * Whether another try can help after `error`. 7.9.5 renews no token again after a renewal that failed, so its links end with
   * the token that they have; each is opened anew, with a new token. A client that this does not help is replaced. Where nobody
   * was ever let in, a right is missing.
   */
  isWorthRetry(error: unknown): boolean {
    if (!isUnauthorized(error)) return !isPermanent(error);
    const nowMs = performance.now();
    this.#refusedSinceMs ??= nowMs;
    if (this.#wasLetIn && nowMs - this.#refusedSinceMs >= REFUSED_LIMIT_MS) this.fail('token');
    return this.#source.wasLetIn;
  }

  /** A request failed in a way that another try may mend. A client that never connected or only fails is given up. */
  noteFailure(): void {
    const nowMs = this.#source.clock.now();
    // A clock that was set back would otherwise keep a useless client for as long.
    if (this.#failures === 0 || nowMs < this.#failingSinceMs) this.#failingSinceMs = nowMs;
    this.#failures += 1;
    if (!this.#isConnected) this.fail('connect-failed');
    else if (this.#failures >= FAILURES_BEFORE_REPLACE && nowMs - this.#failingSinceMs >= NO_PROGRESS_MS) {
      this.fail('no-progress');
    }
  }

  /** Ends the session; the next user gets a new client. Idempotent. */
  fail(reason: string): void {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort(codedError('CONNECTION_LOST', `connection to Service Bus lost (${reason})`));
    this.#source.replaced(this, reason);
    void this.close();
  }

  async close(): Promise<void> {
    if (!this.#lost.signal.aborted) this.#lost.abort(codedError('BUS_CLOSED', 'the bus was closed'));
    await finishedWithin(
      this.run(async () => this.client.close()),
      CLOSE_LIMIT_MS,
    );
    for (const socket of this.#sockets) cut(socket);
  }

  /** Takes care of a socket that was opened for this session. */
  adopt(socket: Socket, port: number): void {
    // rhea removes every listener of a socket that it aborts; one must stay or a late error would end the process.
    socket.on('error', () => undefined);
    socket.once('connect', () => {
      if (socket.remotePort === port) this.#connected(socket);
    });
  }

  #connected(socket: Socket): void {
    if (this.#lost.signal.aborted) {
      cut(socket);
      return;
    }
    // Neither core-amqp nor rhea-promise does it, and each request would wait 45 ms for a delayed acknowledgement.
    socket.setNoDelay(true);
    this.#isConnected = true;
    this.#sockets.add(socket);
    this.#source.connected();
    const onGone = (): void => {
      this.#sockets.delete(socket);
      this.fail('connection-lost');
    };
    socket.once('end', onGone);
    socket.once('close', onGone);
  }
}

/** Makes sessions: one at a time, a new one after the last was lost. */
export class SessionSource {
  readonly clock: Clock;
  readonly #settings: SessionSettings;
  readonly #context = new AsyncLocalStorage<Session | undefined>();
  readonly #port: number;
  readonly #closed = new AbortController();
  /** Pauses that end with the next connection; as many as there are outboxes, links and settlements in trouble. */
  readonly #waiting = new Set<() => void>();
  #current: Session | undefined;
  #wasLetIn = false;
  #isProbing = false;

  constructor(settings: SessionSettings) {
    this.#settings = settings;
    this.clock = settings.clock;
    this.#port = portOf(settings.connect);
    subscribe(SOCKET_CHANNEL, this.#onSocket);
  }

  /** The session to use now. @throws Error with code `BUS_CLOSED` after `close`. */
  current(): Session {
    if (this.#closed.signal.aborted) throw codedError('BUS_CLOSED', 'the bus is closed');
    this.#current ??= new Session(this, this.#createClient());
    return this.#current;
  }

  inside<T>(session: Session, work: () => T): T {
    return this.#context.run(session, work);
  }

  /** Runs foreign code (handlers), whose sockets are none of ours. */
  outside<T>(work: () => T): T {
    return this.#context.run(undefined, work);
  }

  /** Called by a session that has just failed. */
  replaced(session: Session, reason: string): void {
    if (this.#current !== session) return;
    this.#current = undefined;
    this.#settings.onEvent({ kind: 'client-replaced', reason });
  }

  /** True once any session of this source was let in. */
  get wasLetIn(): boolean {
    return this.#wasLetIn;
  }

  /** Called by a session that has had an answer. */
  letIn(): void {
    this.#wasLetIn = true;
  }

  /** Called by a session that has just connected: whoever waits for the namespace to come back tries now. */
  connected(): void {
    for (const wake of this.#waiting) wake();
  }

  /**
   * The wait before another try: `ms`, but no longer than until there is a connection, if there is none now.
   * Rejects with the signal's reason when that is aborted.
   */
  async pause(ms: number, signal?: AbortSignal): Promise<void> {
    if (this.#current?.isConnected === true) return this.clock.sleep(ms, signal);
    const woken = new AbortController();
    const wake = (): void => woken.abort();
    this.#waiting.add(wake);
    try {
      await this.clock.sleep(ms, signal === undefined ? woken.signal : AbortSignal.any([woken.signal, signal]));
    } catch (error) {
      if (!woken.signal.aborted) throw error;
    } finally {
      this.#waiting.delete(wake);
    }
  }

  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    await this.#current?.close();
    unsubscribe(SOCKET_CHANNEL, this.#onSocket);
  }

  readonly #onSocket = (message: unknown): void => {
    if (typeof message !== 'object' || message === null || !('socket' in message)) return;
    if (message.socket instanceof Socket) this.#context.getStore()?.adopt(message.socket, this.#port);
  };

  #createClient(): ServiceBusClient {
    const { connect, requestTimeoutMs } = this.#settings;
    const options: ServiceBusClientOptions = {
      // No retries inside the client: this adapter retries where it knows what is in doubt.
      retryOptions: {
        maxRetries: 0,
        timeoutInMs: requestTimeoutMs,
        retryDelayInMs: RECONNECT_BACKOFF.firstMs,
        maxRetryDelayInMs: RECONNECT_BACKOFF.maxMs,
        mode: RetryMode.Exponential,
      },
    };
    if ('connectionString' in connect) return new ServiceBusClient(connect.connectionString, options);
    return new ServiceBusClient(connect.fullyQualifiedNamespace, this.#watchedCredential(connect.credential), options);
  }

  /** 7.9.5 never renews again after one refused token: once tokens come again, the client is replaced. */
  #watchedCredential(credential: TokenCredential): TokenCredential {
    return {
      getToken: async (scopes, options) => {
        try {
          const token = await credential.getToken(scopes, options);
          return token === null ? null : withRoomToRenew(token, this.clock.now());
        } catch (error) {
          void this.#probeToken(credential);
          throw error;
        }
      },
    };
  }

  async #probeToken(credential: TokenCredential): Promise<void> {
    if (this.#isProbing) return;
    this.#isProbing = true;
    let waitMs: number = TOKEN_PROBE.firstMs;
    try {
      for (;;) {
        // Ends with the first token, or when `close` aborts the wait.
        await this.clock.sleep(waitMs, this.#closed.signal);
        if ((await credential.getToken(TOKEN_SCOPE).catch(() => null)) !== null) break;
        waitMs = Math.min(waitMs * 2, TOKEN_PROBE.maxMs);
      }
      this.#current?.fail('token');
    } catch {
      // The bus was closed while waiting.
    } finally {
      this.#isProbing = false;
    }
  }
}

/** Opens a receiver of a queue, a subscription, or the dead letters of either; peek-lock, without the client's renewal. */
export function createReceiver(client: ServiceBusClient, entity: string): ServiceBusReceiver {
  const deadLetters = /^(.+?)\/(\$Transfer\/)?\$DeadLetterQueue$/i.exec(entity);
  const subQueueType = deadLetters?.[2] === undefined ? ('deadLetter' as const) : ('transferDeadLetter' as const);
  const options = {
    receiveMode: 'peekLock' as const,
    skipParsingBodyAsJson: true,
    // The client's renewal is keyed by message id, so one of two messages with the same id would lose its lock.
    maxAutoLockRenewalDurationInMs: 0,
    ...(deadLetters !== null && { subQueueType }),
  };
  const path = deadLetters?.[1] ?? entity;
  const subscription = /^(.+)\/subscriptions\/([^/]+)$/i.exec(path);
  if (subscription?.[1] === undefined || subscription[2] === undefined) return client.createReceiver(path, options);
  return client.createReceiver(subscription[1], subscription[2], options);
}

/**
 * 7.9.5 renews 2 minutes before the end that it is told, or without a pause when that is past: a token that lives shorter is said
 * to live so much longer that it is renewed at half of its life.
 */
function withRoomToRenew(token: AccessToken, nowMs: number): AccessToken {
  const halfLifeMs = Math.max(RENEWAL_WAIT_MIN_MS, (token.expiresOnTimestamp - nowMs) / 2);
  const expiresOnTimestamp = Math.max(token.expiresOnTimestamp, nowMs + CLIENT_RENEWAL_MARGIN_MS + halfLifeMs);
  return { ...token, expiresOnTimestamp };
}

function portOf(connect: ServiceBusConnect): number {
  if (!('connectionString' in connect)) return Number(/:(\d+)$/.exec(connect.fullyQualifiedNamespace)?.[1] ?? 5671);
  const isEmulator = /(^|;)\s*UseDevelopmentEmulator=true\s*(;|$)/.test(connect.connectionString);
  const { endpoint } = parseServiceBusConnectionString(connect.connectionString);
  const port = new URL(endpoint.replace(/^\w+:/, 'http:')).port;
  if (port !== '') return Number(port);
  return isEmulator ? 5672 : 5671;
}

/** Ends a socket with an error, because rhea listens for `error` and `end` but not for `close`. */
function cut(socket: Socket): void {
  if (!socket.destroyed) socket.destroy(codedError('CONNECTION_CUT', 'the connection was given up'));
}
