import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { redactText } from '../runtime/core/redact.ts';
import { sha256 } from './archive.ts';
import { publish } from './publish.ts';
import { RUN_AGAIN } from './publish-error.ts';
import { LOCAL_PUBLISH_LIMITS, PUBLISH_LIMITS } from './publish-limits.ts';

/** A deployment as the Pulumi engine hands it over: plain values. */
export interface CodeDeploymentValues {
  /** Name of the function app. */
  readonly appName: string;
  /** Host of the app, for example `adit-dev.azurewebsites.net`; or `http://127.0.0.1:PORT` for a test. */
  readonly hostname: string;
  /** Host of its deployment endpoint, for example `adit-dev.scm.azurewebsites.net`; or `http://127.0.0.1:PORT`. */
  readonly scmHostname: string;
  /** ZIP, relative to the root of the repository. */
  readonly archivePath: string;
  /** SHA-256 of the ZIP, hexadecimal. */
  readonly archiveHash: string;
  /** What `/api/version` answers once the archive runs. */
  readonly version: string;
}

const NAMES = ['appName', 'hostname', 'scmHostname', 'archivePath', 'archiveHash', 'version'] as const;
const ROOT = resolve(import.meta.dirname, '..');
const ENTRA_SCOPE = 'https://management.azure.com/.default';

/** Longest run of a tool that is asked for a token, such as `az`. */
const LOGIN_TIMEOUT_MS = 60_000;

/** All that an endpoint on this machine gets instead of a token: real ones travel over TLS only. */
const NO_TOKEN = 'token-for-this-machine';

/**
 * Publishes the archive of a deployment to its app and waits until the app runs it. Called by `CodeDeployment` in the
 * process of Pulumi's dynamic provider; what it prints appears in the output of `pulumi up`.
 * @throws PublishError when it does not arrive; Error when the archive is not the one that was planned.
 */
export async function publishArchive(inputs: Readonly<Record<string, unknown>>): Promise<void> {
  const values = valuesOf(inputs);
  const archive = await readFile(resolve(ROOT, values.archivePath)).catch((error: unknown) => {
    throw new Error(`The archive ${values.archivePath} cannot be read. ${RUN_AGAIN}`, { cause: error });
  });
  if (sha256(archive) !== values.archiveHash) {
    throw new Error(`The archive ${values.archivePath} has changed since it was planned. ${RUN_AGAIN}`);
  }
  const app = endpointOf('hostname', values.hostname);
  const scm = endpointOf('scmHostname', values.scmHostname);
  await publish(
    {
      scmUrl: scm.url,
      appUrl: app.url,
      archive,
      version: values.version,
      token: scm.isLocal ? async () => NO_TOKEN : await entraToken(),
      log: (line) => console.log(redactText(`${values.appName}: ${line}`)),
      limits: scm.isLocal ? LOCAL_PUBLISH_LIMITS : PUBLISH_LIMITS,
    },
    new AbortController().signal,
  );
}

function valuesOf(inputs: Readonly<Record<string, unknown>>): CodeDeploymentValues {
  const missing = NAMES.filter((name) => typeof inputs[name] !== 'string' || inputs[name] === '');
  if (missing.length > 0) throw new Error(`A code deployment needs ${missing.join(', ')}.`);
  return inputs as unknown as CodeDeploymentValues;
}

/** A host is reached over TLS; only this machine may be named with a URL, and without TLS. */
function endpointOf(name: string, host: string): { readonly url: string; readonly isLocal: boolean } {
  if (/^http:\/\/127\.0\.0\.1:\d{1,5}$/.test(host)) return { url: host, isLocal: true };
  if (/^[a-z0-9-]+(\.[a-z0-9-]+)+$/i.test(host)) return { url: `https://${host}`, isLocal: false };
  throw new Error(`${name} must be a host name, got ${JSON.stringify(host)}. Example: adit-dev.azurewebsites.net`);
}

/** The login of whoever runs Pulumi; loaded only when it is asked for, because it takes longer than all the rest. */
async function entraToken(): Promise<() => Promise<string>> {
  const { DefaultAzureCredential } = await import('@azure/identity');
  const credential = new DefaultAzureCredential({ processTimeoutInMs: LOGIN_TIMEOUT_MS });
  return async () => (await credential.getToken(ENTRA_SCOPE)).token;
}
