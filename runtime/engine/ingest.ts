import {
  decodeEnvelope,
  ENVELOPE_MAX_BYTES,
  EnvelopeError,
  type Envelope,
  type EnvelopeItem,
} from '../core/envelope.ts';
import { ServiceError } from '../core/failure.ts';
import { deadLetterOf, type MessageFaultCode } from '../core/faults.ts';
import { envelopeKey } from '../core/keys.ts';
import { envelopeObject } from '../core/lake-name.ts';
import type { Clock, Compression, Digest, Handled, IncomingMessage, Lake, Ledger } from '../ports.ts';
import type { Checkpoints, ItemKey } from './checkpoints.ts';
import { claimItems, type ClaimRequest } from './claims.ts';
import type { Completeness, EnvelopeRef } from './completeness.ts';
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

interface Done {
  readonly bodyHash: string;
  readonly items: number;
  readonly owned: number;
}

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
  const key = envelopeKey(envelope.envelopeId);
  const bodyHash = deps.digest.sha256(text, 32);
  const [stored] = await deps.ledger.envelopes.read([key]);
  if (stored !== undefined) {
    // Whoever marked it done may have died before the cache heard of it: a version that came back would count as seen for hours.
    await deps.checkpoints.doubt(requestsOf(deps, envelope).map((request) => request.key));
    return settleDone(deps, envelope, JSON.parse(stored.value) as Done, bodyHash);
  }

  const requests = requestsOf(deps, envelope);
  const claims = await claimItems(deps.ledger.items, envelope.envelopeId, requests, deps.clock.now());
  const owned = envelope.items.flatMap((item, index) => {
    const claim = claims[index]!;
    return claim.verdict === 'own' ? [{ item, isLate: claim.isLate }] : [];
  });
  if (owned.length > 0) {
    const lines = await Promise.all(owned.map(({ item, isLate }) => lakeLine(deps.lake, envelope, item, isLate)));
    await deps.lake.write(objectOf(envelope), lines.join(''));
  }
  const done: Done = { bodyHash, items: envelope.items.length, owned: owned.length };
  // 'any': a worker that lost its lock may write the same fact again.
  const [written] = await deps.ledger.envelopes.write([{ ...key, value: JSON.stringify(done), ifMatch: 'any' }]);
  if (written?.ok !== true) throw new ServiceError(`the ledger refused to mark envelope ${envelope.envelopeId} done`);
  const ingested = requests.map(({ key, version }, index) => ({ key, version, newest: claims[index]!.newest }));
  await deps.checkpoints.ingested(ingested, deps.cacheTtlMs(envelope.minerName));
  return settle(deps, envelope, done.owned);
}

/** Items that an ingested envelope owns in the lake; undefined when it was not ingested. */
export async function ownedOf(ledger: Ledger, envelopeId: string): Promise<number | undefined> {
  const [stored] = await ledger.envelopes.read([envelopeKey(envelopeId)]);
  return stored === undefined ? undefined : (JSON.parse(stored.value) as Done).owned;
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

function settleDone(deps: IngestDeps, envelope: Envelope, done: Done, bodyHash: string): Handled {
  if (done.bodyHash === bodyHash) return settle(deps, envelope, done.owned);
  const description = `envelope ${envelope.envelopeId} was ingested with another body`;
  return { settlement: deadLetterOf('envelope-conflict', description) };
}

function settle(deps: IngestDeps, envelope: Envelope, owned: number): Handled {
  const ref: EnvelopeRef = {
    envelopeId: envelope.envelopeId,
    minerName: envelope.minerName,
    composedAtMs: envelope.composedAtMs,
    items: envelope.items.length,
  };
  return {
    settlement: { kind: 'complete' },
    settled: () => deps.completeness.settled(ref, envelope.items.length - owned),
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
