import { amountText, DAYS_PER_MONTH, GIB_BYTES } from './cost.ts';
import { PARTITIONS_PER_MINER } from './keys.ts';
import type { Workload } from './workload-fields.ts';

/** What a workload does in a month, and at its busiest second. Counts are per month unless the name says otherwise. */
export interface Traffic {
  readonly calls: number;
  readonly items: number;
  readonly newItems: number;
  readonly runs: number;
  readonly pagesPerRun: number;
  /** Time from one call of a user to the next, in s. */
  readonly pageSeconds: number;
  readonly slices: number;
  /** Slices that share an instance. */
  readonly slicesAtOnce: number;
  readonly envelopes: number;
  readonly itemsPerEnvelope: number;
  readonly envelopeBytes: number;
  /** Share of the envelopes that go through a data topic. */
  readonly topicShare: number;
  /** Seconds in which slices run. */
  readonly busySeconds: number;
  /** Pages a second while every user is mined at once. */
  readonly peakPagesPerSecond: number;
  /** Items that the ledger or the cache must be asked about. */
  readonly seenItems: number;
  readonly lakeObjectBytes: number;
  readonly lakeGb: number;
  readonly ledgerGb: number;
  /** Checkpoints within their TTL at once. */
  readonly cachedItems: number;
}

/** Service Bus counts in steps of this many bytes (pricing page: an operation is up to 64 KB). */
export const UNIT_BYTES = 64 * 1024;

/** Envelope text of one item beside its data: user, run, id, version, time. Measured: 550 characters for 370 of data. */
const ITEM_TEXT_BYTES = 180;

/** Properties and header of a message. */
const MESSAGE_HEADER_BYTES = 500;

/** The packer aims below the limit, because a split costs a second compression. */
const FILL_SHARE = 0.9;

/** Ledger rows of one envelope, its key and value, in bytes. */
const ENVELOPE_ROW_BYTES = 400;

/** Firings of two data types are at least this far apart in the catalog, in s. */
const FIRING_GAP_SECONDS = 300;

/** What a workload does in a month. */
export function trafficOf(workload: Workload): Traffic {
  const { users, dataTypes, newRatio, itemsPerPage, itemBytes } = workload;
  const calls = workload.callsPerDay * DAYS_PER_MONTH;
  const items = calls * itemsPerPage;
  const newItems = items * newRatio;
  // A firing that reaches nobody costs nothing, so there are never more runs than calls.
  const runs = Math.min(users * dataTypes * workload.firingsPerDay * DAYS_PER_MONTH, calls);
  const pagesPerRun = runs === 0 ? 0 : calls / runs;
  const pageSeconds = Math.max(1 / workload.userCallsPerSecond, workload.secondsPerCall + workload.deliverySeconds);
  const slicesAtOnce = Math.min(workload.slicesInFlight, users);
  const envelope = envelopeOf(workload, slicesAtOnce, pageSeconds);
  const envelopes = newItems / envelope.items;
  const runSeconds = pagesPerRun * pageSeconds;
  const overlap = Math.min(dataTypes, Math.max(1, runSeconds / FIRING_GAP_SECONDS));
  const lineBytes = itemBytes + ITEM_TEXT_BYTES;
  return {
    ...{ calls, items, newItems, runs, pagesPerRun, pageSeconds, slicesAtOnce, envelopes },
    slices: slicesOf(workload, calls, runs, pageSeconds),
    itemsPerEnvelope: envelope.items,
    envelopeBytes: envelope.bytes,
    topicShare: workload.dataTopics / dataTypes,
    busySeconds: runs === 0 ? 0 : ((runs / users) * runSeconds) / overlap,
    peakPagesPerSecond: runs === 0 ? 0 : (users * overlap) / pageSeconds,
    seenItems: items - newItems,
    lakeObjectBytes: envelope.items * lineBytes * workload.lakeRatio,
    lakeGb: (newItems * lineBytes * workload.lakeRatio) / GIB_BYTES,
    ledgerGb: (newItems * workload.ledgerRowBytes + envelopes * ENVELOPE_ROW_BYTES) / GIB_BYTES,
    cachedItems: cachedItemsOf(workload, items),
  };
}

/** Full slices, and on average half a slice at the end of a run; at least one a run. */
function slicesOf(workload: Workload, calls: number, runs: number, pageSeconds: number): number {
  const pages = Math.max(1, Math.min(workload.slicePages, Math.floor(workload.sliceSeconds / pageSeconds)));
  return Math.max(runs, calls / pages + runs / 2);
}

/** New items of the pages that an instance brings while one envelope is open, or as many as fit. */
function envelopeOf(workload: Workload, slicesAtOnce: number, pageSeconds: number): { items: number; bytes: number } {
  const sealedItemBytes = (workload.itemBytes + ITEM_TEXT_BYTES) * workload.sealedRatio;
  const fitting = Math.max(1, (workload.sealedMaxBytes * FILL_SHARE) / sealedItemBytes);
  const pages = Math.max(1, slicesAtOnce * Math.min(1, workload.lingerSeconds / pageSeconds));
  const items = Math.min(fitting, Math.max(1, pages * workload.itemsPerPage * workload.newRatio));
  return { items, bytes: items * sealedItemBytes + MESSAGE_HEADER_BYTES };
}

/** The items of every list once, and what is new in the firings after the first. */
function cachedItemsOf(workload: Workload, items: number): number {
  const perFiring = items / (workload.firingsPerDay * DAYS_PER_MONTH);
  return perFiring * (1 + workload.newRatio * (workload.cachedFirings - 1));
}

/** Operations of one message through Service Bus, as it counts them. */
export interface OperationCount {
  /** 64 KB units of the message. */
  readonly units: number;
  readonly send: number;
  readonly forward: number;
  readonly receive: number;
  readonly settle: number;
  readonly total: number;
}

/**
 * Operations of one message: send, every forward and every receive by 64 KB units, every settlement once.
 * Through a topic with a forwarding subscription each stored copy is one more (Microsoft, "Chaining Service Bus entities with
 * autoforwarding": 20 forwarding subscriptions, 21 operations). Readers receive and settle copies of their own.
 */
export function operationsOf(
  bytes: number,
  via: { readonly forwards: number; readonly readers: number },
): OperationCount {
  const units = Math.max(1, Math.ceil(bytes / UNIT_BYTES));
  const send = units;
  const forward = units * via.forwards;
  const receive = units * via.readers;
  const settle = via.readers;
  return { units, send, forward, receive, settle, total: send + forward + receive + settle };
}

/** Service Bus operations of a month, part by part. */
export interface BusOperations {
  readonly marker: OperationCount;
  readonly direct: OperationCount;
  readonly viaTopic: OperationCount;
  readonly markers: number;
  readonly envelopes: number;
  readonly redelivered: number;
  readonly looks: number;
  readonly total: number;
}

/** Bytes of a marker message: marker, guard state and run. */
const MARKER_BYTES = 2000;

/** The monitor looks at each mining queue this often: a third of the 15 minutes after which silent runs are revived. */
const WATCHES_PER_HOUR = 12;

/** Operations of a month: marker messages, envelopes, what is delivered twice, and looks at queues. */
export function busOperationsOf(workload: Workload, traffic: Traffic, hours: number): BusOperations {
  const { redeliveryRatio, dataTypes, topicReaders, scaleLooksPerMinute } = workload;
  const marker = operationsOf(MARKER_BYTES, { forwards: 0, readers: 1 });
  const direct = operationsOf(traffic.envelopeBytes, { forwards: 0, readers: 1 });
  const viaTopic = operationsOf(traffic.envelopeBytes, { forwards: 1, readers: 1 + topicReaders });
  const markers = traffic.slices * marker.total;
  const { topicShare } = traffic;
  const envelopes = traffic.envelopes * ((1 - topicShare) * direct.total + topicShare * viaTopic.total);
  const again =
    traffic.slices * (marker.receive + marker.settle) + traffic.envelopes * (direct.receive + direct.settle);
  const looks = hours * (WATCHES_PER_HOUR * dataTypes + 60 * scaleLooksPerMinute * (dataTypes + 1));
  const redelivered = again * redeliveryRatio;
  return {
    ...{ marker, direct, viaTopic, markers, envelopes, redelivered, looks },
    total: markers + envelopes + redelivered + looks,
  };
}

/** Requests to the tables of the ledger in a month, part by part. */
export interface LedgerTransactions {
  /** Items that no cache answered for. */
  readonly lookUps: number;
  readonly claims: number;
  readonly runRows: number;
  readonly monitor: number;
  readonly total: number;
  /** True: a user has more rows than a range read takes, so every item is a request of its own. */
  readonly isByItem: boolean;
}

/** A range read of the checkpoints takes this many rows per item of the page. */
const RANGE_ROWS_PER_ITEM = 2;

/** Rows of one entity group transaction, which is billed as one (Microsoft, "Azure Storage table design guide"). */
const TRANSACTION_ROWS = 100;

/** Sign of life, hosts and last look, once a minute each. */
const MONITOR_PER_HOUR = 180;

/**
 * Requests to the ledger in a month.
 * @param cacheShare - share of the checkpoints that the cache can hold, 0..1
 * @param months - months of rows that are there already
 */
export function ledgerTransactionsOf(
  workload: Workload,
  traffic: Traffic,
  { cacheShare, months, hours }: { readonly cacheShare: number; readonly months: number; readonly hours: number },
): LedgerTransactions {
  const { users, dataTypes, itemsPerPage, cachedSeenRatio } = workload;
  const rowsPerList = (traffic.newItems * months) / (users * dataTypes);
  const isByItem = rowsPerList >= itemsPerPage * RANGE_ROWS_PER_ITEM;
  const asked = traffic.items - traffic.seenItems * cachedSeenRatio * cacheShare;
  const lookUps = isByItem ? asked : Math.min(asked, traffic.calls);
  const usersPerEnvelope = Math.max(
    1,
    Math.min(users, traffic.itemsPerEnvelope / Math.max(1, itemsPerPage * workload.newRatio)),
  );
  const partitions = PARTITIONS_PER_MINER * (1 - (1 - 1 / PARTITIONS_PER_MINER) ** usersPerEnvelope);
  const claims = traffic.envelopes * (Math.max(partitions, traffic.itemsPerEnvelope / TRANSACTION_ROWS) + 2);
  // A page is one write of its run; a slice reads run and user and writes at its end; a firing reads and writes.
  const runRows = traffic.calls + 3 * traffic.slices + 2 * traffic.runs;
  const monitor = hours * (MONITOR_PER_HOUR + WATCHES_PER_HOUR * dataTypes * PARTITIONS_PER_MINER);
  return { ...{ lookUps, claims, runRows, monitor, isByItem }, total: lookUps + claims + runRows + monitor };
}

/** Paid time of functions in a month, part by part, in seconds of one instance. */
export interface InstanceSeconds {
  readonly mining: number;
  /** Paid for one page, and what shares an instance: slices that wait for their pace, or calls that may be in flight. */
  readonly perPage: number;
  readonly pacedBy: 'slices' | 'calls';
  readonly ingest: number;
  readonly timers: number;
  readonly total: number;
  readonly executions: number;
}

/** The shortest period that Flex Consumption bills, in s. */
const BILLED_SECONDS_MIN = 1;

/** Users that a firing handles in a second. */
const FAN_OUT_PER_SECOND = 1000;

/** Paid time of functions: slices and envelopes share instances, and every function has instances of its own. */
export function instanceSecondsOf(workload: Workload, traffic: Traffic, hours: number): InstanceSeconds {
  const { redeliveryRatio, dataTypes, firingsPerDay, users } = workload;
  const bySlices = traffic.pageSeconds / traffic.slicesAtOnce;
  const byCalls = workload.secondsPerCall / workload.callsInFlight;
  const perPage = Math.max(bySlices, byCalls);
  const mining = traffic.calls * perPage;
  const ingest = ingestSecondsOf(workload, traffic);
  const looks = hours * 60;
  const firings = firingsPerDay * DAYS_PER_MONTH * dataTypes;
  const timers = looks * BILLED_SECONDS_MIN + firings * Math.max(BILLED_SECONDS_MIN, users / FAN_OUT_PER_SECOND);
  const executions = (traffic.slices + traffic.envelopes) * (1 + redeliveryRatio) + looks + firings;
  const pacedBy = bySlices >= byCalls ? 'slices' : 'calls';
  return { ...{ mining, perPage, pacedBy, ingest, timers, executions }, total: mining + ingest + timers };
}

/** How the paid time of mining comes about, for people. */
export function miningText(workload: Workload, traffic: Traffic, seconds: InstanceSeconds): string {
  const share =
    seconds.pacedBy === 'slices'
      ? `${amountText(traffic.pageSeconds)} s / ${amountText(traffic.slicesAtOnce)} slices at once`
      : `${workload.secondsPerCall} s / ${workload.callsInFlight} calls in flight`;
  return `mining ${amountText(traffic.calls)} calls x ${share} = ${amountText(seconds.mining)} s`;
}

/**
 * Envelopes arrive at random while slices run. One instance is paid for while at least one is under way, which is the share
 * 1 - e^(-arrivals x seconds) of that time; above its limit there are more instances.
 */
function ingestSecondsOf(workload: Workload, traffic: Traffic): number {
  const { ingestSeconds, ingestsInFlight, redeliveryRatio } = workload;
  const envelopes = traffic.envelopes * (1 + redeliveryRatio);
  if (envelopes === 0 || traffic.busySeconds === 0) return 0;
  const offered = (envelopes / traffic.busySeconds) * Math.max(BILLED_SECONDS_MIN, ingestSeconds);
  const oneInstance = traffic.busySeconds * (1 - Math.exp(-offered));
  return Math.max(oneInstance, (envelopes * ingestSeconds) / ingestsInFlight);
}
