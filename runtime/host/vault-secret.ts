import type { TokenCredential } from '@azure/identity';
import type { SecretClient } from '@azure/keyvault-secrets';
import { BadInput } from './bad-input.ts';

/** One call to the vault with its retries, in ms. */
const CALL_LIMIT_MS = 20_000;

const RETRIES = { maxRetries: 3, retryDelayInMs: 200, maxRetryDelayInMs: 2000 };

/** A vault on this machine is a test's, whose challenge cannot name Azure's domain. */
const LOOPBACK = new Set(['127.0.0.1', 'localhost', '[::1]']);

/** A login, or what makes one. */
export type Login = TokenCredential | (() => Promise<TokenCredential>);

/** One secret of a vault. */
export interface VaultSecret {
  /** Its newest version and when that was made (epoch in ms, by the vault's clock). @throws BadInput */
  read(): Promise<{ readonly value: string; readonly changedAtMs: number }>;
  /** Makes a new version. Not known to have failed when it rejects: read it again. @throws BadInput */
  write(value: string): Promise<void>;
}

/**
 * A secret by its address, `https://<vault>/secrets/<name>`. The client is loaded at the first call.
 * @throws BadInput when that is no such address.
 */
export function openVaultSecret(address: string, credential: Login): VaultSecret {
  const url = URL.parse(address);
  const name = /^\/secrets\/([0-9A-Za-z-]{1,127})\/?$/.exec(url?.pathname ?? '')?.[1];
  if (url?.protocol !== 'https:' || name === undefined) {
    throw new BadInput(
      `a secret's address must be https://<vault>/secrets/<name> without a version, got ${JSON.stringify(address)}`,
    );
  }
  let opened: Promise<SecretClient> | undefined;
  const call = async <T>(work: (client: SecretClient, abortSignal: AbortSignal) => Promise<T>): Promise<T> => {
    opened ??= openClient(url, credential);
    const client = await opened.catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    try {
      return await work(client, AbortSignal.timeout(CALL_LIMIT_MS));
    } catch (cause) {
      throw new BadInput(`the secret ${address} ${whyNot(cause)}`, { cause });
    }
  };
  return {
    read: () =>
      call(async (client, abortSignal) => {
        const { value = '', properties } = await client.getSecret(name, { abortSignal });
        return { value, changedAtMs: (properties.createdOn ?? properties.updatedOn)?.getTime() ?? 0 };
      }),
    write: (value) =>
      call(async (client, abortSignal) => {
        // A new version starts without what the older one was labelled with.
        const { properties } = await client.getSecret(name, { abortSignal });
        const { contentType, tags } = properties;
        await client.setSecret(name, value, {
          abortSignal,
          ...(contentType === undefined ? {} : { contentType }),
          ...(tags === undefined ? {} : { tags }),
        });
      }),
  };
}

async function openClient(url: URL, login: Login): Promise<SecretClient> {
  const { SecretClient } = await import('@azure/keyvault-secrets');
  const credential = typeof login === 'function' ? await login() : login;
  return new SecretClient(url.origin, credential, {
    retryOptions: RETRIES,
    disableChallengeResourceVerification: LOOPBACK.has(url.hostname),
  });
}

/** By status: what the service says may be long, and a person needs the next step. */
function whyNot(error: unknown): string {
  const { statusCode, code, name } = error as { statusCode?: number; code?: string; name?: string };
  if (statusCode === 401 || statusCode === 403) {
    return `is not open to this login (${statusCode}). Next: log in with "az login", and have the role "Key Vault Secrets User" to read it or "Key Vault Secrets Officer" to rotate keys`;
  }
  if (statusCode === 404) return 'does not exist (404). Next: pulumi up';
  if (statusCode === undefined && /Authentication|CredentialUnavailable/.test(name ?? '')) {
    return 'needs a login, and there is none. Next: az login';
  }
  return `cannot be reached (${statusCode ?? code ?? name ?? 'failed'}). Next: check the address and the network, then try again`;
}
