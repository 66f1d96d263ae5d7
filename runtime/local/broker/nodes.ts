import type { QueueEntity, SubscriptionEntity, TopicEntity } from '../../core/route.ts';
import type { Box } from './box.ts';
import type { Desk } from './consumer.ts';
import type { RuleSet } from './rules.ts';
import type { SeenIds } from './seen-ids.ts';

/** A queue with its boxes. */
export interface QueueNode {
  readonly kind: 'queue';
  readonly entity: QueueEntity;
  readonly path: string;
  readonly main: Box;
  readonly dead: Box;
  /** Messages that could not be forwarded. */
  readonly transfer: Box;
  readonly seen: SeenIds;
}

/** A subscription: a queue that only its topic sends to. */
export interface SubscriptionNode {
  readonly kind: 'subscription';
  readonly entity: SubscriptionEntity;
  readonly path: string;
  readonly main: Box;
  readonly dead: Box;
  readonly transfer: Box;
  readonly rules: RuleSet;
}

/** A topic. Its box holds only scheduled messages. */
export interface TopicNode {
  readonly kind: 'topic';
  readonly entity: TopicEntity;
  readonly path: string;
  readonly main: Box;
  readonly subscriptions: SubscriptionNode[];
  readonly seen: SeenIds;
}

/** Any entity. */
export type Node = QueueNode | SubscriptionNode | TopicNode;

/** The entities of a broker as routing sees them. */
export interface Space extends Desk {
  readonly maxMessageBytes: number;
  /** The entity of this name, in any case. Subscriptions are `topic/Subscriptions/name`. */
  node(path: string): Node | undefined;
}
