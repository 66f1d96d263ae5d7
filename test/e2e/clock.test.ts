import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { emptyFolder } from './adit.ts';
import { exportRows, mineOnce } from './lake-rows.ts';
import { page, startUpstream } from './scripted-upstream.ts';

const SET_CLOCK = fileURLToPath(new URL('set-clock.mjs', import.meta.url));
const USERS = ['u1', 'u2', 'u3'];
const ITEMS = 60;
const PAGE_ITEMS = 10;
const HOUR_MS = 3_600_000;

/** The environment of processes whose wall clock is wrong: at each age of a process, by so much. */
function clock(...skews: readonly (readonly [afterMs: number, skewMs: number])[]): Record<string, string> {
  const text = skews.map(([afterMs, skewMs]) => `${afterMs}:${skewMs}`).join(',');
  return { NODE_OPTIONS: `--import ${SET_CLOCK}`, TEST_CLOCK_SKEWS: text };
}

async function startVersions(): Promise<{ readonly served: { version: string }; readonly url: string }> {
  const served = { version: 'A' };
  const { url } = await startUpstream(({ after }) => {
    const from = Number(after ?? 0);
    const to = from + PAGE_ITEMS;
    const items = Array.from({ length: PAGE_ITEMS }, (_, index) => `{"id":"i${from + index}","v":"${served.version}"}`);
    return page(items, to < ITEMS ? String(to) : undefined);
  });
  return { served, url };
}

/** Versions of every item in the order of the export; all items have the same. */
async function versionsIn(state: string): Promise<string> {
  const byItem = new Map<string, string>();
  for (const { userId, id, late, dataText } of await exportRows(state)) {
    const { v } = JSON.parse(dataText) as { v: string };
    byItem.set(`${userId}/${id}`, (byItem.get(`${userId}/${id}`) ?? '') + (late ? v.toLowerCase() : v));
  }
  expect(byItem.size).toBe(USERS.length * ITEMS);
  expect([...new Set(byItem.values())]).toHaveLength(1);
  return byItem.values().next().value ?? '';
}

describe('a machine whose clock is wrong', () => {
  it('by a day, then not at all, then by an hour the other way: each version is there once, in the order it was served', async () => {
    const upstream = await startVersions();
    const state = join(await emptyFolder(), 'state');
    for (const [version, skewMs] of [
      ['A', 24 * HOUR_MS],
      ['B', 0],
      ['A', -HOUR_MS],
      ['B', 5000],
    ] as const) {
      upstream.served.version = version;
      const ended = await mineOnce({ upstream, state, users: USERS, env: clock([0, skewMs]) });
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.counts).toMatchObject({ new: USERS.length * ITEMS, lake: USERS.length * ITEMS });
    }
    expect(await versionsIn(state)).toBe('ABAB');
  });

  it.each([
    // Processes and broker are set one after the other: a message that is scheduled in between waits for as long as the jump.
    ['set an hour forward', 1000, [[1500, HOUR_MS]]],
    ['set an hour back', 1000, [[1500, -HOUR_MS]]],
    // Who waits when the clock is ahead waits until then by the right clock: as long as the jump, and no longer.
    [
      'ten seconds ahead for a while',
      200,
      [
        [1000, 10_000],
        [3000, 0],
      ],
    ],
  ] as const)('that is %s while users are mined: the run ends, complete', async (_, inlineWaitMs, skews) => {
    const upstream = await startVersions();
    const state = join(await emptyFolder(), 'state');
    const args = ['--set', 'userCallsPerSecond=4', '--set', `inlineWaitMs=${inlineWaitMs}`];
    const mining = { upstream, state, users: USERS, args, env: clock(...skews) };
    for (const version of ['A', 'B']) {
      upstream.served.version = version;
      const ended = await mineOnce(mining);
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.counts).toMatchObject({ new: USERS.length * ITEMS, lake: USERS.length * ITEMS, known: 0 });
    }
    expect(await versionsIn(state)).toBe('AB');
  });
});
