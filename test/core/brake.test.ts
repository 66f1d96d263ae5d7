import { describe, expect, it } from 'vitest';
import {
  type Brake,
  brakeNoticeMs,
  brakeOn,
  brakeWaitMs,
  engageBrake,
  releaseBrake,
  releasedAtMs,
} from '../../runtime/core/brake.ts';

const LANE: Brake = {
  target: { kind: 'lane', name: 'money' },
  isEngaged: true,
  engagedAtMs: 1000,
  engagedBy: 'ada',
  reason: 'the bill',
};
const MINER: Brake = { ...LANE, target: { kind: 'miner', name: 'chats' }, reason: 'its answers' };
const chats = { name: 'chats', lane: 'realtime' } as const;
const earnings = { name: 'earnings', lane: 'money' } as const;

describe('a brake', () => {
  it('stops the miners of its lane, or its miner, while it is engaged', () => {
    expect(brakeOn([LANE, MINER], earnings)).toBe(LANE);
    expect(brakeOn([LANE, MINER], chats)).toBe(MINER);
    expect(brakeOn([LANE, MINER], { name: 'fans', lane: 'bulk' })).toBeUndefined();
    expect(brakeOn([{ ...LANE, isEngaged: false }], earnings)).toBeUndefined();
    const both: Brake = { ...LANE, target: { kind: 'lane', name: 'realtime' } };
    expect(brakeOn([MINER, both], chats)).toBe(both);
  });

  it('does not take a miner for a lane of the same name', () => {
    const odd: Brake = { ...LANE, target: { kind: 'miner', name: 'money' } };
    expect(brakeOn([odd], earnings)).toBeUndefined();
    expect(releasedAtMs([releaseBrake(odd, 'bo', 'ok', 50)], earnings)).toBe(0);
  });

  it('keeps its first reason, and takes over what a fault has to give back', () => {
    const fault = { code: 'mass-gone', upstream: 'graph', countId: 'c', isGivenBack: false } as const;
    const again = engageBrake(LANE, { ...LANE, engagedBy: 'bo', reason: 'other' });
    expect(again).toBe(LANE);
    expect(engageBrake(LANE, { ...LANE, engagedBy: 'adit', reason: 'mass-gone', fault })).toEqual({ ...LANE, fault });
  });

  it('keeps who released it, why and when, and can be engaged again', () => {
    const released = releaseBrake(LANE, 'bo', 'the address is right now', 2000);
    expect(released).toMatchObject({
      ...{ isEngaged: false, engagedBy: 'ada', reason: 'the bill' },
      ...{ releasedBy: 'bo', releaseReason: 'the address is right now', releasedAtMs: 2000 },
    });
    expect(releasedAtMs([released], earnings)).toBe(2000);
    const { isEngaged: _, ...next } = { ...LANE, engagedAtMs: 3000, reason: 'x'.repeat(2000) };
    expect(engageBrake(released, next)).toEqual({ ...next, isEngaged: true, reason: 'x'.repeat(1000) });
  });

  it('makes messages wait for as long as it has been engaged, from one look to six', () => {
    const waits = [1000, 11_000, 41_000, 61_000, 9_000_000].map((nowMs) =>
      brakeWaitMs(LANE, 10_000, { nowMs, random: 0 }),
    );
    expect(waits).toEqual([10_000, 10_000, 40_000, 60_000, 60_000]);
    const latest = brakeWaitMs(LANE, 10_000, { nowMs: 9_000_000, random: 1 });
    expect(latest).toBeLessThanOrEqual(brakeNoticeMs(10_000));
  });
});
