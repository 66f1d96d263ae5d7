import type { TokenCredential } from '@azure/identity';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from './certificate.ts';

/** One version of a secret. `createdAtMs` is kept in whole seconds, as the service does. */
export interface SecretVersion {
  readonly value: string;
  readonly contentType?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly createdAtMs: number;
}

/** What the server answers instead, for a while. */
export interface VaultFailure {
  readonly status: number;
  readonly times: number;
}

/** The two endpoints of Azure Key Vault that rotate keys: get a secret, set a secret. HTTPS, because the client insists. */
export interface VaultServer {
  /** Address of the secret `sealing-keys`. */
  readonly url: string;
  /** File with the certificate that a process must trust. */
  readonly caFile: string;
  readonly certificate: string;
  /** Versions of the secret, oldest first. */
  readonly versions: SecretVersion[];
  /** Requests with a token, by method. */
  readonly requests: string[];
  fail(failure: VaultFailure): void;
  close(): Promise<void>;
}

const SECRET = 'sealing-keys';

/** Whoever has this token may do everything. */
const TOKEN = 'token-of-a-test';

/** A login that the server takes. */
export const testLogin: TokenCredential = {
  getToken: async () => ({ token: TOKEN, expiresOnTimestamp: Date.now() + 3_600_000 }),
};

/** Starts a vault on this machine. The caller closes it. */
export async function startVault(first: Omit<SecretVersion, 'createdAtMs'> | undefined): Promise<VaultServer> {
  const dir = await mkdtemp(join(tmpdir(), 'adit-vault-'));
  const { keyFile, caFile } = makeCertificate(dir);
  const certificate = await readFile(caFile, 'utf8');
  const versions: SecretVersion[] = first === undefined ? [] : [{ ...first, createdAtMs: Date.now() }];
  const requests: string[] = [];
  let failure: VaultFailure = { status: 503, times: 0 };
  const server = createServer({ key: await readFile(keyFile), cert: certificate }, (request, response) => {
    void answer(request, response);
  });
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const body = await textOf(request);
    const send = (status: number, value: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (request.headers.authorization !== `Bearer ${TOKEN}`) {
      response.setHeader(
        'www-authenticate',
        'Bearer authorization="https://login.invalid/t", resource="https://vault.azure.net"',
      );
      return send(401, { error: { code: 'Unauthorized' } });
    }
    requests.push(request.method ?? '');
    if (failure.times > 0) {
      failure = { ...failure, times: failure.times - 1 };
      return send(failure.status, { error: { code: 'Failing' } });
    }
    const { pathname } = new URL(request.url ?? '', 'https://vault');
    if (!new RegExp(`^/secrets/${SECRET}/?$`).test(pathname)) return send(404, { error: { code: 'SecretNotFound' } });
    if (request.method === 'PUT') {
      versions.push({ ...(JSON.parse(body) as SecretVersion), createdAtMs: Date.now() });
    }
    const newest = versions.at(-1);
    return newest === undefined ? send(404, { error: { code: 'SecretNotFound' } }) : send(200, bundleOf(newest));
  };
  const bundleOf = ({ createdAtMs, ...version }: SecretVersion): Readonly<Record<string, unknown>> => {
    const created = Math.floor(createdAtMs / 1000);
    const id = `${origin}/secrets/${SECRET}/${String(versions.length).padStart(32, '0')}`;
    return { ...version, id, attributes: { enabled: true, created, updated: created, recoveryLevel: 'Purgeable' } };
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: `${origin}/secrets/${SECRET}`,
    ...{ caFile, certificate, versions, requests },
    fail: (next) => (failure = next),
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      });
      await rm(dir, { recursive: true, force: true });
    },
  };
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) text += String(chunk);
  return text;
}
