import {
  decodeEnvelope,
  ENVELOPE_MAX_BYTES,
  EnvelopeError,
  type Envelope,
  type EnvelopeItem,
} from '../core/envelope.ts';
import { decodeEnvelopeState, encodeEnvelopeState, type EnvelopeState } from '../core/envelope-row.ts';
import { ServiceError } from '../core/failure.ts';
import { deadLetterOf, type MessageFaultCode } from '../core/faults.ts';
import { envelopeKey } from '../core/keys.ts';
import { envelopeObject } from '../core/lake-name.ts';
import type { Clock, Compression, Digest, Handled, IncomingMessage, Lake, Ledger, Rows, StoredRow } from '../ports.ts';
import type { Checkpoints, ItemKey } from './checkpoints.ts';
import { claimItems, type ClaimRequest, type ClaimResult } from './claims.ts';
import type { Completeness, EnvelopeRef } from './completeness.ts';
import { type Carried, keepToObject, releaseDiscarded } from './discard.ts';
import { postpone, type Postpone } from './postpone.ts';

/** What ingest works with. */
export interface IngestDeps extends Postpone {
  readonly clock: Clock;
  readonly digest: Digest;
  readonly compression: Compression;
  readonly ledger: Ledger;
  readonly lake: Lake;
  readonly checkpoints: Checkpoints;
  readonly completeness: Completeness;
  /** How long the cache may answer for items of a miner, in ms. */
  readonly cacheTtlMs: (minerName: string) => number;
}

/** What the row of an item says whose object is not in `oversize/`. */
const OVERSIZE_GONE: MessageFaultCode = 'oversize-gone';

/**
 * Claim, write, done, settle: puts one envelope into the lake exactly once, whoever else works on it.
 * @throws when the ledger or the lake cannot be asked; the message then comes again.
 */
export async function ingest(deps: IngestDeps, message: IncomingMessage): Promise<Handled> {
  let text: string;
  let envelope: Envelope;
  try {
    text = await deps.compression.decompress(message.body, ENVELOPE_MAX_BYTES);
    envelope = decodeEnvelope(text);
  } catch (error) {
    return treatUnreadable(deps, message, error);
  }
  const bodyHash = deps.digest.sha256(text, 32);
  const carried: Carried = { envelope, bodyHash, requests: requestsOf(deps, envelope) };
  const [stored] = await deps.ledger.envelopes.read([envelopeKey(envelope.envelopeId)]);
  const state = stored === undefined ? undefined : decodeEnvelopeState(stored.value);
  if (state?.kind === 'discarded') return settleDiscarded(deps, carried, state);
  if (state?.kind === 'done') {
    // Whoever marked it done may have died before the cache heard of it: a version that came back would count as seen for hours.
    await deps.checkpoints.doubt(carried.requests.map((request) => request.key));
    return settleDone(deps, envelope, state, bodyHash);
  }
  return claimAndWrite(deps, carried, new EnvelopeMark(deps.ledger.envelopes, carried, stored));
}

async function claimAndWrite(deps: IngestDeps, carried: Carried, mark: EnvelopeMark): Promise<Handled> {
  const { envelope, requests } = carried;
  const { items } = deps.ledger;
  const claims = await claimItems(items, envelope.envelopeId, requests, deps.clock.now(), () => mark.reopen());
  const written = envelope.items.flatMap((item, index) => {
    const claim = claims[index]!;
    return claim.verdict === 'own' ? [{ item, isLate: claim.isLate }] : [];
  });
  let owned = written.length;
  let isOther = false;
  if (owned > 0) {
    const lines = await Promise.all(written.map(({ item, isLate }) => lakeLine(deps.lake, envelope, item, isLate)));
    const text = lines.join('');
    if (!(await deps.lake.create(objectOf(envelope), text))) {
      const there = await deps.lake.read(objectOf(envelope));
      isOther = there !== text;
      if (isOther) owned = await keepToObject(deps, carried, there);
    }
  }
  await mark.done(owned);
  if (isOther) await deps.checkpoints.doubt(requests.map((request) => request.key));
  else await tellCache(deps, carried, claims);
  return settle(deps, envelope, owned);
}

/** Not of items of which all was given up. */
async function tellCache(deps: IngestDeps, carried: Carried, claims: readonly ClaimResult[]): Promise<void> {
  const { envelope, requests } = carried;
  const ingested = requests.flatMap(({ key, version }, index) => {
    const { newest } = claims[index]!;
    return newest === undefined ? [] : [{ key, version, newest }];
  });
  await deps.checkpoints.ingested(ingested, deps.cacheTtlMs(envelope.minerName));
}

/** The row of an envelope as one worker has met it: whatever another one has made of it since, makes him look again. */
class EnvelopeMark {
  readonly #rows: Rows;
  readonly #carried: Carried;
  #etag: string;
  #times: number;

  constructor(rows: Rows, carried: Carried, stored: StoredRow | undefined) {
    const state = stored === undefined ? undefined : decodeEnvelopeState(stored.value);
    this.#rows = rows;
    this.#carried = carried;
    this.#etag = stored?.etag ?? 'absent';
    this.#times = state?.kind === 'reopened' ? state.times : 0;
  }

  /** Nobody ends the envelope any more by what he had decided before. @throws ServiceError */
  async reopen(): Promise<void> {
    this.#times += 1;
    const etag = await this.#write({ kind: 'reopened', times: this.#times });
    if (etag === undefined) throw wasChanged(this.#carried.envelope);
    this.#etag = etag;
  }

  /** A worker that lost its lock may say so again. @throws ServiceError when the row says something else. */
  async done(owned: number): Promise<void> {
    const { envelope, bodyHash } = this.#carried;
    const etag = await this.#write({ kind: 'done', bodyHash, items: envelope.items.length, owned });
    if (etag !== undefined) return;
    const [stored] = await this.#rows.read([envelopeKey(envelope.envelopeId)]);
    const state = stored === undefined ? undefined : decodeEnvelopeState(stored.value);
    if (state?.kind !== 'done' || state.bodyHash !== bodyHash) throw wasChanged(envelope);
  }

  async #write(state: EnvelopeState): Promise<string | undefined> {
    const key = envelopeKey(this.#carried.envelope.envelopeId);
    const [written] = await this.#rows.write([{ ...key, value: encodeEnvelopeState(state), ifMatch: this.#etag }]);
    return written?.ok === true ? written.etag : undefined;
  }
}

function wasChanged({ envelopeId }: Envelope): ServiceError {
  return new ServiceError(`envelope ${envelopeId} was changed by another worker: it comes again`);
}

/** Items that an ended envelope owns in the lake, or that it was discarded; undefined when it is not ended. */
export async function ownedOf(ledger: Ledger, envelopeId: string): Promise<number | 'discarded' | undefined> {
  const [stored] = await ledger.envelopes.read([envelopeKey(envelopeId)]);
  const state = stored === undefined ? undefined : decodeEnvelopeState(stored.value);
  if (state?.kind === 'done') return state.owned;
  return state?.kind === 'discarded' && state.isReleased ? 'discarded' : undefined;
}

function requestsOf(deps: IngestDeps, envelope: Envelope): readonly (ClaimRequest & { readonly key: ItemKey })[] {
  return envelope.items.map((item) => ({
    key: deps.checkpoints.keyOf(envelope.minerName, item.userId, item.id),
    version: item.version,
    observedAtMs: item.observedAtMs,
  }));
}

/** One row of the lake. A dangling claim check is that item's fault: its row says so, the others stay whole. */
async function lakeLine(lake: Lake, envelope: Envelope, item: EnvelopeItem, isLate: boolean): Promise<string> {
  const meta = JSON.stringify({
    miner: envelope.minerName,
    userId: item.userId,
    id: item.id,
    version: item.version,
    late: isLate,
    observedAt: new Date(item.observedAtMs).toISOString(),
  });
  const dataText = item.dataText ?? (await lake.read(item.dataRef ?? ''))?.trimEnd();
  if (dataText === undefined) return `${meta.slice(0, -1)},"fault":"${OVERSIZE_GONE}","data":null}\n`;
  return `${meta.slice(0, -1)},"data":${dataText}}\n`;
}

/** Whichever copy of a discarded envelope comes, it ends what the command began. */
async function settleDiscarded(
  deps: IngestDeps,
  carried: Carried,
  state: Extract<EnvelopeState, { kind: 'discarded' }>,
): Promise<Handled> {
  const ended = state.isReleased ? state : await releaseDiscarded(deps, carried);
  if (ended.kind === 'done') return settle(deps, carried.envelope, ended.owned);
  return settle(deps, carried.envelope, 0, 'discarded');
}

function settleDone(
  deps: IngestDeps,
  envelope: Envelope,
  done: Extract<EnvelopeState, { kind: 'done' }>,
  bodyHash: string,
): Handled {
  if (done.bodyHash === bodyHash) return settle(deps, envelope, done.owned);
  const description = `envelope ${envelope.envelopeId} was ingested with another body`;
  return { settlement: deadLetterOf('envelope-conflict', description) };
}

function settle(deps: IngestDeps, envelope: Envelope, owned: number, why?: 'discarded'): Handled {
  const ref: EnvelopeRef = {
    envelopeId: envelope.envelopeId,
    minerName: envelope.minerName,
    composedAtMs: envelope.composedAtMs,
    items: envelope.items.length,
  };
  return {
    settlement: { kind: 'complete' },
    settled: () => deps.completeness.settled(ref, envelope.items.length - owned, why),
  };
}

async function treatUnreadable(deps: IngestDeps, message: IncomingMessage, error: unknown): Promise<Handled> {
  if (error instanceof EnvelopeError && error.kind === 'newer')
    return postpone(deps, message, { code: 'schema-newer' });
  const description = error instanceof Error ? error.message : 'unreadable';
  return { settlement: deadLetterOf('envelope-unreadable', description) };
}

function objectOf(envelope: Envelope): string {
  return envelopeObject(envelope.minerName, envelope.composedAtMs, envelope.envelopeId);
}
