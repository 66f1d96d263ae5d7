import type { ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';
import type { ConsumeOptions, Consumer, Handled, Handler, Random, Settlement } from '../ports.ts';
import { ReceiverLink } from './service-bus-link.ts';
import { LockKeeper } from './service-bus-locks.ts';
import type { HeldLock } from './service-bus-locks.ts';
import { isLockLost, toIncomingMessage } from './service-bus-message.ts';
import type { ServiceBusEvent, Session, SessionSource } from './service-bus-session.ts';
import { finishedWithin, reconnectWaitMs, within } from './service-bus-time.ts';
import { SettlementTurns } from './service-bus-turns.ts';

/** What one consumer works with. */
export interface ConsumerSettings extends ConsumeOptions {
  readonly entity: string;
  readonly source: SessionSource;
  readonly random: Random;
  /** The entity's lock duration, in ms. */
  readonly lockDurationMs: number;
  /** Limit of one settlement, in ms. */
  readonly settleTimeoutMs: number;
  readonly onEvent: (event: ServiceBusEvent) => void;
  readonly onStopped: () => void;
  readonly handler: Handler;
}

/** Messages that one link may hold: more concurrency opens more links, so that a slow message rolls a small one. */
const WINDOW_LIMIT = 250;

/** Tries of one settlement, about 6 s: on its link first, then through the management node of a new connection. */
const SETTLE_ATTEMPTS = 12;

/** How long messages that cannot be finished are handed back during a stop, in ms. */
const GIVE_BACK_LIMIT_MS = 1000;

/** Service Bus refuses longer texts in the properties of a dead letter. */
const DEAD_LETTER_TEXT_LIMIT = 4096;

/** Opens links until it is stopped, hands their messages to the handler and settles them. */
export class ServiceBusConsumer implements Consumer {
  readonly #settings: ConsumerSettings;
  readonly #locks: LockKeeper;
  readonly #turns = new SettlementTurns();
  readonly #links = new Set<ReceiverLink>();
  /** Messages from delivery to settlement. */
  readonly #held = new Map<ServiceBusReceivedMessage, Promise<boolean>>();
  /** Those of them whose handler runs. */
  readonly #handling = new Set<ServiceBusReceivedMessage>();
  /** Those of them that were abandoned without a decision. */
  readonly #givenBack = new Map<ServiceBusReceivedMessage, Promise<boolean>>();
  /** Delivered, waiting for a turn: only while links are rolled. At most one window per retired link. */
  readonly #waiting: ((mayRun: boolean) => void)[] = [];
  readonly #stopping = new AbortController();
  readonly #keepers: readonly Promise<void>[];
  #running = 0;
  /** True once the grace of a stop is over: what handlers still decide comes too late. */
  #hasGivenUp = false;
  #stopped: Promise<void> | undefined;

  constructor(settings: ConsumerSettings) {
    this.#settings = settings;
    this.#locks = new LockKeeper(settings);
    const links = Math.ceil(settings.concurrency / WINDOW_LIMIT);
    const window = Math.ceil(settings.concurrency / links);
    this.#keepers = Array.from({ length: links }, () => this.#keepLink(window));
  }

  inFlight(): number {
    return this.#running;
  }

  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#stopping.abort();
    for (const refuse of this.#waiting.splice(0)) refuse(false);
    // Handlers run on while the links are drained: both must fit into the grace.
    const intakeEnd = Promise.all([...this.#links].map((link) => link.stopIntake()));
    await finishedWithin(
      intakeEnd.then(() => Promise.all(this.#held.values())),
      graceMs,
    );
    const unfinished = [...this.#handling];
    this.#hasGivenUp = true;
    this.#locks.close();
    const givenBack = Promise.all(unfinished.map((message) => this.#giveBack(message)));
    if (unfinished.length > 0) await finishedWithin(givenBack, GIVE_BACK_LIMIT_MS);
    const closed = Promise.all([...this.#keepers, ...[...this.#links].map((link) => link.closed)]);
    await finishedWithin(closed, GIVE_BACK_LIMIT_MS);
    this.#settings.onStopped();
  }

  /** Keeps one link open. Never rejects. */
  async #keepLink(window: number): Promise<void> {
    const { source, random, entity, onEvent, onError } = this.#settings;
    let failures = 0;
    while (!this.#stopping.signal.aborted) {
      const link = this.#openLink(window, failures > 0);
      const end = link instanceof ReceiverLink ? await link.intakeEnd : { kind: 'failed' as const, error: link.error };
      if (end.kind === 'stopped') return;
      if (end.kind === 'rolled') {
        failures = 0;
        onEvent({ kind: 'receiver-rolled', entity });
        continue;
      }
      failures = link instanceof ReceiverLink && link.wasReady ? 1 : failures + 1;
      onError(end.error);
      await source.pause(reconnectWaitMs(failures, random), this.#stopping.signal).catch(() => undefined);
    }
  }

  #openLink(window: number, isAgain: boolean): ReceiverLink | { readonly error: unknown } {
    const { source, entity, onEvent } = this.#settings;
    try {
      const link = new ReceiverLink({
        session: source.current(),
        entity,
        window,
        onMessage: (message) => this.#onMessage(message),
        onReady: (isReattached) => {
          if (isAgain || isReattached) onEvent({ kind: 'reconnected', entity });
        },
      });
      this.#links.add(link);
      void link.closed.then(() => this.#links.delete(link));
      return link;
    } catch (error) {
      return { error };
    }
  }

  #onMessage(message: ServiceBusReceivedMessage): Promise<boolean> {
    const lock = this.#locks.hold(message);
    const work = this.#process(message, lock).finally(() => {
      lock.release();
      this.#held.delete(message);
      this.#givenBack.delete(message);
    });
    this.#held.set(message, work);
    return work;
  }

  /** Says whether the broker has confirmed a settlement. Never rejects. */
  async #process(message: ServiceBusReceivedMessage, lock: HeldLock): Promise<boolean> {
    if (!(await this.#turn())) return this.#giveBack(message);
    try {
      const handled = await this.#handle(message, lock);
      if (this.#hasGivenUp) return await this.#giveBack(message);
      if (handled !== undefined) return await this.#settleHandled(message, handled.settlement, handled.settled);
      // Without the lock there is nothing to hand back.
      return lock.signal.aborted ? false : await this.#giveBack(message);
    } finally {
      this.#endTurn();
    }
  }

  /** What the handler decided, or undefined when it failed. */
  async #handle(message: ServiceBusReceivedMessage, lock: HeldLock): Promise<Handled | undefined> {
    const { source, handler, onError } = this.#settings;
    this.#handling.add(message);
    try {
      if (lock.signal.aborted) throw lock.signal.reason;
      return await source.outside(async () => handler(toIncomingMessage(message), lock.signal));
    } catch (error) {
      onError(error);
      return undefined;
    } finally {
      this.#handling.delete(message);
    }
  }

  /** Abandons a message, once: the client mixes up two settlements of one delivery, and a detach under way ends neither. */
  #giveBack(message: ServiceBusReceivedMessage): Promise<boolean> {
    const known = this.#givenBack.get(message);
    if (known !== undefined) return known;
    const givenBack = this.#settleQuietly(message, { kind: 'abandon' });
    this.#givenBack.set(message, givenBack);
    return givenBack;
  }

  async #settleHandled(
    message: ServiceBusReceivedMessage,
    settlement: Settlement,
    settled?: () => void,
  ): Promise<boolean> {
    if (!(await this.#settleQuietly(message, settlement))) return false;
    try {
      settled?.();
    } catch (error) {
      this.#settings.onError(error);
    }
    return true;
  }

  /** Resolves to true when a handler may start, to false when the consumer stops first. */
  async #turn(): Promise<boolean> {
    if (this.#stopping.signal.aborted) return false;
    if (this.#running >= this.#settings.concurrency) {
      const mayRun = await new Promise<boolean>((resolve) => {
        this.#waiting.push(resolve);
      });
      if (!mayRun) return false;
    } else this.#running += 1;
    return true;
  }

  /** Hands the turn to the next message that waits, which keeps `#running` as it is. */
  #endTurn(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#running -= 1;
    else next(true);
  }

  /** Settles, with retries while that can help; tells `onError` when it failed. Says whether the broker confirmed. */
  async #settleQuietly(message: ServiceBusReceivedMessage, settlement: Settlement): Promise<boolean> {
    const { source, entity, random, settleTimeoutMs, onError } = this.#settings;
    for (let attempt = 1; ; attempt += 1) {
      let session: Session | undefined;
      try {
        const current = source.current();
        session = current;
        const settled = current.run(async () => {
          await this.#turns.enter(settlement.kind);
          await apply(current.settler(entity), message, settlement);
        });
        await within(settled, settleTimeoutMs * 2, current.lost);
        return true;
      } catch (error) {
        if (attempt >= SETTLE_ATTEMPTS || isLockLost(error) || session?.isWorthRetry(error) !== true) {
          onError(error);
          return false;
        }
        await source.pause(reconnectWaitMs(attempt, random));
      }
    }
  }
}

/** The client finds the link of the message by itself, or asks the management node when that link is gone. */
async function apply(
  receiver: ServiceBusReceiver,
  message: ServiceBusReceivedMessage,
  settlement: Settlement,
): Promise<void> {
  if (settlement.kind === 'complete') return receiver.completeMessage(message);
  if (settlement.kind === 'abandon') return receiver.abandonMessage(message);
  return receiver.deadLetterMessage(message, {
    deadLetterReason: settlement.reason.slice(0, DEAD_LETTER_TEXT_LIMIT),
    deadLetterErrorDescription: settlement.description.slice(0, DEAD_LETTER_TEXT_LIMIT),
  });
}
