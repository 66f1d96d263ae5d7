import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Azurite loads 237 packages: seconds on a busy machine. */
const START_LIMIT_MS = 60_000;

const AZURITE = join(import.meta.dirname, 'node_modules', 'azurite', 'dist', 'src', 'azurite.js');

/** The emulator's published account (learn.microsoft.com, "Use the Azurite emulator"): the same on every machine, no secret. */
const ACCOUNT = 'devstoreaccount1';
const ACCOUNT_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==';

/** The emulator ends when its standard input does, so it never outlives a test run that was killed. */
const END_WITH_PARENT = 'data:text/javascript,process.stdin.on("end",()=>process.exit(0)).resume()';

export interface Azurite {
  /** For `TableClient`, `BlobServiceClient` and `ContainerClient`. Plain HTTP on 127.0.0.1. */
  readonly connectionString: string;
  /** Idempotent. */
  stop(): Promise<void>;
}

/** True when `npm ci --prefix test/azurite` has been run. */
export function isAzuriteInstalled(): boolean {
  return existsSync(AZURITE);
}

/** Starts the storage emulator, in memory, on free ports. `undefined` when it is not installed. */
export async function startAzurite(): Promise<Azurite | undefined> {
  if (!isAzuriteInstalled()) return undefined;
  const dir = await mkdtemp(join(tmpdir(), 'adit-azurite-'));
  const ports = ['--blobPort', '0', '--queuePort', '0', '--tablePort', '0'];
  const flags = ['--inMemoryPersistence', '--silent', '--skipApiVersionCheck', '--disableTelemetry'];
  const child = spawn(process.execPath, ['--import', END_WITH_PARENT, AZURITE, ...ports, ...flags], {
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: dir,
  });
  const ended = new Promise<void>((resolve) => {
    child.once('close', () => resolve());
  });
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const { blob, table } = await endpoints(child);
    const parts = ['DefaultEndpointsProtocol=http', `AccountName=${ACCOUNT}`, `AccountKey=${ACCOUNT_KEY}`];
    parts.push(`BlobEndpoint=${blob}/${ACCOUNT}`, `TableEndpoint=${table}/${ACCOUNT}`);
    return { connectionString: `${parts.join(';')};`, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Reads the addresses from the lines that Azurite prints once each service listens. */
function endpoints(child: ChildProcess): Promise<{ blob: string; table: string }> {
  return new Promise((resolve, reject) => {
    const found = new Map<string, string>();
    const said: string[] = [];
    const fail = (reason: string): void => reject(new Error(`Azurite ${reason}:\n${said.join('\n')}`));
    const timer = setTimeout(() => fail(`was not ready after ${START_LIMIT_MS} ms`), START_LIMIT_MS);
    const listen = (line: string): void => {
      said.push(line);
      const [, service, url] =
        /Azurite (\w+) service(?: is)? successfully listen(?:s|ing) (?:at|on) (\S+)/.exec(line) ?? [];
      if (service !== undefined && url !== undefined) found.set(service, url);
      const blob = found.get('Blob');
      const table = found.get('Table');
      if (blob === undefined || table === undefined) return;
      clearTimeout(timer);
      resolve({ blob, table });
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', listen);
    }
    child.once('close', (code) => {
      clearTimeout(timer);
      fail(`ended with code ${code}`);
    });
  });
}
