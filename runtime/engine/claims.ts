import {
  type Candidate,
  decideClaim,
  decodeCheckpoint,
  encodeCheckpoint,
  isSeen,
  type ItemCheckpoint,
  voidClaim,
} from '../core/checkpoint.ts';
import { ServiceError } from '../core/failure.ts';
import type { HashedKey } from '../core/keys.ts';
import type { Rows, RowWrite, StoredRow } from '../ports.ts';

/** One version of an item that an envelope carries. */
export interface ClaimRequest {
  readonly key: HashedKey;
  readonly version: string;
  readonly observedAtMs: number;
}

/** What became of one claim. */
export interface ClaimResult {
  readonly verdict: 'own' | 'known' | 'void';
  readonly isLate: boolean;
  /** Newest observation of the item after the decision; undefined when all that was seen of it was discarded. */
  readonly newest: Candidate | undefined;
}

/** Rounds of read, decide, write before a claim is given up and the message goes back to the queue. */
const CLAIM_ROUNDS_LIMIT = 20;

/**
 * Claims every item of one envelope in the ledger, by compare-and-set. Items nobody has claimed cost no read.
 * @param reopen - called once before the first claim that an earlier worker of the envelope may have decided otherwise; when it
 * rejects, no such claim is made.
 * @throws ServiceError when other workers kept winning for `CLAIM_ROUNDS_LIMIT` rounds; nothing is lost, the envelope comes again.
 */
export async function claimItems(
  rows: Rows,
  envelopeId: string,
  requests: readonly ClaimRequest[],
  nowMs: number,
  reopen: () => Promise<void>,
): Promise<readonly ClaimResult[]> {
  let isReopened = false;
  const results: (ClaimResult | undefined)[] = requests.map(() => undefined);
  let open = requests.map((_, index) => index);
  for (let round = 0; round < CLAIM_ROUNDS_LIMIT && open.length > 0; round += 1) {
    const stored: readonly (StoredRow | undefined)[] =
      round === 0 ? open.map(() => undefined) : await rows.read(open.map((index) => requests[index]!.key));
    const lost = new Set<number>();
    const writes: { index: number; write: RowWrite }[] = [];
    for (const [position, index] of open.entries()) {
      const { result, write, needsReopening } = decide(requests[index]!, stored[position], envelopeId, nowMs);
      if (needsReopening && !isReopened) {
        await reopen();
        isReopened = true;
      }
      results[index] = result;
      if (write !== undefined) writes.push({ index, write });
    }
    const outcomes = writes.length === 0 ? [] : await rows.write(writes.map((entry) => entry.write));
    for (const [position, outcome] of outcomes.entries()) if (!outcome.ok) lost.add(writes[position]!.index);
    open = open.filter((index) => lost.has(index));
  }
  if (open.length > 0)
    throw new ServiceError(`claims of envelope ${envelopeId} lost ${CLAIM_ROUNDS_LIMIT} rounds in a row`);
  return results.map((result) => result!);
}

function decide(
  request: ClaimRequest,
  stored: StoredRow | undefined,
  envelopeId: string,
  nowMs: number,
): { result: ClaimResult; write: RowWrite | undefined; needsReopening: boolean } {
  const row: ItemCheckpoint | undefined = stored === undefined ? undefined : decodeCheckpoint(stored.value);
  const decision = decideClaim(row, request, envelopeId, nowMs);
  const after = decision.write ?? row;
  const result = {
    verdict: decision.verdict,
    isLate: decision.isLate,
    newest: after !== undefined && isSeen(after) ? after.last : undefined,
  };
  const needsReopening = decision.isReopened;
  if (decision.write === undefined) return { result, write: undefined, needsReopening };
  const write = { ...request.key, value: encodeCheckpoint(decision.write), ifMatch: stored?.etag ?? 'absent' };
  return { result, write, needsReopening };
}

/**
 * Makes void what an envelope has claimed of these items, or could still claim. Doing it again changes nothing.
 * @throws ServiceError when other workers kept winning; what was done stays done.
 */
export async function voidItems(
  rows: Rows,
  envelopeId: string,
  requests: readonly ClaimRequest[],
  nowMs: number,
): Promise<void> {
  let open = requests;
  for (let round = 0; round < CLAIM_ROUNDS_LIMIT && open.length > 0; round += 1) {
    const stored = await rows.read(open.map(({ key }) => key));
    const writes = open.flatMap((request, index): { request: ClaimRequest; write: RowWrite }[] => {
      const before = stored[index];
      const row = before === undefined ? undefined : decodeCheckpoint(before.value);
      const after = voidClaim(row, request, envelopeId, nowMs);
      if (after === undefined) return [];
      const { partition, row: name } = request.key;
      const write = { partition, row: name, value: encodeCheckpoint(after), ifMatch: before?.etag ?? 'absent' };
      return [{ request, write }];
    });
    const outcomes = writes.length === 0 ? [] : await rows.write(writes.map(({ write }) => write));
    open = writes.filter((_, index) => outcomes[index]?.ok !== true).map(({ request }) => request);
  }
  if (open.length > 0)
    throw new ServiceError(`releases of envelope ${envelopeId} lost ${CLAIM_ROUNDS_LIMIT} rounds in a row`);
}
