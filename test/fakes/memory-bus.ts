import type {
  Bus,
  ConsumeOptions,
  Consumer,
  Depth,
  Depths,
  Handled,
  Handler,
  OutgoingMessage,
} from '../../runtime/ports.ts';
import {
  MemoryBroker,
  type MemoryBrokerOptions,
  type MemoryQueue,
  type QueueConsumer,
  type StoredMessage,
  toIncoming,
} from './memory-broker.ts';

/** Handles messages of one queue. A message keeps its lock while its handler runs. */
class MemoryConsumer implements Consumer, QueueConsumer {
  readonly #queue: MemoryQueue;
  readonly #options: ConsumeOptions;
  readonly #handler: Handler;
  readonly #running = new Map<StoredMessage, { readonly lock: AbortController; readonly work: Promise<void> }>();
  #isStopped = false;
  #stopped: Promise<void> | undefined;

  constructor(queue: MemoryQueue, options: ConsumeOptions, handler: Handler) {
    this.#queue = queue;
    this.#options = options;
    this.#handler = handler;
    queue.consumers.add(this);
    setImmediate(() => queue.deliver());
  }

  get hasRoom(): boolean {
    return !this.#isStopped && this.#running.size < this.#options.concurrency;
  }

  inFlight(): number {
    return this.#running.size;
  }

  stop(graceMs: number): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  handle(stored: StoredMessage): void {
    const lock = new AbortController();
    const work = Promise.resolve()
      .then(() => this.#handler(toIncoming(stored), lock.signal))
      .then((handled) => this.#settle(stored, handled))
      .catch((error: unknown) => {
        this.#options.onError(error);
        this.#queue.giveBack(stored);
      })
      .finally(() => {
        this.#running.delete(stored);
        this.#queue.deliver();
      });
    this.#running.set(stored, { lock, work });
  }

  /** Takes the locks away: handlers see their signal, their messages come back, their settlements fail. */
  loseLocks(): void {
    for (const [stored, { lock }] of this.#running) {
      lock.abort(Object.assign(new Error('the lock of the message was lost'), { code: 'LOCK_LOST' }));
      this.#queue.giveBack(stored);
    }
  }

  /** Ends like a killed process: takes nothing more, settles nothing, tells nobody. */
  kill(): readonly StoredMessage[] {
    this.#isStopped = true;
    this.#queue.consumers.delete(this);
    return [...this.#running.keys()];
  }

  #settle(stored: StoredMessage, { settlement, settled }: Handled): void {
    if (!this.#queue.locked.has(stored)) {
      this.#options.onError(Object.assign(new Error('the lock of the message was lost'), { code: 'LOCK_LOST' }));
      return;
    }
    if (settlement.kind === 'abandon') this.#queue.giveBack(stored);
    else this.#queue.end(stored, settlement.kind === 'dead-letter' ? settlement : undefined);
    settled?.();
  }

  async #stop(graceMs: number): Promise<void> {
    this.#isStopped = true;
    this.#queue.consumers.delete(this);
    const works = Promise.all([...this.#running.values()].map(({ work }) => work));
    if (graceMs > 0) await raceMs(works, graceMs);
    this.loseLocks();
  }
}

/** A bus in memory, off the clock it is given. Messages are settled at once; nothing outlives it. */
export class MemoryBus implements Bus, Depths {
  readonly #broker: MemoryBroker;
  readonly #consumers = new Set<MemoryConsumer>();
  #sendError: Error | undefined;

  constructor(options: MemoryBrokerOptions) {
    this.#broker = new MemoryBroker(options);
  }

  async send(entity: string, messages: readonly OutgoingMessage[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#broker.isClosed) throw Object.assign(new Error('the bus is closed'), { code: 'BUS_CLOSED' });
    await Promise.resolve();
    if (this.#sendError !== undefined) throw this.#sendError;
    this.#broker.take(entity, messages);
  }

  consume(entity: string, options: ConsumeOptions, handler: Handler): Consumer {
    if (!Number.isInteger(options.concurrency) || options.concurrency < 1 || options.concurrency > 500) {
      throw new RangeError(`concurrency must be 1..500, got ${options.concurrency}`);
    }
    const consumer = new MemoryConsumer(this.#broker.queue(entity), options, handler);
    this.#consumers.add(consumer);
    return consumer;
  }

  async depth(entity: string): Promise<Depth> {
    return this.#broker.depth(entity);
  }

  async close(): Promise<void> {
    this.#broker.close();
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop(0)));
  }

  // ---------------------------------------------------------------- for tests

  /** Every message of the entity that is not settled, ready ones first. */
  messages(entity: string): readonly OutgoingMessage[] {
    const queue = this.#broker.queue(entity);
    return [...queue.ready, ...queue.locked].map(({ message }) => message);
  }

  /** Every later send fails with `error`; `undefined` ends it. */
  failSends(error: Error | undefined): void {
    this.#sendError = error;
  }

  /** Every handler loses its lock now; its message is delivered again at once. */
  loseLocks(): void {
    for (const consumer of this.#consumers) consumer.loseLocks();
  }

  /** The consumer's process dies: its messages come back when their locks run out, on the clock. */
  async kill(entity: string, consumer: Consumer): Promise<void> {
    if (!(consumer instanceof MemoryConsumer)) throw new TypeError('not a consumer of this bus');
    const queue = this.#broker.queue(entity);
    const stored = consumer.kill();
    await this.#broker.sleep(queue.rules.lockDurationMs);
    for (const message of stored) queue.giveBack(message);
  }
}

/** Real time, because a test with a clock that stands still must still be able to end. */
async function raceMs(work: Promise<unknown>, limitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs);
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}
