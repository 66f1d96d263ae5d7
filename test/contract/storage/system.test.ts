import { describe, expect, it } from 'vitest';
import { sha256Digest, systemClock, systemRandom } from '../../../runtime/adapters/system.ts';
import { seededRandom } from '../../fakes/seeded-random.ts';
import { TestClock } from '../../fakes/test-clock.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe('system clock', () => {
  it('sleeps no shorter than it was told, also for no time at all', async () => {
    const startMs = systemClock.now();
    await systemClock.sleep(20);
    // The timer may fire in the millisecond in which it is due.
    expect(systemClock.now() - startMs).toBeGreaterThanOrEqual(19);
    await systemClock.sleep(0);
    await systemClock.sleep(-5);
  });

  it('rejects with the reason of the signal, before and during a sleep', async () => {
    const reason = new Error('stop');
    await expect(systemClock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
    const controller = new AbortController();
    const sleep = systemClock.sleep(60_000, controller.signal);
    controller.abort(reason);
    await expect(sleep).rejects.toBe(reason);
  });

  it('does not wake at once from a sleep that is longer than a timer can be', async () => {
    const controller = new AbortController();
    let isAwake = false;
    const sleep = systemClock.sleep(2 ** 31 + 5, controller.signal).then(() => (isAwake = true));
    await systemClock.sleep(10);
    expect(isAwake).toBe(false);
    controller.abort(new Error('enough'));
    await expect(sleep).rejects.toThrow('enough');
  });
});

describe('digest', () => {
  it('is the beginning of the SHA-256 of the UTF-8 text', () => {
    const abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(sha256Digest.sha256('abc', 64)).toBe(abc);
    expect(sha256Digest.sha256('abc', 20)).toBe(abc.slice(0, 20));
    expect(sha256Digest.sha256('é', 8)).toBe('4a99557e');
  });

  it.each([0, 65, 1.5, Number.NaN])('refuses %d digits', (hexDigits) => {
    expect(() => sha256Digest.sha256('abc', hexDigits)).toThrow(RangeError);
  });
});

describe.each([
  ['system', systemRandom],
  ['seeded', seededRandom(7)],
] as const)('%s random', (_, random) => {
  it('gives numbers of 0 to 1 that differ, and UUIDs of version 4 that differ', () => {
    const numbers = Array.from({ length: 1_000 }, () => random.next());
    const ids = Array.from({ length: 1_000 }, () => random.uuid());
    expect(numbers.every((value) => value >= 0 && value < 1)).toBe(true);
    expect(new Set(numbers).size).toBeGreaterThan(990);
    expect(ids.every((id) => UUID.test(id))).toBe(true);
    expect(new Set(ids).size).toBe(1_000);
  });
});

describe('seeded random', () => {
  it('repeats for a seed and differs between seeds', () => {
    const draw = (seed: number): readonly unknown[] => {
      const random = seededRandom(seed);
      return [random.next(), random.uuid(), random.next()];
    };
    expect(draw(42)).toEqual(draw(42));
    expect(draw(42)).not.toEqual(draw(43));
  });
});

describe('test clock', () => {
  it('wakes sleepers in the order of their times, then of their calls, at their times', async () => {
    const clock = new TestClock(1_000);
    const woken: string[] = [];
    const sleeper = async (name: string, ms: number): Promise<void> => {
      await clock.sleep(ms);
      woken.push(`${name}@${clock.now()}`);
    };
    const all = [sleeper('c', 30), sleeper('a', 10), sleeper('b', 10), sleeper('late', 31)];
    await clock.advance(30);
    expect(woken).toEqual(['a@1010', 'b@1010', 'c@1030']);
    expect([clock.now(), clock.sleepers]).toEqual([1_030, 1]);
    await clock.advance(1);
    await Promise.all(all);
  });

  it('wakes one that sleeps again within the time', async () => {
    const clock = new TestClock(0);
    const ticks: number[] = [];
    const loop = (async () => {
      for (let tick = 0; tick < 3; tick += 1) {
        await clock.sleep(10);
        ticks.push(clock.now());
      }
    })();
    await clock.advance(100);
    await loop;
    expect([ticks, clock.now()]).toEqual([[10, 20, 30], 100]);
  });

  it('rejects a sleeper with the reason of its signal and forgets it', async () => {
    const clock = new TestClock();
    const controller = new AbortController();
    const reason = new Error('stop');
    const sleep = clock.sleep(10, controller.signal);
    controller.abort(reason);
    await expect(sleep).rejects.toBe(reason);
    await expect(clock.sleep(10, controller.signal)).rejects.toBe(reason);
    expect(clock.sleepers).toBe(0);
  });

  it('tells when enough sleep', async () => {
    const clock = new TestClock();
    const both = clock.waitForSleepers(2);
    const sleeps = [clock.sleep(1), clock.sleep(2)];
    await both;
    await clock.waitForSleepers(1);
    await clock.advance(2);
    await Promise.all(sleeps);
  });
});
