import { RUN_ROW_LIMIT_BYTES, type Run, WAITING_LIMIT } from '../../../runtime/core/run.ts';
import { equationsOf } from '../../../runtime/engine/completeness.ts';
import { type LakeRow, lakeRows } from '../../fakes/engine-rig.ts';
import type { SimProcess } from './sim-process.ts';
import type { World } from './world.ts';

/** Later observations of one page are later by so much at most, in ms: items that are on it twice. */
const TWICE_MS = 20;

interface Shelf {
  /** `miner/user/id` -> rows in the order of their observation. */
  readonly byItem: ReadonlyMap<string, readonly LakeRow[]>;
  readonly versions: ReadonlySet<string>;
}

/** Everything that is wrong with a world that was healed, drained and fired once more. */
export async function judge(world: World, processes: readonly SimProcess[]): Promise<readonly string[]> {
  const shelf = shelfOf(world);
  return [
    ...world.witness.violations,
    ...judgeLoss(world, shelf),
    ...judgeOrder(world, shelf),
    ...(await judgeRuns(world)),
    ...judgeBounds(world),
    ...(await judgeCounts(world, processes)),
  ];
}

function shelfOf({ lake }: World): Shelf {
  const byItem = new Map<string, LakeRow[]>();
  const versions = new Set<string>();
  for (const row of lakeRows(lake)) {
    const key = `${row.object.split('/')[1]}/${row.userId}/${row.id}`;
    const rows = byItem.get(key);
    if (rows === undefined) byItem.set(key, [row]);
    else rows.push(row);
    versions.add(`${key}/${row.version}`);
  }
  for (const rows of byItem.values()) rows.sort(byTime);
  return { byItem, versions };
}

/** What the broker has taken is in the lake (a page is checkpointed only after that), and nothing that was never served. */
function judgeLoss(world: World, { versions, byItem }: Shelf): readonly string[] {
  const wrong: string[] = [];
  const served = new Set<string>();
  for (const { minerName, userId, items } of world.upstream.serves) {
    for (const { id, version } of items) served.add(`${minerName}/${userId}/${id}/${version}`);
  }
  for (const version of world.witness.sent) {
    if (!versions.has(version)) wrong.push(`loss: the broker had ${version}, and it is not in the lake`);
  }
  // Lists that never change: whatever was served once is served for ever, and must be in the lake.
  const isStill = world.plan.edits === 0;
  for (const version of served) if (isStill && !versions.has(version)) wrong.push(`loss: ${version} was served`);
  for (const version of versions) if (!served.has(version)) wrong.push(`invented: ${version} was never served whole`);
  for (const [key, rows] of byItem) {
    if (rows.some((row) => 'fault' in row || row.data === null)) wrong.push(`loss: a row of ${key} has no data`);
  }
  return wrong;
}

function judgeOrder(world: World, { byItem }: Shelf): readonly string[] {
  const wrong: string[] = [];
  for (const [key, rows] of byItem) {
    const inTime = rows.filter(({ late }) => !late);
    if (inTime.some(({ version }, at) => version === inTime[at + 1]?.version)) {
      wrong.push(`duplicate: ${key} is there twice in a row`);
    }
    const seen = rows.map(({ version, observedAt }) => `${version} ${observedAt}`);
    if (new Set(seen).size < seen.length) wrong.push(`duplicate: one observation of ${key} is there twice`);
  }
  for (const list of world.upstream.lists.values()) {
    if (list.trouble !== undefined) continue;
    const now = world.upstream.versions(list);
    for (const [id, version] of now) {
      const key = `${list.minerName}/${list.userId}/${id}`;
      const newest = byItem.get(key)?.findLast(({ late }) => !late)?.version;
      if (newest === undefined) wrong.push(`loss: ${key} is served and not in the lake`);
      else if (newest !== version) wrong.push(`order: the newest row of ${key} is not what is served`);
    }
  }
  return [...wrong, ...judgeStamps(world, byItem), ...judgeLate(world, byItem)];
}

/**
 * A row is late when another version of its item was served at the same time or later, and for no other reason; served by the
 * clocks of those who asked, so one that is behind may also be late after another that is not.
 */
function judgeLate({ upstream, plan }: World, byItem: Shelf['byItem']): readonly string[] {
  const wrong: string[] = [];
  const late = new Map<string, LakeRow>();
  for (const [key, rows] of byItem) for (const row of rows) if (row.late) late.set(key, row);
  if (late.size === 0) return wrong;
  const skewMs = skewOf(plan);
  for (const [key, { version }] of late) {
    const [minerName, userId, id] = key.split('/');
    const serves = upstream.serves.filter((serve) => serve.minerName === minerName && serve.userId === userId);
    const own = serves.filter(({ items }) => items.some((item) => item.id === id && item.version === version));
    const others = serves.filter(({ items }) => items.some((item) => item.id === id && item.version !== version));
    const firstMs = Math.min(...own.map(({ askedAtMs }) => askedAtMs));
    if (!others.some(({ answeredAtMs }) => answeredAtMs >= firstMs - skewMs))
      wrong.push(`order: a row of ${key} is late for no reason`);
  }
  return wrong;
}

/** A row says when it was observed: some caller must have been given this version then, by its own clock. */
function judgeStamps({ upstream, plan }: World, byItem: Shelf['byItem']): readonly string[] {
  const spans = new Map<string, { fromMs: number; toMs: number }[]>();
  for (const { minerName, userId, items, askedAtMs, answeredAtMs } of upstream.serves) {
    for (const { id, version } of items) {
      const key = `${minerName}/${userId}/${id}/${version}`;
      spans.set(key, [...(spans.get(key) ?? []), { fromMs: askedAtMs, toMs: answeredAtMs }]);
    }
  }
  const skewMs = skewOf(plan);
  const wrong: string[] = [];
  for (const [key, rows] of byItem) {
    for (const { version, observedAt } of rows) {
      const atMs = Date.parse(observedAt);
      const isTrue = spans
        .get(`${key}/${version}`)
        ?.some(({ fromMs, toMs }) => atMs >= fromMs - skewMs && atMs <= toMs + TWICE_MS + skewMs);
      if (isTrue === false) wrong.push(`order: a row of ${key} says ${observedAt}, when nobody was served it`);
    }
  }
  return wrong;
}

/** Clocks may be apart by 5 s, and jump by 5 s three times; a run's own time never goes back, so it can be ahead of a clock. */
const SKEW_LIMIT_MS = 40_000;

function skewOf({ skewMs, clockJumps }: World['plan']): number {
  return skewMs.some((skew) => skew !== 0) || clockJumps.length > 0 ? SKEW_LIMIT_MS : 0;
}

async function judgeRuns(world: World): Promise<readonly string[]> {
  const wrong: string[] = [];
  const runs = new Map((await world.runs()).map((run) => [`${run.userId}/${run.minerName}`, run]));
  for (const [key, list] of world.upstream.lists) {
    const run = runs.get(key);
    const isStuck = list.trouble !== undefined;
    if (run === undefined) wrong.push(`liveness: ${key} was never mined`);
    else if (run.state === 'live') wrong.push(`liveness: ${key} is still live`);
    else if (isStuck && (run.state !== 'quarantined' || run.reason === undefined)) {
      wrong.push(`liveness: ${key} is ${list.trouble} and ${run.state}`);
    } else if (!isStuck && run.state !== 'done') wrong.push(`liveness: ${key} is ${run.state}: ${run.reason}`);
  }
  return wrong;
}

function judgeBounds({ witness }: World): readonly string[] {
  const wrong: string[] = [];
  if (witness.runRowMaxBytes > RUN_ROW_LIMIT_BYTES) {
    wrong.push(`bounds: a run row has ${witness.runRowMaxBytes} bytes, more than ${RUN_ROW_LIMIT_BYTES}`);
  }
  if (witness.perRunMax > WAITING_LIMIT) {
    wrong.push(`bounds: ${witness.perRunMax} messages of one run waited at once, more than ${WAITING_LIMIT}`);
  }
  return wrong;
}

/** Codes of runs that are set aside because of what their own list did. */
const OWN_FAULT = new Set([
  'page-shape',
  'wrong-address',
  'marker-missing',
  'dead-marker',
  'page-too-large',
  'refused',
]);

/** Runs that were set aside though their lists gave no cause: nobody may pay for an outage or for a neighbour. */
export function judgeSetAside(world: World, runs: readonly Run[]): void {
  for (const { userId, minerName, state, code, reason } of runs) {
    const list = world.upstream.list(userId, minerName);
    if (state !== 'quarantined' || list === undefined) continue;
    // A list by offset that grows at its head while it is read shows the same items again and again, as a loop does.
    const isGrowing = world.plan.edits > 0 && world.plan.listStyle === 'offset' && code === 'no-progress';
    const isLoop = isGrowing || list.trouble === 'stuck' || list.trouble === 'cycle';
    const hasCause = code !== undefined && (OWN_FAULT.has(code) ? list.codes.has(code) : code !== 'silent' && isLoop);
    if (!hasCause)
      world.witness.violate(`liveness: ${userId}/${minerName} was set aside without a cause: ${code}: ${reason}`);
  }
}

/** The equations of completeness: all four where one process follows everything, those of mining in a fleet. */
async function judgeCounts(world: World, processes: readonly SimProcess[]): Promise<readonly string[]> {
  const wrong: string[] = [];
  for (const process of processes) {
    const counters = process.pipeline()?.completeness.counters;
    if (counters === undefined) continue;
    const equations = equationsOf(counters).slice(0, world.plan.place === 'home' ? 4 : 2);
    for (const { holds, text, left, right } of equations) {
      if (!holds) wrong.push(`completeness: ${process.name}: ${text}: ${left} and ${right}`);
    }
  }
  return wrong;
}

function byTime(a: LakeRow, b: LakeRow): number {
  if (a.observedAt !== b.observedAt) return a.observedAt < b.observedAt ? -1 : 1;
  return a.version < b.version ? -1 : 1;
}
