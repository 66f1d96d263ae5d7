import { TableClient } from '@azure/data-tables';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, vi } from 'vitest';
import { openSqliteLedger } from '../../../runtime/adapters/sqlite-ledger.ts';
import { openTableLedger } from '../../../runtime/adapters/table-ledger.ts';
import { startAzurite } from '../../azurite/start.ts';
import { memoryLedger } from '../../fakes/memory-rows.ts';
import { isAzuriteHere } from '../../fakes/servers.ts';
import { describeRows } from './rows-contract.ts';

// Child processes and servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

describeRows('memory', async () => {
  const ledger = memoryLedger();
  return { rows: ledger.items, close: () => ledger.close() };
});

describeRows('SQLite', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'adit-rows-'));
  const ledger = openSqliteLedger({ file: join(dir, 'ledger.db') });
  const close = async (): Promise<void> => {
    await ledger.close();
    await rm(dir, { recursive: true });
  };
  return { rows: ledger.items, close };
});

describe.runIf(isAzuriteHere())('Azure', () => {
  describeRows('Azure Tables', async () => {
    const azurite = await startAzurite();
    if (azurite === undefined) throw new Error('Azurite is not installed');
    const ledger = openTableLedger({
      tables: (name, options) =>
        TableClient.fromConnectionString(azurite.connectionString, name, { ...options, allowInsecureConnection: true }),
    });
    await TableClient.fromConnectionString(azurite.connectionString, 'items', {
      allowInsecureConnection: true,
    }).createTable();
    return { rows: ledger.items, close: () => azurite.stop() };
  });
});
