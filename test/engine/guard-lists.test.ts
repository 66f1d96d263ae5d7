import { describe, expect, it } from 'vitest';
import { REASON_LIMIT_BYTES, type Run, RUN_ROW_LIMIT_BYTES } from '../../runtime/core/run.ts';
import { lakeIds, newWorld } from '../fakes/engine-rig.ts';
import { Dice } from '../fakes/dice.ts';
import { HEALTHY_KINDS, healthyList, type ListPage, range } from '../fakes/lists.ts';
import { failure, page, type Script } from '../fakes/scripted-upstream.ts';
import { brokenEquations, mineAll, rig } from './mining-rig.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 20261128);
const LISTS = 200;
const PAGES_MAX = 120;

const itemsOf = (ids: readonly string[]): readonly unknown[] => ids.map((id) => ({ id }));

/** Serves each user's generated list; a marker is the place of its page, so that equal ones of the list stay apart. */
function serve(lists: ReadonlyMap<string, readonly ListPage[]>): Script {
  return ({ userId, after }) => {
    const pages = lists.get(userId) ?? [];
    const at = after === null ? 0 : Number(after);
    return page(itemsOf(pages[at]?.ids ?? []), at + 1 < pages.length ? String(at + 1) : undefined);
  };
}

const id = (at: number): string => `i${at}`;

describe('healthy lists on the engine', () => {
  it(`${LISTS} of them, fired twice over unchanged data, with dying markers: none is set aside, nothing is missing or twice`, async () => {
    let pages = 0;
    for (let from = 0; from < LISTS; from += 10) {
      const dice = new Dice(SEED + from);
      const lists = new Map(
        Array.from({ length: 10 }, (_, at) => {
          const kind = HEALTHY_KINDS[(from + at) % HEALTHY_KINDS.length];
          return [`u${at}`, healthyList(dice, kind).pages.slice(0, PAGES_MAX)] as readonly [
            string,
            readonly ListPage[],
          ];
        }),
      );
      const dying = new Set([...lists.keys()].filter(() => dice.chance(0.3)));
      const answer = serve(lists);
      const one = rig(
        (call, signal) => {
          const { length } = lists.get(call.userId) ?? [];
          const isDead = call.after === String(Math.floor(length / 2)) && dying.delete(call.userId);
          return isDead ? failure(400, 100) : answer(call, signal);
        },
        { settings: { slicePages: dice.between(1, 40) } },
        newWorld(SEED + from),
      );
      for (const firing of ['first', 'second']) {
        await mineAll(one, ...lists.keys());
        for (const userId of lists.keys()) {
          const run = (await one.process.run(userId))!;
          expect(run, `TEST_SEED=${SEED}, ${from}, ${firing} firing`).toMatchObject({
            state: 'done',
            code: 'end-of-list',
          });
          expect(JSON.stringify(run).length).toBeLessThanOrEqual(RUN_ROW_LIMIT_BYTES);
          if (firing === 'second') expect(run).toMatchObject({ itemsNew: 0, itemsRejected: 0 });
          pages += run.pages;
        }
      }
      const served = [...lists].flatMap(([userId, list]) =>
        list.flatMap(({ ids }) => ids.map((item) => `${userId}/${item}`)),
      );
      expect(lakeIds(one.world.lake)).toEqual([...new Set(served)].toSorted());
      expect(await brokenEquations(one.process)).toEqual([]);
    }
    process.stdout.write(
      `0 false trips on ${LISTS} lists on the engine, each fired twice (seed ${SEED}): ${pages} pages\n`,
    );
  }, 120_000);
});

describe('runaway lists on the engine', () => {
  const loops: readonly [what: string, pagesMax: number, code: string, script: Script][] = [
    ['a constant marker', 6, 'marker-stuck', ({ index }) => page(itemsOf([id(index)]), 'same')],
    ['a cycle of 64 markers', 70, 'marker-stuck', ({ index }) => page(itemsOf([id(index)]), `m${index % 64}`)],
    ['the same page for ever', 15, 'no-progress', ({ index }) => page(itemsOf(range(0, 9, id)), `m${index}`)],
    [
      'three pages for ever, whose content changes each time',
      18,
      'no-progress',
      ({ index }) => page([{ id: id(index % 3), seen: index }], `m${index}`),
    ],
    [
      'a circle of items, cut elsewhere each time round',
      18,
      'no-progress',
      ({ index }) => page(itemsOf(range(0, 10, (at) => id((index * 10 + at) % 23))), `m${index}`),
    ],
    ['empty pages for ever', 1000, 'no-progress', ({ index }) => page([], `m${index}`)],
    ['items without an id for ever', 1000, 'no-progress', ({ index }) => page([{ n: index }], `m${index}`)],
  ];

  it.each(loops)(
    '%s: set aside within %d pages as %s, with marker, reason and counters',
    async (what, most, code, script) => {
      const one = rig(script, { settings: { slicePages: 7 } });
      const run = await mineAll(one);
      const { calls } = one.upstream;
      expect(run).toMatchObject({ state: 'quarantined', code, pages: calls.length });
      expect(run.reason).toContain(`on page ${calls.length}`);
      expect(calls.length).toBeLessThanOrEqual(most);
      expect(run.marker).toBeTypeOf('string');
      expect(run.itemsNew + run.itemsSeen + run.itemsRejected).toBe(one.process.completeness.counters.fetched);
      expect(await brokenEquations(one.process)).toEqual([]);
      process.stdout.write(`pages used on the engine: ${calls.length} of ${most}: ${what}\n`);
    },
  );

  it('a second reading from the head, after a marker died, is progress until its own markers repeat', async () => {
    const pages = 40;
    let hasDied = false;
    const one = rig(({ after }) => {
      const at = Number(after ?? 0);
      if (at === 30 && !hasDied) {
        hasDied = true;
        return failure(400, 100);
      }
      return page(itemsOf(range(at * 5, 5, id)), at + 1 < pages ? String(at + 1) : undefined);
    });
    const run = await mineAll(one);
    expect(run).toMatchObject({ state: 'done', restarts: 1, pages: 70, itemsNew: 200, itemsSeen: 150 });
    expect(lakeIds(one.world.lake)).toHaveLength(200);
  });

  it('a marker that is too long for the row is a fault of the page, and says so', async () => {
    const one = rig(() => page(itemsOf(['a']), 'x'.repeat(999)));
    const run = await mineAll(one);
    expect(run).toMatchObject({ state: 'quarantined', code: 'page-shape', marker: null });
    expect(run.reason).toBe('page-shape: the marker has 1001 bytes, and at most 1000 are taken');
  });

  it('a reason that an upstream makes long is cut, so that the row stays small', async () => {
    const text = JSON.stringify({ error: { message: '漢'.repeat(5000), type: 'T', code: 3 } });
    const one = rig(() => ({ status: 405, headers: {}, text }));
    const run: Run = await mineAll(one);
    expect(run.code).toBe('refused');
    expect(Buffer.byteLength(JSON.stringify(run.reason))).toBeLessThanOrEqual(REASON_LIMIT_BYTES);
  });
});
