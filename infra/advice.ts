import * as pulumi from '@pulumi/pulumi';

/** An operation of a resource that Azure refused. */
export interface Refusal {
  readonly failedOperation: string;
  /** What Azure said, newest first. */
  readonly errors: readonly string[];
}

/**
 * A hook that says beside Azure's error what a person can do about it. It changes nothing and tries nothing again.
 * @param name unique in the program.
 */
export function adviceHook(name: string, adviceOf: (refusal: Refusal) => string | undefined): pulumi.ErrorHook {
  return new pulumi.ErrorHook(name, async (refusal) => {
    const advice = adviceOf(refusal);
    if (advice !== undefined) await pulumi.log.error(advice);
    return false;
  });
}

/** Another kind of cache would not mend these: codes of Azure Resource Manager, and the words of a network that does not answer. */
const OTHER_CAUSES =
  /NameNotAvailable|NameInUse|NameAlreadyExists|AuthorizationFailed|MissingSubscriptionRegistration|TooManyRequests|OperationInProgress|InternalServerError|ServiceUnavailable|Conflict|timeout|deadline exceeded|connection re(?:set|fused)/i;

/** What to do when an Azure Cache for Redis cannot be created for what it is. */
export function cacheAdvice({ failedOperation, errors }: Refusal): string | undefined {
  const [newest = ''] = errors;
  if (failedOperation !== 'create' || OTHER_CAUSES.test(newest)) return undefined;
  return [
    'Azure refused to create an Azure Cache for Redis (adit:redis: standard-c3). It retires on 2028-09-30, and a tenant that had',
    'none before 2026-04-01 may not create one. Azure Managed Redis has the same size:',
    '  pulumi config set adit:redis managed-b5',
    'Then run "pulumi up" again; what was created stays and is not created twice.',
  ].join('\n');
}

/** What to do when the name of a vault is held by one that was deleted: Azure keeps it for days, so that it can be brought back. */
export function vaultAdvice(vaultName: string, { failedOperation, errors }: Refusal): string | undefined {
  const [newest = ''] = errors;
  if (failedOperation !== 'create' || !/deleted state|soft.?deleted|VaultAlreadyExists/i.test(newest)) return undefined;
  return [
    `The name of the key vault ${vaultName} is taken, perhaps by one that was deleted and can still be brought back.`,
    `If nothing in it is needed: az keyvault purge --name ${vaultName}`,
    'Then run "pulumi up" again; what was created stays and is not created twice.',
  ].join('\n');
}
