import {
  type Brake,
  BRAKE_PARTITION,
  type BrakeFault,
  brakeNoticeMs,
  brakeOn,
  brakeRow,
  type BrakeTarget,
  brakeWaitMs,
  engageBrake,
  releaseBrake,
  releasedAtMs,
} from '../core/brake.ts';
import { type Backoff, backoffMs } from '../core/backoff.ts';
import { ServiceError } from '../core/failure.ts';
import type { Miner } from '../core/miner.ts';
import type { Clock, Log, Random, Rows, StoredRow } from '../ports.ts';

/** What brakes work with. */
export interface BrakesDeps {
  /** The control table of the ledger. */
  readonly control: Rows;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Pick<Log, 'warn'>;
}

/** How old the answer about brakes may be, in ms: with one call in flight, everything stands still within 5 s. */
export const BRAKE_CACHE_MS = 2000;

/** A ledger that does not answer within this long is not waited for; what was known counts. In ms. */
const READ_LIMIT_MS = 1000;

/** Brakes that are read at most: three lanes and one per miner. */
const BRAKES_LIMIT = 1000;

/** Attempts to change a brake that somebody else changes too, and the waits between them: chance parts the processes. */
const CHANGE_ATTEMPTS_LIMIT = 20;
const CHANGE_BACKOFF: Backoff = { firstMs: 5, maxMs: 500, jitter: 1 };

type Engaging = Omit<Brake, 'isEngaged' | 'target' | 'engagedAtMs'>;

/** The stored brakes, as this process knows them. */
export class Brakes {
  readonly #deps: BrakesDeps;
  #known: readonly Brake[] = [];
  #readAtMs = -Infinity;
  #reading: Promise<void> | undefined;
  #wasRead = false;

  constructor(deps: BrakesDeps) {
    this.#deps = deps;
  }

  /** What this process has read last, without asking again. */
  knownOn(miner: Pick<Miner, 'name' | 'lane'>): Brake | undefined {
    return brakeOn(this.#known, miner);
  }

  /** The brake that stops a miner now, at most 2 s old. Never rejects: what was known last counts when nobody answers. */
  async on(miner: Pick<Miner, 'name' | 'lane'>): Promise<Brake | undefined> {
    await this.#refresh();
    return brakeOn(this.#known, miner);
  }

  /** Whether a brake that was read last still has to give users back. */
  hasUnfinished(): boolean {
    return this.#known.some(({ fault }) => fault?.isGivenBack === false);
  }

  /** When a message of a stopped miner looks again, epoch in ms. */
  lookAgainAtMs(brake: Brake, lookMs: number): number {
    const nowMs = this.#deps.clock.now();
    return nowMs + brakeWaitMs(brake, lookMs, { nowMs, random: this.#deps.random.next() });
  }

  /** Whether messages of a miner may still wait for a brake that has been released meanwhile. */
  async isWaking(miner: Pick<Miner, 'name' | 'lane'>, lookMs: number): Promise<boolean> {
    await this.#refresh();
    return this.#deps.clock.now() - releasedAtMs(this.#known, miner) < brakeNoticeMs(lookMs);
  }

  /** Every brake that was ever engaged, as it is stored now. @throws the ledger's error */
  async list(): Promise<readonly Brake[]> {
    const brakes: Brake[] = [];
    for await (const row of this.#deps.control.scan(BRAKE_PARTITION, { limit: BRAKES_LIMIT })) {
      brakes.push(decode(row));
    }
    return brakes;
  }

  /** Engages a brake; one that is engaged stays as it is. @throws the ledger's error */
  engage(target: BrakeTarget, engaging: Engaging): Promise<Brake> {
    const engagedAtMs = this.#deps.clock.now();
    return this.#change(target, (before) => engageBrake(before, { ...engaging, target, engagedAtMs }));
  }

  /** Releases a brake. Undefined: it was not engaged. @throws the ledger's error */
  async release(target: BrakeTarget, by: string, reason: string): Promise<Brake | undefined> {
    const nowMs = this.#deps.clock.now();
    let isEngaged = false;
    const after = await this.#change(target, (before) => {
      isEngaged = before?.isEngaged === true;
      return before !== undefined && isEngaged ? releaseBrake(before, by, reason, nowMs) : before;
    });
    return isEngaged ? after : undefined;
  }

  /** Remembers that everyone is back for whom a fault had engaged the brake. @throws the ledger's error */
  async givenBack(target: BrakeTarget, fault: Pick<BrakeFault, 'code' | 'countId'>): Promise<void> {
    await this.#change(target, (before) => {
      const known = before?.fault;
      const isAsked = known?.countId === fault.countId && known.code === fault.code && !known.isGivenBack;
      if (before === undefined || !isAsked) return before;
      return { ...before, fault: { ...known, isGivenBack: true } };
    });
  }

  async #change<After extends Brake | undefined>(
    target: BrakeTarget,
    change: (before: Brake | undefined) => After,
  ): Promise<After> {
    const { control, clock, random } = this.#deps;
    const key = { partition: BRAKE_PARTITION, row: brakeRow(target) };
    for (let attempt = 1; attempt <= CHANGE_ATTEMPTS_LIMIT; attempt += 1) {
      const [row] = await control.read([key]);
      const before = row === undefined ? undefined : decode(row);
      const after = change(before);
      if (after === undefined || after === before) return after;
      const [outcome] = await control.write([{ ...key, value: JSON.stringify(after), ifMatch: row?.etag ?? 'absent' }]);
      if (outcome?.ok !== true) {
        await clock.sleep(backoffMs(CHANGE_BACKOFF, attempt, random.next()));
        continue;
      }
      this.#readAtMs = -Infinity;
      return after;
    }
    throw new ServiceError(`the brake on ${brakeRow(target)} changed ${CHANGE_ATTEMPTS_LIMIT} times meanwhile`);
  }

  async #refresh(): Promise<void> {
    const { clock } = this.#deps;
    if (clock.now() - this.#readAtMs < BRAKE_CACHE_MS) return;
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    await this.#reading;
  }

  /** Never rejects. */
  async #read(): Promise<void> {
    const { clock, log } = this.#deps;
    const startedAtMs = clock.now();
    const over = new AbortController();
    const limit = clock.sleep(READ_LIMIT_MS, over.signal).then(() => {
      throw new ServiceError(`the ledger did not answer within ${READ_LIMIT_MS} ms`);
    });
    limit.catch(() => undefined);
    try {
      this.#known = await Promise.race([this.list(), limit]);
      this.#wasRead = true;
    } catch (error) {
      const known = this.#wasRead ? 'what was known last counts' : 'none has been read yet, so mining goes on';
      log.warn(`the brakes cannot be read; ${known}`, { error: String(error) });
    } finally {
      over.abort();
      this.#readAtMs = startedAtMs;
    }
  }
}

function decode(row: StoredRow): Brake {
  return JSON.parse(row.value) as Brake;
}
