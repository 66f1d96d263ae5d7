import type { Entity, QueueEntity, SubscriptionEntity } from '../../runtime/core/route.ts';
import type { Clock, Depth, IncomingMessage, OutgoingMessage } from '../../runtime/ports.ts';

export interface MemoryBrokerOptions {
  readonly clock: Clock;
  readonly entities: readonly Entity[];
  /** Largest body, in bytes. Default 262,144 less 1 KB for the rest of the message. */
  readonly maxBodyBytes?: number;
  /** Which of `count` ready messages is delivered next, 0..count-1. Default: the oldest. */
  readonly pick?: (count: number) => number;
}

const DEAD_LETTERS = '/$deadletterqueue';

/** A message in a queue. */
export interface StoredMessage {
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

/** Whoever takes messages from a queue. */
export interface QueueConsumer {
  readonly hasRoom: boolean;
  /** The message is locked for this consumer. */
  handle(stored: StoredMessage): void;
}

/** A queue, a subscription, or the dead letters of one. */
export class MemoryQueue {
  readonly rules: QueueRules;
  readonly deadLetters: MemoryQueue | undefined;
  readonly ready: StoredMessage[] = [];
  readonly locked = new Set<StoredMessage>();
  readonly consumers = new Set<QueueConsumer>();
  readonly #options: MemoryBrokerOptions;
  scheduled = 0;

  constructor(options: MemoryBrokerOptions, rules: QueueRules, deadLetters: MemoryQueue | undefined) {
    this.#options = options;
    this.rules = rules;
    this.deadLetters = deadLetters;
  }

  add(stored: StoredMessage, isFirst = false): void {
    if (isFirst) this.ready.unshift(stored);
    else this.ready.push(stored);
    this.deliver();
  }

  deliver(): void {
    for (const consumer of this.consumers) {
      while (consumer.hasRoom && this.ready.length > 0) {
        const at = this.#options.pick?.(this.ready.length) ?? 0;
        const [stored] = this.ready.splice(at, 1);
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
  giveBack(stored: StoredMessage): void {
    if (!this.locked.delete(stored)) return;
    // Azure does not count deliveries from the dead letters.
    if (this.deadLetters !== undefined) stored.deliveryCount += 1;
    if (this.deadLetters === undefined || stored.deliveryCount < this.rules.maxDeliveryCount) this.add(stored, true);
    else this.bury(stored, 'MaxDeliveryCountExceeded', `delivered ${stored.deliveryCount} times`);
  }

  /** Completes or dead-letters a locked message. False: its lock is lost. */
  end(stored: StoredMessage, why?: { readonly reason: string; readonly description: string }): boolean {
    if (!this.locked.delete(stored)) return false;
    if (why !== undefined) this.bury(stored, why.reason, why.description);
    return true;
  }

  /** A message whose time is over leaves when it is not locked. */
  expire(stored: StoredMessage): void {
    const at = this.ready.indexOf(stored);
    if (at < 0) return;
    this.ready.splice(at, 1);
    this.#end(stored);
  }

  bury(stored: StoredMessage, reason: string, description: string): void {
    const deadLetter = { DeadLetterReason: reason, DeadLetterErrorDescription: description };
    this.deadLetters?.add({ ...stored, expiresAtMs: Infinity, deadLetter });
  }

  #hasExpired({ expiresAtMs }: StoredMessage): boolean {
    return expiresAtMs !== Infinity && expiresAtMs <= this.#options.clock.now();
  }

  #end(stored: StoredMessage): void {
    if (!this.rules.deadLetterOnExpiry) return;
    this.bury(stored, 'TTLExpiredException', 'The message expired and was dead lettered.');
  }
}

/** What a broker holds, off the clock it is given: queues, topics with their forwards, scheduled messages, dead letters. */
export class MemoryBroker {
  readonly #options: MemoryBrokerOptions;
  readonly #queues = new Map<string, MemoryQueue>();
  readonly #topics = new Map<string, MemoryQueue[]>();
  readonly #seen = new Map<string, number>();
  readonly #closed = new AbortController();

  constructor(options: MemoryBrokerOptions) {
    this.#options = options;
    for (const entity of options.entities) this.#addEntity(entity);
  }

  get isClosed(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Ends the waits of messages that are scheduled or expire. */
  close(): void {
    this.#closed.abort(coded('BUS_CLOSED', 'the bus is closed'));
  }

  /** Rejects when the broker is closed first. */
  sleep(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms, this.#closed.signal);
  }

  /** Takes messages at once. @throws MESSAGE_TOO_LARGE before any is taken, MessagingEntityNotFound */
  take(entity: string, messages: readonly OutgoingMessage[]): void {
    const targets = this.#targetsOf(entity);
    const limit = this.#options.maxBodyBytes ?? 262_144 - 1024;
    for (const message of messages) {
      if (message.body.length > limit) throw coded('MESSAGE_TOO_LARGE', `message ${message.messageId} is too large`);
    }
    for (const message of messages) if (!this.#isDuplicate(entity, message)) this.#enqueue(targets, message);
  }

  queue(entity: string): MemoryQueue {
    const queue = this.#queues.get(entity.toLowerCase());
    if (queue === undefined) throw coded('MessagingEntityNotFound', `there is no ${entity}`);
    return queue;
  }

  /** Every queue and subscription with its dead letters. */
  queues(): Iterable<MemoryQueue> {
    return this.#queues.values();
  }

  depth(entity: string): Depth {
    const queue = this.queue(entity);
    const active = queue.ready.length + queue.locked.size;
    const dead = queue.deadLetters;
    const deadLetter = dead === undefined ? 0 : dead.ready.length + dead.locked.size;
    return { active, scheduled: queue.scheduled, deadLetter, transferDeadLetter: 0 };
  }

  #addEntity(entity: Entity): void {
    if (entity.kind === 'topic') {
      this.#topics.set(entity.name.toLowerCase(), this.#topics.get(entity.name.toLowerCase()) ?? []);
      return;
    }
    const path = entity.kind === 'queue' ? entity.name : `${entity.topic}/Subscriptions/${entity.name}`;
    const deadLetters = new MemoryQueue(this.#options, { ...entity, maxDeliveryCount: Infinity }, undefined);
    const queue = new MemoryQueue(this.#options, entity, deadLetters);
    this.#queues.set(path.toLowerCase(), queue);
    this.#queues.set(`${path.toLowerCase()}${DEAD_LETTERS}`, deadLetters);
    if (entity.kind === 'queue') return;
    const topic = entity.topic.toLowerCase();
    this.#topics.set(topic, [...(this.#topics.get(topic) ?? []), queue]);
  }

  #targetsOf(entity: string): readonly MemoryQueue[] {
    const subscriptions = this.#topics.get(entity.toLowerCase()) ?? [this.queue(entity)];
    return subscriptions.map((queue) => {
      const { forwardTo } = queue.rules;
      return forwardTo === undefined ? queue : this.queue(forwardTo);
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

  #enqueue(targets: readonly MemoryQueue[], sent: OutgoingMessage): void {
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
      void this.sleep(waitMs).then(
        () => {
          queue.scheduled -= 1;
          add();
        },
        () => undefined,
      );
    }
  }

  #arrive(queue: MemoryQueue, message: OutgoingMessage): void {
    const { clock } = this.#options;
    const { timeToLiveMs = Infinity } = message;
    const expiresAtMs = clock.now() + timeToLiveMs;
    const stored: StoredMessage = { message, enqueuedAtMs: clock.now(), expiresAtMs, deliveryCount: 0 };
    queue.add(stored);
    if (timeToLiveMs === Infinity) return;
    void this.sleep(timeToLiveMs).then(
      () => queue.expire(stored),
      () => undefined,
    );
  }
}

/** A message as a consumer sees it. */
export function toIncoming({ message, enqueuedAtMs, deadLetter, deliveryCount }: StoredMessage): IncomingMessage {
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

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}
