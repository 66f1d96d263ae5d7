import { describe, expect, it } from 'vitest';
import {
  CYCLE_LENGTH_LIMIT,
  FRESH_GUARD,
  guardMarker,
  type GuardState,
  MARKER_REPEATS_LIMIT,
} from '../../runtime/core/marker.ts';
import { seededRandom } from '../fakes/seeded-random.ts';

/** Feeds markers until the guard trips: how many it took, or undefined when it never did. */
function trip(markers: Iterable<string>): { after: number; cycleLength: number; state: GuardState } | undefined {
  let state = FRESH_GUARD;
  let after = 0;
  for (const marker of markers) {
    after += 1;
    const decision = guardMarker(state, marker);
    state = decision.state;
    if (decision.verdict === 'stuck') return { after, cycleLength: decision.cycleLength, state };
  }
  return undefined;
}

const repeated = (marker: string, times: number): readonly string[] => Array.from({ length: times }, () => marker);

const cycle = (length: number, count: number): readonly string[] =>
  Array.from({ length: count }, (_, at) => `m${at % length}`);

describe('the marker guard', () => {
  it('lets four repeats of a marker pass', () => {
    expect(MARKER_REPEATS_LIMIT).toBe(5);
    expect(trip(repeated('a', 5))).toBeUndefined();
  });

  it('trips at the sixth equal marker, which is the fifth repeat', () => {
    expect(trip(repeated('a', 100))).toMatchObject({ after: 6, cycleLength: 1 });
  });

  it('starts to count anew after a marker that was not met before', () => {
    const markers = [...repeated('a', 5), ...repeated('b', 5), ...repeated('c', 5)];
    expect(trip(markers)).toBeUndefined();
  });

  it('sees every cycle of 2 to 64 markers within its length and five more', () => {
    for (let length = 2; length <= CYCLE_LENGTH_LIMIT; length += 1) {
      const tripped = trip(cycle(length, 1000));
      expect(tripped, `cycle of ${length}`).toMatchObject({ cycleLength: length });
      expect(tripped?.after).toBeLessThanOrEqual(length + 5);
    }
  });

  it('sees a cycle that begins after a long healthy stretch', () => {
    const healthy = Array.from({ length: 500 }, (_, at) => `healthy ${at}`);
    for (const length of [1, 2, 3, 17, 63, 64]) {
      const tripped = trip([...healthy, ...cycle(length, 1000)]);
      expect(tripped, `cycle of ${length}`).toBeDefined();
      expect(tripped!.after - healthy.length).toBeLessThanOrEqual(length + 5);
    }
  });

  it('does not see a cycle longer than its memory', () => {
    expect(trip(cycle(CYCLE_LENGTH_LIMIT + 1, 1000))).toBeUndefined();
  });

  it('raises no alarm on 10,000 healthy lists', () => {
    const random = seededRandom(20261123);
    for (let list = 0; list < 10_000; list += 1) {
      const pages = 1 + Math.floor(random.next() * 120);
      const style = Math.floor(random.next() * 3);
      const start = Math.floor(random.next() * 1e9);
      const markers = Array.from({ length: pages }, (_, at) => {
        if (style === 0) return random.uuid();
        return style === 1 ? String(start + at * 100) : btoa(`{"offset":${start + at},"dir":"next"}`);
      });
      expect(trip(markers), `list ${list} of seed 20261123`).toBeUndefined();
    }
  });

  it('passes a few accidental repeats that a healthy list may show', () => {
    const random = seededRandom(7);
    for (let list = 0; list < 1000; list += 1) {
      const markers: string[] = [];
      for (let page = 0; page < 100; page += 1) {
        const marker = random.uuid();
        markers.push(...repeated(marker, 1 + Math.floor(random.next() * 5)));
      }
      expect(trip(markers), `list ${list}`).toBeUndefined();
    }
  });

  it('remembers at most 64 hashes of 4 characters, however long the list and its markers', () => {
    let state = FRESH_GUARD;
    for (let page = 0; page < 1000; page += 1) state = guardMarker(state, `${page}`.repeat(500)).state;
    expect(state.recent).toMatch(/^[\w-]+$/);
    expect(state.recent).toHaveLength(4 * CYCLE_LENGTH_LIMIT);
    expect(JSON.stringify(state).length).toBeLessThan(300);
  });

  it('goes on from its state as it was stored', () => {
    let state = FRESH_GUARD;
    for (const marker of repeated('a', 5)) state = guardMarker(state, marker).state;
    const stored = JSON.parse(JSON.stringify(state)) as GuardState;
    expect(guardMarker(stored, 'a').verdict).toBe('stuck');
  });

  it('tells markers apart that differ only in case, in their last character, or by an empty one', () => {
    expect(trip(['abc', 'abC', 'abd', 'ab', 'a', '', 'A', ' '])).toBeUndefined();
    const { recent } = ['abc', 'abC', 'abd', 'ab', 'a', '', 'A', ' '].reduce(
      (state, marker) => guardMarker(state, marker).state,
      FRESH_GUARD,
    );
    expect(new Set(recent.match(/.{4}/g)).size).toBe(8);
  });
});
