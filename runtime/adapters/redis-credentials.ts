import { type Backoff, backoffMs } from '../core/backoff.ts';
import { redactText, withoutValues } from '../core/redact.ts';

/** A user name and a password that Redis takes until they expire. The password is a secret. */
export interface RedisCredentials {
  readonly username: string;
  readonly password: string;
  /** Epoch in ms. */
  readonly expiresAtMs: number;
}

/** Gives credentials that are good now; asked again and again, it may give the same ones until they are nearly over. */
export type RedisCredentialSource = () => Promise<RedisCredentials>;

/** What a keeper works with. */
export interface CredentialKeeperOptions {
  readonly source: RedisCredentialSource;
  /** Gives new credentials to Redis. Rejects when Redis refuses them; then they are asked for and given again. */
  readonly use: (credentials: RedisCredentials) => Promise<void>;
  /** Told each time that there are no credentials or that Redis refused them; `reason` carries no secret. */
  readonly onFailure: (reason: string) => void;
}

/** Share of their life after which credentials are renewed: the rest is there for retries. */
const RENEW_AT_SHARE = 0.6;

/** Longest and shortest wait before a renewal, in ms; the first also keeps the timer in its range of 24 days. */
const RENEW_MAX_MS = 6 * 3_600_000;
const RENEW_MIN_MS = 100;

/** A source that does not answer for so long is asked again, in ms. */
const SOURCE_LIMIT_MS = 30_000;

/** Waits after a failure. */
const RETRY: Backoff = { firstMs: 250, maxMs: 30_000, jitter: 0.3 };

/** Keeps credentials fresh from `start` to `close`: renews them well before they expire, and for ever when that fails. */
export class CredentialKeeper {
  readonly #options: CredentialKeeperOptions;
  #timer: NodeJS.Timeout | undefined;
  #renewing: Promise<void> | undefined;
  #failures = 0;
  #isClosed = false;

  constructor(options: CredentialKeeperOptions) {
    this.#options = options;
  }

  /** Gets the first credentials. Resolves when there are some or the first attempt has failed; never rejects. */
  start(): Promise<void> {
    return this.renew();
  }

  /** Renews now, for example because Redis refused what it was given. One renewal at a time; never rejects. */
  renew(): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    clearTimeout(this.#timer);
    this.#renewing ??= this.#renew().finally(() => (this.#renewing = undefined));
    return this.#renewing;
  }

  /** Idempotent. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #renew(): Promise<void> {
    let password = '';
    try {
      const credentials = await withinLimit(this.#options.source(), SOURCE_LIMIT_MS);
      password = credentials.password;
      const leftMs = credentials.expiresAtMs - Date.now();
      if (!(leftMs > 0)) throw new Error('the credentials had expired when they came');
      if (this.#isClosed) return;
      await this.#options.use(credentials);
      this.#failures = 0;
      this.#renewIn(Math.min(RENEW_MAX_MS, Math.max(RENEW_MIN_MS, leftMs * RENEW_AT_SHARE)));
    } catch (error) {
      if (this.#isClosed) return;
      this.#failures += 1;
      this.#renewIn(backoffMs(RETRY, this.#failures, Math.random()));
      this.#options.onFailure(withoutSecret(error, password));
    }
  }

  #renewIn(waitMs: number): void {
    if (this.#isClosed) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.renew(), waitMs);
    // The connection keeps a process alive, not the wish to renew its credentials.
    this.#timer.unref();
  }
}

/** The message of an error; an error of a client may quote what it was called with. */
export function withoutSecret(error: unknown, secret: string): string {
  return redactText(withoutValues(error instanceof Error ? error.message : String(error), [secret]));
}

async function withinLimit<T>(work: Promise<T>, limitMs: number): Promise<T> {
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => limit.reject(new Error(`no credentials after ${limitMs} ms`)), limitMs);
  try {
    return await Promise.race([work, limit.promise]);
  } finally {
    clearTimeout(timer);
  }
}
