import {
  durationSeconds,
  IN_GROUP,
  type Inputs,
  number,
  outside,
  type Around,
  type Refusal,
  type ResourceKind,
  text,
  when,
} from './resource-kind.ts';

const NAMESPACE = `${IN_GROUP}/Microsoft.ServiceBus/namespaces/{namespaceName}`;
const DAY_SECONDS = 86_400;

/** Name of an entity: any letters, digits, dots, hyphens, underscores, slashes, with a letter or digit at both ends. */
const entityName = (max: number): NonNullable<ResourceKind['name']> => ({
  pattern: new RegExp(`^(?=.{1,${max}}$)[A-Za-z0-9]([\\w.\\-/~]*[A-Za-z0-9_])?$`),
  rule: `1 to ${max} letters, digits, periods, hyphens and underscores, beginning and ending with a letter or digit`,
});

/** Service Bus. */
export const MESSAGING: Readonly<Record<string, ResourceKind>> = {
  'azure-native:servicebus:Namespace': {
    path: NAMESPACE,
    type: 'Microsoft.ServiceBus/Namespaces',
    name: {
      pattern: /^(?=.{6,50}$)[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]$(?<!-sb|-mgmt)/,
      rule: '6 to 50 letters, digits and hyphens, beginning with a letter and ending with a letter or digit',
    },
    isGlobal: true,
    refuse: (inputs) => [
      when(
        ['1.0', '1.1'].includes(text(inputs, 'minimumTlsVersion') ?? '1.2'),
        'BadRequest',
        'MinimumTlsVersion must be 1.2 or higher: TLS 1.0 and 1.1 are retired.',
      ),
      when(
        inputs['premiumMessagingPartitions'] !== undefined && text(inputs, 'sku', 'name') !== 'Premium',
        'BadRequest',
        'PremiumMessagingPartitions can be set in the Premium tier only.',
      ),
    ],
    outputs: (inputs) => ({
      serviceBusEndpoint: `https://${text(inputs, 'namespaceName')}.servicebus.windows.net:443/`,
      status: 'Active',
    }),
  },
  'azure-native:servicebus:Queue': {
    path: `${NAMESPACE}/queues/{queueName}`,
    type: 'Microsoft.ServiceBus/namespaces/queues',
    name: entityName(260),
    fixed: ['requiresSession', 'requiresDuplicateDetection', 'enablePartitioning'],
    refuse: (inputs, around) => [...entityRefusals(inputs, around), basicRefusal(inputs, around, 'queue')],
    outputs: () => ({ messageCount: 0, sizeInBytes: 0, status: 'Active' }),
  },
  'azure-native:servicebus:Topic': {
    path: `${NAMESPACE}/topics/{topicName}`,
    type: 'Microsoft.ServiceBus/namespaces/topics',
    name: entityName(260),
    fixed: ['requiresDuplicateDetection', 'enablePartitioning'],
    refuse: (inputs, around) => [...entityRefusals(inputs, around), basicRefusal(inputs, around, 'topic')],
    outputs: () => ({ subscriptionCount: 0, sizeInBytes: 0, status: 'Active' }),
  },
  'azure-native:servicebus:Subscription': {
    path: `${NAMESPACE}/topics/{topicName}/subscriptions/{subscriptionName}`,
    type: 'Microsoft.ServiceBus/namespaces/topics/subscriptions',
    name: entityName(50),
    fixed: ['requiresSession'],
    refuse: entityRefusals,
    outputs: () => ({ messageCount: 0, status: 'Active' }),
  },
};

function namespaceOf(inputs: Inputs, around: Around): string {
  return (
    `/subscriptions/${around.subscriptionId}/resourceGroups/${text(inputs, 'resourceGroupName')}` +
    `/providers/Microsoft.ServiceBus/namespaces/${text(inputs, 'namespaceName')}`
  );
}

function basicRefusal(inputs: Inputs, around: Around, entity: 'queue' | 'topic'): Refusal | undefined {
  const tier = text(around.find(namespaceOf(inputs, around))?.inputs, 'sku', 'name');
  const wantsMore =
    entity === 'topic' || inputs['requiresSession'] === true || inputs['requiresDuplicateDetection'] === true;
  return when(
    tier === 'Basic' && wantsMore,
    'MessagingGatewayBadRequest',
    `SubCode=40000. Cannot operate on type ${entity} because the namespace is using 'Basic' tier.`,
  );
}

function entityRefusals(inputs: Inputs, around: Around): readonly (Refusal | undefined)[] {
  const target = text(inputs, 'forwardTo');
  const namespace = namespaceOf(inputs, around);
  const isThere = (name: string): boolean =>
    around.find(`${namespace}/queues/${name}`) !== undefined ||
    around.find(`${namespace}/topics/${name}`) !== undefined;
  return [
    duration(inputs, 'lockDuration', 5, 300),
    duration(inputs, 'defaultMessageTimeToLive', 1, Number.POSITIVE_INFINITY),
    duration(inputs, 'duplicateDetectionHistoryTimeWindow', 20, 7 * DAY_SECONDS),
    duration(inputs, 'autoDeleteOnIdle', 300, Number.POSITIVE_INFINITY),
    outside(number(inputs, 'maxDeliveryCount'), [1, 2000], 'MaxDeliveryCount'),
    when(
      target !== undefined && !isThere(target),
      'MessagingGatewayBadRequest',
      `SubCode=40000. The forwarding destination entity '${target}' does not exist.`,
    ),
    when(
      target !== undefined && inputs['requiresSession'] === true,
      'MessagingGatewayBadRequest',
      'SubCode=40000. Auto-forwarding is not supported for entities that require sessions.',
    ),
  ];
}

function duration(inputs: Inputs, name: string, min: number, max: number): Refusal | undefined {
  const value = text(inputs, name);
  if (value === undefined) return undefined;
  const seconds = durationSeconds(value);
  const range = Number.isFinite(max) ? `${min}..${max}` : `${min} or more`;
  return when(
    seconds === undefined || seconds < min || seconds > max,
    'MessagingGatewayBadRequest',
    `SubCode=40000. The value '${value}' of ${name} is no ISO 8601 duration of ${range} seconds.`,
  );
}
