import type { Envelope } from '../core/envelope.ts';
import { decodeEnvelopeState, encodeEnvelopeState, type EnvelopeState } from '../core/envelope-row.ts';
import { ServiceError } from '../core/failure.ts';
import { envelopeKey } from '../core/keys.ts';
import { envelopeObject } from '../core/lake-name.ts';
import type { Clock, Lake, Ledger, Rows } from '../ports.ts';
import type { Checkpoints, ItemKey } from './checkpoints.ts';
import { type ClaimRequest, voidItems } from './claims.ts';

/** What releasing a discarded envelope works with. */
export interface ReleaseDeps {
  readonly clock: Clock;
  readonly ledger: Ledger;
  readonly lake: Lake;
  readonly checkpoints: Checkpoints;
}

/** What an envelope carries, with the keys of its items. */
export interface Carried {
  readonly envelope: Envelope;
  readonly bodyHash: string;
  readonly requests: readonly (ClaimRequest & { readonly key: ItemKey })[];
}

/** Others may change the row of an envelope so often before a mark is given up. */
const MARK_ROUNDS_LIMIT = 20;

/**
 * Marks an envelope as given up: from now on nobody marks it done who has not looked again. `in-lake`: it is done, and stays so ·
 * `released`: it was given up before, and all is done.
 *
 * The mark releases nothing: whoever ingests the envelope next does, because only he has its items, the lake and the shared cache
 * at hand (`releaseDiscarded`). The caller sends the message again for that. So a crash leaves a dead letter that is
 * discarded again, or a message whose delivery goes on where the last one ended.
 * @throws ServiceError when others kept changing the row.
 */
export async function markDiscarded(
  envelopes: Rows,
  envelopeId: string,
  nowMs: number,
): Promise<'marked' | 'in-lake' | 'released'> {
  const key = envelopeKey(envelopeId);
  const value = encodeEnvelopeState({ kind: 'discarded', atMs: nowMs, isReleased: false });
  for (let round = 0; round < MARK_ROUNDS_LIMIT; round += 1) {
    const [stored] = await envelopes.read([key]);
    const state = stored === undefined ? undefined : decodeEnvelopeState(stored.value);
    if (state?.kind === 'done') return 'in-lake';
    if (state?.kind === 'discarded') return state.isReleased ? 'released' : 'marked';
    const [written] = await envelopes.write([{ ...key, value, ifMatch: stored?.etag ?? 'absent' }]);
    if (written?.ok === true) return 'marked';
  }
  throw new ServiceError(`the row of envelope ${envelopeId} changed ${MARK_ROUNDS_LIMIT} times in a row`);
}

/**
 * Releases a discarded envelope, or finds that it had reached the lake before. Every step may be done again, by anybody at once.
 *
 * 1. Its lake object is made empty, if there is none: the object decides, because it is made once and never changes. A worker who
 *    lost his lock and still writes finds it there. If it holds rows, they were first: the envelope is done, its claims stand.
 * 2. Its claims become void, and so does what it has not claimed yet: that worker cannot claim it afterwards. `last` of an item falls
 *    back to the newest claim that stands and is not late; a later one of another envelope is left as it is. An item that nobody
 *    else has claimed in time is as good as never seen, so that a row that is late because of this envelope may come once more.
 * 3. The cache tiers are told to ask the ledger again. A page that had read the ledger before step 2 may still fill them with the
 *    void version: then the item is mined again after `cacheTtlMs` at the latest.
 * 4. The row says that all this is done, and completeness may count it.
 *
 * What of a slow worker can still happen: he claims a version before it is void (step 2 makes it void), or after (he is told `void`); he
 * makes the object first (the envelope is done) or later (it is there, and he gives up); he marks the envelope done (its row has changed,
 * and he looks again). Code from before 2026-11-28 does none of this: it writes over objects and rows, so no envelope is discarded
 * while it still runs. Every interleaving is explored in test/engine/ingest-model.test.ts.
 *
 * A version that others carried too, and that was known to them because this envelope had claimed it, goes with it: it is mined again
 * when it is served again. An envelope that was told `known` and is delivered once more may own it now (`isReopened`).
 */
export async function releaseDiscarded(
  deps: ReleaseDeps,
  { envelope, bodyHash, requests }: Carried,
): Promise<EnvelopeState> {
  const { clock, lake, ledger, checkpoints } = deps;
  const { envelopeId, minerName, composedAtMs, items } = envelope;
  const object = envelopeObject(minerName, composedAtMs, envelopeId);
  const text = (await lake.create(object, '')) ? '' : await lake.read(object);
  if (text === undefined) throw new ServiceError(`the object of envelope ${envelopeId} is there and is not`);
  let state: EnvelopeState;
  if (text === '') {
    await voidItems(ledger.items, envelopeId, requests, clock.now());
    state = { kind: 'discarded', atMs: clock.now(), isReleased: true };
  } else {
    state = { kind: 'done', bodyHash, items: items.length, owned: rowCount(text) };
  }
  await checkpoints.doubt(requests.map(({ key }) => key));
  // 'any': whoever comes here has found the same object.
  const write = { ...envelopeKey(envelopeId), value: encodeEnvelopeState(state), ifMatch: 'any' as const };
  const [written] = await ledger.envelopes.write([write]);
  if (written?.ok !== true) throw new ServiceError(`the ledger refused to end the discarded envelope ${envelopeId}`);
  return state;
}

/**
 * An object of this envelope with other rows is there, because an earlier worker knew of a claim that has become void since: the object
 * stays, and what it lacks is released. How many rows it has.
 * @throws ServiceError for an empty one: the envelope is discarded, and comes again.
 */
export async function keepToObject(
  deps: Pick<ReleaseDeps, 'clock' | 'ledger'>,
  { envelope, requests }: Carried,
  text: string | undefined,
): Promise<number> {
  if (text === undefined || text === '') {
    throw new ServiceError(`envelope ${envelope.envelopeId} was discarded while it was ingested`);
  }
  const written = new Set(text.split('\n').filter(Boolean).map(itemOfRow));
  const missing = requests.filter((_, index) => {
    const { userId, id } = envelope.items[index]!;
    return !written.has(JSON.stringify([userId, id]));
  });
  // Also what was known to it: it may not claim that later, when a third envelope is discarded.
  await voidItems(deps.ledger.items, envelope.envelopeId, missing, deps.clock.now());
  return rowCount(text);
}

function itemOfRow(line: string): string {
  const { userId, id } = JSON.parse(line) as { userId: string; id: string };
  return JSON.stringify([userId, id]);
}

function rowCount(text: string): number {
  return text.split('\n').length - 1;
}
