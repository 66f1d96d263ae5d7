import { brotli } from '../adapters/compression.ts';
import { systemClock } from '../adapters/system.ts';
import {
  decodeEnvelope,
  type Envelope,
  ENVELOPE_CONTENT_TYPE,
  ENVELOPE_MAX_BYTES,
  EnvelopeError,
} from '../core/envelope.ts';
import { markDiscarded } from '../engine/discard.ts';
import type { IncomingMessage, Ledger } from '../ports.ts';
import { BadInput } from './bad-input.ts';
import { withControl } from './control-ledger.ts';
import { redrive, type RedriveReport, type RedriveWatch, type RedriveWish, sourcesOf } from './redrive-command.ts';
import type { Whereabouts } from './stack-storage.ts';

/** Which dead letters a person gives up. */
export interface DiscardWish extends Pick<RedriveWish, 'queue' | 'filter' | 'limit' | 'isDry'> {
  /** Ids of messages or of envelopes; none: all that the filter means. */
  readonly ids: readonly string[];
}

/** What became of the dead letters that were given up. */
export interface DiscardCounts {
  /** Envelopes that are sent once more, for whoever ingests to release what they had claimed. */
  released: number;
  /** Envelopes that were in the lake already, or released before: only the dead letter is gone. */
  settled: number;
  /** No envelope that can be read: nothing is known to hang on it. */
  others: number;
}

/** What was found, and what was done. */
export interface DiscardReport {
  readonly reports: readonly RedriveReport[];
  readonly counts: DiscardCounts;
}

/**
 * Takes dead letters out for good. Each envelope is marked in the ledger first, then sent once more, then its dead letter is taken out: a
 * command that was stopped in between finds it again and goes on.
 * @throws BadInput
 */
export async function discard(place: Whereabouts, wish: DiscardWish, watch: RedriveWatch): Promise<DiscardReport> {
  const { queue, filter, limit, isDry } = wish;
  // Before the ledger is opened.
  sourcesOf({ queue, command: 'discard' });
  const ids = new Set(wish.ids);
  const counts: DiscardCounts = { released: 0, settled: 0, others: 0 };
  const reports = await withControl(place, (ledger) =>
    redrive(
      place,
      {
        ...{ queue, filter, limit, isDry, command: 'discard' },
        ...(ids.size > 0 && { isNamed: (letter) => isOneOf(ids, letter) }),
        treat: (letter) => giveUp(ledger, counts, letter),
      },
      watch,
    ),
  );
  if (reports === undefined) {
    throw new BadInput(
      `there is no state in ${place.state}. Next: name the folder with --state DIR, or a stack with --stack`,
    );
  }
  return { reports, counts };
}

async function isOneOf(ids: ReadonlySet<string>, letter: IncomingMessage): Promise<boolean> {
  if (ids.has(letter.messageId)) return true;
  const envelope = await envelopeIn(letter);
  return envelope !== undefined && envelope !== 'newer' && ids.has(envelope.envelopeId);
}

async function giveUp(ledger: Ledger, counts: DiscardCounts, letter: IncomingMessage): Promise<'send' | 'drop'> {
  const envelope = await envelopeIn(letter);
  if (envelope === 'newer') throw new Error('an envelope of a newer version: discard it with the newer code');
  if (envelope === undefined) {
    counts.others += 1;
    return 'drop';
  }
  const marked = await markDiscarded(ledger.envelopes, envelope.envelopeId, systemClock.now());
  if (marked === 'marked') {
    counts.released += 1;
    return 'send';
  }
  counts.settled += 1;
  return 'drop';
}

/** Undefined: the message is no envelope, or one that nobody can read, and that has claimed nothing therefore. */
async function envelopeIn({ body, contentType }: IncomingMessage): Promise<Envelope | 'newer' | undefined> {
  if (contentType !== ENVELOPE_CONTENT_TYPE) return undefined;
  const text = await brotli.decompress(body, ENVELOPE_MAX_BYTES).catch(() => undefined);
  try {
    return text === undefined ? undefined : decodeEnvelope(text);
  } catch (error) {
    if (!(error instanceof EnvelopeError)) throw error;
    return error.kind === 'newer' ? 'newer' : undefined;
  }
}
