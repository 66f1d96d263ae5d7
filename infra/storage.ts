import { BlobContainer } from '@pulumi/azure-native/storage/blobContainer.js';
import { BlobServiceProperties } from '@pulumi/azure-native/storage/blobServiceProperties.js';
import { ManagementPolicy } from '@pulumi/azure-native/storage/managementPolicy.js';
import { StorageAccount } from '@pulumi/azure-native/storage/storageAccount.js';
import { Table } from '@pulumi/azure-native/storage/table.js';
import * as pulumi from '@pulumi/pulumi';
import { keptOptions, type Place } from './place.ts';

/** What others need of an account. */
interface Account {
  readonly id: pulumi.Output<string>;
  readonly name: pulumi.Output<string>;
}

/**
 * Two accounts, because they live differently: ledger and lake are kept, and may be zone-redundant; what the function host
 * needs (packages, locks of timers) can be made again. Keys are off in both.
 */
export class Storage extends pulumi.ComponentResource {
  readonly data: Account;
  readonly host: Account;
  /** Table endpoint of the ledger, without a slash at the end. */
  readonly tablesUrl: pulumi.Output<string>;
  /** Container of the lake. */
  readonly lakeUrl: pulumi.Output<string>;
  /** Container of the deployed packages. */
  readonly deploymentUrl: pulumi.Output<string>;

  constructor(name: string, place: Place, options?: pulumi.ComponentResourceOptions) {
    super('adit:infra:Storage', name, {}, options);
    const { plan } = place;
    const data = this.#data(place);
    const host = this.#host(place);
    this.data = { id: data.id, name: data.name };
    this.host = { id: host.id, name: host.name };
    this.tablesUrl = data.primaryEndpoints.apply(({ table }) => withoutSlash(table));
    this.lakeUrl = containerUrl(data, plan.storage.lakeContainer);
    this.deploymentUrl = containerUrl(host, plan.storage.deploymentContainer);
    this.registerOutputs({ tablesUrl: this.tablesUrl, lakeUrl: this.lakeUrl });
  }

  #data(place: Place): StorageAccount {
    const { plan, resourceGroupName } = place;
    const kept = keptOptions(plan, this);
    const args = accountArgs(place, plan.names.dataAccount, plan.storage.dataSku);
    const account = new StorageAccount('data', args, kept);
    const where = { resourceGroupName, accountName: account.name };
    for (const tableName of plan.storage.tables) new Table(tableName, { ...where, tableName }, kept);
    const retention = { enabled: true, days: plan.storage.softDeleteDays };
    const service = new BlobServiceProperties(
      'data-blobs',
      {
        ...where,
        blobServicesName: 'default',
        deleteRetentionPolicy: retention,
        containerDeleteRetentionPolicy: retention,
      },
      { parent: this },
    );
    const containerName = plan.storage.lakeContainer;
    const lake = new BlobContainer(containerName, { ...where, containerName, publicAccess: 'None' }, kept);
    new ManagementPolicy(
      'data-tiers',
      { ...where, managementPolicyName: 'default', policy: tiers(place) },
      {
        parent: this,
        // Azure takes one change of an account's blob service at a time.
        dependsOn: [service, lake],
      },
    );
    return account;
  }

  #host(place: Place): StorageAccount {
    const { plan, resourceGroupName } = place;
    const args = accountArgs(place, plan.names.hostAccount, 'Standard_LRS');
    const account = new StorageAccount('host', args, { parent: this });
    const containerName = plan.storage.deploymentContainer;
    const where = { resourceGroupName, accountName: account.name };
    new BlobContainer(containerName, { ...where, containerName, publicAccess: 'None' }, { parent: this });
    return account;
  }
}

function accountArgs({ plan, resourceGroupName }: Place, accountName: string, skuName: string) {
  return {
    resourceGroupName,
    accountName,
    location: plan.location,
    kind: 'StorageV2',
    sku: { name: skuName },
    allowSharedKeyAccess: false,
    allowBlobPublicAccess: false,
    defaultToOAuthAuthentication: true,
    enableHttpsTrafficOnly: true,
    minimumTlsVersion: 'TLS1_2',
    tags: plan.tags,
  };
}

/** Objects of the lake are written once and read less and less. */
function tiers({ plan }: Place) {
  const { lakeContainer, coolAfterDays, archiveAfterDays, coldestTier } = plan.storage;
  const lastMove = { daysAfterModificationGreaterThan: archiveAfterDays };
  const baseBlob = {
    tierToCool: { daysAfterModificationGreaterThan: coolAfterDays },
    ...(coldestTier === 'archive' ? { tierToArchive: lastMove } : { tierToCold: lastMove }),
  };
  const filters = { blobTypes: ['blockBlob'], prefixMatch: [`${lakeContainer}/`] };
  return {
    rules: [{ name: 'lake', enabled: true, type: 'Lifecycle', definition: { actions: { baseBlob }, filters } }],
  };
}

function containerUrl(account: StorageAccount, container: string): pulumi.Output<string> {
  return account.primaryEndpoints.apply(({ blob }) => `${withoutSlash(blob)}/${container}`);
}

function withoutSlash(url: string): string {
  return url.replace(/\/$/, '');
}
