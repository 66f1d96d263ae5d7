import { trimOldest } from '../core/bounded.ts';
import { envelopeObject } from '../core/lake-name.ts';
import type { Lake, Meter } from '../ports.ts';

/** The completeness counters of one process. Each is counted at its own place and never derived from another. */
export interface Counters {
  /** Items in pages that the upstream adapter brought. */
  fetched: number;
  /** Items handed to the packer. */
  new: number;
  /** Items dropped because the checkpoint knows them. */
  seen: number;
  /** Items set aside in `rejected/`. */
  rejected: number;
  /** Items in envelopes that the broker acknowledged. */
  sent: number;
  /** Items in envelopes whose settlement the broker confirmed. */
  settled: number;
  /** Settled items that an earlier process sent, or this one without hearing so. */
  recovered: number;
  /** Settled items that were in the lake already under another envelope. */
  known: number;
  /** Settled items of envelopes that a person gave up. */
  discarded: number;
  /** Rows read back from the objects of settled envelopes. */
  lake: number;
}

/** What completeness needs to know of an envelope. `items` is their number. */
export interface EnvelopeRef {
  readonly envelopeId: string;
  readonly minerName: string;
  readonly composedAtMs: number;
  readonly items: number;
}

/**
 * Envelopes whose settlement is remembered so that a second copy of the same one, sent in doubt about the first, counts once: those
 * of a minute at the highest rate of one machine. One that comes later counts as recovered.
 */
const SETTLED_REMEMBERED = 5_000;

interface Send {
  readonly envelope: EnvelopeRef;
  readonly state: 'in-flight' | 'settled-early' | 'acknowledged';
}

/** Objects read back at once by an audit. */
const AUDIT_READS = 8;

/** Counts, and reads the lake back. */
export class Completeness {
  readonly counters: Counters = {
    fetched: 0,
    new: 0,
    seen: 0,
    rejected: 0,
    sent: 0,
    settled: 0,
    recovered: 0,
    known: 0,
    discarded: 0,
    lake: 0,
  };
  readonly #lake: Lake;
  readonly #meter: Meter;
  readonly #sends = new Map<string, Send>();
  readonly #settled = new Set<string>();
  readonly #unaudited: EnvelopeRef[] = [];
  #followsEnvelopes = true;

  constructor(deps: { lake: Lake; meter: Meter }) {
    this.#lake = deps.lake;
    this.#meter = deps.meter;
  }

  add(name: keyof Counters, value: number, minerName: string): void {
    this.counters[name] += value;
    this.#meter.count(name, value, { minerName });
  }

  /**
   * From now on envelopes are not followed, because another process may settle them: `recovered` and `lake` stand still, the
   * other counters are counted still.
   */
  countOnly(): void {
    this.#followsEnvelopes = false;
  }

  sending(envelope: EnvelopeRef): void {
    if (!this.#followsEnvelopes) return;
    this.#sends.set(envelope.envelopeId, { envelope, state: 'in-flight' });
  }

  acknowledged(envelope: EnvelopeRef): void {
    this.add('sent', envelope.items, envelope.minerName);
    if (!this.#followsEnvelopes) return;
    const isSettled = this.#sends.get(envelope.envelopeId)?.state === 'settled-early';
    if (isSettled) this.#sends.delete(envelope.envelopeId);
    else this.#sends.set(envelope.envelopeId, { envelope, state: 'acknowledged' });
  }

  /** A send that was given up. The broker may have it all the same. */
  sendFailed(envelope: EnvelopeRef): void {
    if (this.#sends.get(envelope.envelopeId)?.state === 'settled-early') {
      this.add('recovered', envelope.items, envelope.minerName);
    }
    this.#sends.delete(envelope.envelopeId);
  }

  /** The broker confirmed the settlement of an envelope; those of its items that it does not own count as `why`. */
  settled(envelope: EnvelopeRef, notOwned: number, why: 'known' | 'discarded' = 'known'): void {
    if (this.#settled.has(envelope.envelopeId)) return;
    this.add('settled', envelope.items, envelope.minerName);
    this.add(why, notOwned, envelope.minerName);
    // Of two deliveries each may be settled by another process, so that remembering one of them tells nothing.
    if (!this.#followsEnvelopes) return;
    this.#settled.add(envelope.envelopeId);
    trimOldest(this.#settled, SETTLED_REMEMBERED);
    this.#unaudited.push(envelope);
    const send = this.#sends.get(envelope.envelopeId);
    if (send?.state === 'in-flight') this.#sends.set(envelope.envelopeId, { envelope, state: 'settled-early' });
    else if (send?.state === 'acknowledged') this.#sends.delete(envelope.envelopeId);
    else this.add('recovered', envelope.items, envelope.minerName);
  }

  /**
   * What the broker acknowledged and the ledger calls done is settled too: a lost connection may have swallowed the word of the
   * broker, or another process has ingested it.
   * @param ownedOf - items that an envelope owns in the lake, or undefined when it was not ingested.
   */
  async settledByLedger(ownedOf: (envelopeId: string) => Promise<number | 'discarded' | undefined>): Promise<void> {
    for (const { envelope, state } of [...this.#sends.values()]) {
      if (state !== 'acknowledged') continue;
      const owned = await ownedOf(envelope.envelopeId);
      if (owned === 'discarded') this.settled(envelope, envelope.items, owned);
      else if (owned !== undefined) this.settled(envelope, envelope.items - owned);
    }
  }

  /** Envelopes sent or being sent by this process that are not settled yet. */
  unsettled(): number {
    return this.#sends.size;
  }

  /**
   * Reads the objects of the envelopes settled since the last audit and counts their rows.
   * @throws the lake's error; what was not read is left to the next audit.
   */
  async audit(): Promise<void> {
    while (this.#unaudited.length > 0) {
      await Promise.all(this.#unaudited.splice(0, AUDIT_READS).map((envelope) => this.#auditOne(envelope)));
    }
  }

  async #auditOne(envelope: EnvelopeRef): Promise<void> {
    const { minerName, composedAtMs, envelopeId } = envelope;
    try {
      const text = await this.#lake.read(envelopeObject(minerName, composedAtMs, envelopeId));
      if (text !== undefined) this.add('lake', countLines(text), minerName);
    } catch (error) {
      // Not looked at is not the same as not there: the next audit asks again.
      this.#unaudited.push(envelope);
      throw error;
    }
  }
}

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines;
}

/** One equation of the completeness line. */
export interface Equation {
  readonly text: string;
  readonly left: number;
  readonly right: number;
  readonly holds: boolean;
}

/** fetched = new + seen + rejected; sent = new; settled = sent + recovered; settled = lake + known + discarded. */
export function equationsOf(counters: Readonly<Counters>): readonly Equation[] {
  const equation = (text: string, left: number, right: number): Equation => ({
    text,
    left,
    right,
    holds: left === right,
  });
  return [
    equation('fetched = new + seen + rejected', counters.fetched, counters.new + counters.seen + counters.rejected),
    equation('sent = new', counters.sent, counters.new),
    equation('settled = sent + recovered', counters.settled, counters.sent + counters.recovered),
    equation(
      'settled = lake + known + discarded',
      counters.settled,
      counters.lake + counters.known + counters.discarded,
    ),
  ];
}
