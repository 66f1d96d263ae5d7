import type { Candidate, ItemCheckpoint } from '../../runtime/core/checkpoint.ts';
import type { ModelItem } from './ingest-scenarios.ts';

/** What is left of one item when nothing can happen any more. */
export interface ItemEnd {
  /** What every envelope carried of it, and whether that envelope was discarded. */
  readonly observed: readonly (ModelItem & { readonly isDiscarded: boolean })[];
  /** Rows of the lake, each with the name of its envelope. */
  readonly lake: readonly (ModelItem & { readonly isLate: boolean; readonly owner: string })[];
  readonly row: ItemCheckpoint | undefined;
  readonly cached: ItemCheckpoint | undefined;
}

/** What is wrong with it, or undefined. */
export function judgeItem(end: ItemEnd): string | undefined {
  const observed = end.observed.toSorted(byTime);
  const lake = end.lake.toSorted(byTime);
  const versions = new Set(lake.map(({ version }) => version));
  // What a discarded envelope carried may be lost, also for others to whom it was known because of that one.
  const givenUp = new Set(observed.filter(({ isDiscarded }) => isDiscarded).map(({ version }) => version));
  const lost = observed.find(({ version }) => !versions.has(version) && !givenUp.has(version));
  if (lost !== undefined) return `version ${lost.version} is lost`;
  const claimed = end.row?.claims.find(
    ({ owner, version, isVoid }) =>
      isVoid !== true && !lake.some((held) => held.owner === owner && held.version === version),
  );
  if (claimed !== undefined) return `${claimed.owner} owns ${claimed.version}, and the lake has no such row`;
  const twice = twiceInARow(lake, observed);
  if (twice !== undefined) return `version ${twice} is there twice in a row`;
  const newest = givenUp.size > 0 ? agreement(end, lake) : newestOf(end, lake, observed);
  if (newest !== undefined) return newest;
  const known = end.cached?.last.version;
  if (known !== undefined && !versions.has(known) && !givenUp.has(known)) return `the cache knows ${known}`;
  return undefined;
}

/**
 * What was discarded stands between its neighbours, although it is not in the lake. And what is late because of it may come once more:
 * else the newest row that is not late would not be what was seen last.
 */
function twiceInARow(lake: ItemEnd['lake'], observed: ItemEnd['observed']): string | undefined {
  const rows = lake.map((row) => ({ ...row, isThere: true }));
  const gone = observed.filter(({ isDiscarded }) => isDiscarded).map((row) => ({ ...row, isThere: false }));
  const all = [...rows, ...gone].toSorted(byTime);
  return all.find((row, index) => {
    const next = all[index + 1];
    const isEqual = row.isThere && next?.isThere === true && row.version === next.version;
    return isEqual && !('isLate' in row && row.isLate && gone.some((one) => byTime(row, one) < 0));
  })?.version;
}

/** Of the newest observations of one millisecond any may be the newest, but ledger and lake must agree. */
function newestOf({ row }: ItemEnd, lake: ItemEnd['lake'], observed: ItemEnd['observed']): string | undefined {
  const newest = observed.filter(({ observedAtMs }) => observedAtMs === observed.at(-1)?.observedAtMs);
  const last = row?.last.version;
  if (!newest.some(({ version }) => version === last)) return `the ledger says ${last}`;
  const rows = lake.filter(({ isLate, observedAtMs }) => !isLate && observedAtMs === newest[0]?.observedAtMs);
  const top = rows.length > 1 ? rows.find(({ version }) => version === last) : lake.findLast(({ isLate }) => !isLate);
  if (top?.version !== last) return `the newest row is ${top?.version}, the newest observation ${last}`;
  return undefined;
}

/** After a discard the newest observation may be gone; what the ledger knows must be the newest row all the same. */
function agreement({ row }: ItemEnd, lake: ItemEnd['lake']): string | undefined {
  const top = lake.findLast(({ isLate }) => !isLate)?.version ?? '';
  const last = row?.last.version ?? '';
  return top === last ? undefined : `the newest row is ${top}, and the ledger says ${last}`;
}

function byTime(a: Candidate, b: Candidate): number {
  if (a.observedAtMs !== b.observedAtMs) return a.observedAtMs - b.observedAtMs;
  return a.version < b.version ? -1 : Number(a.version > b.version);
}
