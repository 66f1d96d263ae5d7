import type { StackConfig } from '../stack-config.ts';
import type { StackPlan } from '../stack-plan.ts';
import { type AzureApi, elementsOf, errorText, memberOf, textOf } from './azure-api.ts';
import { checkNames } from './check-names.ts';
import { checkRedis } from './check-redis.ts';
import {
  type CheckContext,
  checkNode,
  checkProviders,
  checkRegion,
  checkRights,
  type Finding,
  unknown,
} from './checks.ts';

/** What preflight works with. */
export interface PreflightOptions {
  readonly api: AzureApi;
  readonly config: StackConfig;
  readonly plan: StackPlan;
  /** The subscription that the configuration or the environment names; undefined: the only one of the login. */
  readonly subscriptionId: string | undefined;
}

const CHECKS = [
  ['providers registered', checkProviders],
  ['right to assign roles', checkRights],
  ['Flex Consumption in the region', checkRegion],
  ['Node on Flex', checkNode],
  ['names free', checkNames],
  ['Redis creatable', checkRedis],
] as const;

/**
 * Asks Azure, with the person's own login, whether `pulumi up` can work. Changes nothing. The first finding is the
 * subscription; without it nothing else is asked.
 */
export async function* preflight(options: PreflightOptions): AsyncIterable<Finding> {
  const subscription = await findSubscription(options);
  yield subscription.finding;
  if (subscription.id === undefined) return;
  const context: CheckContext = { ...options, subscriptionId: subscription.id };
  const running = CHECKS.map(async ([name, check]): Promise<Finding> => {
    try {
      return await check(context);
    } catch (error) {
      // Not reached is not the same as refused.
      return unknown(name, error instanceof Error ? error.message : String(error));
    }
  });
  for (const finding of running) yield await finding;
}

async function findSubscription(options: PreflightOptions): Promise<{ id: string | undefined; finding: Finding }> {
  const check = 'subscription';
  const { api, subscriptionId, config } = options;
  const choose = `pulumi config set azure-native:subscriptionId <id> -s ${config.stack}`;
  const miss = (text: string, next: string) => ({
    id: undefined,
    finding: { check, verdict: 'miss' as const, text, next },
  });
  if (subscriptionId !== undefined) {
    const answer = await api.get(`/subscriptions/${subscriptionId}?api-version=2022-12-01`);
    if (answer.status !== 200) return miss(`${subscriptionId}: ${errorText(answer)}`, `az login, or ${choose}`);
    return { id: subscriptionId, finding: { check, verdict: 'ok', text: nameOf(answer.body) } };
  }
  const answer = await api.get('/subscriptions?api-version=2022-12-01');
  if (answer.status !== 200) return miss(errorText(answer), 'az login');
  const subscriptions = elementsOf(memberOf(answer.body, 'value'));
  if (subscriptions.length === 0) return miss('this login sees none', 'az login --tenant <tenant>');
  if (subscriptions.length > 1)
    return miss(`this login sees ${subscriptions.length}: ${subscriptions.map(nameOf).join(', ')}`, choose);
  const [only] = subscriptions;
  return { id: textOf(only, 'subscriptionId'), finding: { check, verdict: 'ok', text: nameOf(only) } };
}

function nameOf(subscription: unknown): string {
  return `${textOf(subscription, 'displayName')} (${textOf(subscription, 'subscriptionId')})`;
}
