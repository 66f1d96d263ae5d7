import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { emptyFolder } from './adit.ts';
import { type ExportedRow, exportRows, mineOnce } from './lake-rows.ts';
import { page, plainItems, type Reply, startUpstream } from './scripted-upstream.ts';

const item = (id: string, value: string): string => `{"id":"${id}","v":"${value}"}`;

interface History {
  /** What the upstream serves in each of four runs. */
  readonly rounds: readonly (readonly string[])[];
  /** What must stand in the lake after them, in the order of ids and versions. */
  readonly stored: readonly string[];
}

const KEYS = '{"id":"x","a":1,"b":{"c":2,"d":3}}';
const KEYS_MOVED = '{"b": {"d":3, "c":2}, "a":1, "id":"x"}';

/** A user each. */
const HISTORIES: Readonly<Record<string, History>> = {
  'from A to B and back to A is three versions, and A again adds none': {
    rounds: [[item('x', 'A')], [item('x', 'B')], [item('x', 'A')], [item('x', 'A')]],
    stored: [item('x', 'A'), item('x', 'B'), item('x', 'A')],
  },
  'other keys order or spaces are no version, another digit is one': {
    rounds: [[KEYS], [KEYS_MOVED], [KEYS.replace('1', '1.0')], [KEYS.replace('1', '1.00')]],
    stored: [KEYS, KEYS.replace('1', '1.0'), KEYS.replace('1', '1.00')],
  },
  'what disappears stays, and what comes back unchanged is not written again': {
    rounds: [[item('a', '1'), item('b', '1')], [item('b', '1')], [], [item('a', '1'), item('b', '1')]],
    stored: [item('a', '1'), item('b', '1')],
  },
  'a list that grows at its head': {
    rounds: [1, 2, 3, 4].map((count) => plainItems('g', count).toReversed()),
    stored: plainItems('g', 4),
  },
  'an item that first had no id': {
    rounds: [['{"id":1,"v":"A"}'], ['{"id":"1","v":"A"}'], ['{"id":"1","v":"A"}', '{"id":1,"v":"A"}'], []],
    stored: ['{"id":"1","v":"A"}'],
  },
};

/** Values of the rows, numbered from 1 without a gap. */
function valuesOf(rows: readonly ExportedRow[]): string[] {
  expect(rows.map((row) => row.seq)).toEqual(rows.map((_, index) => index + 1));
  return rows.map((row) => (JSON.parse(row.dataText) as { v: string }).v);
}

describe('an item that changes', () => {
  it('between runs has one row per version, in the order they were served', async () => {
    let round = 0;
    const upstream = await startUpstream(({ userId }) => page(HISTORIES[userId]?.rounds[round] ?? []));
    const state = join(await emptyFolder(), 'state');
    for (; round < 4; round += 1) {
      const ended = await mineOnce({ upstream, state, users: Object.keys(HISTORIES) });
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.counts).toMatchObject({ known: 0, recovered: 0, failed: 0, quarantined: 0 });
    }
    const rows = await exportRows(state);
    for (const [userId, { stored }] of Object.entries(HISTORIES)) {
      const own = rows.filter((row) => row.userId === userId);
      expect(
        own.map((row) => row.dataText),
        userId,
      ).toEqual(stored);
      expect(
        own.every((row) => !row.late),
        userId,
      ).toBe(true);
    }
    const [first, second, third] = rows.filter(({ userId }) => userId.startsWith('from A to B'));
    expect([first?.seq, second?.seq, third?.seq]).toEqual([1, 2, 3]);
    expect(first?.version).toBe(third?.version);
    expect(first?.version).not.toBe(second?.version);
  });

  it('on one page or on the overlap of pages loses no version and repeats none', async () => {
    const fillers = (from: number): string[] => plainItems(`page${from}-`, 20);
    const pages: readonly (readonly string[])[] = [
      [...fillers(0), item('x', 'A'), item('y', 'A'), item('z', 'A'), item('p', 'A'), item('p', 'A')],
      [item('x', 'B'), item('y', 'A'), item('z', 'B'), ...fillers(1), item('q', 'A'), item('q', 'B'), item('q', 'A')],
      [item('x', 'A'), item('y', 'B'), item('z', 'C'), ...fillers(2)],
    ];
    const upstream = await startUpstream(({ after }): Reply => {
      const at = Number(after ?? 0);
      return page(pages[at] ?? [], at < 2 ? String(at + 1) : undefined);
    });
    const state = join(await emptyFolder(), 'state');
    const users = ['u1', 'u2', 'u3'];
    const ended = await mineOnce({ upstream, state, users });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ fetched: 3 * 74, new: 3 * (60 + 3 + 2 + 3 + 1 + 3), seen: 3 * 2 });
    const rows = await exportRows(state);
    const wanted = { x: ['AB', 'A'], y: ['AB', 'B'], z: ['ABC', 'C'], p: ['A', 'A'], q: ['AB', 'A'] } as const;
    for (const userId of users) {
      for (const [id, [all, newest]] of Object.entries(wanted)) {
        const own = rows.filter((row) => row.userId === userId && row.id === id);
        const values = valuesOf(own);
        expect([...new Set(values)].sort().join(''), id).toBe(all);
        expect(
          values.every((value, at) => value !== values[at - 1]),
          `${id}: ${values.join(' ')}`,
        ).toBe(true);
        const last = own.findLast((row) => !row.late);
        expect(last?.dataText, `${id}: ${values.join(' ')}`).toBe(item(id, newest));
      }
    }
  });
});

describe('a user', () => {
  it('with the same item ids as another user, in every data type, shares nothing with them', async () => {
    const upstream = await startUpstream(({ userId, miner }) =>
      page([item('x', `${userId} ${miner}`), item('same', 'S')]),
    );
    const state = join(await emptyFolder(), 'state');
    const miners = ['transactions', 'wall-posts', 'earnings', 'chats', 'fans'];
    const users = ['u1', 'u2', 'u11'];
    const ended = await mineOnce({ upstream, state, users, miners });
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.counts).toMatchObject({ new: 30, lake: 30, known: 0 });
    const rows = await exportRows(state);
    for (const row of rows.filter(({ id }) => id === 'x')) {
      expect(row.dataText).toBe(item('x', `${row.userId} ${row.miner}`));
    }
  });
});
