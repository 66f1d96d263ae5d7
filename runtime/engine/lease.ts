import type { Clock, Random, RowKey, Rows } from '../ports.ts';

/** A holder that has not renewed for this long has ended: whoever waits takes over. */
export const LEASE_MS = 60_000;

/** A sign of life that is younger than this is enough. */
const RENEW_EVERY_MS = 5_000;

/** Time between two looks at somebody else's lease, in ms. */
const LOOK_EVERY_MS = 1000;

/** Waiting for others ends after this long, in ms. */
const WAIT_LIMIT_MS = 10 * LEASE_MS;

/** What a lease works with. */
export interface LeaseDeps {
  readonly rows: Rows;
  readonly clock: Clock;
  readonly random: Random;
}

/** Somebody else has the lease, `LEASE_HELD`, or has taken it while this one was silent, `LEASE_LOST`. */
export class LeaseError extends Error {
  readonly code: 'LEASE_HELD' | 'LEASE_LOST';

  constructor(code: 'LEASE_HELD' | 'LEASE_LOST', message: string) {
    super(message);
    this.name = 'LeaseError';
    this.code = code;
  }
}

/**
 * The right to do something that only one process may do at a time, as a row that its holder writes again and again. Whoever
 * waits goes by its own clock alone: the lease is free when the row has not changed for a minute, so clocks need not agree.
 */
export class Lease {
  readonly #deps: LeaseDeps;
  readonly #key: RowKey;
  readonly #holder: string;
  #etag: string;
  #renewedAtMs: number;
  #turn: Promise<void> = Promise.resolve();

  private constructor(deps: LeaseDeps, key: RowKey, holder: string, etag: string) {
    this.#deps = deps;
    this.#key = key;
    this.#holder = holder;
    this.#etag = etag;
    this.#renewedAtMs = deps.clock.now();
  }

  /**
   * Takes the lease, after a minute without a sign of life of an earlier holder. `onWait` is told once.
   * @throws LeaseError `LEASE_HELD` when others hold it for ten minutes.
   */
  static async take(deps: LeaseDeps, key: RowKey, onWait: () => void): Promise<Lease> {
    const { rows, clock } = deps;
    const holder = deps.random.uuid();
    const untilMs = clock.now() + WAIT_LIMIT_MS;
    let seen: { etag: string; atMs: number } | undefined;
    while (clock.now() < untilMs) {
      const [row] = await rows.read([key]);
      if (row !== undefined && row.etag !== seen?.etag) {
        if (seen === undefined) onWait();
        seen = { etag: row.etag, atMs: clock.now() };
      }
      if (row === undefined || clock.now() - (seen?.atMs ?? 0) >= LEASE_MS) {
        const [outcome] = await rows.write([{ ...key, value: valueOf(holder), ifMatch: row?.etag ?? 'absent' }]);
        if (outcome?.ok === true) return new Lease(deps, key, holder, outcome.etag);
      }
      await clock.sleep(LOOK_EVERY_MS);
    }
    throw new LeaseError('LEASE_HELD', 'another process has been at the same work for ten minutes');
  }

  /** Shows that this holder lives. @throws LeaseError `LEASE_LOST` */
  renew(): Promise<void> {
    const renewed = this.#turn.then(() => this.#renew());
    this.#turn = renewed.catch(() => undefined);
    return renewed;
  }

  /** Gives the lease back. Does nothing when it is somebody else's by now. */
  async release(): Promise<void> {
    await this.#turn;
    await this.#deps.rows.write([{ ...this.#key, value: null, ifMatch: this.#etag }]);
  }

  async #renew(): Promise<void> {
    const { rows, clock } = this.#deps;
    const nowMs = clock.now();
    if (nowMs - this.#renewedAtMs < RENEW_EVERY_MS) return;
    const [outcome] = await rows.write([{ ...this.#key, value: valueOf(this.#holder), ifMatch: this.#etag }]);
    // A write whose answer was lost is sent again, and then meets itself.
    const etag = outcome?.ok === true ? outcome.etag : await this.#ownEtag();
    if (etag === undefined) {
      throw new LeaseError('LEASE_LOST', 'another process has taken over this work, because this one was silent');
    }
    this.#etag = etag;
    this.#renewedAtMs = nowMs;
  }

  async #ownEtag(): Promise<string | undefined> {
    const [row] = await this.#deps.rows.read([this.#key]);
    return row?.value === valueOf(this.#holder) ? row.etag : undefined;
  }
}

function valueOf(holder: string): string {
  return JSON.stringify({ holder });
}
