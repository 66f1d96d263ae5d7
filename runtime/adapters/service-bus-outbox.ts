import type { ServiceBusMessage, ServiceBusMessageBatch, ServiceBusSender } from '@azure/service-bus';
import type { OutgoingMessage, Random } from '../ports.ts';
import { batchGroup, toServiceBusMessage } from './service-bus-message.ts';
import type { ServiceBusEvent, Session, SessionSource } from './service-bus-session.ts';
import { codedError, reconnectWaitMs, within } from './service-bus-time.ts';

/** Limits of sending. */
export interface OutboxSettings {
  readonly entity: string;
  readonly source: SessionSource;
  readonly random: Random;
  /** Limit of one attempt, in ms. */
  readonly sendTimeoutMs: number;
  readonly onEvent: (event: ServiceBusEvent) => void;
}

/** Batches in flight on one sender. 7.9.5 stalls for 30 s at a time beyond about 1,000 sends. */
const BATCHES_IN_FLIGHT = 32;

/** Messages of one batch, so that a retry stays small. */
const BATCH_MESSAGES = 500;

/** Messages that may wait for a batch; beyond that a send is refused at once. */
const PENDING_LIMIT = 100_000;

/** How long a send is tried, across lost connections, before it is rejected. */
const GIVE_UP_MS = 60_000;

/** One call of `send`: done when each of its messages is acknowledged, failed with the first that is not. */
class Ticket {
  readonly done: Promise<void>;
  readonly deadlineMs: number;
  #remaining: number;
  #isOver = false;
  #resolve: () => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;

  constructor(messages: number, deadlineMs: number) {
    this.#remaining = messages;
    this.deadlineMs = deadlineMs;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  acknowledge(): void {
    this.#remaining -= 1;
    if (this.#remaining > 0) return;
    this.#isOver = true;
    this.#resolve();
  }

  fail(error: unknown): void {
    this.#isOver = true;
    this.#reject(error);
  }
}

interface Entry {
  readonly message: ServiceBusMessage;
  readonly ticket: Ticket;
  /** Only entries of one group share a batch. */
  readonly group: string;
}

/** Sends to one entity: messages of all callers share batches, a bounded number of batches is in flight. */
export class Outbox {
  readonly #settings: OutboxSettings;
  readonly #inFlight = new Set<Promise<void>>();
  #pending: Entry[] = [];
  #pump: Promise<void> | undefined;
  #sender: { readonly session: Session; readonly sender: ServiceBusSender } | undefined;
  #isClosed = false;
  #splits = 0;

  constructor(settings: OutboxSettings) {
    this.#settings = settings;
  }

  /** See `Bus.send`. @throws Error with code `MESSAGE_TOO_LARGE`, `SEND_QUEUE_FULL`, `BUS_CLOSED`, or the client's error. */
  async send(messages: readonly OutgoingMessage[], signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#isClosed) throw codedError('BUS_CLOSED', 'the bus is closed');
    if (messages.length === 0) return;
    if (this.#pending.length + messages.length > PENDING_LIMIT) {
      throw codedError('SEND_QUEUE_FULL', `more than ${PENDING_LIMIT} messages wait for ${this.#settings.entity}`);
    }
    const ticket = new Ticket(messages.length, this.#settings.source.clock.now() + GIVE_UP_MS);
    for (const message of messages) {
      this.#pending.push({ message: toServiceBusMessage(message), ticket, group: batchGroup(message) });
    }
    this.#wake();
    if (signal === undefined) return ticket.done;
    const onAbort = (): void => ticket.fail(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      await ticket.done;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Waits up to `graceMs` for what was accepted, then rejects the rest. */
  async close(graceMs: number): Promise<void> {
    this.#isClosed = true;
    const drained = (async (): Promise<void> => {
      await this.#pump;
      await Promise.all(this.#inFlight);
    })();
    await within(drained, graceMs).catch(() => this.#failPending(codedError('BUS_CLOSED', 'the bus was closed')));
  }

  /** Starts after the current turn of the event loop, so that callers of one turn share a batch. */
  #wake(): void {
    this.#pump ??= new Promise<void>((resolve) => {
      setImmediate(resolve);
    })
      .then(() => this.#run())
      .catch((error: unknown) => this.#failPending(error))
      .finally(() => {
        this.#pump = undefined;
        if (this.#pending.length > 0) this.#wake();
      });
  }

  async #run(): Promise<void> {
    while (this.#pending.length > 0) {
      if (this.#inFlight.size >= BATCHES_IN_FLIGHT) await Promise.race(this.#inFlight);
      const batch = await this.#createBatch();
      const entries = this.#fill(batch);
      if (entries.length === 0) continue;
      const delivery = this.#deliver(batch, entries).finally(() => this.#inFlight.delete(delivery));
      this.#inFlight.add(delivery);
    }
  }

  /** Opens the link if need be. @throws the error after which nothing that is pending can be sent. */
  async #createBatch(): Promise<ServiceBusMessageBatch> {
    for (let attempt = 1; ; attempt += 1) {
      const session = this.#settings.source.current();
      try {
        const work = session.run(async () => this.#senderOf(session).createMessageBatch());
        return await within(work, this.#settings.sendTimeoutMs, session.lost);
      } catch (error) {
        if (!session.isWorthRetry(error)) throw error;
        session.noteFailure();
        this.#failExpired(error);
        await this.#settings.source.pause(reconnectWaitMs(attempt, this.#settings.random));
      }
    }
  }

  #senderOf(session: Session): ServiceBusSender {
    if (this.#sender?.session !== session) {
      this.#sender = { session, sender: session.client.createSender(this.#settings.entity) };
    }
    return this.#sender.sender;
  }

  /** Moves entries of the first group from the queue into the batch while they fit. */
  #fill(batch: ServiceBusMessageBatch): Entry[] {
    const taken: Entry[] = [];
    let seen = 0;
    for (const entry of this.#pending) {
      if (taken.length >= BATCH_MESSAGES) break;
      if (!entry.ticket.isOver) {
        if (taken[0] !== undefined && taken[0].group !== entry.group) break;
        const isFull = !tryAdd(batch, entry);
        if (isFull && taken.length > 0) break;
        if (isFull) entry.ticket.fail(tooLarge(entry.message, batch.maxSizeInBytes));
        else if (!entry.ticket.isOver) taken.push(entry);
      }
      seen += 1;
    }
    this.#pending.splice(0, seen);
    return taken;
  }

  /** Sends one batch until it is acknowledged; never rejects. The same encoded bytes go out each time. */
  async #deliver(batch: ServiceBusMessageBatch, entries: readonly Entry[]): Promise<void> {
    const { source, entity, random, onEvent } = this.#settings;
    for (let attempt = 1; ; attempt += 1) {
      let session: Session | undefined;
      try {
        session = source.current();
        await this.#attempt(session, batch);
        session.noteSuccess();
        for (const { ticket } of entries) ticket.acknowledge();
        return;
      } catch (error) {
        if (session === undefined || !session.isWorthRetry(error)) return this.#refused(entries, error);
        session.noteFailure();
        const open = entries.filter(({ ticket }) => !ticket.isOver && ticket.deadlineMs > source.clock.now());
        if (open.length === 0) return fail(entries, error);
        onEvent({ kind: 'send-retried', entity, reason: error instanceof Error ? error.message : String(error) });
        await source.pause(reconnectWaitMs(attempt, random));
      }
    }
  }

  async #attempt(session: Session, batch: ServiceBusMessageBatch): Promise<void> {
    const sent = session.run(async () => this.#senderOf(session).sendMessages(batch, { abortSignal: session.lost }));
    // The client's own limit is the same; ours holds where it waits for a link without one.
    await within(sent, this.#settings.sendTimeoutMs * 2, session.lost);
  }

  /** A batch of several callers is refused for the fault of one: each is tried alone, because acceptance is all or none. */
  #refused(entries: readonly Entry[], error: unknown): void {
    const tickets = new Set(entries.map(({ ticket }) => ticket));
    if (tickets.size <= 1 || this.#isClosed) return fail(entries, error);
    for (const ticket of tickets) {
      this.#splits += 1;
      const group = `${entries[0]?.group ?? ''}|split ${this.#splits}`;
      this.#pending.push(...entries.filter((entry) => entry.ticket === ticket).map((entry) => ({ ...entry, group })));
    }
    this.#wake();
  }

  #failExpired(error: unknown): void {
    const nowMs = this.#settings.source.clock.now();
    for (const { ticket } of this.#pending) if (ticket.deadlineMs <= nowMs) ticket.fail(error);
    this.#pending = this.#pending.filter(({ ticket }) => !ticket.isOver);
    if (this.#pending.length === 0) throw error;
  }

  #failPending(error: unknown): void {
    fail(this.#pending, error);
    this.#pending = [];
  }
}

/** False when the batch is full. A message that the client refuses to encode fails its own caller only. */
function tryAdd(batch: ServiceBusMessageBatch, entry: Entry): boolean {
  try {
    return batch.tryAddMessage(entry.message);
  } catch (error) {
    entry.ticket.fail(error);
    return true;
  }
}

function fail(entries: readonly Entry[], error: unknown): void {
  for (const { ticket } of entries) ticket.fail(error);
}

function tooLarge(message: ServiceBusMessage, limitBytes: number): Error {
  const id = String(message.messageId);
  return codedError('MESSAGE_TOO_LARGE', `message ${id} does not fit into a batch of ${limitBytes} bytes`);
}
