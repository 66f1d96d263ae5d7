import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where a running `npm start` says how its broker is reached. The folder and the file are its owner's alone. */
const FILE = 'broker.json';

const OWNER_ONLY = 0o600;

/** How the broker of a state folder is reached, on this machine. */
export interface BrokerAddress {
  readonly connectionString: string;
}

/** Writes the address of the broker that serves a state folder now. Answers with what takes it back. */
export async function publishBroker(stateDir: string, address: BrokerAddress): Promise<() => Promise<void>> {
  const file = join(stateDir, FILE);
  const temporary = `${file}.tmp`;
  await writeFile(temporary, `${JSON.stringify(address)}\n`, { mode: OWNER_ONLY });
  await rename(temporary, file);
  return () => rm(file, { force: true });
}

/** The address that was written last; the process that wrote it may be gone. Undefined: none. */
export async function readBroker(stateDir: string): Promise<BrokerAddress | undefined> {
  try {
    const address = JSON.parse(await readFile(join(stateDir, FILE), 'utf8')) as Partial<BrokerAddress>;
    return typeof address.connectionString === 'string' ? { connectionString: address.connectionString } : undefined;
  } catch {
    return undefined;
  }
}
