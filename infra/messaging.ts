import { Namespace } from '@pulumi/azure-native/servicebus/namespace.js';
import { Queue } from '@pulumi/azure-native/servicebus/queue.js';
import { Subscription } from '@pulumi/azure-native/servicebus/subscription.js';
import { Topic } from '@pulumi/azure-native/servicebus/topic.js';
import * as pulumi from '@pulumi/pulumi';
import type { QueueEntity, SubscriptionEntity, TopicEntity } from '../runtime/core/route.ts';
import { isoDuration } from './iso-duration.ts';
import type { Place } from './place.ts';
import type { PlannedEntity } from './stack-plan.ts';

/**
 * Service Bus Standard with every queue, topic and subscription of the plan. Keys are off: whoever sends or receives has
 * an Entra token.
 */
export class Messaging extends pulumi.ComponentResource {
  readonly namespaceId: pulumi.Output<string>;
  /** Host of the namespace; its port only where it is not that of https. */
  readonly host: pulumi.Output<string>;
  readonly #namespace: Namespace;
  readonly #place: Place;
  /** Queues and topics by name: what a message can be forwarded to. */
  readonly #targets = new Map<string, pulumi.Resource>();

  constructor(name: string, place: Place, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:Messaging', name, {}, options);
    const { plan, resourceGroupName } = place;
    this.#place = place;
    this.#namespace = new Namespace(
      'namespace',
      {
        resourceGroupName,
        namespaceName: plan.names.serviceBusNamespace,
        location: plan.location,
        sku: { name: 'Standard', tier: 'Standard' },
        disableLocalAuth: true,
        minimumTlsVersion: '1.2',
        tags: plan.tags,
      },
      { parent: this },
    );
    for (const planned of targetsFirst(plan.entities)) this.#register(planned);
    this.namespaceId = this.#namespace.id;
    this.host = this.#namespace.serviceBusEndpoint.apply((endpoint) => new URL(endpoint).host);
    this.registerOutputs({ host: this.host });
  }

  #register({ entity, isProtected }: PlannedEntity): void {
    const options = { parent: this, protect: isProtected };
    switch (entity.kind) {
      case 'queue':
        this.#targets.set(entity.name, this.#queue(entity, options));
        return;
      case 'topic':
        this.#targets.set(entity.name, this.#topic(entity, options));
        return;
      case 'subscription':
        this.#subscription(entity, options);
    }
  }

  #queue(entity: QueueEntity, options: pulumi.CustomResourceOptions): Queue {
    const args = {
      ...this.#address(),
      queueName: entity.name,
      ...receiving(entity),
      ...duplicateDetection(entity.duplicateDetectionMs),
    };
    return new Queue(entity.name, args, { ...options, dependsOn: this.#dependencies(entity.forwardTo) });
  }

  #topic(entity: TopicEntity, options: pulumi.CustomResourceOptions): Topic {
    const args = {
      ...this.#address(),
      topicName: entity.name,
      ...duplicateDetection(entity.duplicateDetectionMs),
      ...timeToLive(entity.defaultTtlMs),
    };
    return new Topic(entity.name, args, options);
  }

  #subscription(entity: SubscriptionEntity, options: pulumi.CustomResourceOptions): Subscription {
    const { topic: topicName, name: subscriptionName, forwardTo } = entity;
    const args = { ...this.#address(), topicName, subscriptionName, ...receiving(entity) };
    const dependsOn = this.#dependencies(topicName, forwardTo);
    return new Subscription(`${topicName}-${subscriptionName}`, args, { ...options, dependsOn });
  }

  #address(): { readonly resourceGroupName: pulumi.Input<string>; readonly namespaceName: pulumi.Input<string> } {
    return { resourceGroupName: this.#place.resourceGroupName, namespaceName: this.#namespace.name };
  }

  /** Azure refuses to forward to what does not exist yet; a name is no dependency that Pulumi could see. */
  #dependencies(...names: readonly (string | undefined)[]): pulumi.Resource[] {
    return names.flatMap((name) => (name === undefined ? [] : (this.#targets.get(name) ?? [])));
  }
}

/** Entities that forward nothing come first, so that a target exists before the entity that forwards to it. */
function targetsFirst(entities: readonly PlannedEntity[]): readonly PlannedEntity[] {
  const forwards = ({ entity }: PlannedEntity): number =>
    entity.kind !== 'topic' && entity.forwardTo !== undefined ? 1 : 0;
  return entities.toSorted((left, right) => forwards(left) - forwards(right));
}

/** What queues and subscriptions have in common. */
function receiving(entity: QueueEntity | SubscriptionEntity) {
  return {
    lockDuration: isoDuration(entity.lockDurationMs),
    maxDeliveryCount: entity.maxDeliveryCount,
    requiresSession: entity.requiresSession,
    deadLetteringOnMessageExpiration: entity.deadLetterOnExpiry,
    ...timeToLive(entity.defaultTtlMs),
    ...(entity.forwardTo === undefined ? {} : { forwardTo: entity.forwardTo }),
  };
}

function duplicateDetection(windowMs: number) {
  if (windowMs === 0) return { requiresDuplicateDetection: false };
  return { requiresDuplicateDetection: true, duplicateDetectionHistoryTimeWindow: isoDuration(windowMs) };
}

function timeToLive(defaultTtlMs: number | undefined) {
  return defaultTtlMs === undefined ? {} : { defaultMessageTimeToLive: isoDuration(defaultTtlMs) };
}
