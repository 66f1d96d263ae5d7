/** A connection: text, set only by its environment variable, because command lines are seen by everybody on the machine. */
export interface ConnectionSpec {
  readonly variable: string;
  /** Never printed, logged or passed on; infra writes it as a reference to the vault. */
  readonly isSecret: boolean;
  /** `infra`: a stack writes it for its function app. `person`: only a person or a test sets it. */
  readonly writtenBy: 'infra' | 'person';
  readonly example: string;
  readonly docs: string;
}

/** THE table of connections. An empty variable counts as absent. */
export const CONNECTIONS = {
  stack: {
    variable: 'ADIT_STACK',
    isSecret: false,
    writtenBy: 'person',
    example: 'dev',
    docs: 'Mine into this deployed stack: everything else comes from "pulumi stack output".',
  },
  redisUrl: {
    variable: 'REDIS_URL',
    isSecret: true,
    writtenBy: 'person',
    example: 'redis://127.0.0.1:6379',
    docs: 'A Redis to share checkpoints; absent: a redis-server from the PATH is started, or memory alone serves.',
  },
  redisAddress: {
    variable: 'ADIT_REDIS_ADDRESS',
    isSecret: false,
    writtenBy: 'infra',
    example: 'adit-dev.eastus.redis.azure.net:10000',
    docs: 'Host and TLS port of an Azure Redis that is entered with an Entra token.',
  },
  bus: {
    variable: 'ADIT_SERVICE_BUS_CONNECTION_STRING',
    isSecret: true,
    writtenBy: 'person',
    example: 'Endpoint=sb://127.0.0.1:5672;SharedAccessKeyName=k;SharedAccessKey=s;UseDevelopmentEmulator=true',
    docs: 'A Service Bus that is entered with a key: an emulator, or npm run adit -- broker. On this machine several npm start share it and one state folder; a stack has none.',
  },
  busNamespace: {
    variable: 'ADIT_SERVICE_BUS_NAMESPACE',
    isSecret: false,
    writtenBy: 'infra',
    example: 'adit-dev.servicebus.windows.net',
    docs: 'Host of the Service Bus namespace, entered with an Entra token.',
  },
  storage: {
    variable: 'ADIT_STORAGE_CONNECTION_STRING',
    isSecret: true,
    writtenBy: 'person',
    example: 'UseDevelopmentStorage=true',
    docs: 'Azure Tables and Blobs for ledger and lake; absent: SQLite and a folder.',
  },
  tablesUrl: {
    variable: 'ADIT_TABLES_URL',
    isSecret: false,
    writtenBy: 'infra',
    example: 'https://aditdevdata.table.core.windows.net',
    docs: 'Table endpoint of the ledger, entered with an Entra token.',
  },
  lakeUrl: {
    variable: 'ADIT_LAKE_URL',
    isSecret: false,
    writtenBy: 'infra',
    example: 'https://aditdevdata.blob.core.windows.net/lake',
    docs: 'Container of the lake, entered with an Entra token.',
  },
  identityClientId: {
    variable: 'ADIT_IDENTITY_CLIENT_ID',
    isSecret: false,
    writtenBy: 'infra',
    example: '00000000-0000-0000-0000-000000000000',
    docs: 'Client id of the user-assigned identity that this process has; absent: the login of the person.',
  },
  upstreamUrls: {
    variable: 'ADIT_UPSTREAM_URLS',
    isSecret: false,
    writtenBy: 'infra',
    example: '{"graph":"https://graph.example.com"}',
    docs: 'Base URL of every upstream of the catalog, as a JSON object.',
  },
  sealingKeys: {
    variable: 'ADIT_SEALING_KEYS',
    isSecret: true,
    writtenBy: 'infra',
    example: 'k1:<32 bytes in base64>',
    docs: "Keys that seal users' tokens at rest, the current one first, separated by commas; absent at home: a key file in the state folder.",
  },
  sealingKeysUrl: {
    variable: 'ADIT_SEALING_KEYS_URL',
    isSecret: false,
    writtenBy: 'infra',
    example: 'https://adit-dev.vault.azure.net/secrets/sealing-keys',
    docs: 'The secret of the vault that holds the sealing keys; read again when a record names a key that is not known yet.',
  },
  phaseFd: {
    variable: 'ADIT_PHASE_FD',
    isSecret: false,
    writtenBy: 'person',
    example: '3',
    docs: 'File descriptor that is told when a page, a send, an ingest or a slice begins and ends (crash tests).',
  },
} as const satisfies Record<string, ConnectionSpec>;

export type ConnectionName = keyof typeof CONNECTIONS;

/** Connections that a stack must write: leaving one out of infra does not compile. */
export type InfraConnectionName = {
  [Name in ConnectionName]: (typeof CONNECTIONS)[Name]['writtenBy'] extends 'infra' ? Name : never;
}[ConnectionName];
