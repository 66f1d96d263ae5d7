import { type Entity, entitiesOf } from '../runtime/core/route.ts';
import { shortType } from './expectation.ts';
import { look, shown, UNKNOWN, type Value } from './inputs.ts';
import { durationMs } from './iso-duration.ts';
import { ALWAYS, type Finding, type Resource, type ResourceRule, type StackRule, unseen } from './rule.ts';
import type { Stack } from './stack.ts';

const QUEUE = 'servicebus:Queue';
const TOPIC = 'servicebus:Topic';
const SUBSCRIPTION = 'servicebus:Subscription';
const RECEIVING: readonly string[] = [QUEUE, SUBSCRIPTION];
const DETECTING: readonly string[] = [QUEUE, TOPIC];

/** Input that names an entity, by type. */
const NAME_INPUTS: Readonly<Record<string, string>> = {
  [QUEUE]: 'queueName',
  [TOPIC]: 'topicName',
  [SUBSCRIPTION]: 'subscriptionName',
};

/** `queue chats-mining-queue`; undefined: the name is not known yet. */
function keyOf({ type, inputs }: Resource): string | undefined {
  const short = shortType(type);
  const name = look(inputs, NAME_INPUTS[short] ?? '');
  const topic = short === SUBSCRIPTION ? look(inputs, 'topicName') : undefined;
  if (typeof name !== 'string' || topic === UNKNOWN) return undefined;
  return entityKey(short.replace('servicebus:', '').toLowerCase(), name, typeof topic === 'string' ? topic : undefined);
}

function entityKey(kind: string, name: string, topic: string | undefined): string {
  return topic === undefined ? `${kind} ${name}` : `${kind} ${topic}/${name}`;
}

function keyOfEntity(entity: Entity): string {
  return entityKey(entity.kind, entity.name, entity.kind === 'subscription' ? entity.topic : undefined);
}

/** What the catalog asks for, by key. */
function wantedEntities({ miners }: Stack): ReadonlyMap<string, Entity> {
  return new Map(entitiesOf(miners).map((entity) => [keyOfEntity(entity), entity]));
}

/** A rule about one fact of an entity that the catalog decides. */
function asInCatalog(
  rule: Pick<ResourceRule, 'name' | 'what' | 'reason' | 'change'> & {
    readonly types: readonly string[];
    readonly compare: (resource: Resource, entity: Entity) => readonly Finding[];
  },
): ResourceRule {
  const { types, compare, ...texts } = rule;
  return {
    kind: 'resource',
    area: 'reliability',
    level: ALWAYS,
    applies: (type) => types.includes(shortType(type)),
    check: (resource, stack) => {
      const key = keyOf(resource);
      if (key === undefined) return [unseen(resource, NAME_INPUTS[shortType(resource.type)] ?? 'its name')];
      const entity = wantedEntities(stack).get(key);
      // What the catalog does not know is found by the rule "catalog-entities".
      return entity === undefined ? [] : compare(resource, entity);
    },
    ...texts,
  };
}

/** A finding where an input is not what the catalog says. */
function differs(
  resource: Resource,
  path: string,
  wanted: Value | undefined,
  read: (value: Value | undefined) => Value | undefined = (value) => value,
): readonly Finding[] {
  const value = look(resource.inputs, path);
  if (value === UNKNOWN) return [unseen(resource, path)];
  if (read(value) === wanted) return [];
  const message = `${path} must be ${shown(wanted)}, as the catalog says, is ${shown(value)}`;
  return [{ urn: resource.urn, message }];
}

const toMs = (value: Value | undefined): Value | undefined =>
  typeof value === 'string' ? durationMs(value) : undefined;

/** Azure's own default where nothing is said. */
const orFalse = (value: Value | undefined): Value | undefined => value ?? false;

const FIX_IN_CATALOG = 'Change runtime/core/route.ts or the miner, not the resource.';

/** Every queue, topic and subscription is what the catalog says. */
export const QUEUE_RULES: readonly ResourceRule[] = [
  asInCatalog({
    name: 'queue-dead-letters',
    what: 'A message that expires is kept as a dead letter.',
    reason: 'Microsoft, "Service Bus dead-letter queues", 2026: without it, what expires is gone in silence.',
    change: 'Set deadLetteringOnMessageExpiration to true.',
    types: RECEIVING,
    compare: (resource, entity) =>
      entity.kind === 'topic' ? [] : differs(resource, 'deadLetteringOnMessageExpiration', entity.deadLetterOnExpiry),
  }),
  asInCatalog({
    name: 'queue-delivery-count',
    what: 'A message is tried as often as the catalog says.',
    reason: 'Too few tries lose work to a restart, too many pay for a poisoned message.',
    change: FIX_IN_CATALOG,
    types: RECEIVING,
    compare: (resource, entity) =>
      entity.kind === 'topic' ? [] : differs(resource, 'maxDeliveryCount', entity.maxDeliveryCount),
  }),
  asInCatalog({
    name: 'queue-lock-duration',
    what: 'A message is locked for as long as the catalog says.',
    reason:
      'Article ch. 5, "Performance Tuning Cheat Sheet"; a lock shorter than a slice gives the same work to two instances.',
    change: FIX_IN_CATALOG,
    types: RECEIVING,
    compare: (resource, entity) =>
      entity.kind === 'topic' ? [] : differs(resource, 'lockDuration', entity.lockDurationMs, toMs),
  }),
  asInCatalog({
    name: 'queue-sessions',
    what: 'Sessions are on where the catalog says, and nowhere else.',
    reason:
      'Microsoft, "Message sessions", 2026: they cannot be switched later; one receiver per user is a bottleneck.',
    change: FIX_IN_CATALOG,
    types: RECEIVING,
    compare: (resource, entity) =>
      entity.kind === 'topic' ? [] : differs(resource, 'requiresSession', entity.requiresSession, orFalse),
  }),
  asInCatalog({
    name: 'queue-duplicate-detection',
    what: 'Duplicate detection is on where the catalog says, and nowhere else.',
    reason: 'The ledger finds duplicates; detection would swallow a message that is sent again on purpose.',
    change: FIX_IN_CATALOG,
    types: DETECTING,
    compare: (resource, entity) =>
      entity.kind === 'subscription'
        ? []
        : [
            ...differs(resource, 'requiresDuplicateDetection', entity.duplicateDetectionMs > 0, orFalse),
            ...(entity.duplicateDetectionMs > 0
              ? differs(resource, 'duplicateDetectionHistoryTimeWindow', entity.duplicateDetectionMs, toMs)
              : []),
          ],
  }),
  asInCatalog({
    name: 'queue-forwarding',
    what: 'Messages are forwarded where the catalog says, and nowhere else.',
    reason: 'Every envelope ends in one queue, and each hop is a billed operation.',
    change: FIX_IN_CATALOG,
    types: RECEIVING,
    compare: (resource, entity) => (entity.kind === 'topic' ? [] : differs(resource, 'forwardTo', entity.forwardTo)),
  }),
];

/** Everything that the catalog demands of the bus, and nothing else. */
export const ENTITY_RULE: StackRule = {
  kind: 'stack',
  name: 'catalog-entities',
  area: 'completeness',
  level: ALWAYS,
  what: 'Every queue, topic and subscription of the catalog exists, and no other.',
  reason: 'A queue that nobody fills is paid for, one that is missing loses work.',
  change: 'Change runtime/catalog.ts; the entities are derived from it.',
  check: (resources, stack) => {
    const entities = resources.filter(({ type }) => Object.hasOwn(NAME_INPUTS, shortType(type)));
    const keys = entities.map(keyOf);
    const wanted = wantedEntities(stack);
    const extra = entities.flatMap((resource, at): readonly Finding[] => {
      const key = keys[at];
      if (key === undefined) return [unseen(resource, NAME_INPUTS[shortType(resource.type)] ?? 'its name')];
      return wanted.has(key) ? [] : [{ urn: resource.urn, message: `the ${key} is not in the catalog` }];
    });
    // One whose name is not known yet may be any of those that are missing.
    if (keys.includes(undefined)) return extra;
    const missing = [...wanted.keys()].filter((key) => !keys.includes(key));
    return [...extra, ...missing.map((key) => ({ urn: undefined, message: `the ${key} is missing` }))];
  },
};
