import { Secret } from '@pulumi/azure-native/keyvault/secret.js';
import { Vault as KeyVault } from '@pulumi/azure-native/keyvault/vault.js';
import * as pulumi from '@pulumi/pulumi';
import { adviceHook, vaultAdvice } from './advice.ts';
import { keptOptions, type Place } from './place.ts';
import { SealingKey } from './sealing-key.ts';

/** Name of the secret that holds the sealing keys. */
const SEALING_SECRET = 'sealing-keys';

/** Days that a deleted vault can be brought back: Azure's most where data is kept, its least elsewhere. */
const RECOVERY_DAYS = { kept: 90, loose: 7 } as const;

/** Where the vault is, beside the plan. */
export interface VaultArgs extends Place {
  readonly tenantId: pulumi.Input<string>;
}

/** Key vault with the keys that seal users' tokens. Access is by role; there are no access policies. */
export class Vault extends pulumi.ComponentResource {
  readonly id: pulumi.Output<string>;
  /** The secret with the sealing keys, without a version: its newest one. */
  readonly sealingKeysUrl: pulumi.Output<string>;
  /** What an application setting holds in the place of the keys. By name, so that a preview shows that it is no key. */
  readonly sealingKeysReference: string;

  constructor(
    name: string,
    { plan, resourceGroupName, tenantId }: VaultArgs,
    options?: pulumi.ComponentResourceOptions,
  ) {
    super('adit:infra:Vault', name, {}, options);
    const kept = keptOptions(plan, this);
    const vault = new KeyVault(
      'vault',
      {
        resourceGroupName,
        vaultName: plan.names.vault,
        location: plan.location,
        properties: {
          tenantId,
          sku: { family: 'A', name: 'standard' },
          enableRbacAuthorization: true,
          enableSoftDelete: true,
          softDeleteRetentionInDays: plan.keepsData ? RECOVERY_DAYS.kept : RECOVERY_DAYS.loose,
          // Azure takes true or nothing: once on, it cannot be turned off.
          ...(plan.keepsData ? { enablePurgeProtection: true } : {}),
        },
        tags: plan.tags,
      },
      { ...kept, hooks: { onError: [adviceHook('taken-vault', (refusal) => vaultAdvice(plan.names.vault, refusal))] } },
    );
    const key = new SealingKey('sealing-key', { parent: this });
    new Secret(
      SEALING_SECRET,
      {
        resourceGroupName,
        vaultName: vault.name,
        secretName: SEALING_SECRET,
        properties: { value: key.value, contentType: 'text/plain' },
        tags: plan.tags,
      },
      {
        ...kept,
        // "adit users rotate-key" writes newer versions. The first one must never come back over them, and an update of anything,
        // be it a tag, would send it again.
        ignoreChanges: ['properties', 'tags'],
        // Only a role on the secrets themselves may delete one, which whoever deploys has not; it goes with the vault.
        deletedWith: vault,
      },
    );
    this.id = vault.id;
    this.sealingKeysReference = `@Microsoft.KeyVault(VaultName=${plan.names.vault};SecretName=${SEALING_SECRET})`;
    this.sealingKeysUrl = vault.properties.apply(({ vaultUri }) => new URL(`secrets/${SEALING_SECRET}`, vaultUri).href);
    this.registerOutputs({ sealingKeysUrl: this.sealingKeysUrl });
  }
}
