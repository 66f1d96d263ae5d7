import { AccessPolicyAssignment } from '@pulumi/azure-native/redis/accessPolicyAssignment.js';
import { Redis } from '@pulumi/azure-native/redis/redis.js';
import { AccessPolicyAssignment as ManagedAccessPolicyAssignment } from '@pulumi/azure-native/redisenterprise/accessPolicyAssignment.js';
import { Database } from '@pulumi/azure-native/redisenterprise/database.js';
import { RedisEnterprise } from '@pulumi/azure-native/redisenterprise/redisEnterprise.js';
import * as pulumi from '@pulumi/pulumi';
import { adviceHook, cacheAdvice } from './advice.ts';
import type { Place } from './place.ts';
import type { RedisPlan } from './stack-plan.ts';

/** Who may read and write the cache, beside the plan. */
export interface CacheArgs extends Place {
  /** Object id of the identity of the functions. */
  readonly functionsPrincipalId: pulumi.Input<string>;
}

/** Somebody who enters Redis with an Entra token. `name` has letters and digits only, as Azure wants it. */
interface CacheUser {
  readonly name: string;
  readonly objectId: pulumi.Input<string>;
}

interface BuiltCache {
  readonly id: pulumi.Output<string>;
  readonly host: pulumi.Output<string>;
}

type PlanOf<Kind extends RedisPlan['kind']> = Extract<RedisPlan, { kind: Kind }>;

/**
 * The checkpoint cache, as the configuration names it. Keys and plain text are off in both kinds.
 *
 * - `cache`: Azure Cache for Redis. Microsoft retires it on 2028-09-30, and a tenant without one from before 2026-04-01
 *   cannot create it (transcription of Microsoft's "Retirement FAQ", 2026-09-17). Standard C3 with two nodes: $328.50 a month.
 * - `managed`: Azure Managed Redis. B5 takes the place of C3: $227.76 a month with two nodes, $113.88 with one.
 *
 * Prices: East US, pay as you go, list of 2026-08-11. One line of `Pulumi.<stack>.yaml` switches: `adit:redis: managed-b5`.
 */
export class Cache extends pulumi.ComponentResource {
  readonly id: pulumi.Output<string>;
  /** Host and TLS port, for example `adit-dev.eastus.redis.azure.net:10000`. */
  readonly address: pulumi.Output<string>;

  constructor(name: string, args: CacheArgs, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:Cache', name, {}, options);
    const { redis } = args.plan;
    const built = redis.kind === 'cache' ? this.#cache(redis, args) : this.#managed(redis, args);
    this.id = built.id;
    this.address = pulumi.interpolate`${built.host}:${redis.port}`;
    this.registerOutputs({ address: this.address });
  }

  #cache({ family, capacity }: PlanOf<'cache'>, args: CacheArgs): BuiltCache {
    const { plan, resourceGroupName } = args;
    const redis = new Redis(
      'redis',
      {
        resourceGroupName,
        name: plan.names.redis,
        location: plan.location,
        sku: { name: family === 'C' ? 'Standard' : 'Premium', family, capacity },
        enableNonSslPort: false,
        minimumTlsVersion: '1.2',
        disableAccessKeyAuthentication: true,
        redisConfiguration: { aadEnabled: 'true', maxmemoryPolicy: 'volatile-lru' },
        tags: plan.tags,
      },
      { parent: this, hooks: { onError: [adviceHook('refused-cache', cacheAdvice)] } },
    );
    oneByOne(usersOf(args), ({ name, objectId }, dependsOn) => {
      const policy = { accessPolicyName: 'Data Contributor', accessPolicyAssignmentName: name };
      const who = { objectId, objectIdAlias: name };
      const args = { resourceGroupName, cacheName: redis.name, ...policy, ...who };
      return new AccessPolicyAssignment(name, args, { parent: this, dependsOn });
    });
    return { id: redis.id, host: redis.hostName };
  }

  #managed({ sku, isHighlyAvailable, port }: PlanOf<'managed'>, args: CacheArgs): BuiltCache {
    const { plan, resourceGroupName } = args;
    const cluster = new RedisEnterprise(
      'redis',
      {
        resourceGroupName,
        clusterName: plan.names.redis,
        location: plan.location,
        sku: { name: sku },
        highAvailability: isHighlyAvailable ? 'Enabled' : 'Disabled',
        minimumTlsVersion: '1.2',
        publicNetworkAccess: 'Enabled',
        tags: plan.tags,
      },
      { parent: this },
    );
    const database = new Database(
      'database',
      {
        resourceGroupName,
        clusterName: cluster.name,
        databaseName: 'default',
        port,
        clientProtocol: 'Encrypted',
        // One address for everybody: the client does not speak the cluster protocol.
        clusteringPolicy: 'EnterpriseCluster',
        evictionPolicy: 'VolatileLRU',
        accessKeysAuthentication: 'Disabled',
      },
      { parent: this },
    );
    oneByOne(usersOf(args), ({ name, objectId }, dependsOn) => {
      const policy = { accessPolicyName: 'default', accessPolicyAssignmentName: name };
      const where = { resourceGroupName, clusterName: cluster.name, databaseName: database.name };
      const args = { ...where, ...policy, user: { objectId } };
      return new ManagedAccessPolicyAssignment(name, args, { parent: this, dependsOn });
    });
    return { id: cluster.id, host: cluster.hostName };
  }
}

function usersOf({ plan, functionsPrincipalId }: CacheArgs): readonly CacheUser[] {
  const developers = plan.developers.map((objectId) => ({
    name: `developer${objectId.replaceAll('-', '')}`,
    objectId,
  }));
  return [{ name: 'functions', objectId: functionsPrincipalId }, ...developers];
}

/** A Redis answers 409 to a second change while one is under way. */
function oneByOne<Item>(
  items: readonly Item[],
  register: (item: Item, dependsOn: pulumi.Resource[]) => pulumi.Resource,
): void {
  let before: pulumi.Resource[] = [];
  for (const item of items) before = [register(item, before)];
}
