import { INGESTION_QUEUE } from '../../../runtime/core/route.ts';
import type {
  Bus,
  Clock,
  ConsumeOptions,
  Consumer,
  Depth,
  Depths,
  Handled,
  Handler,
  OutgoingMessage,
} from '../../../runtime/ports.ts';
import {
  type MemoryBroker,
  type MemoryQueue,
  type QueueConsumer,
  type StoredMessage,
  toIncoming,
} from '../../fakes/memory-broker.ts';
import type { Plan } from './plan.ts';
import type { Scheduler } from './scheduler.ts';
import type { Line } from './wired-services.ts';

/** What a bus client of one process works with. */
export interface WiredBusDeps extends Line {
  readonly broker: MemoryBroker;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly plan: Pick<Plan, 'lockLoss' | 'renewalLoss' | 'swallowed'>;
  /** Told of every message that the broker has taken. */
  readonly onTaken: (message: OutgoingMessage) => void;
}

/** A lock as broker and holder see it. */
interface Lock {
  readonly stored: StoredMessage;
  readonly aborter: AbortController;
  work: Promise<void> | undefined;
  isHeld: boolean;
}

/** When a lock is lost while its handler works on, it is lost within this, in ms. */
const LOCK_LOSS_MS = 20_000;
/** The holder hears of it up to this much later, or never. */
const LOCK_NEWS_MS = 30_000;
const LOCK_NEWS_SHARE = 0.7;

/** Takes messages of one queue for one process. Its locks can be lost without its knowing. */
class WiredConsumer implements Consumer, QueueConsumer {
  readonly #deps: WiredBusDeps;
  readonly #queue: MemoryQueue;
  readonly #name: string;
  readonly #options: ConsumeOptions;
  readonly #handler: Handler;
  readonly #locks = new Set<Lock>();
  #isStopped = false;

  constructor(deps: WiredBusDeps, entity: string, options: ConsumeOptions, handler: Handler) {
    this.#deps = deps;
    this.#queue = deps.broker.queue(entity);
    this.#name = entity;
    this.#options = options;
    this.#handler = handler;
    this.#queue.consumers.add(this);
    deps.scheduler.after(1, () => this.#queue.deliver());
  }

  get hasRoom(): boolean {
    const { caller, wire } = this.#deps;
    if (this.#isStopped || caller.isGone) return false;
    return this.#locks.size < this.#options.concurrency && wire.reaches(caller, 'bus');
  }

  inFlight(): number {
    return this.#locks.size;
  }

  handle(stored: StoredMessage): void {
    const { scheduler, caller, dice, wire, plan } = this.#deps;
    const lock: Lock = { stored, aborter: new AbortController(), work: undefined, isHeld: true };
    this.#locks.add(lock);
    this.#renewLater(lock);
    if (!wire.isHealed && plan.lockLoss > 0 && dice.chance(plan.lockLoss)) {
      scheduler.after(dice.upTo(LOCK_LOSS_MS), () => this.#lose(lock));
    }
    scheduler.after(dice.upTo(3), () => {
      if (caller.isGone || !this.#locks.has(lock)) return;
      if (!wire.isHealed && this.#name !== INGESTION_QUEUE && dice.chance(plan.swallowed)) {
        this.#swallow(lock);
        return;
      }
      lock.work = this.#work(lock);
    });
  }

  /** Everything that this consumer holds comes back: the broker has forgotten its locks. */
  loseAll(): void {
    for (const lock of this.#locks) this.#lose(lock);
  }

  async stop(graceMs: number): Promise<void> {
    this.#isStopped = true;
    const work = Promise.all([...this.#locks].map(async (lock) => lock.work));
    const over = new AbortController();
    await Promise.race([work, this.#deps.clock.sleep(graceMs, over.signal).catch(() => undefined)]);
    over.abort();
    this.#queue.consumers.delete(this);
    for (const lock of this.#locks) {
      lock.aborter.abort(new Error('the consumer has stopped'));
      this.#free(lock);
    }
  }

  async #work(lock: Lock): Promise<void> {
    try {
      const handled = await this.#handler(toIncoming(lock.stored), lock.aborter.signal);
      await this.#settle(lock, handled);
    } catch (error) {
      this.#options.onError(error);
      await this.#giveBack(lock).catch((failed: unknown) => this.#options.onError(failed));
    }
    this.#locks.delete(lock);
    this.#queue.deliver();
  }

  async #settle(lock: Lock, { settlement, settled }: Handled): Promise<void> {
    if (settlement.kind === 'abandon') {
      await this.#giveBack(lock);
      return;
    }
    const { wire, caller } = this.#deps;
    await wire.call({
      ...{ caller, service: 'bus', operation: `bus.settle ${settlement.kind} ${this.#name}` },
      effect: async () => {
        if (!lock.isHeld) throw Object.assign(new Error('the lock of the message was lost'), { code: 'LOCK_LOST' });
        lock.isHeld = false;
        this.#queue.end(lock.stored, settlement.kind === 'dead-letter' ? settlement : undefined);
      },
    });
    settled?.();
  }

  async #giveBack(lock: Lock): Promise<void> {
    const { wire, caller } = this.#deps;
    await wire.call({
      ...{ caller, service: 'bus', operation: `bus.abandon ${this.#name}` },
      effect: async () => this.#free(lock),
    });
  }

  /** The broker renews for whoever lives and can be reached; else the message comes back. */
  #renewLater(lock: Lock): void {
    const { scheduler, caller, wire, dice, plan } = this.#deps;
    scheduler.after(this.#queue.rules.lockDurationMs, () => {
      if (!lock.isHeld) return;
      const isFine = wire.isHealed || !dice.chance(plan.renewalLoss);
      const isBusy = !caller.isGone && this.#locks.has(lock) && wire.reaches(caller, 'bus');
      if (isFine && isBusy) this.#renewLater(lock);
      else this.#lose(lock);
    });
  }

  /** Settled without an invocation (azure-functions-host#11879, July 2026): the message is gone, and nobody has seen it. */
  #swallow(lock: Lock): void {
    lock.isHeld = false;
    this.#queue.end(lock.stored);
    this.#locks.delete(lock);
    this.#queue.deliver();
  }

  #lose(lock: Lock): void {
    const { scheduler, dice, caller } = this.#deps;
    if (!lock.isHeld) return;
    this.#free(lock);
    if (!dice.chance(LOCK_NEWS_SHARE)) return;
    const error = Object.assign(new Error('the lock of the message was lost'), { code: 'LOCK_LOST' });
    scheduler.after(dice.upTo(LOCK_NEWS_MS), () => {
      // The dead hear nothing.
      if (!caller.isGone) lock.aborter.abort(error);
    });
  }

  #free(lock: Lock): void {
    if (!lock.isHeld) return;
    lock.isHeld = false;
    this.#queue.giveBack(lock.stored);
  }
}

/** The broker as one process reaches it. */
export class WiredBus implements Bus, Depths {
  readonly #deps: WiredBusDeps;
  readonly #consumers = new Set<WiredConsumer>();

  constructor(deps: WiredBusDeps) {
    this.#deps = deps;
  }

  send(entity: string, messages: readonly OutgoingMessage[]): Promise<void> {
    const { wire, caller, broker, dice } = this.#deps;
    const effect = async (): Promise<void> => {
      // A large send goes in several batches: some may be taken when a later one fails.
      const isCut = !wire.isHealed && messages.length > 1 && dice.chance(0.02);
      const taken = isCut ? messages.slice(0, dice.upTo(messages.length)) : messages;
      broker.take(entity, taken);
      for (const message of taken) this.#deps.onTaken(message);
      if (isCut) throw new Error('the link was lost in the middle of a send');
    };
    return wire.call({ caller, service: 'bus', operation: `bus.send ${entity}`, effect });
  }

  consume(entity: string, options: ConsumeOptions, handler: Handler): Consumer {
    const consumer = new WiredConsumer(this.#deps, entity, options, handler);
    this.#consumers.add(consumer);
    return consumer;
  }

  depth(entity: string): Promise<Depth> {
    const { wire, caller, broker } = this.#deps;
    const effect = async (): Promise<Depth> => broker.depth(entity);
    return wire.call({ caller, service: 'bus', operation: 'bus.depth', effect });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** The broker has restarted: it knows the messages, and none of the locks. */
  loseLocks(): void {
    for (const consumer of this.#consumers) consumer.loseAll();
  }

  inFlight(): number {
    return [...this.#consumers].reduce((sum, consumer) => sum + consumer.inFlight(), 0);
  }
}
