import { TableClient } from '@azure/data-tables';
import { ContainerClient } from '@azure/storage-blob';
import { openBlobLake } from '../adapters/blob-lake.ts';
import { openTableLedger } from '../adapters/table-ledger.ts';
import type { Lake, Ledger } from '../ports.ts';

/** Tables of the ledger, prefixed so that one storage account can hold other tables too. */
const TABLES = ['items', 'envelopes', 'runs', 'users', 'control'] as const;

const LAKE_CONTAINER = 'lake';

/**
 * Ledger on Azure Tables and lake on Azure Blobs, by connection string. Creates the tables and the container when they are
 * missing; the deployed stack creates them itself and uses identities instead.
 */
export async function openAzureStorage(
  connectionString: string,
): Promise<{ ledger: Ledger; lake: Lake; text: string }> {
  const allowInsecureConnection =
    /^.*\bhttp:\/\/127\.0\.0\.1/.test(connectionString) || connectionString.includes('DefaultEndpointsProtocol=http;');
  for (const table of TABLES) {
    await TableClient.fromConnectionString(connectionString, tableName(table), {
      allowInsecureConnection,
    }).createTable();
  }
  const container = new ContainerClient(connectionString, LAKE_CONTAINER);
  await container.createIfNotExists();
  return {
    ledger: openTableLedger({
      tables: (name, options) =>
        TableClient.fromConnectionString(connectionString, tableName(name), { ...options, allowInsecureConnection }),
    }),
    lake: openBlobLake({ container }),
    text: `ledger in Azure Tables, lake in Azure Blobs (${container.accountName})`,
  };
}

function tableName(table: string): string {
  return `adit${table}`;
}
