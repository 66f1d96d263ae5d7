/** One number that describes the work, or an assumption about it. */
export interface WorkloadField {
  readonly unit: string;
  readonly min: number;
  readonly max: number;
  /** What counts when nobody says otherwise. */
  readonly likely: number;
  /** The figures that make the bill smallest and largest, where `likely` is an assumption and not a fact. */
  readonly cheap?: number;
  readonly dear?: number;
  /** Only whole numbers. */
  readonly isWhole?: true;
  readonly docs: string;
  /** Where `likely` comes from. */
  readonly source: string;
}

const MEASURED = 'measured 2026-11-23 on this code';
const ASSUMED = 'assumed; the article does not say';

/** THE table of what a bill depends on beside the plan. `adit size` takes every field as an option, `adit:workload` as a key. */
export const WORKLOAD = {
  users: {
    ...{ unit: 'users', min: 1, max: 10_000_000, likely: 500, isWhole: true },
    docs: 'Active users that are mined.',
    source: 'article, conclusion: 500+',
  },
  callsPerDay: {
    ...{ unit: 'calls a day', min: 0, max: 1e12, likely: 2_000_000 },
    docs: 'Calls to the upstreams, all users and data types together.',
    source: 'article, conclusion: 2M+',
  },
  itemsPerPage: {
    ...{ unit: 'items', min: 1, max: 1000, likely: 100 },
    docs: 'Items that one call brings.',
    source: `${ASSUMED}; 100 is what a miner asks for`,
  },
  newRatio: {
    ...{ unit: 'share 0..1', min: 0, max: 1, likely: 0.1 },
    docs: 'Share of the items that the lake does not hold yet.',
    source: ASSUMED,
  },
  itemBytes: {
    ...{ unit: 'bytes', min: 1, max: 10_000_000, likely: 372 },
    docs: 'Size of one item as it is served.',
    source: 'measured on pages of posts and transactions',
  },
  dataTypes: {
    ...{ unit: 'data types', min: 1, max: 100, likely: 5, isWhole: true },
    docs: 'Miners of the catalog; a stack counts its own.',
    source: 'runtime/catalog.ts',
  },
  dataTopics: {
    ...{ unit: 'topics', min: 0, max: 100, likely: 2, isWhole: true },
    docs: 'Miners that publish to a topic, whose lake subscription forwards; a stack counts its own.',
    source: 'runtime/catalog.ts',
  },
  topicReaders: {
    ...{ unit: 'subscriptions', min: 0, max: 2000, likely: 0, isWhole: true },
    docs: 'Subscriptions of each data topic beside lake, received and settled.',
    source: 'the stack makes none',
  },
  firingsPerDay: {
    ...{ unit: 'firings a day', min: 0.03, max: 1440, likely: 4 },
    docs: 'How often each data type is fired.',
    source: 'runtime/catalog.ts: every 6 h',
  },
  userCallsPerSecond: {
    ...{ unit: 'calls/s', min: 0.001, max: 100_000, likely: 1 },
    docs: 'Pace of one user: a slice that waits for it is paid for.',
    source: 'setting userCallsPerSecond',
  },
  secondsPerCall: {
    ...{ unit: 's', min: 0.001, max: 600, likely: 0.2, cheap: 0.1, dear: 0.5 },
    docs: 'From the request to the last byte of the answer.',
    source: ASSUMED,
  },
  deliverySeconds: {
    ...{ unit: 's', min: 0, max: 600, likely: 0.8, cheap: 0.3, dear: 1.5 },
    docs: 'From the answer to the next call: look-ups, waiting for company in the envelope, send, run row.',
    source: 'assumed: lingerSeconds at most, and 4 round trips',
  },
  lingerSeconds: {
    ...{ unit: 's', min: 0, max: 60, likely: 1 },
    docs: 'Longest time that items wait for company in an envelope.',
    source: 'setting lingerMs',
  },
  slicesInFlight: {
    ...{ unit: 'slices', min: 1, max: 500, likely: 24, cheap: 32, dear: 10 },
    docs: 'Slices that share one instance while it is paid for.',
    source: 'assumed: three quarters of the setting miningConcurrency (32)',
  },
  callsInFlight: {
    ...{ unit: 'calls', min: 1, max: 1000, likely: 10 },
    docs: 'Calls to one upstream that an instance has under way at once.',
    source: 'setting upstreamConcurrency',
  },
  slicePages: {
    ...{ unit: 'pages', min: 1, max: 10_000, likely: 50 },
    docs: 'Pages of a slice before a new marker message is sent.',
    source: 'setting slicePages',
  },
  sliceSeconds: {
    ...{ unit: 's', min: 0.1, max: 240, likely: 60 },
    docs: 'Time of a slice before a new marker message is sent.',
    source: 'setting sliceMs',
  },
  cpuSecondsPerCall: {
    ...{ unit: 's', min: 0, max: 10, likely: 0.005 },
    docs: 'Processor time of one page: 4.5 ms when all is seen, 10.8 ms when all is new, local broker included.',
    source: 'README, Figures, 2026-11-23, at a tenth new',
  },
  processMb: {
    ...{ unit: 'MB', min: 100, max: 4096, likely: 680 },
    docs: 'Largest memory of one process of the runtime.',
    source: `${MEASURED}: 200 users, 110 pages/s, all new, 24.21 on 2 cores`,
  },
  ingestSeconds: {
    ...{ unit: 's', min: 0.01, max: 600, likely: 0.5, cheap: 0.3, dear: 1.5 },
    docs: 'Claims, lake object and done mark of one envelope.',
    source: 'assumed: about 5 round trips to Tables and Blobs, 8 partitions at once',
  },
  ingestsInFlight: {
    ...{ unit: 'envelopes', min: 1, max: 100, likely: 16 },
    docs: 'Envelopes that one instance ingests at once, at most.',
    source: 'setting ingestConcurrency',
  },
  sealedRatio: {
    ...{ unit: 'share 0..1', min: 0.001, max: 1, likely: 0.23, cheap: 0.12, dear: 0.4 },
    docs: 'Sealed bytes of an envelope over its text.',
    source: `${MEASURED}: 0.11-0.14 at 240 items of the simulator; 0.23 on pages of random words`,
  },
  sealedMaxBytes: {
    ...{ unit: 'bytes', min: 1024, max: 250_000, likely: 200_000, isWhole: true },
    docs: 'Largest sealed envelope.',
    source: 'setting sealedMaxBytes',
  },
  lakeRatio: {
    ...{ unit: 'share 0..1', min: 0.001, max: 1, likely: 0.24, cheap: 0.12, dear: 0.4 },
    docs: 'Bytes of a lake object over its lines.',
    source: `${MEASURED}: 0.11-0.15 at 240 items of the simulator; 0.24 on pages of random words`,
  },
  retentionMonths: {
    ...{ unit: 'months', min: 1, max: 1200, likely: 1200 },
    docs: 'How long lake objects and ledger rows are kept.',
    source: 'nothing in the stack deletes them',
  },
  ledgerRowBytes: {
    ...{ unit: 'bytes', min: 100, max: 1_000_000, likely: 490 },
    docs: 'Billed size of the ledger row of one item: keys and value count two bytes a character.',
    source: `${MEASURED}: key 66, value 170 characters, 4 + 132 + 8 + 2 + 344`,
  },
  cacheBytesPerItem: {
    ...{ unit: 'bytes', min: 10, max: 10_000, likely: 224 },
    docs: 'Memory of Redis for one checkpoint.',
    source: `${MEASURED}: 520,000 keys with a TTL, Redis 7.0.15 (145 is the figure for a shorter key and value)`,
  },
  cachedFirings: {
    ...{ unit: 'firings', min: 1, max: 10_000, likely: 1.6 },
    docs: 'Firings whose items are within their TTL at once, mean over the data types.',
    source: 'runtime/catalog.ts: TTLs of 1, 2, 6, 6 and 24 h, fired every 6 h',
  },
  cachedSeenRatio: {
    ...{ unit: 'share 0..1', min: 0, max: 1, likely: 0.15, cheap: 0.36, dear: 0 },
    docs: 'Share of the seen items that Redis can answer for, when it holds every checkpoint for its TTL.',
    source: 'runtime/catalog.ts: 3 of 4 firings of chats; a TTL of 6 h ends as the next firing begins',
  },
  redisNodes: {
    ...{ unit: 'nodes', min: 1, max: 2, likely: 2, isWhole: true },
    docs: 'Nodes of the cache: with 1 the ledger answers alone while it is patched or fails.',
    source: 'what prod deploys',
  },
  redeliveryRatio: {
    ...{ unit: 'share 0..1', min: 0, max: 1, likely: 0.01, cheap: 0, dear: 0.05 },
    docs: 'Share of the messages that are delivered once more: lost locks, restarts, waits.',
    source: 'assumed; 0.3 % of calls fail (article, conclusion)',
  },
  scaleLooksPerMinute: {
    ...{ unit: 'looks a minute', min: 0, max: 600, likely: 2, cheap: 0, dear: 6 },
    docs: 'How often the platform looks at each triggered queue to decide how many instances there are.',
    source: 'assumed; whether they are billed is not documented',
  },
  hostOperationsPerMinute: {
    ...{ unit: 'operations a minute', min: 0, max: 10_000, likely: 10, cheap: 2, dear: 40 },
    docs: 'Writes of the Functions host to its own account: locks and states of timers.',
    source: 'assumed',
  },
  requestBytesPerCall: {
    ...{ unit: 'bytes', min: 0, max: 1_000_000, likely: 700, cheap: 400, dear: 2000 },
    docs: 'Sent to the upstream with one call, TLS included; what comes back is free.',
    source: 'assumed',
  },
  telemetryBytesPerCall: {
    ...{ unit: 'bytes', min: 0, max: 100_000, likely: 50, cheap: 10, dear: 200 },
    docs: 'Logs and traces that are kept, after sampling.',
    source: 'design: at most 50 a page',
  },
  sockets: {
    ...{ unit: 'sockets', min: 0, max: 1_000_000, likely: 0, isWhole: true },
    docs: 'WebSockets held for capture.',
    source: 'nothing captures yet',
  },
} as const satisfies Record<string, WorkloadField>;

/** A field of a workload. */
export type WorkloadName = keyof typeof WORKLOAD;

/** The work of a stack, every field in the unit of its row in `WORKLOAD`. */
export type Workload = Readonly<Record<WorkloadName, number>>;
