import { describe, expect, it } from 'vitest';
import { Lease, LEASE_MS } from '../../runtime/engine/lease.ts';
import { MemoryRows } from '../fakes/memory-rows.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { TestClock } from '../fakes/test-clock.ts';

const KEY = { partition: 'users', row: 'work' };

/** A process with its own clock over a shared table. */
function processOver(rows: MemoryRows, seed: number, clock = new TestClock()) {
  const waits: string[] = [];
  const take = (): Promise<Lease> =>
    Lease.take({ rows, clock, random: seededRandom(seed) }, KEY, () => waits.push('waits'));
  return { clock, waits, take };
}

describe('a lease', () => {
  it('is given to one at a time, and to the next at once when it is given back', async () => {
    const rows = new MemoryRows();
    const [one, two] = [processOver(rows, 1), processOver(rows, 2)];
    const first = await one.take();
    const waiting = two.take();
    await two.clock.waitForSleepers(1);
    expect(two.waits).toEqual(['waits']);
    await first.release();
    await two.clock.advance(1000);
    await expect(waiting).resolves.toBeInstanceOf(Lease);
    expect(one.waits).toEqual([]);
  });

  it('passes on after a minute of silence, by the clock of whoever waits', async () => {
    const rows = new MemoryRows();
    const one = processOver(rows, 1, new TestClock(0));
    const two = processOver(rows, 2, new TestClock(Date.UTC(2030, 0, 1)));
    const first = await one.take();
    let taken = false;
    const waiting = two.take().then(() => (taken = true));
    await two.clock.waitForSleepers(1);
    await two.clock.advance(LEASE_MS - 1000);
    expect(taken).toBe(false);
    await one.clock.advance(10_000);
    await first.renew();
    await two.clock.advance(LEASE_MS);
    expect(taken, 'a sign of life starts the minute again').toBe(false);
    await two.clock.advance(2000);
    await waiting;
    await one.clock.advance(10_000);
    await expect(first.renew()).rejects.toMatchObject({ code: 'LEASE_LOST' });
    await first.release();
    expect(await rows.read([KEY]), 'what is not held is not given back').toMatchObject([{ row: 'work' }]);
  });

  it('is not waited for longer than ten minutes', async () => {
    const rows = new MemoryRows();
    const [one, two] = [processOver(rows, 1), processOver(rows, 2)];
    const first = await one.take();
    const waiting = two.take();
    const ended = waiting.catch((error: unknown) => error);
    for (let at = 0; at < 21; at += 1) {
      await one.clock.advance(30_000);
      await first.renew();
      await two.clock.advance(30_000);
    }
    expect(await ended).toMatchObject({ code: 'LEASE_HELD' });
  });

  it('survives a renewal whose answer was lost', async () => {
    const rows = new MemoryRows();
    const one = processOver(rows, 1);
    const lease = await one.take();
    const [row] = await rows.read([KEY]);
    await rows.write([{ ...KEY, value: row?.value ?? '', ifMatch: 'any' }]);
    await one.clock.advance(10_000);
    await lease.renew();
    await lease.release();
    expect(await rows.read([KEY])).toEqual([undefined]);
  });

  it('shows a sign of life at most every five seconds', async () => {
    const rows = new MemoryRows();
    const one = processOver(rows, 1);
    const lease = await one.take();
    const before = rows.writes;
    await Promise.all(Array.from({ length: 100 }, () => lease.renew()));
    expect(rows.writes).toBe(before);
    await one.clock.advance(5000);
    await Promise.all(Array.from({ length: 100 }, () => lease.renew()));
    expect(rows.writes).toBe(before + 1);
  });
});
