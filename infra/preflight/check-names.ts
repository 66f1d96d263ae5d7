import type { Names } from '../stack-plan.ts';
import { errorText, memberOf, textOf } from './azure-api.ts';
import { type CheckContext, type Finding, unknown } from './checks.ts';

/** How to ask whether a name that is unique in all of Azure is free, and whether the stack has it already. */
interface GlobalName {
  readonly name: string;
  /** For example `Microsoft.Storage/storageAccounts`. */
  readonly type: string;
  /** Last segment of the path that is asked. */
  readonly action: string;
  /** What the body calls the type, when it wants one. */
  readonly bodyType?: string;
  readonly apiVersion: string;
}

/** Every name that must be unique in all of Azure is free, or this stack's own. */
export async function checkNames(context: CheckContext): Promise<Finding> {
  const check = 'names free';
  const names = globalNames(context.plan.names, context.plan.redis.kind);
  const outcomes = await Promise.all(names.map((name) => nameOutcome(context, name)));
  const taken = outcomes.filter((outcome) => outcome.kind === 'taken');
  if (taken.length > 0) {
    const { vault } = context.plan.names;
    const isVault = taken.some(({ name }) => name === vault);
    // A deleted vault keeps its name until it is purged; only its owner can do that.
    const purge = isVault ? `, or, when it is your own deleted vault, az keyvault purge -n ${vault}` : '';
    return {
      check,
      verdict: 'miss',
      text: taken.map(({ text }) => text).join('; '),
      next: `choose another adit:prefix in Pulumi.${context.config.stack}.yaml${purge}`,
    };
  }
  const unanswered = outcomes.find((outcome) => outcome.kind === 'unknown');
  if (unanswered !== undefined) return unknown(check, unanswered.text);
  const own = outcomes.filter((outcome) => outcome.kind === 'own').length;
  return { check, verdict: 'ok', text: own === 0 ? `${names.length}` : `${names.length}, ${own} are this stack's own` };
}

function globalNames(names: Names, redis: 'cache' | 'managed'): readonly GlobalName[] {
  const storage = (name: string): GlobalName => ({
    name,
    type: 'Microsoft.Storage/storageAccounts',
    action: 'checkNameAvailability',
    bodyType: 'Microsoft.Storage/storageAccounts',
    apiVersion: '2023-05-01',
  });
  return [
    storage(names.dataAccount),
    storage(names.hostAccount),
    {
      name: names.serviceBusNamespace,
      type: 'Microsoft.ServiceBus/namespaces',
      action: 'CheckNameAvailability',
      apiVersion: '2021-11-01',
    },
    {
      name: names.vault,
      type: 'Microsoft.KeyVault/vaults',
      action: 'checkNameAvailability',
      bodyType: 'Microsoft.KeyVault/vaults',
      apiVersion: '2023-07-01',
    },
    {
      name: names.functionApp,
      type: 'Microsoft.Web/sites',
      action: 'checknameavailability',
      bodyType: 'Site',
      apiVersion: '2024-04-01',
    },
    // The name of a managed Redis is unique in its region only, and nobody answers for it beforehand.
    ...(redis === 'cache' ? [classicRedis(names.redis)] : []),
  ];
}

function classicRedis(name: string): GlobalName {
  const type = 'Microsoft.Cache/Redis';
  return { name, type, action: 'CheckNameAvailability', bodyType: type, apiVersion: '2024-11-01' };
}

interface Outcome {
  readonly name: string;
  readonly kind: 'free' | 'own' | 'taken' | 'unknown';
  readonly text: string;
}

async function nameOutcome(context: CheckContext, wanted: GlobalName): Promise<Outcome> {
  const { api, subscriptionId } = context;
  const { name } = wanted;
  const [provider = '', kind = ''] = wanted.type.split('/');
  const path = `/subscriptions/${subscriptionId}/providers/${provider}/${wanted.action}?api-version=${wanted.apiVersion}`;
  const body = { name: wanted.name, ...(wanted.bodyType === undefined ? {} : { type: wanted.bodyType }) };
  const answer = await api.post(path, body);
  const isFree = memberOf(answer.body, 'nameAvailable');
  const isTaken = answer.status === 409 || (answer.status === 200 && isFree === false);
  if (!isTaken) {
    if (answer.status === 200) return { name, kind: 'free', text: name };
    return { name, kind: 'unknown', text: `${name}: ${errorText(answer)}` };
  }
  const group = context.plan.names.resourceGroup;
  const own = `/subscriptions/${subscriptionId}/resourceGroups/${group}/providers/${provider}/${kind}/${wanted.name}?api-version=${wanted.apiVersion}`;
  const mine = await api.get(own);
  if (mine.status === 200) return { name, kind: 'own', text: name };
  const why = answer.status === 200 ? textOf(answer.body, 'message') : errorText(answer);
  return { name, kind: 'taken', text: `${name} (${wanted.type}) is taken${why === '' ? '' : `: ${why}`}` };
}
