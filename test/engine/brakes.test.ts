import { describe, expect, it } from 'vitest';
import type { BrakeTarget } from '../../runtime/core/brake.ts';
import { BRAKE_CACHE_MS, Brakes } from '../../runtime/engine/brakes.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { lakeIds, MINING_QUEUE } from '../fakes/engine-rig.ts';
import { MemoryRows } from '../fakes/memory-rows.ts';
import { page, serveLists } from '../fakes/scripted-upstream.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { brokenEquations, idsOf, marker, pagesOf, rig } from './mining-rig.ts';

const REALTIME: BrakeTarget = { kind: 'lane', name: 'realtime' };
const CHATS = { name: 'chats', lane: 'realtime' } as const;
const WHY = { engagedBy: 'ada', reason: 'the bill' };

function brakesOver(control: MemoryRows, clock: AutoClock) {
  const warnings: string[] = [];
  const log = { warn: (text: string) => void warnings.push(text) };
  return { brakes: new Brakes({ control, clock, random: seededRandom(1), log }), warnings };
}

describe('the stored brakes', () => {
  it('are seen by every process within two seconds, engaged and released', async () => {
    const [control, clock] = [new MemoryRows(), new AutoClock()];
    const [here, there] = [brakesOver(control, clock).brakes, brakesOver(control, clock).brakes];
    expect(await there.on(CHATS)).toBeUndefined();
    await here.engage(REALTIME, WHY);
    expect(await there.on(CHATS)).toBeUndefined();
    clock.skip(BRAKE_CACHE_MS);
    expect(await there.on(CHATS)).toMatchObject({
      ...WHY,
      target: REALTIME,
      engagedAtMs: clock.now() - BRAKE_CACHE_MS,
    });
    expect(await here.on({ name: 'fans', lane: 'bulk' })).toBeUndefined();
    expect(await here.release(REALTIME, 'bo', 'done')).toMatchObject({ releasedBy: 'bo', releaseReason: 'done' });
    expect(await here.on(CHATS)).toBeUndefined();
    clock.skip(BRAKE_CACHE_MS);
    expect(await there.on(CHATS)).toBeUndefined();
    expect(await here.release(REALTIME, 'bo', 'again')).toBeUndefined();
  });

  it('cost one read in two seconds, however many ask', async () => {
    const [control, clock] = [new MemoryRows(), new AutoClock()];
    let scans = 0;
    const scan = control.scan.bind(control);
    control.scan = (...args) => {
      scans += 1;
      return scan(...args);
    };
    const { brakes } = brakesOver(control, clock);
    await Promise.all(Array.from({ length: 50 }, () => brakes.on(CHATS)));
    for (let at = 0; at < 50; at += 1) await brakes.on(CHATS);
    expect(scans).toBe(1);
  });

  it('are as they were known last while the ledger is away, and open when they were never read, which is said', async () => {
    const [control, clock] = [new MemoryRows(), new AutoClock()];
    const known = brakesOver(control, clock);
    await known.brakes.engage(REALTIME, WHY);
    expect(await known.brakes.on(CHATS)).toBeDefined();
    control.fail = new Error('away');
    const fresh = brakesOver(control, clock);
    clock.skip(BRAKE_CACHE_MS);
    expect(await known.brakes.on(CHATS)).toBeDefined();
    expect(await fresh.brakes.on(CHATS)).toBeUndefined();
    expect(known.warnings).toEqual(['the brakes cannot be read; what was known last counts']);
    expect(fresh.warnings).toEqual(['the brakes cannot be read; none has been read yet, so mining goes on']);
  });

  it('are not waited for when the ledger hangs', async () => {
    const [control, clock] = [new MemoryRows(), new AutoClock()];
    control.scan = () =>
      ({
        [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => undefined) }),
      }) as unknown as ReturnType<MemoryRows['scan']>;
    const { brakes, warnings } = brakesOver(control, clock);
    expect(await brakes.on(CHATS)).toBeUndefined();
    expect(warnings).toHaveLength(1);
  });

  it('are engaged once when two engage at once', async () => {
    const [control, clock] = [new MemoryRows(), new AutoClock()];
    const two = [brakesOver(control, clock).brakes, brakesOver(control, clock).brakes];
    const engaged = await Promise.all(two.map((brakes, at) => brakes.engage(REALTIME, { ...WHY, reason: `r${at}` })));
    expect(engaged[0]).toEqual(engaged[1]);
  });
});

describe('a lane that is stopped', () => {
  it('mines nothing, keeps every message, and goes on after the release without a restart', async () => {
    const one = rig(serveLists({ u1: pagesOf(3), u2: pagesOf(2) }));
    const { process, world } = one;
    await process.start('u1', 'u2');
    const before = await process.run('u1');
    await process.brakes.engage(REALTIME, WHY);
    for (const held of world.bus.in(MINING_QUEUE)) await process.deliver(held);
    expect(one.upstream.calls).toEqual([]);
    // The run row is untouched: a look costs a message and nothing else.
    expect(await process.run('u1')).toEqual(before);
    const waiting = world.bus.in(MINING_QUEUE);
    expect(waiting).toHaveLength(2);
    for (const { message } of waiting) {
      const waitMs = (message.notBeforeMs ?? 0) - world.clock.now();
      expect(waitMs).toBeGreaterThanOrEqual(1000);
      expect(waitMs).toBeLessThanOrEqual(1200);
    }
    await process.brakes.release(REALTIME, 'bo', 'done');
    await process.drain();
    expect(lakeIds(world.lake)).toEqual([...idsOf('u1', pagesOf(3)), ...idsOf('u2', pagesOf(2))].toSorted());
    expect(await brokenEquations(process)).toEqual([]);
  });

  it('ends a slice after the page that is under way, which is checkpointed', async () => {
    const serve = serveLists({ u1: pagesOf(5) });
    const one = rig(async (call, signal) => {
      const { brakes } = one.process;
      if (call.after === 'm1') await brakes.engage(REALTIME, WHY);
      return serve(call, signal);
    });
    await one.process.start('u1');
    await one.process.deliver(marker(one.world));
    expect(one.upstream.calls).toHaveLength(2);
    expect(await one.process.run('u1')).toMatchObject({ state: 'live', pages: 2, marker: 'm2', slice: 1 });
    // What is mined is delivered: ingest is never stopped.
    for (const held of [...one.world.bus.held]) if (held.entity !== MINING_QUEUE) await one.process.deliver(held);
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(2)));
    await one.process.brakes.release(REALTIME, 'bo', 'done');
    await one.process.drain();
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(5)));
  });

  it('knows a message again that was put back: the next one, which was never sent, is sent then', async () => {
    const one = rig(serveLists({ u1: pagesOf(3) }), { settings: { slicePages: 1 } });
    const { process, world } = one;
    await process.start('u1');
    const held = marker(world);
    let isAway = true;
    world.bus.beforeSend = (entity) => {
      if (isAway && entity === MINING_QUEUE) throw new Error('away');
    };
    await expect(process.deliver(held)).rejects.toThrow('away');
    expect(await process.run('u1')).toMatchObject({ slice: 1, marker: 'm1' });
    isAway = false;
    await process.brakes.engage(REALTIME, WHY);
    world.clock.skip(BRAKE_CACHE_MS);
    await process.deliver(held);
    await process.brakes.release(REALTIME, 'bo', 'done');
    await process.drain();
    expect(await process.run('u1')).toMatchObject({ state: 'done', pages: 3, revivals: 0 });
  });

  it('stops a retry that waits, too', async () => {
    const one = rig(async ({ index }) => {
      if (index === 0) await one.process.brakes.engage(REALTIME, WHY);
      return index === 0 ? { status: 503, headers: {}, text: '' } : page([{ id: 'a' }]);
    });
    await one.process.start('u1');
    await one.process.deliver(marker(one.world));
    expect(one.upstream.calls).toHaveLength(1);
  });
});
