import type { Box } from './box.ts';
import { messageTooLarge, notAllowed } from './conditions.ts';
import type { AmqpFault } from './conditions.ts';
import type { Facts, Draft } from './message-codec.ts';
import { readFacts, readMessageId, withNote, withProperties } from './message-codec.ts';
import { messageOf } from './message.ts';
import type { Message } from './message.ts';
import type { Node, QueueNode, Space, SubscriptionNode } from './nodes.ts';
import type { Store } from './store.ts';

/** Forwards that one message may take, as on Azure. */
const HOP_LIMIT = 4;

/** A message and the box that it goes to. */
interface Placement {
  readonly box: Box;
  readonly message: Message;
  readonly raw: Buffer;
}

/** Told with one sequence number per draft when all of them are on disk. */
export type Published = (seqs: readonly number[]) => void;

/**
 * Sends messages to an entity, all or none: through topics, rules and forwards to their boxes, in one transaction.
 * @returns why nothing was sent, or undefined; `done` is then called once
 */
export function publish(space: Space, node: Node, drafts: readonly Draft[], done: Published): AmqpFault | undefined {
  for (const draft of drafts) {
    const fault = refusal(space, node, draft);
    if (fault !== undefined) return fault;
  }
  const route = new Route(space);
  const seqs = drafts.map((draft) => route.send(node, draft));
  space.journal.commit(
    (store) => route.write(store),
    () => {
      route.arrive();
      done(seqs);
    },
  );
  return undefined;
}

/** Sends on the scheduled messages of a box whose time has come. They get new numbers. */
export function activate(space: Space, node: Node, box: Box, messages: readonly Message[]): void {
  const route = new Route(space);
  for (const message of messages) {
    const { sessionId, isDurable, priority, ttlMs, notes } = message;
    const raw = space.bodies.load(message);
    const messageId = readMessageId(raw);
    route.place(node, { messageId, sessionId, isDurable, priority, ttlMs, notes, raw, scheduledAtMs: undefined });
  }
  space.journal.commit(
    (store) => {
      for (const message of messages) store.remove(message.seq);
      route.write(store);
    },
    () => {
      for (const message of messages) box.leave(message);
      route.arrive();
    },
  );
}

/** Why an entity does not take a message. */
function refusal(space: Space, node: Node, draft: Draft): AmqpFault | undefined {
  if (draft.raw.length > space.maxMessageBytes) return messageTooLarge(draft.raw.length, space.maxMessageBytes);
  const needsSession = node.kind !== 'topic' && node.entity.requiresSession && node.entity.forwardTo === undefined;
  if (needsSession && draft.sessionId === undefined) {
    return notAllowed(`the messaging entity '${node.path}' requires sessions: the message has no session id.`);
  }
  return undefined;
}

/** The way of a group of messages from where they were sent to the boxes where they wait. */
class Route {
  readonly #space: Space;
  readonly #nowMs: number;
  readonly #placements: Placement[] = [];
  readonly #notes: ((store: Store) => void)[] = [];

  constructor(space: Space) {
    this.#space = space;
    this.#nowMs = space.now();
  }

  /** A new message: duplicates end here, scheduled ones wait here. @returns its sequence number */
  send(node: Node, draft: Draft): number {
    if (this.#isDuplicate(node, draft)) return this.#space.store.nextSeq();
    if (draft.scheduledAtMs === undefined || draft.scheduledAtMs <= this.#nowMs) return this.place(node, draft);
    return this.#put(node.main, draft, { origin: undefined, ttlLimitMs: ttlLimitMs(node) });
  }

  /** @returns the sequence number at the entity that it was sent to */
  place(node: Node, draft: Draft): number {
    if (node.kind !== 'topic' && node.entity.forwardTo === undefined) {
      return this.#put(node.main, draft, { origin: undefined, ttlLimitMs: ttlLimitMs(node) });
    }
    const origin = this.#space.store.nextSeq();
    this.#pass(node, draft, { origin, ttlLimitMs: Infinity, hops: 0, facts: memo(() => readFacts(draft.raw)) });
    return origin;
  }

  #pass(node: Node, draft: Draft, trip: Trip): void {
    const next = { ...trip, ttlLimitMs: Math.min(trip.ttlLimitMs, ttlLimitMs(node)) };
    if (node.kind === 'topic') {
      for (const subscription of node.subscriptions) {
        if (subscription.rules.matches(trip.facts)) this.#pass(subscription, draft, next);
      }
      return;
    }
    if (node.entity.forwardTo === undefined) this.#put(node.main, draft, next);
    else this.#forward(node, node.entity.forwardTo, draft, next);
  }

  /** To the next entity, or to the transfer dead-letter queue of this one. */
  #forward(node: QueueNode | SubscriptionNode, path: string, draft: Draft, trip: Trip): void {
    const target = this.#space.node(path);
    if (target === undefined) return this.#strand(node, draft, trip, `The forwarding target '${path}' does not exist.`);
    if (trip.hops >= HOP_LIMIT) return this.#strand(node, draft, trip, `More than ${HOP_LIMIT} forwards.`);
    const fault = refusal(this.#space, target, draft);
    if (fault !== undefined) return this.#strand(node, draft, trip, fault.description);
    if (this.#isDuplicate(target, draft)) return;
    this.#pass(target, draft, { ...trip, hops: trip.hops + 1 });
  }

  #strand(node: QueueNode | SubscriptionNode, draft: Draft, trip: Trip, description: string): void {
    const reason = { DeadLetterReason: 'ForwardingFailed', DeadLetterErrorDescription: description };
    const raw = withProperties(draft.raw, reason);
    const notes = withNote(draft.notes, 'x-opt-deadletter-source', node.path);
    this.#put(node.transfer, { ...draft, raw, notes, ttlMs: undefined }, { ...trip, ttlLimitMs: Infinity });
  }

  #put(box: Box, draft: Draft, trip: { readonly origin: number | undefined; readonly ttlLimitMs: number }): number {
    const seq = this.#space.store.nextSeq();
    const arrival = { seq, enqueueSeq: trip.origin ?? seq, nowMs: this.#nowMs, ttlLimitMs: trip.ttlLimitMs };
    this.#placements.push({ box, message: messageOf(draft, arrival), raw: draft.raw });
    return seq;
  }

  #isDuplicate(node: Node, draft: Draft): boolean {
    if (node.kind === 'subscription' || node.entity.duplicateDetectionMs === 0) return false;
    const { seen, main, entity } = node;
    const isKnown = seen.has(draft.messageId, this.#nowMs);
    if (isKnown) return true;
    const untilMs = this.#nowMs + entity.duplicateDetectionMs;
    seen.add(draft.messageId, untilMs);
    const gone = seen.purge(this.#nowMs);
    this.#notes.push((store) => {
      for (const messageId of gone) store.forget(main.id, messageId);
      store.see(main.id, draft.messageId, untilMs);
    });
    return false;
  }

  /** Writes everything. Runs inside a transaction. */
  write(store: Store): void {
    for (const note of this.#notes) note(store);
    for (const { box, message, raw } of this.#placements) store.put(message, box.id, raw);
  }

  /** Takes everything in, when it is on disk. */
  arrive(): void {
    for (const { box, message } of this.#placements) box.arrive(message);
    for (const { box, message } of this.#placements) box.pumpFor(message);
  }
}

interface Trip {
  /** Sequence number at the entity of the original send. */
  readonly origin: number;
  readonly ttlLimitMs: number;
  readonly hops: number;
  readonly facts: () => Facts;
}

function ttlLimitMs(node: Node): number {
  return node.entity.defaultTtlMs ?? Infinity;
}

function memo<Value>(make: () => Value): () => Value {
  let value: Value | undefined;
  return () => (value ??= make());
}
