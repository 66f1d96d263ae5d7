/** Tables of the ledger; their names are prefixed, so that one storage account can hold other tables too. */
export const LEDGER_TABLES = ['items', 'envelopes', 'runs', 'users', 'control'] as const;

/** Name of a table of the ledger in a storage account. */
export function tableName(table: (typeof LEDGER_TABLES)[number]): string {
  return `adit${table}`;
}

/** Container of the lake. */
export const LAKE_CONTAINER = 'lake';
