import {
  ENVELOPE_CONTENT_TYPE,
  ENVELOPE_MAX_BYTES,
  ENVELOPE_SCHEMA_VERSION,
  encodeEnvelope,
  type EnvelopeItem,
} from '../core/envelope.ts';
import { oversizeObject } from '../core/lake-name.ts';
import type { Bus, Clock, Compression, Lake, OutgoingMessage, Random } from '../ports.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { Completeness, EnvelopeRef } from './completeness.ts';

/** What a packer works with. */
export interface PackerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly bus: Bus;
  readonly lake: Lake;
  readonly compression: Compression;
  readonly checkpoints: Checkpoints;
  readonly completeness: Completeness;
}

/** Limits of a packer. */
export interface PackerOptions {
  readonly minerName: string;
  /** Queue or topic that envelopes go to. */
  readonly sendTo: string;
  readonly sealedMaxBytes: number;
  readonly lingerMs: number;
}

/** What became of the items of one `add`. */
export interface Delivery {
  readonly delivered: number;
  /** The first error, when not all were delivered. */
  readonly error: unknown;
}

interface Group {
  readonly items: Map<string, EnvelopeItem>;
  textLength: number;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  readonly failed: Map<EnvelopeItem, unknown>;
}

/** Sealed size over text length is learnt from past envelopes, within these bounds. */
const RATIO_FIRST = 0.5;
const RATIO_MIN = 0.08;
const RATIO_WEIGHT = 0.3;
/** Aim below the limit, because a split costs a second compression. */
const FILL_SHARE = 0.9;
/** Characters of an envelope's text that ingest surely decodes: three UTF-8 bytes per UTF-16 unit at most. */
const TEXT_LIMIT = ENVELOPE_MAX_BYTES / 3;
/** Items of one envelope: bounds the work of one ingest. */
const ITEMS_LIMIT = 5000;

/**
 * One per miner and process: groups items of many runs and users into envelopes, and reports an item as delivered only when
 * the broker has acknowledged the envelope that holds it. Article ch. 3 and 6; departs: a failed send is nobody else's.
 */
export class Packer {
  readonly #deps: PackerDeps;
  readonly #options: PackerOptions;
  #open: Group | undefined;
  #ratio = RATIO_FIRST;
  #runs = 0;
  #waiting = 0;

  constructor(deps: PackerDeps, options: PackerOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** A slice that will add pages. When every slice waits for its delivery, nobody lingers. */
  enter(): void {
    this.#runs += 1;
  }

  leave(): void {
    this.#runs -= 1;
    this.#flushWhenAllWait();
  }

  /** Resolves when every item is delivered or given up. Never rejects. An id may occur once per call. */
  async add(items: readonly EnvelopeItem[]): Promise<Delivery> {
    const groups = new Set<Group>();
    for (const item of items) groups.add(this.#place(item));
    this.#waiting += 1;
    this.#flushWhenAllWait();
    await Promise.all([...groups].map((group) => group.done));
    this.#waiting -= 1;
    return deliveryOf(items, groups);
  }

  #place(item: EnvelopeItem): Group {
    const key = JSON.stringify([item.userId, item.id]);
    const length = (item.dataText ?? '').length + 150;
    const limit = (this.#options.sealedMaxBytes * FILL_SHARE) / this.#ratio;
    const group = this.#open;
    // One envelope holds one version per item.
    const isFull = group !== undefined && (group.textLength + length > limit || group.items.size >= ITEMS_LIMIT);
    if (group !== undefined && (isFull || group.items.has(key))) this.#flush();
    const open = this.#open ?? this.#openGroup();
    open.items.set(key, item);
    open.textLength += length;
    return open;
  }

  #openGroup(): Group {
    const { promise, resolve } = Promise.withResolvers<void>();
    const group: Group = { items: new Map(), textLength: 0, done: promise, resolve, failed: new Map() };
    this.#open = group;
    void this.#deps.clock.sleep(this.#options.lingerMs).then(() => {
      if (this.#open === group) this.#flush();
    });
    return group;
  }

  #flushWhenAllWait(): void {
    if (this.#waiting >= this.#runs) this.#flush();
  }

  #flush(): void {
    const group = this.#open;
    if (group === undefined) return;
    this.#open = undefined;
    void this.#deliver(group, [...group.items.values()]).then(group.resolve);
  }

  /** Never rejects: failures are kept per item. */
  async #deliver(group: Group, items: readonly EnvelopeItem[]): Promise<void> {
    try {
      await this.#sealAndSend(group, items);
    } catch (error) {
      for (const item of items) group.failed.set(item, error);
    }
  }

  /** Halves what is too large; an item that is too large by itself travels as a claim check. */
  async #sealAndSend(group: Group, items: readonly EnvelopeItem[]): Promise<void> {
    const { body, ref, textLength } = await this.#seal(items);
    if (body.byteLength <= this.#options.sealedMaxBytes && textLength <= TEXT_LIMIT) return this.#send(ref, body);
    const [first] = items;
    if (items.length === 1 && first?.dataText !== undefined) {
      const small = await this.#seal([await this.#checkIn(first, first.dataText)]);
      return this.#send(small.ref, small.body);
    }
    const middle = items.length >> 1;
    await Promise.all([this.#deliver(group, items.slice(0, middle)), this.#deliver(group, items.slice(middle))]);
  }

  async #seal(items: readonly EnvelopeItem[]): Promise<{ body: Uint8Array; ref: EnvelopeRef; textLength: number }> {
    const { minerName } = this.#options;
    const envelopeId = this.#deps.random.uuid();
    const composedAtMs = this.#deps.clock.now();
    const header = { schemaVersion: ENVELOPE_SCHEMA_VERSION, envelopeId, minerName, source: 'mine' as const };
    const text = encodeEnvelope({ ...header, composedAtMs, items });
    const body = await this.#deps.compression.compress(text);
    const ratio = Math.max(RATIO_MIN, body.byteLength / text.length);
    // A larger ratio counts at once: one envelope too many is cheaper than a split.
    this.#ratio = ratio > this.#ratio ? ratio : this.#ratio + (ratio - this.#ratio) * RATIO_WEIGHT;
    return { body, ref: { envelopeId, minerName, composedAtMs, items: items.length }, textLength: text.length };
  }

  async #send(ref: EnvelopeRef, body: Uint8Array): Promise<void> {
    const message: OutgoingMessage = {
      messageId: ref.envelopeId,
      body,
      contentType: ENVELOPE_CONTENT_TYPE,
      subject: ref.minerName,
      properties: { contentEncoding: 'br', minerName: ref.minerName, items: ref.items },
    };
    this.#deps.completeness.sending(ref);
    try {
      await this.#deps.bus.send(this.#options.sendTo, [message]);
      this.#deps.completeness.acknowledged(ref);
    } catch (error) {
      this.#deps.completeness.sendFailed(ref);
      throw error;
    }
  }

  /** Claim check: an item too large for a message waits in the lake, written before the pointer is sent. */
  async #checkIn(item: EnvelopeItem, dataText: string): Promise<EnvelopeItem> {
    const { dataText: _, ...meta } = item;
    const key = this.#deps.checkpoints.keyOf(this.#options.minerName, item.userId, item.id);
    const dataRef = oversizeObject(this.#options.minerName, key.row, item.version);
    await this.#deps.lake.write(dataRef, `${dataText}\n`);
    return { ...meta, dataRef };
  }
}

function deliveryOf(items: readonly EnvelopeItem[], groups: ReadonlySet<Group>): Delivery {
  let delivered = items.length;
  let error: unknown;
  for (const group of groups) {
    for (const item of items) {
      if (!group.failed.has(item)) continue;
      delivered -= 1;
      error ??= group.failed.get(item);
    }
  }
  return { delivered, error };
}
