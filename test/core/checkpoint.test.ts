import { describe, expect, it } from 'vitest';
import {
  CLAIM_RETENTION_MS,
  CLAIMS_KEPT,
  CLAIMS_LIMIT,
  decideClaim,
  decodeCached,
  decodeCheckpoint,
  encodeCached,
  encodeCheckpoint,
  isAfter,
  isSeen,
  type ItemCheckpoint,
  keepsCached,
  voidClaim,
} from '../../runtime/core/checkpoint.ts';

const NOW_MS = 1_000_000;

type Arrival = readonly [version: string, observedAtMs: number, envelopeId: string, nowMs?: number];

interface Applied {
  readonly row: ItemCheckpoint | undefined;
  /** `own`, `late` or `known`, one per arrival. */
  readonly verdicts: readonly string[];
  readonly lake: readonly { version: string; observedAtMs: number; isLate: boolean }[];
}

/** Envelopes that arrive one after the other, each with one version of the item. */
function arrive(arrivals: readonly Arrival[], start?: ItemCheckpoint): Applied {
  let row = start;
  const verdicts: string[] = [];
  const lake: { version: string; observedAtMs: number; isLate: boolean }[] = [];
  for (const [version, observedAtMs, envelopeId, nowMs] of arrivals) {
    const decision = decideClaim(row, { version, observedAtMs }, envelopeId, nowMs ?? NOW_MS);
    row = decision.write ?? row;
    verdicts.push(decision.verdict === 'own' && decision.isLate ? 'late' : decision.verdict);
    if (decision.verdict === 'own') lake.push({ version, observedAtMs, isLate: decision.isLate });
  }
  return { row, verdicts, lake };
}

describe('decideClaim', () => {
  const table: readonly [name: string, arrivals: readonly Arrival[], verdicts: readonly string[], last: string][] = [
    ['the first version is claimed', [['a', 1, 'E1']], ['own'], 'a@1'],
    [
      'an envelope that owns a version keeps it',
      [
        ['a', 1, 'E1'],
        ['a', 1, 'E1'],
      ],
      ['own', 'own'],
      'a@1',
    ],
    [
      'the same version from another envelope is known and raises the time of the last observation',
      [
        ['a', 1, 'E1'],
        ['a', 5, 'E2'],
      ],
      ['own', 'known'],
      'a@5',
    ],
    [
      'the same version observed before is known and raises nothing',
      [
        ['a', 5, 'E1'],
        ['a', 1, 'E2'],
      ],
      ['own', 'known'],
      'a@5',
    ],
    [
      'a newer version is claimed and becomes the last one',
      [
        ['a', 1, 'E1'],
        ['b', 2, 'E2'],
      ],
      ['own', 'own'],
      'b@2',
    ],
    [
      'A, B, A are three',
      [
        ['a', 1, 'E1'],
        ['b', 2, 'E2'],
        ['a', 3, 'E3'],
      ],
      ['own', 'own', 'own'],
      'a@3',
    ],
    [
      'an older version that nobody claimed is claimed as late and does not become the last one',
      [
        ['b', 2, 'E1'],
        ['a', 1, 'E2'],
      ],
      ['own', 'late'],
      'b@2',
    ],
    [
      'an older version that somebody claimed is known',
      [
        ['a', 1, 'E1'],
        ['c', 3, 'E2'],
        ['a', 2, 'E3'],
      ],
      ['own', 'own', 'known'],
      'c@3',
    ],
    [
      'a late version is claimed once',
      [
        ['c', 3, 'E1'],
        ['a', 1, 'E2'],
        ['a', 2, 'E3'],
        ['a', 1, 'E2'],
      ],
      ['own', 'late', 'known', 'late'],
      'c@3',
    ],
    [
      'at equal times the greater version is the later observation, whichever comes first',
      [
        ['a', 5, 'E1'],
        ['b', 5, 'E2'],
      ],
      ['own', 'own'],
      'b@5',
    ],
    [
      'at equal times the smaller version is late',
      [
        ['b', 5, 'E1'],
        ['a', 5, 'E2'],
      ],
      ['own', 'late'],
      'b@5',
    ],
    [
      'what an envelope was refused stays refused when another version of the same millisecond has come in between',
      [
        ['a', 1, 'E0'],
        ['a', 5, 'E1'],
        ['b', 5, 'E2'],
        ['a', 5, 'E1'],
      ],
      ['own', 'known', 'own', 'known'],
      'b@5',
    ],
  ];

  it.each(table)('%s', (_, arrivals, verdicts, last) => {
    const { row, verdicts: found } = arrive(arrivals);
    expect(found).toEqual(verdicts);
    expect(`${row?.last.version}@${row?.last.observedAtMs}`).toBe(last);
  });

  it('writes nothing when the stored row stands', () => {
    const { row } = arrive([['a', 5, 'E1']]);
    expect(decideClaim(row, { version: 'a', observedAtMs: 5 }, 'E1', NOW_MS).write).toBeUndefined();
    expect(decideClaim(row, { version: 'a', observedAtMs: 5 }, 'E2', NOW_MS).write).toBeUndefined();
    expect(decideClaim(row, { version: 'a', observedAtMs: 4 }, 'E2', NOW_MS).write).toBeUndefined();
  });

  it('never changes a row that it was given', () => {
    const { row } = arrive([['a', 1, 'E1']]);
    const before = structuredClone(row);
    decideClaim(row, { version: 'b', observedAtMs: 2 }, 'E2', NOW_MS);
    decideClaim(row, { version: 'c', observedAtMs: 0 }, 'E3', NOW_MS);
    expect(row).toEqual(before);
  });
});

describe('decideClaim over whole histories', () => {
  /** Every history of up to five observations of three versions, in every order of arrival. */
  it('loses no version, repeats no not-late neighbour, and ends with the newest observation', () => {
    let histories = 0;
    for (const history of histories5()) {
      for (const order of permutations(history.length)) {
        histories += 1;
        const arrivals = order.map((at): Arrival => [history[at] ?? '', at, `E${at}`]);
        const { lake } = arrive(arrivals);
        const versions = new Set(lake.map(({ version }) => version));
        expect(versions, `lost of ${named(history, order)}`).toEqual(new Set(history));
        const inTime = lake
          .filter(({ isLate }) => !isLate)
          .toSorted((a, b) => a.observedAtMs - b.observedAtMs)
          .map(({ version }) => version);
        expect(inTime.at(-1)).toBe(history.at(-1));
        expect(
          inTime.some((version, index) => version === inTime[index + 1]),
          named(history, order),
        ).toBe(false);
        const late = lake.filter(({ isLate }) => isLate).map(({ version }) => version);
        expect(new Set(late).size, 'a version is late at most once').toBe(late.length);
      }
    }
    expect(histories).toBe(3 + 9 * 2 + 27 * 6 + 81 * 24 + 243 * 120);
  });

  it('refuses again what it refused once, whatever came in between', () => {
    for (const history of histories5(4)) {
      for (const order of permutations(history.length)) {
        const arrivals = order.map((at): Arrival => [history[at] ?? '', at >> 1, `E${at}`]);
        const first = arrive(arrivals);
        const again = arrive(arrivals, first.row);
        expect(again.verdicts, named(history, order)).toEqual(first.verdicts);
      }
    }
  });
});

describe('claims of a row', () => {
  const changes = (count: number, stepMs: number): readonly Arrival[] =>
    Array.from({ length: count }, (_, at) => [`v${at}`, at, `E${at}`, at * stepMs]);

  it('are all kept while a message may still carry them', () => {
    expect(arrive(changes(100, 1000)).row?.claims).toHaveLength(100);
  });

  it(`are the newest ${CLAIMS_KEPT} once they are older than that`, () => {
    const { row } = arrive(changes(100, CLAIM_RETENTION_MS));
    expect(row?.claims.map(({ version }) => version)).toEqual(
      Array.from({ length: CLAIMS_KEPT }, (_, at) => `v${100 - CLAIMS_KEPT + at}`),
    );
  });

  it('are kept to the last millisecond of the retention, and not one longer', () => {
    const old = arrive(changes(CLAIMS_KEPT, 0)).row;
    const kept = arrive([['x', 50, 'X', CLAIM_RETENTION_MS - 1]], old).row;
    const dropped = arrive([['x', 50, 'X', CLAIM_RETENTION_MS]], old).row;
    expect(kept?.claims).toHaveLength(CLAIMS_KEPT + 1);
    expect(dropped?.claims).toHaveLength(CLAIMS_KEPT);
  });

  it(`are at most ${CLAIMS_LIMIT}, so that the row of an item that changes every minute can be written`, () => {
    const week = Array.from({ length: 7 * 24 * 60 }, (_, at): Arrival => [
      at.toString(16).padStart(32, '0'),
      at * 60_000,
      crypto.randomUUID(),
      at * 60_000,
    ]);
    const { row } = arrive(week);
    expect(row?.claims).toHaveLength(CLAIMS_LIMIT);
    expect(row?.claims.at(-1)?.version).toBe(row?.last.version);
    expect(encodeCheckpoint(row!).length).toBeLessThan(60_000);
  });
});

describe('the stored form of a checkpoint', () => {
  it('is read as it was written', () => {
    const { row } = arrive([
      ['b', 2, 'E1'],
      ['a', 1, 'E2'],
      ['c"\\é', 3, 'E3'],
    ]);
    expect(decodeCheckpoint(encodeCheckpoint(row!))).toEqual(row);
  });
});

describe('isAfter', () => {
  it('is a strict total order of time, then version', () => {
    const at = (observedAtMs: number, version: string) => ({ observedAtMs, version });
    const sorted = [at(1, 'z'), at(2, 'a'), at(2, 'b'), at(3, '')];
    for (const [left, a] of sorted.entries()) {
      for (const [right, b] of sorted.entries()) expect(isAfter(a, b)).toBe(left > right);
    }
  });
});

function named(history: readonly string[], order: readonly number[]): string {
  return `${history.join()} in order ${order.join()}`;
}

function* histories5(longest = 5): Generator<readonly string[]> {
  const grow = function* (history: readonly string[]): Generator<readonly string[]> {
    if (history.length > 0) yield history;
    if (history.length < longest) for (const version of ['a', 'b', 'c']) yield* grow([...history, version]);
  };
  yield* grow([]);
}

const KNOWN_PERMUTATIONS = new Map<number, readonly (readonly number[])[]>([[0, [[]]]]);

function permutations(length: number): readonly (readonly number[])[] {
  const known = KNOWN_PERMUTATIONS.get(length);
  if (known !== undefined) return known;
  const made = permutations(length - 1).flatMap((rest) =>
    Array.from({ length }, (_, at) => [...rest.slice(0, at), length - 1, ...rest.slice(at)]),
  );
  KNOWN_PERMUTATIONS.set(length, made);
  return made;
}

describe('a discarded envelope', () => {
  const voided = (row: ItemCheckpoint | undefined, [version, observedAtMs, envelopeId]: Arrival): ItemCheckpoint => {
    const after = voidClaim(row, { version, observedAtMs }, envelopeId, NOW_MS);
    expect(voidClaim(after, { version, observedAtMs }, envelopeId, NOW_MS)).toBeUndefined();
    return after ?? expect.fail('nothing was void');
  };
  const [a1, b2, a3]: readonly Arrival[] = [
    ['A', 1, 'e1'],
    ['B', 2, 'e2'],
    ['A', 3, 'e3'],
  ];

  it('leaves what nobody else has claimed as good as never seen', () => {
    for (const start of [undefined, arrive([a1!]).row]) {
      const row = voided(start, a1!);
      expect(isSeen(row)).toBe(false);
      expect(decideClaim(row, { version: 'A', observedAtMs: 1 }, 'e1', NOW_MS)).toMatchObject({ verdict: 'void' });
      const taken = decideClaim(row, { version: 'A', observedAtMs: 4 }, 'e4', NOW_MS);
      expect(taken).toMatchObject({ verdict: 'own', isLate: false, isReopened: true });
    }
  });

  it('gives way to the claim before it, as it was seen last, and never to a late one', () => {
    expect(voided(arrive([a1!, b2!]).row, b2!).last).toEqual({ version: 'A', observedAtMs: 1 });
    const raised = arrive([a1!, ['A', 5, 'e5'], ['B', 6, 'e6']]).row;
    expect(voided(raised, ['B', 6, 'e6']).last).toEqual({ version: 'A', observedAtMs: 5 });
    const late = arrive([['B', 6, 'e6'], a1!]).row;
    expect(isSeen(voided(late, ['B', 6, 'e6']))).toBe(false);
  });

  it('changes nothing about a later claim of another envelope, nor about its own version there', () => {
    expect(voided(arrive([a1!, b2!, a3!]).row, b2!).last).toEqual({ version: 'A', observedAtMs: 3 });
    expect(voided(arrive([a1!, b2!, a3!]).row, a1!).last).toEqual({ version: 'A', observedAtMs: 3 });
  });

  it('is void still when the row is read back', () => {
    const row = voided(arrive([['B', 6, 'e6'], a1!]).row, a1!);
    expect(decodeCheckpoint(encodeCheckpoint(row))).toEqual(row);
    expect(row.claims.at(-1)).toMatchObject({ owner: 'e1', isLate: true, isVoid: true });
  });
});

describe('the cached form', () => {
  it('reads back, orders as observations are ordered, and is compared only with its like', () => {
    const older = { version: 'f'.repeat(32), observedAtMs: Date.UTC(2026, 0, 1) };
    const newer = { version: '0'.repeat(32), observedAtMs: older.observedAtMs + 1 };
    expect(decodeCached(encodeCached(older))).toEqual(older);
    expect(keepsCached(encodeCached(newer), encodeCached(older))).toBe(true);
    expect(keepsCached(encodeCached(older), encodeCached(newer))).toBe(false);
    expect(keepsCached(encodeCached({ ...older, version: 'a' }), encodeCached({ ...older, version: 'b' }))).toBe(false);
    expect(keepsCached(undefined, encodeCached(older))).toBe(false);
    // What code before this form has written is believed, and written over.
    expect(decodeCached(older.version)).toEqual({ version: older.version, observedAtMs: undefined });
    expect(keepsCached(older.version, encodeCached(older))).toBe(false);
  });
});
