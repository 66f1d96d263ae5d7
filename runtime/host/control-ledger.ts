import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openSqliteLedger } from '../adapters/sqlite-ledger.ts';
import type { Ledger } from '../ports.ts';
import { openAzureStorage } from './azure-storage.ts';
import { openStackStorage, type Whereabouts } from './stack-storage.ts';
import { storageRefusal } from './storage-refusal.ts';

/**
 * Works on the ledger of a place beside whoever mines there: a command must reach a running `npm start`, so the lock of the
 * state folder is not asked for. Undefined: nobody has been there yet, and looking makes no folder.
 * @throws BadInput when the place cannot be entered.
 */
export async function withControl<T>(
  { stack, state, environment }: Whereabouts,
  work: (ledger: Ledger) => Promise<T>,
): Promise<T | undefined> {
  const file = join(state, 'ledger.db');
  if (stack === undefined && environment.storage === undefined && !existsSync(file)) return undefined;
  try {
    const ledger = await openLedger();
    try {
      return await work(ledger);
    } finally {
      await ledger.close();
    }
  } catch (error) {
    throw storageRefusal(error, 'the control table') ?? error;
  }

  async function openLedger(): Promise<Ledger> {
    if (stack !== undefined) return (await openStackStorage(stack)).ledger;
    if (environment.storage !== undefined) return (await openAzureStorage(environment.storage)).ledger;
    return openSqliteLedger({ file });
  }
}
