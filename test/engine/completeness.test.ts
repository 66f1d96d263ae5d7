import { describe, expect, it } from 'vitest';
import { envelopeObject } from '../../runtime/core/lake-name.ts';
import { Completeness, type Counters, type EnvelopeRef, equationsOf } from '../../runtime/engine/completeness.ts';
import { MemoryLake } from '../fakes/memory-lake.ts';

const envelope = (envelopeId: string, items: number): EnvelopeRef => ({
  ...{ envelopeId, minerName: 'chats', composedAtMs: 0, items },
});

function rig() {
  const lake = new MemoryLake();
  const metered = new Map<string, number>();
  const count = (name: string, value: number, labels?: Readonly<Record<string, string>>): void => {
    const key = `${labels?.['minerName']}.${name}`;
    metered.set(key, (metered.get(key) ?? 0) + value);
  };
  const completeness = new Completeness({ lake, meter: { count } });
  return { lake, metered, completeness, counters: completeness.counters };
}

/** Puts an object with `rows` rows there. */
const put = (lake: MemoryLake, { minerName, composedAtMs, envelopeId }: EnvelopeRef, rows: number): Promise<void> =>
  lake.write(envelopeObject(minerName, composedAtMs, envelopeId), '{}\n'.repeat(rows));

const holding = (counters: Readonly<Counters>): readonly boolean[] => equationsOf(counters).map(({ holds }) => holds);

describe('sent and settled', () => {
  it('are equal when the acknowledgement comes first', () => {
    const { completeness, counters } = rig();
    completeness.sending(envelope('e1', 3));
    completeness.acknowledged(envelope('e1', 3));
    expect(completeness.unsettled()).toBe(1);
    completeness.settled(envelope('e1', 3), 0);
    expect(counters).toMatchObject({ sent: 3, settled: 3, recovered: 0 });
    expect(completeness.unsettled()).toBe(0);
  });

  it('are equal when the settlement comes before the acknowledgement', () => {
    const { completeness, counters } = rig();
    completeness.sending(envelope('e1', 3));
    completeness.settled(envelope('e1', 3), 0);
    expect(completeness.unsettled()).toBe(1);
    completeness.acknowledged(envelope('e1', 3));
    expect(counters).toMatchObject({ sent: 3, settled: 3, recovered: 0 });
    expect(completeness.unsettled()).toBe(0);
  });

  it('count a send that failed but had arrived as recovered when it is settled first', () => {
    const { completeness, counters } = rig();
    completeness.sending(envelope('e1', 3));
    completeness.settled(envelope('e1', 3), 0);
    completeness.sendFailed(envelope('e1', 3));
    expect(counters).toMatchObject({ sent: 0, settled: 3, recovered: 3 });
    expect(completeness.unsettled()).toBe(0);
  });

  it('count a send that failed but had arrived as recovered when it is settled later', () => {
    const { completeness, counters } = rig();
    completeness.sending(envelope('e1', 3));
    completeness.sendFailed(envelope('e1', 3));
    completeness.settled(envelope('e1', 3), 0);
    expect(counters).toMatchObject({ sent: 0, settled: 3, recovered: 3 });
    expect(completeness.unsettled()).toBe(0);
  });

  it('count nothing for a send that failed and never arrived', () => {
    const { completeness, counters } = rig();
    completeness.sending(envelope('e1', 3));
    completeness.sendFailed(envelope('e1', 3));
    expect(counters).toMatchObject({ sent: 0, settled: 0, recovered: 0 });
    expect(completeness.unsettled()).toBe(0);
  });

  it('count work of an earlier process as recovered', () => {
    const { completeness, counters } = rig();
    completeness.settled(envelope('e1', 3), 1);
    expect(counters).toMatchObject({ sent: 0, settled: 3, recovered: 3, known: 1 });
  });

  it('count a settlement that comes twice once, whenever the second one comes', () => {
    const orders = [
      ['sending', 'settled', 'settled', 'acknowledged'],
      ['sending', 'settled', 'acknowledged', 'settled'],
      ['sending', 'acknowledged', 'settled', 'settled'],
      ['settled', 'settled'],
    ] as const;
    for (const order of orders) {
      const { completeness, counters } = rig();
      for (const step of order) completeness[step](envelope('e1', 2), 0);
      expect(counters.settled, order.join()).toBe(2);
      expect(counters.settled, order.join()).toBe(counters.sent + counters.recovered);
    }
  });
});

describe('every count', () => {
  it('goes to the meter with the name of its miner', () => {
    const { completeness, metered } = rig();
    completeness.add('fetched', 5, 'chats');
    completeness.add('fetched', 2, 'fans');
    completeness.settled(envelope('e1', 3), 1);
    expect(Object.fromEntries(metered)).toEqual({
      ...{ 'chats.fetched': 5, 'fans.fetched': 2, 'chats.settled': 3, 'chats.known': 1, 'chats.recovered': 3 },
    });
  });
});

describe('settledByLedger', () => {
  it('settles what the broker acknowledged and the ledger has, once', async () => {
    const { completeness, counters } = rig();
    for (const id of ['e1', 'e2', 'e3']) completeness.sending(envelope(id, 3));
    for (const id of ['e1', 'e2']) completeness.acknowledged(envelope(id, 3));
    const ownedOf = async (id: string): Promise<number | undefined> => (id === 'e1' ? 2 : undefined);
    await completeness.settledByLedger(ownedOf);
    await completeness.settledByLedger(ownedOf);
    completeness.settled(envelope('e1', 3), 1);
    expect(counters).toMatchObject({ sent: 6, settled: 3, known: 1, recovered: 0 });
    expect(completeness.unsettled()).toBe(2);
  });
});

describe('audit', () => {
  it('counts the rows of settled envelopes by reading them back, once', async () => {
    const { completeness, counters, lake } = rig();
    await put(lake, envelope('e1', 3), 2);
    await put(lake, envelope('e2', 3), 3);
    completeness.settled(envelope('e1', 3), 1);
    await completeness.audit();
    await completeness.audit();
    expect(counters).toMatchObject({ settled: 3, lake: 2, known: 1 });
    expect(holding(counters)[3]).toBe(true);
  });

  it('counts nothing for an envelope that owned nothing', async () => {
    const { completeness, counters } = rig();
    completeness.settled(envelope('e1', 3), 3);
    await completeness.audit();
    expect(counters).toMatchObject({ settled: 3, lake: 0, known: 3 });
  });

  it('shows rows that are missing', async () => {
    const { completeness, counters, lake } = rig();
    await put(lake, envelope('e1', 3), 2);
    completeness.settled(envelope('e1', 3), 0);
    await completeness.audit();
    expect(holding(counters)).toEqual([true, true, true, false]);
  });

  it('looks again after a lake that could not be asked', async () => {
    const { completeness, counters, lake } = rig();
    for (const id of ['e1', 'e2', 'e3']) {
      await put(lake, envelope(id, 1), 1);
      completeness.settled(envelope(id, 1), 0);
    }
    lake.fail = new Error('away');
    await expect(completeness.audit()).rejects.toThrow('away');
    lake.fail = undefined;
    await completeness.audit();
    expect(counters).toMatchObject({ settled: 3, lake: 3 });
  });

  it('counts a row once when two audits run at once', async () => {
    const { completeness, counters, lake } = rig();
    for (const id of ['e1', 'e2', 'e3']) {
      await put(lake, envelope(id, 1), 1);
      completeness.settled(envelope(id, 1), 0);
    }
    await Promise.all([completeness.audit(), completeness.audit()]);
    expect(counters.lake).toBe(3);
  });
});

describe('equationsOf', () => {
  const even: Counters = {
    ...{
      fetched: 10,
      new: 6,
      seen: 3,
      rejected: 1,
      sent: 6,
      settled: 8,
      recovered: 2,
      known: 2,
      discarded: 1,
      lake: 5,
    },
  };

  it('hold when every item is accounted for', () => {
    expect(equationsOf(even)).toEqual([
      { text: 'fetched = new + seen + rejected', left: 10, right: 10, holds: true },
      { text: 'sent = new', left: 6, right: 6, holds: true },
      { text: 'settled = sent + recovered', left: 8, right: 8, holds: true },
      { text: 'settled = lake + known + discarded', left: 8, right: 8, holds: true },
    ]);
  });

  it.each<[keyof Counters, readonly boolean[]]>([
    ['fetched', [false, true, true, true]],
    ['new', [false, false, true, true]],
    ['seen', [false, true, true, true]],
    ['rejected', [false, true, true, true]],
    ['sent', [true, false, false, true]],
    ['settled', [true, true, false, false]],
    ['recovered', [true, true, false, true]],
    ['known', [true, true, true, false]],
    ['discarded', [true, true, true, false]],
    ['lake', [true, true, true, false]],
  ])('break when %s is one off', (name, holds) => {
    expect(holding({ ...even, [name]: even[name] + 1 })).toEqual(holds);
  });
});
