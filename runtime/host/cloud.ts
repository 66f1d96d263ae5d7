import type { TokenCredential } from '@azure/identity';
import type { Miner } from '../core/miner.ts';
import type { Pipeline } from '../engine/pipeline.ts';
import type { Lake, Ledger, Log } from '../ports.ts';
import { CONNECTIONS } from '../connections.ts';
import type { Settings } from '../settings.ts';
import { openStorageAt } from './azure-storage.ts';
import { BadInput } from './bad-input.ts';
import { openCloudCache } from './cloud-cache.ts';
import { busText, type CloudConfig } from './cloud-config.ts';
import { releaseAll, type Release } from './release.ts';
import { openCloudSealing } from './sealing-keys.ts';
import { openWires } from './wires.ts';

/** What a cloud is opened with. */
export interface CloudOptions {
  readonly config: CloudConfig;
  readonly log: Log;
  /** Login of a person. Default: the identity that the configuration names; where only keys are used, none. */
  readonly credential?: TokenCredential;
}

/** What runs where, for people. */
export interface CloudFacts {
  readonly broker: string;
  readonly cache: string;
  readonly storage: string;
}

/** A deployed cloud, before anything is mined. */
export interface Cloud {
  readonly settings: Settings;
  /** Base URL of every upstream of the catalog. */
  readonly baseUrls: Readonly<Record<string, string>>;
  readonly ledger: Ledger;
  readonly lake: Lake;
  readonly facts: CloudFacts;
  openPipeline(miners: readonly Miner[]): Pipeline;
  /** Closes every connection. Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens bus, storage, cache and HTTP client of a deployed stack. Nothing is asked of them yet, unless storage is entered with a
 * key: then tables and container are made where they are missing, as for an emulator.
 * @throws BadInput when a login is needed and none is named, the sealing keys cannot be read, or a storage account with a key
 * does not answer.
 */
export async function openCloud(options: CloudOptions): Promise<Cloud> {
  const releases: Release[] = [];
  try {
    return await open(options, releases);
  } catch (error) {
    await releaseAll(releases);
    throw error;
  }
}

async function open(options: CloudOptions, releases: Release[]): Promise<Cloud> {
  const { config, log } = options;
  const { settings, bus, environment } = config;
  const credential = loginOf(config, options.credential);
  const storage = await openStorageAt(config.storage, () => credential);
  const { ledger, lake } = storage;
  releases.push(() => ledger.close());
  const sealing = await openCloudSealing({ ...environment, credential });
  const { text: cache, ...shared } = openCloudCache({ config, ledger, log, credential }, releases);
  const connect = 'namespace' in bus ? { fullyQualifiedNamespace: bus.namespace, credential } : bus;
  const { phaseFd } = environment;
  const openPipeline = openWires({ settings, log, connect, ledger, lake, sealing, ...shared, phaseFd }, releases);
  return {
    settings,
    baseUrls: config.baseUrls,
    ledger,
    lake,
    facts: { broker: busText(bus), cache, storage: storage.text },
    openPipeline: (miners) => openPipeline(miners, config.baseUrls),
    close: () => releaseAll(releases),
  };
}

/** Whether something of the stack is entered with a token; only emulators are not. */
export function needsLogin({ bus, storage, redis, environment }: CloudConfig): boolean {
  const isRedisEntered = redis !== undefined && 'host' in redis;
  return 'namespace' in bus || 'tablesUrl' in storage || isRedisEntered || environment.sealingKeysUrl !== undefined;
}

/** One login for everything. Its library is loaded with the first token, because that takes longer than the rest of the start. */
function loginOf(config: CloudConfig, credential: TokenCredential | undefined): TokenCredential {
  if (credential !== undefined) return credential;
  const { identityClientId } = config.environment;
  if (identityClientId === undefined && needsLogin(config)) {
    const { variable } = CONNECTIONS.identityClientId;
    throw new BadInput(`${variable} is missing: this process has no identity to enter the stack with. Next: pulumi up`);
  }
  let identity: Promise<TokenCredential> | undefined;
  return {
    getToken: async (scopes, options) => {
      identity ??= import('./managed-identity.ts').then((module) => module.managedIdentity(identityClientId ?? ''));
      return (await identity).getToken(scopes, options);
    },
  };
}
