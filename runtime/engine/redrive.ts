import { redrivenProperties, selfRedriveWaitMs } from '../core/redrive.ts';
import { INGESTION_QUEUE } from '../core/route.ts';
import type { Bus, Clock, Handled, IncomingMessage, Log, Random } from '../ports.ts';
import { copyOf } from './postpone.ts';

/** What sending dead letters again works with. */
export interface RedriverDeps {
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** What a sweep over one place with dead letters does. */
export interface Sweep {
  /** Path of the dead letters. */
  readonly path: string;
  readonly sendTo: string;
  /** Messages held at once, 1..500: the ones that are left lie before the others until the sweep ends. */
  readonly concurrency: number;
  /** Dead letters sent again at most. */
  readonly limit: number;
  /** Epoch in ms from when a dead letter is delivered again, 0 = at once; undefined: it is left where it is. */
  readonly notBeforeMs: (letter: IncomingMessage) => number | undefined;
  /** Called for each dead letter that is meant, before it is sent; `drop`: it is taken out only. Default: all are sent. */
  readonly treat?: (letter: IncomingMessage) => Promise<'send' | 'drop'>;
  readonly onSent?: (count: number) => void;
}

/** What a sweep has done. */
export interface Swept {
  /** Sent again, or dropped, and taken out of the dead letters. */
  readonly sent: number;
  /** Met and left. */
  readonly left: number;
  /** The first error; what failed is still a dead letter. */
  readonly error: unknown;
}

/** A sweep ends when nothing has come for this long, in ms: the first takes a new link to the broker. */
const FIRST_LIMIT_MS = 15_000;
const IDLE_MS = 1500;

/** Time between two looks at whether a sweep is over, in ms. */
const LOOK_EVERY_MS = 50;

/** Time for what is in flight when a sweep ends, in ms. */
const STOP_GRACE_MS = 10_000;

/** Dead letters that one look of the monitor sends again, and holds meanwhile. */
const SELF_LIMIT = 100;
const SELF_CONCURRENCY = 200;

/** Sends dead letters again. The ledger decides what is new, so that twice is harmless and a crash in between loses nothing. */
export class Redriver {
  readonly #deps: RedriverDeps;
  #running: Promise<number> | undefined;

  constructor(deps: RedriverDeps) {
    this.#deps = deps;
  }

  /** Sends envelopes again whose every delivery crashed, each three times at most. How many. One sweep at a time. */
  redriveCrashed(): Promise<number> {
    this.#running ??= this.#redriveCrashed().finally(() => (this.#running = undefined));
    return this.#running;
  }

  /** One sweep. Never rejects: what could not be sent stays a dead letter. */
  async sweep(sweep: Sweep, stop?: AbortSignal): Promise<Swept> {
    const { bus, clock } = this.#deps;
    const { promise: isOver, resolve: release } = Promise.withResolvers<void>();
    const state = { taken: 0, sent: 0, sending: 0, left: 0, error: undefined as unknown, movedAtMs: clock.now() };
    const handle = async (message: IncomingMessage): Promise<Handled> => {
      state.movedAtMs = clock.now();
      const notBeforeMs = sweep.notBeforeMs(message);
      const isWanted = notBeforeMs !== undefined && state.taken < sweep.limit && stop?.aborted !== true;
      if (!isWanted) {
        state.left += 1;
        // Given back at once it would be delivered again at once.
        await isOver;
        return { settlement: { kind: 'abandon' } };
      }
      state.taken += 1;
      state.sending += 1;
      const error = await this.#treat(sweep, message, notBeforeMs).finally(() => (state.sending -= 1));
      if (error !== undefined) {
        state.error ??= error;
        await isOver;
        return { settlement: { kind: 'abandon' } };
      }
      const settled = (): void => {
        state.sent += 1;
        sweep.onSent?.(state.sent);
      };
      return { settlement: { kind: 'complete' }, settled };
    };
    const onError = (error: unknown): void => void (state.error ??= error);
    const consumer = bus.consume(sweep.path, { concurrency: sweep.concurrency, onError }, handle);
    const isIdle = (): boolean => {
      const limitMs = state.taken + state.left > 0 ? IDLE_MS : FIRST_LIMIT_MS;
      return clock.now() - state.movedAtMs >= limitMs && state.sending === 0;
    };
    const isDone = (): boolean => state.sent >= sweep.limit || stop?.aborted === true || state.error !== undefined;
    while (!isIdle() && !(isDone() && state.sending === 0)) await clock.sleep(LOOK_EVERY_MS);
    release();
    await consumer.stop(STOP_GRACE_MS);
    return { sent: state.sent, left: state.left, error: state.error };
  }

  /** The error, when it could neither be sent nor dropped. */
  async #treat({ sendTo, treat }: Sweep, message: IncomingMessage, notBeforeMs: number): Promise<unknown> {
    try {
      if ((await treat?.(message)) === 'drop') return undefined;
    } catch (error) {
      return errorOf(error);
    }
    return this.#send(sendTo, message, notBeforeMs);
  }

  /** As a message of its own: under the old id, duplicate detection would swallow it. The error, when it could not be sent. */
  async #send(queue: string, message: IncomingMessage, notBeforeMs: number): Promise<unknown> {
    const { bus, random } = this.#deps;
    const copy = copyOf(message);
    const later = notBeforeMs > 0 ? { notBeforeMs } : {};
    const properties = redrivenProperties(copy.properties);
    return bus.send(queue, [{ ...copy, properties, messageId: random.uuid(), ...later }]).catch(errorOf);
  }

  async #redriveCrashed(): Promise<number> {
    const { clock, log } = this.#deps;
    const { sent, left, error } = await this.sweep({
      path: `${INGESTION_QUEUE}/$DeadLetterQueue`,
      sendTo: INGESTION_QUEUE,
      concurrency: SELF_CONCURRENCY,
      limit: SELF_LIMIT,
      notBeforeMs: (letter) => {
        const waitMs = selfRedriveWaitMs(letter);
        return waitMs === undefined ? undefined : clock.now() + waitMs;
      },
    });
    if (sent > 0) log.warn('envelopes whose deliveries crashed were sent again', { sent, left });
    if (error !== undefined && sent === 0) throw error;
    return sent;
  }
}

function errorOf(error: unknown): unknown {
  return error ?? new Error('the bus gave no reason');
}
