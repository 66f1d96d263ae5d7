import { errorText } from './azure-api.ts';
import { type CheckContext, type Finding, unknown } from './checks.ts';

/**
 * Azure would create this cache for this tenant. Asked by validating a deployment, which creates nothing; Azure may still
 * refuse at the creation itself.
 */
export async function checkRedis(context: CheckContext): Promise<Finding> {
  const { api, subscriptionId, config, plan } = context;
  const check = `Redis ${config.redis} creatable`;
  const path = `/subscriptions/${subscriptionId}/providers/Microsoft.Resources/deployments/adit-preflight/validate?api-version=2022-09-01`;
  const answer = await api.post(path, {
    location: config.location,
    properties: { mode: 'Incremental', template: templateOf(context) },
  });
  if (answer.status === 200) return { check, verdict: 'ok', text: 'Azure accepts it in a validation' };
  if (answer.status !== 400 && answer.status !== 409) return unknown(check, errorText(answer));
  const next =
    plan.redis.kind === 'cache'
      ? `pulumi config set adit:redis managed-b5 -s ${config.stack} (Azure Cache for Redis takes new caches only in tenants that had one before 2026-04-01)`
      : `choose another adit:redis in Pulumi.${config.stack}.yaml, or another region`;
  return { check, verdict: 'miss', text: errorText(answer), next };
}

function templateOf({ config, plan }: CheckContext): object {
  const group = plan.names.resourceGroup;
  const { redis } = plan;
  const resource =
    redis.kind === 'cache'
      ? {
          type: 'Microsoft.Cache/redis',
          apiVersion: '2024-11-01',
          properties: { sku: { name: 'Standard', family: redis.family, capacity: redis.capacity } },
        }
      : {
          type: 'Microsoft.Cache/redisEnterprise',
          apiVersion: '2025-07-01',
          sku: { name: redis.sku },
          properties: { publicNetworkAccess: 'Enabled' },
        };
  const inner = {
    $schema: 'https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#',
    contentVersion: '1.0.0.0',
    resources: [{ ...resource, name: plan.names.redis, location: config.location }],
  };
  return {
    $schema: 'https://schema.management.azure.com/schemas/2018-05-01/subscriptionDeploymentTemplate.json#',
    contentVersion: '1.0.0.0',
    resources: [
      { type: 'Microsoft.Resources/resourceGroups', apiVersion: '2024-03-01', name: group, location: config.location },
      {
        type: 'Microsoft.Resources/deployments',
        apiVersion: '2022-09-01',
        name: 'adit-preflight-redis',
        resourceGroup: group,
        dependsOn: [`[subscriptionResourceId('Microsoft.Resources/resourceGroups', '${group}')]`],
        properties: { mode: 'Incremental', template: inner },
      },
    ],
  };
}
