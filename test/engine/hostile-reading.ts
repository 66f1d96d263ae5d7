import { expect } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { Fault, FAULTS, type FaultCode } from '../../runtime/core/faults.ts';
import { FRESH_CONTENT, guardContent } from '../../runtime/core/content-guard.ts';
import { stopsOfUsage } from '../../runtime/core/gate.ts';
import { FRESH_GUARD, guardMarker, MARKER_LIMIT_BYTES, markerBytes } from '../../runtime/core/marker.ts';
import { decideFiring } from '../../runtime/core/run.ts';
import type { ReplyFault, Usage } from '../../runtime/core/upstream.ts';
import { Checkpoints } from '../../runtime/engine/checkpoints.ts';
import { Completeness, equationsOf } from '../../runtime/engine/completeness.ts';
import { Packer } from '../../runtime/engine/deliver.ts';
import { type FetchedPage, fetchPage } from '../../runtime/engine/fetch-page.ts';
import { ingest } from '../../runtime/engine/ingest.ts';
import type { Permit } from '../../runtime/engine/limits.ts';
import { takePage, type TakenPage } from '../../runtime/engine/take-page.ts';
import type { Clock, IncomingMessage, OutgoingMessage } from '../../runtime/ports.ts';
import { graph } from '../../runtime/upstreams/graph.ts';
import { MINER, NEVER_LOST, userNamed } from '../fakes/engine-rig.ts';
import { MemoryLake } from '../fakes/memory-lake.ts';
import { memoryLedger, type MemoryLedger } from '../fakes/memory-rows.ts';
import { plainCompression } from '../fakes/plain-compression.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import type { HostilePage } from './hostile-grammar.ts';
import { TOKEN } from './hostile-words.ts';

const NOW_MS = Date.UTC(2026, 9, 1);
const DAY_MS = 24 * 3_600_000;

/** Characters of JSON that the guard's memory of one page may take. */
const CONTENT_LIMIT = 1_300;

/** Longest reason of a fault: 200 characters of the upstream's, and what the engine says beside it. */
const REASON_LIMIT = 400;

/** Time stands still, and nobody lingers: the packer flushes when all wait. */
const CLOCK: Clock = { now: () => NOW_MS, sleep: () => new Promise(() => undefined) };

const { run: RUN } = decideFiring(undefined, {
  ...{ runId: 'r1', userId: 'u1', minerName: MINER.name, pageLimit: 100 },
  ...{ tokenHash: 't', nowMs: 1, reviveAfterMs: 1 },
});

/** A page on its whole way through the engine, or the fault that it met. */
export type Reading =
  | { readonly kind: 'fault'; readonly code: FaultCode }
  | { readonly kind: 'page'; readonly page: FetchedPage; readonly taken: TakenPage; readonly found: Found };

/** What lies in ledger and lake afterwards. */
export interface Found {
  readonly ledger: MemoryLedger;
  readonly lake: MemoryLake;
  readonly checkpoints: Checkpoints;
  readonly sent: readonly OutgoingMessage[];
}

/**
 * Lets the engine read one answer as it does behind its sockets: client, judge, miner, guards, checkpoint, packer, ingest.
 * @throws whatever is no fault, which is a defect of the engine, and errors of the checks that need no reference.
 */
export async function readHostile({ answer, marker, userId }: HostilePage): Promise<Reading> {
  const permit = notingPermit();
  const source = {
    ...{ miner: MINER, definition: graph, baseUrl: 'http://h', marker, limit: 100, maxBytes: 1, timeoutMs: 1, permit },
    // The forms of a token are searched for, which is slow: only where it could be quoted.
    user: userNamed(userId, { accessToken: answer.text.includes(TOKEN) ? TOKEN : 't' }),
  };
  const clients = { call: async () => answer, wayOf: () => null };
  let page: FetchedPage;
  try {
    page = await fetchPage({ clock: CLOCK, clients }, source, NEVER_LOST);
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    return { kind: 'fault', code: checkedFault(error).code };
  }
  if (page.next !== null) checkMarker(page.next);
  return { kind: 'page', page, ...(await takeAll(page)) };
}

async function takeAll(page: FetchedPage): Promise<{ taken: TakenPage; found: Found }> {
  const [lake, ledger, sent] = [new MemoryLake(), memoryLedger(), [] as OutgoingMessage[]];
  const random = seededRandom(1);
  const checkpoints = new Checkpoints({
    ...{ digest: sha256Digest, items: ledger.items, tiers: [] },
    onTierError: (error) => expect.fail(String(error)),
  });
  const completeness = new Completeness({ lake, meter: { count: () => undefined } });
  const send = async (_: string, messages: readonly OutgoingMessage[]): Promise<void> => void sent.push(...messages);
  const shared = {
    ...{ clock: CLOCK, random, digest: sha256Digest, compression: plainCompression },
    ...{ ledger, lake, checkpoints, completeness },
  };
  const bus = { send, consume: () => expect.fail('nothing is consumed'), close: async () => undefined };
  const options = { minerName: MINER.name, sendTo: 'q', sealedMaxBytes: 200_000, lingerMs: 1 };
  const packer = new Packer({ ...shared, bus }, options);
  const taken = await takePage({ ...shared, packer }, MINER, RUN, page.items, NOW_MS);
  for (const message of sent) {
    const handled = await ingest({ ...shared, bus, queue: 'q', cacheTtlMs: () => 1 }, incomingOf(message));
    if (handled.settlement.kind !== 'complete') expect.fail(JSON.stringify(handled.settlement));
    handled.settled?.();
  }
  await completeness.audit();
  const broken = equationsOf(completeness.counters).filter(({ holds }) => !holds);
  if (broken.length > 0 || completeness.unsettled() > 0) expect.fail(`not complete: ${JSON.stringify(broken)}`);
  const content = guardContent(FRESH_CONTENT, taken.ids).state;
  if (JSON.stringify(content).length > CONTENT_LIMIT) expect.fail('the guard remembers too much');
  return { taken, found: { ledger, lake, checkpoints, sent } };
}

function incomingOf({ messageId, body, contentType, properties }: OutgoingMessage): IncomingMessage {
  const broker = { subject: undefined, sessionId: undefined, deliveryCount: 0, enqueuedAtMs: NOW_MS };
  return { messageId, body, contentType, properties, ...broker };
}

/** What an answer says of allowances goes into shared budgets: only whole, finite waits may. */
function notingPermit(): Permit {
  const note = async (usages: readonly Usage[], fault: ReplyFault | undefined): Promise<void> => {
    for (const { percent, regainMs } of usages) {
      checkWait(percent, Number.MAX_VALUE);
      if (regainMs !== undefined) checkWait(regainMs, DAY_MS);
    }
    for (const { waitMs } of stopsOfUsage(usages)) checkWait(waitMs, DAY_MS);
    if (fault?.retryAfterMs !== undefined) checkWait(fault.retryAfterMs, DAY_MS);
  };
  return { run: (work) => work(), giveBack: async () => undefined, note };
}

function checkWait(value: number, max: number): void {
  if (!(value >= 0 && value <= max)) expect.fail(`${value} is not within 0..${max}`);
}

function checkedFault(fault: Fault): Fault {
  const { code, message, waitMs } = fault;
  if (!Object.hasOwn(FAULTS, code)) expect.fail(`unknown code ${code}`);
  if (message.includes(TOKEN)) expect.fail(`the reason quotes the token: ${message}`);
  if (message.length > REASON_LIMIT) expect.fail(`a reason of ${message.length} characters`);
  if (!message.isWellFormed() || /[\0-\x1f\x7f-\x9f\u2028\u2029]/.test(message))
    expect.fail(`an odd reason: ${JSON.stringify(message)}`);
  if (waitMs !== undefined) checkWait(waitMs, DAY_MS);
  return fault;
}

function checkMarker(marker: string): void {
  if (marker === '' || !marker.isWellFormed() || markerBytes(marker) > MARKER_LIMIT_BYTES)
    expect.fail(`marker ${JSON.stringify(marker)}`);
  if (guardMarker(FRESH_GUARD, marker).verdict !== 'go-on') expect.fail('one marker alone is stuck');
}
