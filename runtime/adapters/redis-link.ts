import { Redis, type RedisOptions } from 'ioredis';
import {
  CredentialKeeper,
  type RedisCredentials,
  type RedisCredentialSource,
  withoutSecret,
} from './redis-credentials.ts';

const DEFAULT_COMMAND_TIMEOUT_MS = 500;
const CONNECT_TIMEOUT_MS = 5_000;

/** A connection that is silent this long after a command is given up: its peer may be gone without a word. */
const SILENCE_LIMIT_MS = 5_000;

/** Waits between attempts to connect: doubling, capped, and spread so that a fleet does not come back at once. */
const RECONNECT_FIRST_MS = 50;
const RECONNECT_MAX_MS = 3_000;

/** A polite goodbye may take this long; then the connection is cut. */
const QUIT_LIMIT_MS = 1_000;

/** Refusals that mean that the connection is not, or no longer, logged in (redis.io, "ACL" and "AUTH", 2026-11). */
const NOT_LOGGED_IN = /^(WRONGPASS|NOAUTH)\b/;

/** A Redis whose passwords last for a while only, such as one that is entered with an Entra token. */
export interface RedisLogin {
  readonly host: string;
  /** 1..65535. */
  readonly port: number;
  readonly isTls: boolean;
  /** Asked before the first connection, and again well before what it gave expires. */
  readonly credentials: RedisCredentialSource;
  /** Told each time that a renewal failed; it is tried again. `reason` is for people and carries no secret. */
  readonly onRenewalFailed?: (reason: string) => void;
}

/** Where Redis is, and how long it may take. */
export type RedisLinkOptions = RedisLinkLimits &
  /** `redis://` or `rediss://`, with user, password and database when there are any; or a login that is renewed. */
  ({ readonly url: string } | { readonly login: RedisLogin });

interface RedisLinkLimits {
  /** Longest wait for one answer, in ms, 1..60,000. Default 500. */
  readonly commandTimeoutMs?: number;
  /** Told when the connection comes and goes, also the first time; `reason` is for people and carries no secret. Never after `close`. */
  readonly onState?: (state: 'up' | 'down', reason?: string) => void;
  /** Told the server's eviction policy (`maxmemory-policy`) with the first connection; never where INFO is forbidden. */
  readonly onPolicy?: (policy: string) => void;
  /**
   * Told, before the first answer of it, when a connection leads to a server with another history than the one before: after a
   * failover or a restart, what was acknowledged may be gone and what it replaced be back. Also when the server does not say.
   */
  readonly onOtherHistory?: () => void;
}

/**
 * One connection to Redis, for everything that this process has there. Connects at once and for ever: while the connection is down
 * every use rejects without waiting for it, and uses work again by themselves when Redis is back. Only the first uses wait, for
 * the first connection, as long as for an answer. An answer that comes too late rejects too; what was sent may have been done.
 * A login is renewed on the live connection, and every new connection begins with the newest one. Whoever opens it closes it.
 */
export class RedisLink {
  readonly #redis: Redis;
  readonly #timeoutMs: number;
  readonly #limits: RedisLinkLimits;
  /** Resolves when the first attempt to connect has ended, one way or the other. */
  readonly #firstAttempt = Promise.withResolvers<void>();
  /** Undefined for a URL, which says once and for all who we are. */
  readonly #keeper: CredentialKeeper | undefined;
  #password = '';
  #isLoginDue = false;
  /** The connection is being left, because of what its server has said. */
  #isLeft = false;
  /** Connections that were ready to talk, and the one whose server is known by now. */
  #connections = 0;
  #knownConnection = 0;
  #history: string | undefined;
  #otherHistories = 0;
  #state: 'up' | 'down' | undefined;
  #reason: string | undefined;
  #closing: Promise<void> | undefined;

  /** @throws RangeError when `commandTimeoutMs` is out of range. */
  constructor(options: RedisLinkOptions) {
    this.#timeoutMs = options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS;
    if (!(this.#timeoutMs >= 1 && this.#timeoutMs <= 60_000)) {
      throw new RangeError(`commandTimeoutMs must be 1..60000, got ${this.#timeoutMs}`);
    }
    this.#limits = options;
    const common = { ...commonOptions(this.#timeoutMs), reconnectOnError: (error: Error) => this.#leaves(error) };
    if ('url' in options) {
      this.#redis = new Redis(options.url, common);
      this.#watch();
      return;
    }
    const { login } = options;
    this.#redis = new Redis(loginOptions(login, common));
    this.#watch();
    this.#keeper = new CredentialKeeper({
      source: login.credentials,
      use: (credentials) => this.#logIn(credentials),
      onFailure: (reason) => {
        // Without credentials nobody has tried to connect, so no attempt will say that it failed.
        if (this.#redis.status === 'wait') this.#enterDown(reason);
        login.onRenewalFailed?.(reason);
      },
    });
    void this.#keeper.start();
  }

  /** How often a connection has led to a server with another history than the one before; see `onOtherHistory`. */
  get otherHistories(): number {
    return this.#otherHistories;
  }

  /** The client, connected. @throws Error when the connection is down or closed. */
  async usable(): Promise<Redis> {
    if (this.#closing !== undefined) throw new Error('the connection to Redis is closed');
    if (this.#state === undefined) await withinMs(this.#firstAttempt.promise, this.#timeoutMs);
    const isUp = this.#redis.status === 'ready' && this.#connections === this.#knownConnection;
    if (!isUp) throw new Error(`Redis is down: ${this.#reason ?? 'not connected yet'}`);
    return this.#redis;
  }

  /** Idempotent, and never waits longer than a second. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#keeper?.close();
    if (this.#redis.status === 'ready') {
      const goodbye = this.#redis.quit().then(nothing, nothing);
      await withinMs(goodbye, QUIT_LIMIT_MS);
    }
    this.#redis.disconnect();
  }

  /** ioredis logs every new connection in with what stands in its options; a live one is told here. */
  async #logIn({ username, password }: RedisCredentials): Promise<void> {
    this.#password = password;
    this.#redis.options.username = username;
    this.#redis.options.password = password;
    this.#isLoginDue = this.#redis.status !== 'ready' && this.#redis.status !== 'wait';
    if (this.#redis.status === 'ready') await this.#redis.auth(username, password);
    if (this.#redis.status === 'wait') void this.#redis.connect().catch(nothing);
  }

  #watch(): void {
    // Without a listener ioredis prints each failed attempt.
    this.#redis.on('error', (error: Error) => {
      this.#reason = withoutSecret(error, this.#password);
      if (NOT_LOGGED_IN.test(error.message)) void this.#keeper?.renew();
    });
    this.#redis.on('ready', () => {
      // Credentials came while the connection was logging in with the ones before.
      if (this.#isLoginDue) void this.#keeper?.renew();
      this.#reason = undefined;
      void this.#meet();
    });
    this.#redis.on('close', () => {
      this.#isLeft = false;
      this.#enterDown(this.#reason ?? 'the connection was closed');
    });
  }

  /**
   * After a failover the old primary refuses writes: connect again, to the new one. A login that is over needs a new one; one that
   * is merely refused (WRONGPASS) leaves the login before it as it was. Once for all commands that are refused together, because
   * ioredis hangs a listener on the socket each time.
   */
  #leaves({ message }: Error): boolean {
    if (this.#isLeft) return false;
    this.#isLeft = message.startsWith('READONLY') || message.startsWith('NOAUTH');
    return this.#isLeft;
  }

  /** Finds out whose server this is before anybody is answered by it. */
  async #meet(): Promise<void> {
    this.#connections += 1;
    const connection = this.#connections;
    const info = await this.#redis.info().catch(() => '');
    if (connection !== this.#connections || this.#redis.status !== 'ready') return;
    const history = infoField(info, 'master_replid');
    const policy = infoField(info, 'maxmemory_policy');
    const isFirst = this.#knownConnection === 0;
    if (!isFirst && (history === undefined || history !== this.#history)) {
      this.#otherHistories += 1;
      this.#limits.onOtherHistory?.();
    }
    if (isFirst && policy !== undefined) this.#limits.onPolicy?.(policy);
    this.#history = history;
    // A turn later, so that nobody asks by what was true before.
    await new Promise((resolve) => setImmediate(resolve));
    if (connection !== this.#connections || this.#redis.status !== 'ready') return;
    this.#knownConnection = connection;
    this.#enter('up');
    this.#firstAttempt.resolve();
  }

  #enterDown(reason: string): void {
    this.#reason = reason;
    this.#enter('down', reason);
    this.#firstAttempt.resolve();
  }

  #enter(state: 'up' | 'down', reason?: string): void {
    if (this.#state === state || this.#closing !== undefined) return;
    this.#state = state;
    this.#limits.onState?.(state, reason);
  }
}

/** Answers have the shapes of RESP 2, which is what the types of the commands say. */
type LegacyOptions = RedisOptions & { readonly replyMapping?: 'legacy' };

function commonOptions(commandTimeout: number): LegacyOptions {
  return {
    commandTimeout,
    connectTimeout: CONNECT_TIMEOUT_MS,
    socketTimeout: SILENCE_LIMIT_MS,
    disconnectTimeout: QUIT_LIMIT_MS,
    // Down means down: a caller has a slower tier to ask and must not wait for this one.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    retryStrategy: reconnectMs,
  };
}

/** Connects when the first credentials are there. The name of the host is what its certificate must say. */
function loginOptions({ host, port, isTls }: RedisLogin, common: LegacyOptions): LegacyOptions {
  return { ...common, host, port, lazyConnect: true, ...(isTls && { tls: { servername: host } }) };
}

/** A field of INFO, which many lines `name:value` are. */
function infoField(info: string, name: string): string | undefined {
  return new RegExp(`^${name}:(.+?)\r?$`, 'm').exec(info)?.[1];
}

function reconnectMs(attempt: number): number {
  const full = Math.min(RECONNECT_MAX_MS, RECONNECT_FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(full / 2 + (full / 2) * Math.random());
}

/** Resolves with `work`, or after `ms`, whichever is first. */
async function withinMs(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}

function nothing(): void {
  // The outcome of a goodbye changes nothing.
}
