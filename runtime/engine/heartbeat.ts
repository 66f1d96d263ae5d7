import type { Clock, Rows } from '../ports.ts';

/** What a host says of itself. */
export interface HostSign {
  /** Version of its code. */
  readonly version: string;
  /** `functions`: the deployed app of a stack. */
  readonly kind: 'functions';
}

/** A host and its last sign of life, epoch in ms. */
export interface LiveHost extends HostSign {
  /** 1..512 characters of `[A-Za-z0-9._:|-]`, one per process. */
  readonly hostId: string;
  readonly atMs: number;
}

/** What signs of life work with. */
export interface HeartbeatDeps {
  /** The control table of the ledger. */
  readonly control: Rows;
  readonly clock: Clock;
}

/** A host that was silent for longer than this is taken for gone, in ms: three beats of the monitor. */
export const HOST_SILENT_MS = 180_000;

/** Rows of hosts that were silent for longer than this are deleted, in ms. */
const HOST_FORGOTTEN_MS = 24 * 3_600_000;

/** Rows read in one look, and deleted by one beat. */
const HOSTS_LIMIT = 1000;

const PARTITION = 'host';

/** Writes this host's sign of life, and deletes the rows of hosts that are long gone. */
export async function beat(deps: HeartbeatDeps, hostId: string, sign: HostSign): Promise<void> {
  const { control, clock } = deps;
  const nowMs = clock.now();
  const { version, kind } = sign;
  const value = JSON.stringify({ atMs: nowMs, version, kind });
  await control.write([{ partition: PARTITION, row: hostId, value, ifMatch: 'any' }]);
  const old: { partition: string; row: string; value: null; ifMatch: string }[] = [];
  for await (const { row, value: text, etag } of control.scan(PARTITION, { limit: HOSTS_LIMIT })) {
    const { atMs } = JSON.parse(text) as LiveHost;
    if (nowMs - atMs > HOST_FORGOTTEN_MS) old.push({ partition: PARTITION, row, value: null, ifMatch: etag });
  }
  // A row that has moved meanwhile belongs to a host that lives.
  if (old.length > 0) await control.write(old);
}

/** Hosts that gave a sign of life within `HOST_SILENT_MS`, in the order of their ids. */
export async function liveHosts(deps: HeartbeatDeps): Promise<readonly LiveHost[]> {
  const nowMs = deps.clock.now();
  const hosts: LiveHost[] = [];
  for await (const { row, value } of deps.control.scan(PARTITION, { limit: HOSTS_LIMIT })) {
    const { atMs, version, kind } = JSON.parse(value) as LiveHost;
    if (nowMs - atMs <= HOST_SILENT_MS) hosts.push({ hostId: row, atMs, version, kind });
  }
  return hosts;
}
