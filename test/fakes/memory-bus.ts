import type { Entity, QueueEntity, SubscriptionEntity } from '../../runtime/core/route.ts';
import type {
  Bus,
  Clock,
  ConsumeOptions,
  Consumer,
  Depth,
  Depths,
  Handled,
  Handler,
  IncomingMessage,
  OutgoingMessage,
} from '../../runtime/ports.ts';

export interface MemoryBusOptions {
  readonly clock: Clock;
  readonly entities: readonly Entity[];
  /** Largest body, in bytes. Default 262,144 less 1 KB for the rest of the message. */
  readonly maxBodyBytes?: number;
}

const DEAD_LETTERS = '/$deadletterqueue';

interface Stored {
  readonly message: OutgoingMessage;
  readonly enqueuedAtMs: number;
  /** When nobody may receive it any more; the clock is asked only where there is such a time. */
  readonly expiresAtMs: number;
  readonly deadLetter?: { readonly DeadLetterReason: string; readonly DeadLetterErrorDescription: string };
  deliveryCount: number;
}

type QueueRules = Pick<
  QueueEntity | SubscriptionEntity,
  'lockDurationMs' | 'maxDeliveryCount' | 'forwardTo' | 'deadLetterOnExpiry'
>;

/** A queue, a subscription, or the dead letters of one. */
class Queue {
  readonly rules: QueueRules;
  readonly deadLetters: Queue | undefined;
  readonly ready: Stored[] = [];
  readonly locked = new Set<Stored>();
  readonly consumers = new Set<MemoryConsumer>();
  readonly #clock: Clock;
  scheduled = 0;

  constructor(clock: Clock, rules: QueueRules, deadLetters: Queue | undefined) {
    this.#clock = clock;
    this.rules = rules;
    this.deadLetters = deadLetters;
  }

  add(stored: Stored, isFirst = false): void {
    if (isFirst) this.ready.unshift(stored);
    else this.ready.push(stored);
    this.deliver();
  }

  deliver(): void {
    for (const consumer of this.consumers) {
      while (consumer.hasRoom && this.ready.length > 0) {
        const stored = this.ready.shift();
        if (stored === undefined) return;
        if (this.#hasExpired(stored)) {
          this.#end(stored);
          continue;
        }
        this.locked.add(stored);
        consumer.handle(stored);
      }
    }
  }

  /** Frees a lock: the message comes back first, or is a dead letter after its last delivery. */
  giveBack(stored: Stored): void {
    if (!this.locked.delete(stored)) return;
    // Azure does not count deliveries from the dead letters.
    if (this.deadLetters !== undefined) stored.deliveryCount += 1;
    if (this.deadLetters === undefined || stored.deliveryCount < this.rules.maxDeliveryCount) this.add(stored, true);
    else this.bury(stored, 'MaxDeliveryCountExceeded', `delivered ${stored.deliveryCount} times`);
  }

  /** A message whose time is over leaves when it is not locked. */
  expire(stored: Stored): void {
    const at = this.ready.indexOf(stored);
    if (at < 0) return;
    this.ready.splice(at, 1);
    this.#end(stored);
  }

  #hasExpired({ expiresAtMs }: Stored): boolean {
    return expiresAtMs !== Infinity && expiresAtMs <= this.#clock.now();
  }

  #end(stored: Stored): void {
    if (!this.rules.deadLetterOnExpiry) return;
    this.bury(stored, 'TTLExpiredException', 'The message expired and was dead lettered.');
  }

  bury(stored: Stored, reason: string, description: string): void {
    const deadLetter = { DeadLetterReason: reason, DeadLetterErrorDescription: description };
    this.deadLetters?.add({ ...stored, expiresAtMs: Infinity, deadLetter });
  }
}

/** Handles messages of one queue. A message keeps its lock while its handler runs. */
class MemoryConsumer implements Consumer {
  readonly #queue: Queue;
  readonly #options: ConsumeOptions;
  readonly #handler: Handler;
  readonly #running = new Map<Stored, { readonly lock: AbortController; readonly work: Promise<void> }>();
  #isStopped = false;
  #stopped: Promise<void> | undefined;

  constructor(queue: Queue, options: ConsumeOptions, handler: Handler) {
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

  handle(stored: Stored): void {
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
  kill(): readonly Stored[] {
    this.#isStopped = true;
    this.#queue.consumers.delete(this);
    return [...this.#running.keys()];
  }

  #settle(stored: Stored, { settlement, settled }: Handled): void {
    if (!this.#queue.locked.has(stored)) {
      this.#options.onError(Object.assign(new Error('the lock of the message was lost'), { code: 'LOCK_LOST' }));
      return;
    }
    if (settlement.kind === 'abandon') this.#queue.giveBack(stored);
    else {
      this.#queue.locked.delete(stored);
      if (settlement.kind === 'dead-letter') this.#queue.bury(stored, settlement.reason, settlement.description);
    }
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
  readonly #options: MemoryBusOptions;
  readonly #queues = new Map<string, Queue>();
  readonly #topics = new Map<string, Queue[]>();
  readonly #seen = new Map<string, number>();
  readonly #consumers = new Set<MemoryConsumer>();
  readonly #closed = new AbortController();
  #sendError: Error | undefined;

  constructor(options: MemoryBusOptions) {
    this.#options = options;
    for (const entity of options.entities) this.#addEntity(entity);
  }

  async send(entity: string, messages: readonly OutgoingMessage[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#closed.signal.aborted) throw coded('BUS_CLOSED', 'the bus is closed');
    await Promise.resolve();
    if (this.#sendError !== undefined) throw this.#sendError;
    const targets = this.#targetsOf(entity);
    const limit = this.#options.maxBodyBytes ?? 262_144 - 1024;
    for (const message of messages) {
      if (message.body.length > limit) throw coded('MESSAGE_TOO_LARGE', `message ${message.messageId} is too large`);
    }
    for (const message of messages) if (!this.#isDuplicate(entity, message)) this.#enqueue(targets, message);
  }

  consume(entity: string, options: ConsumeOptions, handler: Handler): Consumer {
    if (!Number.isInteger(options.concurrency) || options.concurrency < 1 || options.concurrency > 500) {
      throw new RangeError(`concurrency must be 1..500, got ${options.concurrency}`);
    }
    const consumer = new MemoryConsumer(this.#queue(entity), options, handler);
    this.#consumers.add(consumer);
    return consumer;
  }

  async depth(entity: string): Promise<Depth> {
    const queue = this.#queue(entity);
    const active = queue.ready.length + queue.locked.size;
    const dead = queue.deadLetters;
    const deadLetter = dead === undefined ? 0 : dead.ready.length + dead.locked.size;
    return { active, scheduled: queue.scheduled, deadLetter, transferDeadLetter: 0 };
  }

  async close(): Promise<void> {
    this.#closed.abort(coded('BUS_CLOSED', 'the bus is closed'));
    await Promise.all([...this.#consumers].map((consumer) => consumer.stop(0)));
  }

  // ---------------------------------------------------------------- for tests

  /** Every message of the entity that is not settled, ready ones first. */
  messages(entity: string): readonly OutgoingMessage[] {
    const queue = this.#queue(entity);
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
    const queue = this.#queue(entity);
    const stored = consumer.kill();
    await this.#options.clock.sleep(queue.rules.lockDurationMs, this.#closed.signal);
    for (const message of stored) queue.giveBack(message);
  }

  // ---------------------------------------------------------------- inside

  #addEntity(entity: Entity): void {
    if (entity.kind === 'topic') {
      this.#topics.set(entity.name.toLowerCase(), this.#topics.get(entity.name.toLowerCase()) ?? []);
      return;
    }
    const path = entity.kind === 'queue' ? entity.name : `${entity.topic}/Subscriptions/${entity.name}`;
    const { clock } = this.#options;
    const deadLetters = new Queue(clock, { ...entity, maxDeliveryCount: Infinity }, undefined);
    const queue = new Queue(clock, entity, deadLetters);
    this.#queues.set(path.toLowerCase(), queue);
    this.#queues.set(`${path.toLowerCase()}${DEAD_LETTERS}`, deadLetters);
    if (entity.kind === 'queue') return;
    const topic = entity.topic.toLowerCase();
    this.#topics.set(topic, [...(this.#topics.get(topic) ?? []), queue]);
  }

  #queue(entity: string): Queue {
    const queue = this.#queues.get(entity.toLowerCase());
    if (queue === undefined) throw coded('MessagingEntityNotFound', `there is no ${entity}`);
    return queue;
  }

  #targetsOf(entity: string): readonly Queue[] {
    const subscriptions = this.#topics.get(entity.toLowerCase()) ?? [this.#queue(entity)];
    return subscriptions.map((queue) => {
      const { forwardTo } = queue.rules;
      return forwardTo === undefined ? queue : this.#queue(forwardTo);
    });
  }

  #isDuplicate(entity: string, message: OutgoingMessage): boolean {
    const rules = this.#options.entities.find((known) => known.kind !== 'subscription' && known.name === entity);
    const windowMs = rules === undefined || rules.kind === 'subscription' ? 0 : rules.duplicateDetectionMs;
    const key = `${entity}|${message.messageId}`;
    const nowMs = this.#options.clock.now();
    const seenAtMs = this.#seen.get(key);
    if (seenAtMs !== undefined && nowMs - seenAtMs < windowMs) return true;
    if (windowMs > 0) this.#seen.set(key, nowMs);
    return false;
  }

  #enqueue(targets: readonly Queue[], sent: OutgoingMessage): void {
    const { clock } = this.#options;
    const message = { ...sent, body: Uint8Array.from(sent.body), properties: { ...sent.properties } };
    const waitMs = (message.notBeforeMs ?? 0) - clock.now();
    for (const queue of targets) {
      const add = (): void => this.#arrive(queue, message);
      if (waitMs <= 0) {
        add();
        continue;
      }
      queue.scheduled += 1;
      void clock.sleep(waitMs, this.#closed.signal).then(
        () => {
          queue.scheduled -= 1;
          add();
        },
        () => undefined,
      );
    }
  }

  #arrive(queue: Queue, message: OutgoingMessage): void {
    const { clock } = this.#options;
    const { timeToLiveMs = Infinity } = message;
    const expiresAtMs = clock.now() + timeToLiveMs;
    const stored: Stored = { message, enqueuedAtMs: clock.now(), expiresAtMs, deliveryCount: 0 };
    queue.add(stored);
    if (timeToLiveMs === Infinity) return;
    void clock.sleep(timeToLiveMs, this.#closed.signal).then(
      () => queue.expire(stored),
      () => undefined,
    );
  }
}

function toIncoming({ message, enqueuedAtMs, deadLetter, deliveryCount }: Stored): IncomingMessage {
  const { messageId, body, contentType, subject, sessionId, properties } = message;
  return {
    messageId,
    body,
    contentType,
    subject,
    sessionId,
    deliveryCount,
    enqueuedAtMs,
    properties: { ...properties, ...deadLetter },
  };
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

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
