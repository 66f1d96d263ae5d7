import { TableClient } from '@azure/data-tables';
import type { TokenCredential } from '@azure/identity';
import { ContainerClient } from '@azure/storage-blob';
import { BLOB_CLIENT_OPTIONS, openBlobLake } from '../adapters/blob-lake.ts';
import { openTableLedger } from '../adapters/table-ledger.ts';
import { LAKE_CONTAINER, LEDGER_TABLES, tableName } from '../core/storage-names.ts';
import type { Lake, Ledger } from '../ports.ts';
import { BadInput } from './bad-input.ts';

/** What a storage account holds for us. */
export interface AzureStorage {
  readonly ledger: Ledger;
  readonly lake: Lake;
  readonly text: string;
}

/**
 * Ledger on Azure Tables and lake on Azure Blobs, by connection string. Creates the tables and the container when they are
 * missing.
 * @throws BadInput when the text is no connection string, or the account does not answer or refuses the key.
 */
export async function openAzureStorage(connectionString: string): Promise<AzureStorage> {
  try {
    return await open(connectionString);
  } catch (cause) {
    throw new BadInput(`ADIT_STORAGE_CONNECTION_STRING: ${whyNot(cause)}`, { cause });
  }
}

/** Where a storage account is: with a key, or with a token. */
export type StoragePlace =
  | { readonly connectionString: string }
  | { readonly tablesUrl: string; readonly lakeUrl: string };

/** Opens a storage account as its place says; `credential` is asked for only where a token is needed. */
export async function openStorageAt(
  place: StoragePlace,
  credential: () => TokenCredential | Promise<TokenCredential>,
): Promise<AzureStorage> {
  if ('connectionString' in place) return openAzureStorage(place.connectionString);
  return openEntraStorage(place, await credential());
}

/** Tables and container of a deployed stack, which made them, entered with tokens. Asks for nothing yet. */
function openEntraStorage(urls: { tablesUrl: string; lakeUrl: string }, credential: TokenCredential): AzureStorage {
  const { tablesUrl, lakeUrl } = urls;
  const container = new ContainerClient(lakeUrl, credential, BLOB_CLIENT_OPTIONS);
  return {
    ledger: openTableLedger({
      tables: (name, options) => new TableClient(tablesUrl, tableName(name), credential, options),
    }),
    lake: openBlobLake({ container }),
    text: `ledger in Azure Tables, lake in Azure Blobs (${container.accountName})`,
  };
}

/** By code: the message of the error may quote the connection string. */
function whyNot(error: unknown): string {
  const { code, statusCode } = error as { code?: string; statusCode?: number };
  const why = [statusCode, code].filter((part) => part !== undefined).join(' ');
  if (why === '') return 'this is no connection string of a storage account. Next: copy it from the account again';
  return `the storage account cannot be reached (${why}). Next: start it, or check address, name and key`;
}

async function open(connectionString: string): Promise<AzureStorage> {
  const allowInsecureConnection =
    /\bhttp:\/\/127\.0\.0\.1/.test(connectionString) || connectionString.includes('DefaultEndpointsProtocol=http;');
  for (const table of LEDGER_TABLES) {
    await TableClient.fromConnectionString(connectionString, tableName(table), {
      allowInsecureConnection,
    }).createTable();
  }
  const container = new ContainerClient(connectionString, LAKE_CONTAINER, BLOB_CLIENT_OPTIONS);
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
