import { describe, expect, it } from 'vitest';
import { type Slot, Slots } from '../../runtime/engine/slots.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { NEVER_LOST } from '../fakes/engine-rig.ts';
import { seededRandom } from '../fakes/seeded-random.ts';

async function must(slot: Promise<Slot | undefined>): Promise<Slot> {
  const taken = await slot;
  if (taken === undefined) throw new Error('no slot in time');
  return taken;
}

describe('slots', () => {
  it('are given in the order in which they were asked for', async () => {
    const slots = new Slots(new AutoClock(), 1);
    const first = await must(slots.take(0, NEVER_LOST));
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (number) => {
      const slot = await must(slots.take(1000, NEVER_LOST));
      order.push(number);
      slot.release();
    });
    first.release();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
  });

  it('come back once, however often they are released', async () => {
    const slots = new Slots(new AutoClock(), 1);
    const slot = await must(slots.take(0, NEVER_LOST));
    slot.release();
    slot.release();
    slot.release();
    await must(slots.take(0, NEVER_LOST));
    expect(await slots.take(10, NEVER_LOST)).toBeUndefined();
  });

  it('are waited for no longer than the caller says: 500 callers behind one slow call all leave in time', async () => {
    const clock = new AutoClock();
    const slots = new Slots(clock, 1);
    const slow = await must(slots.take(0, NEVER_LOST));
    const startMs = clock.now();
    const waiting = Array.from({ length: 500 }, () => slots.take(30_000, NEVER_LOST));
    expect(await Promise.all(waiting)).toEqual(waiting.map(() => undefined));
    expect(clock.now() - startMs).toBe(30_000);
    slow.release();
    await must(slots.take(0, NEVER_LOST));
  });

  it('heed the signal, and whoever is aborted takes no slot along', async () => {
    const slots = new Slots(new AutoClock(), 1);
    const held = await must(slots.take(0, NEVER_LOST));
    const lost = new AbortController();
    const waiting = slots.take(1000, lost.signal);
    lost.abort(new Error('the lock is lost'));
    await expect(waiting).rejects.toThrow('the lock is lost');
    await expect(slots.take(1000, lost.signal)).rejects.toThrow('the lock is lost');
    held.release();
    await must(slots.take(0, NEVER_LOST));
  });

  it('never are more than there are, and none is lost, whoever is late or aborted at the same moment', async () => {
    const clock = new AutoClock();
    const random = seededRandom(3);
    const slots = new Slots(clock, 3);
    let held = 0;
    let most = 0;
    const work = async (): Promise<void> => {
      const lost = new AbortController();
      if (random.next() < 0.3) {
        void clock.sleep(Math.floor(random.next() * 5)).then(() => lost.abort(new Error('lost')));
      }
      await clock.sleep(Math.floor(random.next() * 20));
      const slot = await slots.take(Math.floor(random.next() * 6), lost.signal).catch(() => undefined);
      if (slot === undefined) return;
      held += 1;
      most = Math.max(most, held);
      await clock.sleep(Math.floor(random.next() * 5));
      held -= 1;
      slot.release();
      if (random.next() < 0.5) slot.release();
    };
    await Promise.all(Array.from({ length: 600 }, work));
    expect([most, held]).toEqual([3, 0]);
    const all = await Promise.all([1, 2, 3].map(() => slots.take(0, NEVER_LOST)));
    expect(all.every((slot) => slot !== undefined)).toBe(true);
    expect(await slots.take(1, NEVER_LOST)).toBeUndefined();
  });
});
