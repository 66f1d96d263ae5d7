import { versionText, type EnvelopeItem } from '../core/envelope.ts';
import { rejectedObject } from '../core/lake-name.ts';
import type { Miner } from '../core/miner.ts';
import type { Run } from '../core/run.ts';
import { stringifyServed } from '../core/served-json.ts';
import type { Digest, Lake } from '../ports.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { Completeness } from './completeness.ts';
import type { Packer } from './deliver.ts';

/** What taking a page works with. */
export interface TakeDeps {
  readonly digest: Digest;
  readonly lake: Lake;
  readonly checkpoints: Checkpoints;
  readonly completeness: Completeness;
  readonly packer: Packer;
}

/** Hexadecimal digits of a version: 128 bits of content hash. */
export const VERSION_DIGITS = 32;

/** Longest item id that is taken, in characters. */
export const ITEM_ID_LIMIT = 4096;

/** Versions of one item that are taken from one page. Each costs an envelope of its own, because an envelope holds one version. */
export const PAGE_VERSIONS_LIMIT = 100;

/** What became of a page. */
export interface TakenPage {
  /** Items that went into envelopes, that were known already, and that were set aside. */
  readonly fresh: number;
  readonly seen: number;
  readonly rejected: number;
  /** Ids of the items that have one. */
  readonly ids: readonly string[];
  /** Newest observation on the page; the next page is later. */
  readonly observedAtMs: number;
}

/** An item with its version, not written as text yet. */
interface Sighted extends Omit<EnvelopeItem, 'dataText' | 'dataRef'> {
  readonly data: unknown;
}

interface Rejected {
  readonly reason: string;
  readonly data: unknown;
}

/**
 * Takes the items of one page: sets aside what has no id, drops what the checkpoint knows, and hands the rest to the packer.
 * Resolves when all of them are delivered.
 * @throws the delivery's error; what was delivered before it is counted, the page comes again.
 */
export async function takePage(
  deps: TakeDeps,
  miner: Miner,
  run: Run,
  items: readonly unknown[],
  observedAtMs: number,
): Promise<TakenPage> {
  const { good, rejected } = sort(deps.digest, run, items, observedAtMs);
  const isSeen = await deps.checkpoints.seen(miner.name, good, miner.cacheTtlMs);
  const { fresh, dropped, surplus } = dropSeen(good, isSeen);
  rejected.push(...surplus);
  if (rejected.length > 0) await setAside(deps, run, rejected, observedAtMs);
  for (const item of fresh) deps.checkpoints.sending(miner.name, item);
  const delivery = await addInTurn(deps.packer, fresh);
  if (delivery.error !== undefined) {
    deps.completeness.add('fetched', delivery.delivered, miner.name);
    deps.completeness.add('new', delivery.delivered, miner.name);
    throw delivery.error;
  }
  for (const item of fresh) deps.checkpoints.sent(miner.name, item);
  deps.completeness.add('fetched', items.length, miner.name);
  deps.completeness.add('new', fresh.length, miner.name);
  deps.completeness.add('seen', dropped, miner.name);
  deps.completeness.add('rejected', rejected.length, miner.name);
  return {
    ...{ fresh: fresh.length, seen: dropped, rejected: rejected.length, ids: good.map(({ id }) => id) },
    observedAtMs: fresh.reduce((newest, item) => Math.max(newest, item.observedAtMs), observedAtMs),
  };
}

function sort(
  digest: Digest,
  run: Run,
  items: readonly unknown[],
  observedAtMs: number,
): { good: Sighted[]; rejected: Rejected[] } {
  const good: Sighted[] = [];
  const rejected: Rejected[] = [];
  for (const data of items) {
    const id = idOf(data);
    if (id === undefined) {
      rejected.push({ reason: `id must be a text of 1..${ITEM_ID_LIMIT} characters`, data });
      continue;
    }
    const version = digest.sha256(versionText(data), VERSION_DIGITS);
    good.push({ userId: run.userId, runId: run.runId, id, version, observedAtMs, data });
  }
  return { good, rejected };
}

/** The id as served: a number or an empty text is never coerced. */
function idOf(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || !Object.hasOwn(data, 'id')) return undefined;
  const id = (data as { id: unknown }).id;
  return typeof id === 'string' && id.length > 0 && id.length <= ITEM_ID_LIMIT ? id : undefined;
}

/** Drops what is seen. The same id twice on one page: an equal one is dropped, a changed one is a later observation. */
function dropSeen(
  good: readonly Sighted[],
  isSeen: readonly boolean[],
): { fresh: EnvelopeItem[]; dropped: number; surplus: Rejected[] } {
  const latest = new Map<string, Sighted>();
  const versions = new Map<string, number>();
  const fresh: EnvelopeItem[] = [];
  const surplus: Rejected[] = [];
  let dropped = 0;
  for (const [index, item] of good.entries()) {
    const before = latest.get(item.id);
    const isRepeat = before === undefined ? isSeen[index] === true : before.version === item.version;
    const observedAtMs = before === undefined ? item.observedAtMs : before.observedAtMs + 1;
    const next = { ...item, observedAtMs };
    latest.set(item.id, next);
    if (isRepeat) {
      dropped += 1;
      continue;
    }
    const count = (versions.get(item.id) ?? 0) + 1;
    versions.set(item.id, count);
    if (count <= PAGE_VERSIONS_LIMIT) fresh.push(textOf(next));
    else surplus.push({ reason: `more than ${PAGE_VERSIONS_LIMIT} versions of one id on one page`, data: item.data });
  }
  return { fresh, dropped, surplus };
}

/** Only what goes into an envelope is written as text: on a healthy day most items are seen. */
function textOf({ data, ...item }: Sighted): EnvelopeItem {
  return { ...item, dataText: stringifyServed(data) };
}

/** An `add` takes an id once, so versions of the same id go one after the other. */
async function addInTurn(
  packer: Packer,
  fresh: readonly EnvelopeItem[],
): Promise<{ delivered: number; error: unknown }> {
  let rest = fresh;
  let delivered = 0;
  while (rest.length > 0) {
    const ids = new Set<string>();
    const end = rest.findIndex((item) => ids.size === ids.add(item.id).size);
    const head = end < 0 ? rest : rest.slice(0, end);
    const delivery = await packer.add(head);
    delivered += delivery.delivered;
    if (delivery.error !== undefined) return { delivered, error: delivery.error };
    rest = end < 0 ? [] : rest.slice(end);
  }
  return { delivered, error: undefined };
}

async function setAside(
  deps: Pick<TakeDeps, 'lake' | 'digest'>,
  run: Run,
  rejected: readonly Rejected[],
  observedAtMs: number,
): Promise<void> {
  const lines = rejected.map(({ reason, data }) => {
    const meta = JSON.stringify({ miner: run.minerName, userId: run.userId, reason });
    return `${meta.slice(0, -1)},"data":${stringifyServed(data)}}\n`;
  });
  const text = lines.join('');
  const name = rejectedObject(run.minerName, observedAtMs, deps.digest.sha256(text, VERSION_DIGITS));
  await deps.lake.write(name, text);
}
