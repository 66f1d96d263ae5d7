import { describe, expect, it } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { versionText } from '../../runtime/core/envelope.ts';
import { equationsOf } from '../../runtime/engine/completeness.ts';
import { VERSION_DIGITS } from '../../runtime/engine/take-page.ts';
import { Dice } from '../fakes/dice.ts';
import {
  EngineProcess,
  type LakeRow,
  lakeRows,
  newWorld,
  type ProcessOptions,
  userNamed,
  type World,
} from '../fakes/engine-rig.ts';
import { Fuse, type FuseOptions } from '../fakes/fuse.ts';
import { page, ScriptedUpstream } from '../fakes/scripted-upstream.ts';

const CASES = 300;
const FIRST_SEED = Number(process.env['TEST_SEED'] ?? 1);
const REVIVE_AFTER_MS = 60_000;

interface Item {
  readonly id: string;
  readonly value: number;
}

type Pages = readonly (readonly Item[])[];

/** A list of pages: overlaps, empty pages, items that are twice on a page, changed or not. */
function randomPages(dice: Dice): Pages {
  const pages: Item[][] = [];
  let next = 0;
  const count = 1 + dice.upTo(7);
  for (let at = 0; at < count; at += 1) {
    const items: Item[] = [];
    const last = pages.at(-1)?.at(-1);
    if (last !== undefined && dice.chance(0.3)) items.push(last);
    const size = dice.chance(0.2) ? 0 : dice.upTo(5);
    for (let item = 0; item < size; item += 1) {
      items.push({ id: `i${next}`, value: dice.upTo(3) });
      next += 1;
    }
    const twice = items.at(-1);
    if (twice !== undefined && dice.chance(0.15))
      items.push({ ...twice, value: dice.chance(0.5) ? twice.value : twice.value + 1 });
    pages.push(items);
  }
  return pages;
}

/** The list some time later: items have changed, gone, or come at the head. */
function changedPages(dice: Dice, pages: Pages, round: number): Pages {
  const kept = pages.map((items) =>
    items.filter(() => dice.chance(0.95)).map((item) => (dice.chance(0.3) ? { ...item, value: dice.upTo(3) } : item)),
  );
  return dice.chance(0.5) ? [[{ id: `head ${round}`, value: 0 }], ...kept] : kept;
}

const versionOf = (item: Item): string => sha256Digest.sha256(versionText(item), VERSION_DIGITS);

/** What the upstream has served, and the last version of each item. */
class Truth {
  readonly served = new Set<string>();
  readonly newest = new Map<string, string>();

  serve(userId: string, items: readonly Item[]): void {
    for (const item of items) {
      this.served.add(`${userId}/${item.id}/${versionOf(item)}`);
      this.newest.set(`${userId}/${item.id}`, versionOf(item));
    }
  }
}

interface Outcome {
  readonly wrong: readonly string[];
  readonly crashes: number;
  readonly calls: number;
}

async function play(seed: number): Promise<Outcome> {
  const dice = new Dice(seed);
  const world = newWorld(seed);
  const truth = new Truth();
  const userIds = Array.from({ length: 1 + dice.upTo(4) }, (_, at) => `u${at}`);
  const lists = new Map(userIds.map((userId) => [userId, randomPages(dice)]));
  const upstream = new ScriptedUpstream(({ userId, after }) => {
    const pages = lists.get(userId) ?? [];
    const at = after === null ? 0 : Number(after.slice(1));
    truth.serve(userId, pages[at] ?? []);
    return page(pages[at] ?? [], at + 1 < pages.length ? `m${at + 1}` : undefined);
  });
  const options: Partial<ProcessOptions> = {
    settings: { slicePages: 1 + dice.upTo(4) },
    packer: { sealedMaxBytes: dice.of([1024, 3000, 200_000]), lingerMs: dice.upTo(50) },
    reviveAfterMs: REVIVE_AFTER_MS,
  };
  const start = async (fuse: FuseOptions): Promise<EngineProcess> => {
    const one = new EngineProcess(world, { upstream, ...options, fuse: new Fuse(fuse) });
    await one.fire(userIds.map((userId) => userNamed(userId))).catch((error: unknown) => one.errors.push(error));
    await one.drain({ concurrency: 1 + dice.upTo(8) });
    return one;
  };
  await new EngineProcess(world, { upstream }).users.import(userIds.map((userId) => userNamed(userId)));
  const wrong: string[] = [];
  let crashes = 0;
  const rounds = 1 + dice.upTo(3);
  for (let round = 0; round < rounds; round += 1) {
    const interruptions = dice.upTo(4);
    for (let at = 0; at < interruptions; at += 1) {
      const one = await start({
        at: 1 + dice.upTo(120),
        when: dice.of(['before', 'after']),
        mode: dice.of(['crash', 'hiccup']),
      });
      crashes += Number(one.fuse.isDead);
      world.clock.skip(dice.of([1, REVIVE_AFTER_MS]));
      world.redis.isDown = dice.chance(0.2);
    }
    world.redis.isDown = false;
    world.clock.skip(REVIVE_AFTER_MS);
    const last = await start({ at: 3 + dice.upTo(400), when: dice.of(['before', 'after']), mode: 'hiccup' });
    // What the fuse cut off is made good by the next firings; any one of them may be cut off as well, so the last may not.
    for (let firing = 0, wasCut = true; firing < 3 || wasCut; firing += 1) {
      const isWhole = last.fuse.isBlown;
      world.clock.skip(REVIVE_AFTER_MS);
      await last.fire(userIds.map((userId) => userNamed(userId))).catch((error: unknown) => last.errors.push(error));
      await last.drain();
      wasCut = last.fuse.isBlown && !isWhole;
    }
    await last.completeness.audit().catch(() => last.completeness.audit());
    wrong.push(...(await judgeProcess(last, userIds)));
    for (const [userId, pages] of lists) lists.set(userId, changedPages(dice, pages, round));
  }
  return { wrong: [...wrong, ...judgeLake(world, truth)], crashes, calls: upstream.calls.length };
}

async function judgeProcess(last: EngineProcess, userIds: readonly string[]): Promise<readonly string[]> {
  const { counters } = last.completeness;
  const wrong = equationsOf(counters)
    .filter(({ holds }) => !holds)
    .map(({ text, left, right }) => `${text}: ${left} and ${right}`);
  for (const userId of userIds) {
    const run = await last.run(userId);
    if (run?.state !== 'done') wrong.push(`the run of ${userId} is ${run?.state}: ${run?.reason}`);
  }
  if (last.progress.openRuns() > 0) wrong.push(`${last.progress.openRuns()} runs are open`);
  if (last.completeness.unsettled() > 0) wrong.push(`${last.completeness.unsettled()} envelopes are not settled`);
  return wrong;
}

function judgeLake(world: World, truth: Truth): readonly string[] {
  const wrong = world.bus.deadLetters.map(({ reason }) => `dead letter: ${reason}`);
  const byItem = new Map<string, LakeRow[]>();
  const found = new Set<string>();
  for (const row of lakeRows(world.lake)) {
    const key = `${row.userId}/${row.id}`;
    byItem.set(key, [...(byItem.get(key) ?? []), row]);
    found.add(`${key}/${row.version}`);
    if (versionOf(row.data as Item) !== row.version) wrong.push(`${key} is not what was served`);
  }
  wrong.push(...[...truth.served].filter((one) => !found.has(one)).map((lost) => `${lost} is lost`));
  wrong.push(...[...found].filter((one) => !truth.served.has(one)).map((other) => `${other} was never served`));
  for (const [key, rows] of byItem) {
    const inTime = rows
      .filter(({ late }) => !late)
      .toSorted(byTime)
      .map(({ version }) => version);
    if (inTime.some((version, at) => version === inTime[at + 1])) wrong.push(`${key} is there twice in a row`);
    if (inTime.at(-1) !== truth.newest.get(key)) wrong.push(`the newest ${key} is not the newest that was served`);
  }
  return wrong;
}

function byTime(a: LakeRow, b: LakeRow): number {
  if (a.observedAt !== b.observedAt) return a.observedAt < b.observedAt ? -1 : 1;
  return a.version < b.version ? -1 : 1;
}

describe('whatever lists an upstream serves and wherever processes die', () => {
  it(`the lake holds every version served, none twice in a row, and the counts agree (${CASES} cases)`, async () => {
    let crashes = 0;
    let calls = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + CASES; seed += 1) {
      const outcome = await play(seed);
      expect(outcome.wrong, `TEST_SEED=${seed}`).toEqual([]);
      crashes += outcome.crashes;
      calls += outcome.calls;
    }
    process.stdout.write(`mining property: ${CASES} cases, ${crashes} crashes, ${calls} pages\n`);
    expect(crashes).toBeGreaterThan(CASES / 4);
  }, 60_000);
});
