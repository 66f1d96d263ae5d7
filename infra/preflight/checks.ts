import type { StackConfig } from '../stack-config.ts';
import type { StackPlan } from '../stack-plan.ts';
import { type AzureApi, elementsOf, errorText, memberOf, textOf } from './azure-api.ts';

/** `miss`: `pulumi up` would fail · `unknown`: Azure could not be asked, which is not the same as no. */
export type Verdict = 'ok' | 'miss' | 'unknown';

/** What one check found. `next` says what to do about a miss. */
export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  readonly text: string;
  readonly next?: string;
}

/** What the checks work with. */
export interface CheckContext {
  readonly api: AzureApi;
  readonly subscriptionId: string;
  readonly config: StackConfig;
  readonly plan: StackPlan;
}

/** Resource providers that the program uses. */
export const PROVIDERS = [
  'Microsoft.Cache',
  'Microsoft.Consumption',
  'Microsoft.Insights',
  'Microsoft.KeyVault',
  'Microsoft.ManagedIdentity',
  'Microsoft.OperationalInsights',
  'Microsoft.ServiceBus',
  'Microsoft.Storage',
  'Microsoft.Web',
] as const;

/** What the login must be allowed to do in the subscription, and why. */
const ACTIONS = [
  ['Microsoft.Resources/subscriptions/resourceGroups/write', 'create the resource group'],
  ['Microsoft.Authorization/roleAssignments/write', 'grant the roles of the identities'],
] as const;

/** Every provider that the program uses is registered. */
export async function checkProviders({ api, subscriptionId }: CheckContext): Promise<Finding> {
  const check = 'providers registered';
  const answer = await api.get(`/subscriptions/${subscriptionId}/providers?api-version=2021-04-01&$top=500`);
  if (answer.status !== 200) return unknown(check, errorText(answer));
  const states = new Map(
    elementsOf(memberOf(answer.body, 'value')).map((provider) => [
      textOf(provider, 'namespace').toLowerCase(),
      textOf(provider, 'registrationState'),
    ]),
  );
  const missing = PROVIDERS.filter((name) => states.get(name.toLowerCase()) !== 'Registered');
  if (missing.length === 0) return { check, verdict: 'ok', text: `${PROVIDERS.length} of ${PROVIDERS.length}` };
  return {
    check,
    verdict: 'miss',
    text: `not registered: ${missing.join(', ')}`,
    next: missing.map((name) => `az provider register --wait -n ${name}`).join(' && '),
  };
}

/** The login may create the resource group and assign roles. */
export async function checkRights({ api, subscriptionId }: CheckContext): Promise<Finding> {
  const check = 'right to assign roles';
  const path = `/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01`;
  const answer = await api.get(path);
  if (answer.status !== 200) return unknown(check, errorText(answer));
  const grants = elementsOf(memberOf(answer.body, 'value'));
  const missing = ACTIONS.filter(([action]) => !grants.some((grant) => isAllowed(grant, action)));
  if (missing.length === 0) return { check, verdict: 'ok', text: 'resource groups and role assignments' };
  return {
    check,
    verdict: 'miss',
    text: `this login may not ${missing.map(([action, why]) => `${why} (${action})`).join(', nor ')}`,
    next: `ask an owner: az role assignment create --role "Role Based Access Control Administrator" --scope /subscriptions/${subscriptionId} --assignee <you>, beside Contributor`,
  };
}

/** Actions have `*` anywhere and no case; an action is allowed by one grant that does not take it back itself. */
function isAllowed(grant: unknown, action: string): boolean {
  const matches = (list: string): boolean =>
    elementsOf(memberOf(grant, list)).some((pattern) => typeof pattern === 'string' && patternOf(pattern).test(action));
  return matches('actions') && !matches('notActions');
}

function patternOf(action: string): RegExp {
  const escaped = action.replaceAll(/[.+?^${}()|[\]\\]/g, String.raw`\$&`).replaceAll('*', '.*');
  return new RegExp(`^${escaped}$`, 'i');
}

/** The region has Flex Consumption. */
export async function checkRegion({ api, subscriptionId, config }: CheckContext): Promise<Finding> {
  const check = 'Flex Consumption in the region';
  const path = `/subscriptions/${subscriptionId}/providers/Microsoft.Web/geoRegions?sku=FlexConsumption&api-version=2024-04-01`;
  const answer = await api.get(path);
  if (answer.status !== 200) return unknown(check, errorText(answer));
  const regions = elementsOf(memberOf(answer.body, 'value')).map((region) => regionOf(textOf(region, 'name')));
  if (regions.includes(regionOf(config.location))) return { check, verdict: 'ok', text: config.location };
  return {
    check,
    verdict: 'miss',
    text: `${config.location} has none; it is in ${regions.toSorted().join(', ')}`,
    next: `pulumi config set azure-native:location <one of them> -s ${config.stack}`,
  };
}

function regionOf(name: string): string {
  return name.toLowerCase().replaceAll(' ', '');
}

/** The region's catalogue has the version of Node that the app asks for; a wrong one fails only after the deployment. */
export async function checkNode({ api, config, plan }: CheckContext): Promise<Finding> {
  const { nodeVersion } = plan.compute;
  const check = `Node ${nodeVersion} on Flex`;
  const path = `/providers/Microsoft.Web/locations/${config.location}/functionAppStacks?stackOsType=Linux&api-version=2024-04-01`;
  const answer = await api.get(path);
  if (answer.status !== 200) return unknown(check, errorText(answer));
  const versions = flexNodeVersions(answer.body);
  if (versions.includes(nodeVersion)) return { check, verdict: 'ok', text: `of ${versions.join(', ')}` };
  return {
    check,
    verdict: 'miss',
    text: `${config.location} has ${versions.length === 0 ? 'no Node on Flex' : versions.join(', ')}`,
    next: 'set FUNCTIONS_NODE in infra/node-version.ts to one of them',
  };
}

function flexNodeVersions(body: unknown): readonly string[] {
  const node = elementsOf(memberOf(body, 'value'))
    .map((stack) => memberOf(stack, 'properties'))
    .filter((properties) => memberOf(properties, 'value') === 'node');
  const minors = node
    .flatMap((properties) => elementsOf(memberOf(properties, 'majorVersions')))
    .flatMap((major) => elementsOf(memberOf(major, 'minorVersions')));
  const versions = minors.flatMap((minor) => {
    const linux = memberOf(memberOf(minor, 'stackSettings'), 'linuxRuntimeSettings');
    const flex = elementsOf(memberOf(linux, 'Sku')).filter((sku) => memberOf(sku, 'skuCode') === 'FC1');
    return flex.map((sku) => textOf(memberOf(memberOf(sku, 'functionAppConfigProperties'), 'runtime'), 'version'));
  });
  return [...new Set(versions)].toSorted((left, right) => Number(left) - Number(right));
}

/** The answer to a question that Azure did not answer. */
export function unknown(check: string, why: string): Finding {
  return { check, verdict: 'unknown', text: `Azure did not say: ${why}` };
}
