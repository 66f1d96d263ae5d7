import type { Entity, QueueEntity, SubscriptionEntity, TopicEntity } from '../../core/route.ts';
import { Bodies } from './bodies.ts';
import { Box } from './box.ts';
import type { BoxEvents } from './box.ts';
import type { BoxRules } from './consumer.ts';
import { mintId } from './lock-token.ts';
import type { Journal } from './journal.ts';
import type { Node, QueueNode, Space, SubscriptionNode, TopicNode } from './nodes.ts';
import { activate } from './routing.ts';
import { DEFAULT_RULE, RuleSet } from './rules.ts';
import type { Rule } from './rules.ts';
import { SeenIds } from './seen-ids.ts';
import { expire, lose } from './settlement.ts';
import type { Store } from './store.ts';

const DEAD_LETTER_SUFFIX = '/$deadletterqueue';
const TRANSFER_SUFFIX = '/$transfer/$deadletterqueue';

/** Where a path leads: an entity, and the box that a receiver of this path gets (a topic can only be sent to). */
export interface Target {
  readonly node: Node;
  readonly box: Box;
  readonly isDeadLetter: boolean;
}

/** All entities of a broker with their messages. */
export class Namespace implements Space {
  readonly store: Store;
  readonly journal: Journal;
  readonly bodies: Bodies;
  readonly maxMessageBytes: number;
  /** Undefined: tokens never end. */
  readonly tokenLifetimeMs: number | undefined;
  readonly startedAtMs: number;
  readonly #nodes = new Map<string, Node>();
  readonly #targets = new Map<string, Target>();
  readonly #boxes = new Map<number, Box>();
  readonly #now: () => number;

  constructor(options: {
    store: Store;
    journal: Journal;
    entities: readonly Entity[];
    maxMessageBytes: number;
    tokenLifetimeMs?: number;
    now: () => number;
  }) {
    this.store = options.store;
    this.journal = options.journal;
    this.maxMessageBytes = options.maxMessageBytes;
    this.tokenLifetimeMs = options.tokenLifetimeMs;
    this.bodies = new Bodies(options.store);
    this.#now = options.now;
    this.startedAtMs = options.now();
    this.store.transaction(() => this.#build(options.entities));
    this.#load();
  }

  now(): number {
    return this.#now();
  }

  mintId(): string {
    return mintId();
  }

  node(path: string): Node | undefined {
    return this.#nodes.get(path.toLowerCase());
  }

  nodes(): IterableIterator<Node> {
    return this.#nodes.values();
  }

  /** The entity or dead-letter queue of a path, in any case. */
  target(path: string): Target | undefined {
    return this.#targets.get(path.toLowerCase());
  }

  close(): void {
    for (const box of this.#boxes.values()) box.close();
  }

  #build(entities: readonly Entity[]): void {
    // Topics come first, because a subscription joins its topic wherever the list has it.
    for (const entity of entities) if (entity.kind === 'topic') this.#addTopic(entity);
    for (const entity of entities) {
      if (entity.kind === 'queue') this.#addQueue(entity);
      else if (entity.kind === 'subscription') this.#addSubscription(entity);
    }
  }

  #addTopic(entity: TopicEntity): void {
    const path = entity.name;
    const rules = { ...BURIAL_RULES, deadLetterOnExpiry: false };
    const main = this.#box(path, rules, () => node);
    const node: TopicNode = { kind: 'topic', entity, path, main, subscriptions: [], seen: this.#seen(main) };
    this.#add(node, main);
  }

  #addQueue(entity: QueueEntity): void {
    const boxes = this.#queueBoxes(entity.name, entity, () => node);
    const node: QueueNode = { kind: 'queue', entity, path: entity.name, ...boxes, seen: this.#seen(boxes.main) };
    this.#addReceivable(node);
  }

  #addSubscription(entity: SubscriptionEntity): void {
    const topic = this.node(entity.topic);
    if (topic?.kind !== 'topic') {
      throw new RangeError(`subscription ${entity.name} needs the topic ${entity.topic}, which is not in the entities`);
    }
    const path = `${topic.path}/Subscriptions/${entity.name}`;
    const { id, isNew } = this.store.boxId(path.toLowerCase());
    if (isNew) this.store.addRule(id, DEFAULT_RULE.name, JSON.stringify(DEFAULT_RULE));
    const boxes = this.#queueBoxes(path, entity, () => node);
    const node: SubscriptionNode = { kind: 'subscription', entity, path, ...boxes, rules: this.#rules(boxes.main) };
    topic.subscriptions.push(node);
    this.#addReceivable(node);
  }

  #queueBoxes(path: string, entity: QueueEntity | SubscriptionEntity, nodeOf: () => Node): Boxes {
    const { lockDurationMs, maxDeliveryCount, requiresSession, deadLetterOnExpiry } = entity;
    const burial = { ...BURIAL_RULES, lockDurationMs };
    const dead = this.#box(`${path}/$DeadLetterQueue`, burial, nodeOf);
    const transfer = this.#box(`${path}/$Transfer/$DeadLetterQueue`, burial, nodeOf);
    const rules = { lockDurationMs, maxDeliveryCount, requiresSession, deadLetterOnExpiry, deadLetterBox: dead };
    return { main: this.#box(path, rules, nodeOf), dead, transfer };
  }

  #addReceivable(node: QueueNode | SubscriptionNode): void {
    this.#add(node, node.main);
    const path = node.path.toLowerCase();
    this.#targets.set(path + DEAD_LETTER_SUFFIX, { node, box: node.dead, isDeadLetter: true });
    this.#targets.set(path + TRANSFER_SUFFIX, { node, box: node.transfer, isDeadLetter: true });
  }

  #add(node: Node, box: Box): void {
    const path = node.path.toLowerCase();
    if (this.#nodes.has(path)) throw new RangeError(`entity names must differ, got ${node.path} twice`);
    this.#nodes.set(path, node);
    this.#targets.set(path, { node, box, isDeadLetter: false });
  }

  #box(path: string, rules: BoxRules, nodeOf: () => Node): Box {
    const { id } = this.store.boxId(path.toLowerCase());
    const box = new Box({ id, path }, rules, this, (self) => this.#events(self, nodeOf));
    this.#boxes.set(id, box);
    return box;
  }

  #events(box: Box, nodeOf: () => Node): BoxEvents {
    return {
      lockExpired: lose,
      sessionExpired: (slot) => slot.holder?.loseSession(),
      due: (messages) => activate(this, nodeOf(), box, messages),
      expired: (message) => expire(box, message),
    };
  }

  #rules(main: Box): RuleSet {
    const rules = new RuleSet();
    for (const { body } of this.store.rules(main.id)) rules.add(parseRule(body));
    return rules;
  }

  #seen(main: Box): SeenIds {
    const seen = new SeenIds();
    for (const { messageId, untilMs } of this.store.seen(main.id)) seen.add(messageId, untilMs);
    return seen;
  }

  /** Reads the messages of the known boxes back. Those of entities that are no longer listed stay on disk untouched. */
  #load(): void {
    for (const { boxId, message } of this.store.messages()) this.#boxes.get(boxId)?.arrive(message);
  }
}

interface Boxes {
  readonly main: Box;
  readonly dead: Box;
  readonly transfer: Box;
}

const BURIAL_RULES: BoxRules = {
  lockDurationMs: 60_000,
  maxDeliveryCount: Infinity,
  requiresSession: false,
  deadLetterBox: undefined,
  deadLetterOnExpiry: false,
};

/** The journal holds only rules that this program wrote. */
function parseRule(body: string): Rule {
  return JSON.parse(body) as Rule;
}
