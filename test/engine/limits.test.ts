import { describe, expect, it } from 'vitest';
import { Limits, type LimitsOptions } from '../../runtime/engine/limits.ts';
import { AutoClock } from '../fakes/auto-clock.ts';

function rig(options: Partial<LimitsOptions> = {}): { clock: AutoClock; limits: Limits } {
  const clock = new AutoClock();
  const rate = { callsPerSecond: 1, burst: 1 };
  return {
    clock,
    limits: new Limits(
      { clock },
      { user: rate, upstream: { callsPerSecond: 1000, burst: 1000 }, concurrency: 2, ...options },
    ),
  };
}

describe('limits', () => {
  it('give each user a budget of his own', () => {
    const { clock, limits } = rig();
    expect([limits.take('graph', 'u1'), limits.take('graph', 'u1'), limits.take('graph', 'u2')]).toEqual([0, 1000, 0]);
    clock.skip(1000);
    expect(limits.take('graph', 'u1')).toBe(0);
  });

  it('share the budget of an upstream, and keep upstreams apart', () => {
    const { limits } = rig({ upstream: { callsPerSecond: 2, burst: 1 } });
    expect([limits.take('graph', 'u1'), limits.take('graph', 'u2'), limits.take('other', 'u3')]).toEqual([0, 500, 0]);
  });

  it('take nothing from a user when the upstream says wait', () => {
    const { clock, limits } = rig({ upstream: { callsPerSecond: 2, burst: 1 } });
    limits.take('graph', 'u1');
    expect(limits.take('graph', 'u2')).toBe(500);
    clock.skip(500);
    expect(limits.take('graph', 'u2')).toBe(0);
  });

  it('stop one user, or everyone', () => {
    const { limits } = rig();
    limits.block('user', 'graph', 'u1', 700);
    expect([limits.take('graph', 'u1'), limits.take('graph', 'u2')]).toEqual([700, 0]);
    limits.block('upstream', 'graph', 'u1', 900);
    expect([limits.take('graph', 'u1'), limits.take('graph', 'u3'), limits.take('other', 'u4')]).toEqual([700, 900, 0]);
  });

  it.each([
    [74, undefined, 0],
    [75, undefined, 0],
    [85, undefined, 1000],
    [95, undefined, 60_000],
    [95, 120_000, 120_000],
    [100, 5000, 5000],
    [250, undefined, 60_000],
  ])('at a use of %d per cent that lasts %s ms wait %d ms', (percent, regainMs, waitMs) => {
    const { limits } = rig();
    limits.note([{ scope: 'user', percent, ...(regainMs === undefined ? {} : { regainMs }) }], 'graph', 'u1');
    expect(limits.take('graph', 'u1')).toBe(waitMs);
    expect(limits.take('graph', 'u2')).toBe(0);
  });

  it('let as many calls run at once as there are slots, in the order in which they came', async () => {
    const { limits } = rig({ concurrency: 2 });
    const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
    const started: number[] = [];
    const calls = gates.map((gate, at) =>
      limits.withSlot(async () => {
        started.push(at);
        await gate.promise;
        return at;
      }),
    );
    expect(started).toEqual([0, 1]);
    gates[1]?.resolve();
    expect(await calls[1]).toBe(1);
    expect(started).toEqual([0, 1, 2]);
    for (const gate of gates) gate.resolve();
    expect(await Promise.all(calls)).toEqual([0, 1, 2, 3, 4]);
  });

  it('give a slot back once when a call fails, also when it throws at once', async () => {
    const { limits } = rig({ concurrency: 1 });
    for (let round = 0; round < 3; round += 1) {
      await expect(limits.withSlot(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
      await expect(
        limits.withSlot(() => {
          throw new TypeError('at once');
        }),
      ).rejects.toThrow('at once');
    }
    let most = 0;
    let running = 0;
    await Promise.all(
      Array.from({ length: 10 }, () =>
        limits.withSlot(async () => {
          running += 1;
          most = Math.max(most, running);
          await Promise.resolve();
          running -= 1;
        }),
      ),
    );
    expect(most).toBe(1);
  });
});
