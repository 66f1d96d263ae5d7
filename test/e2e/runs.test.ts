import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { adit, emptyFolder, type Ended, lastJson, REPOSITORY, startAdit, until } from './adit.ts';
import { exportRows, mineArgs, mineOnce } from './lake-rows.ts';
import {
  type Call,
  page,
  plainItems,
  type Reply,
  refusal,
  type ScriptedUpstream,
  startUpstream,
} from './scripted-upstream.ts';

interface Row {
  readonly userId: string;
  readonly minerName: string;
  readonly state: string;
  readonly code: string | null;
  readonly reason: string | null;
  readonly marker: string | null;
  readonly pages: number;
  readonly itemsNew: number;
  readonly itemsSeen: number;
  readonly restarts: number;
  readonly slice: number;
  readonly next: readonly string[];
}

const rowsOf = ({ stdout }: Ended): readonly Row[] =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);

const ITEMS = plainItems('i', 30);

/** Three pages of ten; while it is broken, new markers over the second page for ever. */
function treadmill(isBroken: () => boolean): (call: Call) => Reply {
  let round = 0;
  return ({ after }) => {
    const at = after === null ? 0 : Number(after.split('-')[0]);
    if (at === 1 && isBroken()) {
      round += 1;
      return page(ITEMS.slice(10, 20), `1-${round}`);
    }
    return page(ITEMS.slice(10 * at, 10 * at + 10), at < 2 ? String(at + 1) : undefined);
  };
}

interface Bed {
  readonly state: string;
  readonly upstream: ScriptedUpstream;
  readonly users: readonly string[];
  repair(): void;
  callsOf(userId: string): readonly Call[];
}

/** Mines once a user whose list goes round, one whose marker stays, one without a permission, and one who is well. */
async function bed(): Promise<Bed> {
  let isBroken = true;
  const scripts: Readonly<Record<string, (call: Call) => Reply>> = {
    "o'loop": treadmill(() => isBroken),
    stays: ({ after }) => (isBroken ? page(ITEMS.slice(0, 10), 'same') : page(ITEMS, after === null ? undefined : 'x')),
    forbidden: () => refusal(403, { code: 200 }),
    fine: () => page(ITEMS),
  };
  const upstream = await startUpstream((call) => scripts[call.userId]?.(call) ?? refusal(404, { code: 803 }));
  const state = join(await emptyFolder(), 'state');
  const users = Object.keys(scripts);
  const ended = await mineOnce({ upstream, state, users });
  expect(ended.counts, ended.stderr).toMatchObject({ quarantined: 2, failed: 1, paused: 0 });
  return {
    ...{ state, upstream, users },
    repair: () => (isBroken = false),
    callsOf: (userId) => upstream.calls.filter((call) => call.userId === userId),
  };
}

describe('npm run adit -- runs', () => {
  it('lists what is set aside with code, reason, marker, counters and the command to run next', async () => {
    const { state, callsOf } = await bed();
    const listed = await adit('adit', ['runs', '--state', state, '--json']);
    expect(listed.code, listed.stderr).toBe(0);
    const rows = rowsOf(listed).toSorted((a, b) => (a.userId < b.userId ? -1 : 1));
    expect(rows).toMatchObject([
      { userId: 'forbidden', state: 'failed', code: 'permission', marker: null, pages: 0 },
      { userId: "o'loop", state: 'quarantined', code: 'no-progress', marker: '1-6', pages: 7, itemsNew: 20 },
      { userId: 'stays', state: 'quarantined', code: 'marker-stuck', marker: 'same', pages: 6, itemsNew: 10 },
    ]);
    expect(rows[1]).toMatchObject({
      ...{ minerName: 'chats', reason: 'no-progress: 5 pages in a row repeat the items of earlier pages, on page 7' },
      ...{ repeats: 5, itemsSeen: 50, itemsRejected: 0, restarts: 0, revivals: 0 },
      next: ['resume', 'skip'].map((verb) => `npm run adit -- ${verb} 'o'\\''loop' chats --state ${state}`),
    });
    expect(callsOf("o'loop")).toHaveLength(8); // The probe before the run is one of them, or another user's.
    const text = await adit('adit', ['runs', '--quarantined', '--state', state]);
    expect(text.stdout).toMatch(/^o'loop chats: quarantined \(no-progress\)\n {2}reason {3}no-progress: 5 pages/m);
    expect(text.stdout).toMatch(
      /^ {2}marker {3}"1-6"\n {2}counted {2}7 pages, 5 repeats in a row, items 20 new, 50 seen/m,
    );
    expect(text.stdout).not.toContain('forbidden');
    const one = await adit('adit', ['runs', '--user', 'fine', '--miner', 'chats', '--json', '--state', state]);
    expect(rowsOf(one)).toMatchObject([{ userId: 'fine', state: 'done', code: 'end-of-list', itemsNew: 30, next: [] }]);
    const none = await adit('adit', ['runs', '--paused', '--state', state]);
    expect([none.code, none.stdout]).toEqual([0, 'No such run is set aside.\n']);
    expect(rowsOf(await adit('adit', ['runs', '--all', '--json', '--state', state]))).toHaveLength(4);
  });
});

describe('npm run adit -- resume', () => {
  it('goes on from the marker with the next firing; nothing is mined twice', async () => {
    const { state, upstream, users, repair, callsOf } = await bed();
    const command = ['resume', "o'loop", 'chats', '--state', state];
    const dry = await adit('adit', [...command, '--dry-run']);
    expect(dry.code, dry.stderr).toBe(0);
    expect(dry.stdout).toMatch(
      /^It was quarantined: no-progress[^]*would go on from the marker "1-6"[^]*Nothing was changed\.\n$/,
    );
    const before = rowsOf(await adit('adit', ['runs', '--quarantined', '--json', '--state', state]));
    expect(before).toHaveLength(2);

    const resumed = await adit('adit', [...command, '--json']);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(lastJson(resumed)).toMatchObject({
      command: 'resume',
      isDryRun: false,
      sentTo: null,
      state: 'live',
      marker: '1-6',
      pages: 7,
    });
    const again = await adit('adit', command);
    expect(again.stderr).toMatch(
      /cannot resume the run of chats for o'loop: it is live already[^]*Next: npm run adit -- runs/,
    );
    expect(again.code).toBe(2);

    repair();
    const from = callsOf("o'loop").length;
    const ended = await mineOnce({ upstream, state, users });
    expect(ended.counts, ended.stderr).toMatchObject({ quarantined: 1 });
    expect(
      callsOf("o'loop")
        .slice(from)
        .map(({ after }) => after)
        .filter((after) => after !== null),
    ).toEqual(['1-6', '2']);
    const rows = (await exportRows(state)).filter(({ userId }) => userId === "o'loop");
    expect(rows).toHaveLength(30);
    const [run] = rowsOf(await adit('adit', ['runs', '--user', "o'loop", '--json', '--state', state]));
    expect(run).toMatchObject({ state: 'done', code: 'end-of-list', pages: 9, itemsNew: 30, slice: 1 });
  });

  it('is stopped again, with fresh guards, when nothing was repaired', async () => {
    const { state, upstream, users } = await bed();
    await adit('adit', ['resume', 'stays', 'chats', '--state', state]);
    await mineOnce({ upstream, state, users });
    const rows = rowsOf(await adit('adit', ['runs', '--quarantined', '--json', '--state', state]));
    expect(rows.find(({ userId }) => userId === 'stays')).toMatchObject({ code: 'marker-stuck', pages: 12 });
  });
});

describe('npm run adit -- resume, beside a running npm start', () => {
  it('sends the message at once, and the run goes on without a firing', async () => {
    const { state, upstream, users, repair } = await bed();
    const args = (await mineArgs({ upstream, state, users })).filter((arg) => arg !== '--once' && arg !== '--json');
    const running = startAdit('start', args.toSpliced(args.indexOf('--max-wait'), 2));
    try {
      const fired = upstream.calls.length;
      await until(() => upstream.calls.length > fired + 1, 60_000, 'the first firing');
      repair();
      const resumed = await adit('adit', ['resume', "o'loop", 'chats', '--state', state]);
      expect(resumed.code, resumed.stderr).toBe(0);
      expect(resumed.stdout).toMatch(/Its message is in chats-mining-queue\.\n$/);
      await until(
        () => upstream.calls.some(({ userId, after }) => userId === "o'loop" && after === '2'),
        30_000,
        'page 3',
      );
    } finally {
      running.child.kill('SIGTERM');
      await running.ended;
    }
  });
});

describe('npm run adit -- skip', () => {
  it('gives the run up: the next firing starts from the head', async () => {
    const { state, upstream, users, repair, callsOf } = await bed();
    const skipped = await adit('adit', ['skip', 'stays', 'chats', '--state', state]);
    expect(skipped.code, skipped.stderr).toBe(0);
    expect(skipped.stdout).toMatch(
      /is given up after 6 pages: what lies behind the marker "same" is not read\.\nThe next firing starts/,
    );
    const [row] = rowsOf(await adit('adit', ['runs', '--failed', '--user', 'stays', '--json', '--state', state]));
    expect(row).toMatchObject({ state: 'failed', code: 'skipped', marker: 'same' });
    const again = await adit('adit', ['skip', 'stays', 'chats', '--state', state]);
    expect(again.stderr).toMatch(/it is given up already: the next firing starts from the head/);
    repair();
    const from = callsOf('stays').length;
    await mineOnce({ upstream, state, users });
    expect(
      callsOf('stays')
        .slice(from)
        .every(({ after }) => after === null),
    ).toBe(true);
    const [run] = rowsOf(await adit('adit', ['runs', '--user', 'stays', '--json', '--state', state]));
    expect(run).toMatchObject({ state: 'done', pages: 1 });
    expect((await exportRows(state)).filter(({ userId }) => userId === 'stays')).toHaveLength(30);
  });

  it.each([
    [['skip', 'u1', 'chat'], /the miner must be one of [^]*, got "chat"\. Next: npm run adit -- skip u1 chats\n$/],
    [['resume', 'u1', 'chats', '--state', 'no-such-folder'], /there are no runs in no-such-folder\. Next: /],
    [['runs', '--miner', 'fan'], /--miner must be one of [^]*Next: --miner fans\n$/],
    [['runs', '--all', '--paused'], /--all and --paused exclude each other\. Next: /],
    [['resume', 'u1'], /missing required argument 'miner'\nNext: npm run adit -- --help/],
    [['resume', 'u1', 'chats', '--state', 'x', '--stack', 'dev'], /--state and --stack name two places/],
  ])('%j is refused in one message', async (args, says) => {
    const ended = await adit('adit', args);
    expect(ended.stderr).toMatch(says);
    expect(ended.stderr).not.toMatch(/\n +at /);
    expect(ended.code).toBe(2);
    expect(await readdir(REPOSITORY)).not.toContain('no-such-folder');
  });

  it('of a user who has no run says where to look', async () => {
    const { state } = await bed();
    const ended = await adit('adit', ['skip', 'nobody', 'chats', '--state', state]);
    expect(ended.stderr).toMatch(
      /there is no run of chats for the user "nobody" in [^]*Next: npm run adit -- runs --user nobody --state/,
    );
    expect(ended.code).toBe(2);
  });
});

describe('the simulated upstream', () => {
  it.each([
    ['treadmill', { quarantined: expect.any(Number) as number, lost: 0, duplicate: 0 }],
    ['deletes', { quarantined: 0, failed: 0, lost: 0, duplicate: 0 }],
  ])('%s: every item served is in the lake once', async (scenario, counts) => {
    const state = join(await emptyFolder(), 'state');
    const args = ['--once', '--json', '--state', state, '--users', '20', '--scenario', scenario, '--seed', '7'];
    const ended = await adit('start', args);
    expect(ended.code, ended.stderr).toBe(0);
    expect(lastJson(ended)).toMatchObject(counts);
    const rows = rowsOf(await adit('adit', ['runs', '--all', '--json', '--state', state]));
    if (scenario === 'treadmill') {
      const aside = rows.filter(({ state: one }) => one === 'quarantined');
      expect(aside.length).toBeGreaterThan(0);
      expect(new Set(aside.map(({ code }) => code))).toEqual(new Set(['no-progress']));
      // Where the second page has no item it is empty pages for ever: those have a limit of their own.
      const again = aside.filter(({ itemsSeen }) => itemsSeen > 0);
      expect(again.length).toBeGreaterThan(0);
      expect(Math.max(...again.map(({ pages }) => pages))).toBeLessThanOrEqual(2 + 15);
      expect(Math.max(...aside.map(({ pages }) => pages))).toBeLessThanOrEqual(1 + 1000);
    } else expect(rows.some(({ restarts }) => restarts > 0)).toBe(true);
  });
});
