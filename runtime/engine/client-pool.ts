import { Fault } from '../core/faults.ts';
import type { User } from '../core/miner.ts';
import type { UpstreamDefinition } from '../core/upstream.ts';
import type { Clock, Log, Upstream, UpstreamAnswer, UpstreamCall } from '../ports.ts';

/** What a pool works with. */
export interface ClientPoolDeps {
  readonly clock: Clock;
  /** Holds the sockets: one agent for everybody, and one per distinct proxy. */
  readonly upstream: Upstream;
  readonly log: Log;
}

/** How many clients are kept, and how long. Times in ms. */
export interface ClientPoolOptions {
  /** A client that nobody used for this long is closed. */
  readonly idleMs: number;
  /** Clients kept at once, 1 or more; the least recently used one is closed. Default 10,000. */
  readonly clientsLimit?: number;
  /** How long a user whose proxy failed goes direct before it is tried again. Default 1 min. */
  readonly directForMs?: number;
}

/** One page to ask for, before it is known who asks and which way the call takes. Sizes in bytes, times in ms. */
export type ClientCall = Pick<UpstreamCall, 'url' | 'maxBytes' | 'timeoutMs'>;

/** What a pool has done since it was opened. */
export interface ClientPoolCounts {
  readonly opened: number;
  readonly closed: number;
}

const CLIENTS_LIMIT = 10_000;

const DIRECT_FOR_MS = 60_000;

/** One user at one upstream: the credential, and which way the next call takes. Holds no socket. */
interface DualClient {
  readonly user: User;
  headers: Readonly<Record<string, string>>;
  /** Calls that run on it. */
  calls: number;
  usedAtMs: number;
  /** Until when calls go direct, because the proxy failed; epoch in ms. 0: it has not failed since it was last used. */
  directUntilMs: number;
  /** Out of the pool: it is closed when its last call has ended. */
  isEvicted: boolean;
}

/**
 * One light client per user over shared sockets, least recently used and idle ones closed. Article ch. 1; departs: a client is
 * never closed under a call that runs, and closed exactly once, because only whoever takes the last hold off it closes it.
 */
export class ClientPool {
  readonly #deps: ClientPoolDeps;
  readonly #options: Required<ClientPoolOptions>;
  /** Least recently used first. */
  readonly #clients = new Map<string, DualClient>();
  #opened = 0;
  #closed = 0;
  #isClosed = false;

  /** @throws RangeError for an option out of its range. */
  constructor(deps: ClientPoolDeps, options: ClientPoolOptions) {
    const { idleMs, clientsLimit = CLIENTS_LIMIT, directForMs = DIRECT_FOR_MS } = options;
    for (const [name, value] of Object.entries({ idleMs, clientsLimit, directForMs })) {
      if (!Number.isSafeInteger(value) || value < 1)
        throw new RangeError(`${name} must be a whole number from 1, got ${value}`);
    }
    this.#deps = deps;
    this.#options = { idleMs, clientsLimit, directForMs };
  }

  /** Clients in the pool. Evicted ones whose calls still run are not. */
  get size(): number {
    return this.#clients.size;
  }

  /** Clients opened and closed so far; what is opened and not closed is in the pool or has a call that runs. */
  get counts(): ClientPoolCounts {
    return { opened: this.#opened, closed: this.#closed };
  }

  /** The proxy that the user's next call goes through, or null when it goes direct: whose breaker and budget it is subject to. */
  wayOf(definition: UpstreamDefinition, user: User): string | null {
    const client = this.#clients.get(keyOf(definition, user));
    if (client === undefined || !isSameUser(client.user, user)) return user.proxyUrl;
    return this.#deps.clock.now() < client.directUntilMs ? null : user.proxyUrl;
  }

  /**
   * Sends one call for a user: through the user's proxy when there is one. Only a user with `allowDirect` goes direct instead,
   * at once and for a while, when the proxy itself has failed.
   * @throws what the upstream port throws; Fault `transient` when the pool is closed.
   */
  async call(
    definition: UpstreamDefinition,
    user: User,
    call: ClientCall,
    signal?: AbortSignal,
  ): Promise<UpstreamAnswer> {
    if (this.#isClosed) throw new Fault('transient', 'the clients are closed: this process is stopping');
    this.expire();
    const key = keyOf(definition, user);
    const client = this.#clientOf(key, definition, user);
    client.calls += 1;
    try {
      return await this.#send(client, call, signal);
    } finally {
      client.calls -= 1;
      this.#release(key, client);
    }
  }

  /** Closes what was idle for too long. `call` does so too; a pool that nobody calls has to be told. */
  expire(): void {
    const unusedSinceMs = this.#deps.clock.now() - this.#options.idleMs;
    for (const [key, client] of this.#clients) {
      if (client.calls > 0) continue;
      if (client.usedAtMs > unusedSinceMs) return;
      this.#evict(key, client);
    }
  }

  /** Refuses new calls and closes every client, those with running calls when these have ended. Idempotent. */
  close(): void {
    this.#isClosed = true;
    for (const [key, client] of this.#clients) this.#evict(key, client);
  }

  async #send(client: DualClient, call: ClientCall, signal: AbortSignal | undefined): Promise<UpstreamAnswer> {
    const { clock, upstream } = this.#deps;
    const { proxyUrl, allowDirect } = client.user;
    const { headers } = client;
    const sentAtMs = clock.now();
    const isDirect = proxyUrl === null || sentAtMs < client.directUntilMs;
    try {
      const answer = await upstream.call({ ...call, headers, proxyUrl: isDirect ? null : proxyUrl }, signal);
      if (!isDirect) this.#proxyWorks(client);
      return answer;
    } catch (error) {
      if (isDirect || allowDirect !== true || !isProxyFault(error)) throw error;
      this.#proxyFailed(client, error);
      const timeoutMs = call.timeoutMs - (clock.now() - sentAtMs);
      if (timeoutMs <= 0) throw error;
      return await upstream.call({ ...call, timeoutMs, headers, proxyUrl: null }, signal);
    }
  }

  #proxyFailed(client: DualClient, fault: Fault): void {
    const { clock, log } = this.#deps;
    const nowMs = clock.now();
    // Calls of one user run side by side: the first one that fails says so for all of them.
    if (nowMs >= client.directUntilMs) {
      const { directForMs } = this.#options;
      log.warn('a proxy failed; its user goes direct for a while', {
        userId: client.user.userId,
        directForMs,
        error: fault.message,
      });
    }
    client.directUntilMs = nowMs + this.#options.directForMs;
  }

  #proxyWorks(client: DualClient): void {
    // A call from before the failure says nothing about the time after it.
    if (client.directUntilMs === 0 || this.#deps.clock.now() < client.directUntilMs) return;
    client.directUntilMs = 0;
    this.#deps.log.info('a proxy works again', { userId: client.user.userId });
  }

  #clientOf(key: string, definition: UpstreamDefinition, user: User): DualClient {
    const known = this.#clients.get(key);
    if (known !== undefined && isSameUser(known.user, user)) return known;
    if (known !== undefined) this.#evict(key, known);
    const isSameProxy = known?.user.proxyUrl === user.proxyUrl && user.allowDirect === true;
    const client: DualClient = {
      user,
      headers: { accept: 'application/json', ...definition.authorize(user) },
      calls: 0,
      usedAtMs: this.#deps.clock.now(),
      directUntilMs: isSameProxy ? known.directUntilMs : 0,
      isEvicted: false,
    };
    this.#opened += 1;
    this.#clients.set(key, client);
    if (this.#clients.size > this.#options.clientsLimit) this.#evictOldest(key);
    return client;
  }

  /** An idle one if there is any: a client in use would only be opened again. */
  #evictOldest(newest: string): void {
    let oldest: readonly [string, DualClient] | undefined;
    for (const entry of this.#clients) {
      if (entry[0] === newest) continue;
      oldest ??= entry;
      if (entry[1].calls > 0) continue;
      oldest = entry;
      break;
    }
    if (oldest !== undefined) this.#evict(...oldest);
  }

  #evict(key: string, client: DualClient): void {
    this.#clients.delete(key);
    client.isEvicted = true;
    if (client.calls === 0) this.#close(client);
  }

  #release(key: string, client: DualClient): void {
    if (client.isEvicted) {
      if (client.calls === 0) this.#close(client);
      return;
    }
    client.usedAtMs = this.#deps.clock.now();
    this.#clients.delete(key);
    this.#clients.set(key, client);
  }

  /** Nobody holds it. Whoever would call on it all the same would send no credential. */
  #close(client: DualClient): void {
    client.headers = {};
    this.#closed += 1;
  }
}

function keyOf(definition: UpstreamDefinition, user: User): string {
  return JSON.stringify([definition.name, user.userId]);
}

function isSameUser(one: User, other: User): boolean {
  return (
    one.accessToken === other.accessToken &&
    one.proxyUrl === other.proxyUrl &&
    (one.allowDirect ?? false) === (other.allowDirect ?? false)
  );
}

function isProxyFault(error: unknown): error is Fault {
  return error instanceof Fault && error.code === 'proxy';
}
