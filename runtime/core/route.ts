import type { Miner } from './miner.ts';

/** The queue that every envelope ends in (article ch. 5: POINT_TIME_DATA_INGESTION_QUEUE). */
export const INGESTION_QUEUE = 'point-time-data-ingestion-queue';

/** Subscription of a data topic that forwards to the ingestion queue. */
export const LAKE_SUBSCRIPTION = 'lake';

/** Names derived from a miner. */
export interface Route {
  readonly miningQueue: string;
  /** Present only for miners with `dataTopic: true`. */
  readonly dataTopic?: string;
  /** Where the packer sends: the data topic, or the ingestion queue. */
  readonly sendTo: string;
}

/** The names of a miner's entities. */
export function routeOf(miner: Pick<Miner, 'name' | 'dataTopic'>): Route {
  const miningQueue = `${miner.name}-mining-queue`;
  if (miner.dataTopic !== true) return { miningQueue, sendTo: INGESTION_QUEUE };
  const dataTopic = `${miner.name}-data-topic`;
  return { miningQueue, dataTopic, sendTo: dataTopic };
}

/** One Service Bus entity that the catalog asks for. Durations in ms, sizes in bytes. */
export interface QueueEntity {
  readonly kind: 'queue';
  readonly name: string;
  readonly lockDurationMs: number;
  readonly maxDeliveryCount: number;
  readonly requiresSession: boolean;
  /** 0 = duplicate detection off. */
  readonly duplicateDetectionMs: number;
  readonly deadLetterOnExpiry: boolean;
  /** Absent: messages never expire by default. */
  readonly defaultTtlMs?: number;
  /** Queue or topic that every message is moved to on arrival. */
  readonly forwardTo?: string;
}

/** A subscription of a topic; durations in ms. */
export interface SubscriptionEntity extends Omit<QueueEntity, 'kind' | 'duplicateDetectionMs'> {
  readonly kind: 'subscription';
  readonly topic: string;
}

/** A topic; durations in ms. */
export interface TopicEntity {
  readonly kind: 'topic';
  readonly name: string;
  readonly duplicateDetectionMs: number;
  readonly defaultTtlMs?: number;
}

/** Anything that the catalog asks the message bus for. */
export type Entity = QueueEntity | TopicEntity | SubscriptionEntity;

/** Every entity that a list of miners needs, ingestion queue first. */
export function entitiesOf(miners: readonly Miner[]): readonly Entity[] {
  const queue = (name: string): QueueEntity => ({
    kind: 'queue',
    name,
    lockDurationMs: 300_000,
    maxDeliveryCount: 10,
    requiresSession: false,
    duplicateDetectionMs: 0,
    deadLetterOnExpiry: true,
  });
  const entities: Entity[] = [{ ...queue(INGESTION_QUEUE), maxDeliveryCount: 100 }];
  for (const miner of miners) {
    const route = routeOf(miner);
    entities.push({ ...queue(route.miningQueue), maxDeliveryCount: 20 });
    if (route.dataTopic === undefined) continue;
    entities.push({ kind: 'topic', name: route.dataTopic, duplicateDetectionMs: 0 });
    entities.push({
      kind: 'subscription',
      topic: route.dataTopic,
      name: LAKE_SUBSCRIPTION,
      lockDurationMs: 300_000,
      maxDeliveryCount: 10,
      requiresSession: false,
      deadLetterOnExpiry: true,
      forwardTo: INGESTION_QUEUE,
    });
  }
  return entities;
}
