import { describe, expect, it } from 'vitest';
import { endRun } from '../../runtime/core/run.ts';
import { lakeIds, MINING_QUEUE } from '../fakes/engine-rig.ts';
import { Fuse } from '../fakes/fuse.ts';
import { failure, serveLists } from '../fakes/scripted-upstream.ts';
import { idsOf, marker, mineAll, pagesOf, rig } from './mining-rig.ts';

describe('a slice that is interrupted', () => {
  const list = pagesOf(5);
  const settings = { slicePages: 2 };

  it('at any port call, before or after its effect, loses nothing, repeats nothing, and the run is done', async () => {
    const whole = rig(serveLists({ u1: list }), { settings });
    await mineAll(whole);
    const calls = whole.process.fuse.calls;
    let cases = 0;
    for (const mode of ['crash', 'hiccup'] as const) {
      for (const when of ['before', 'after'] as const) {
        for (let at = 4; at <= calls; at += 1) {
          const { world, process, restart } = rig(serveLists({ u1: list }), {
            settings,
            fuse: new Fuse({ at, when, mode }),
          });
          const name = `${mode} ${when} call ${at}`;
          await process.start('u1').catch(() => undefined);
          await process.drain();
          const next = restart({ fuse: new Fuse() });
          await next.drain();
          world.clock.skip(60_000);
          // What the monitor or the next firing does for a run whose message was never sent.
          await next.revive(60_000);
          await next.drain();
          cases += 1;
          expect(lakeIds(world.lake), name).toEqual(idsOf('u1', list));
          expect(await next.run('u1'), name).toMatchObject({ state: 'done', revivals: 0 });
          expect(world.bus.deadLetters, name).toEqual([]);
          if (mode === 'hiccup' && at > 5) expect(process.progress.openRuns(), name).toBe(0);
        }
      }
    }
    expect(cases).toBeGreaterThan(150);
  });

  it('by a lost lock stops before the next page; the message comes again and the run goes on where it was', async () => {
    const lock = new AbortController();
    const serve = serveLists({ u1: list });
    const one = rig((call, signal) => {
      if (one.upstream.calls.length === 2) lock.abort(new Error('lock lost'));
      return serve(call, signal);
    });
    await one.process.start('u1');
    await expect(one.process.handle(marker(one.world), lock.signal)).rejects.toThrow('lock lost');
    expect(await one.process.run('u1')).toMatchObject({ state: 'live', slice: 0, pages: 2, marker: 'm2' });
    await one.process.drain();
    expect(one.upstream.calls).toHaveLength(5);
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', list));
  });

  it('by a lost lock while it waits stops at once', async () => {
    const lock = new AbortController();
    const one = rig(
      () => {
        one.world.clock.sleep(5).then(
          () => lock.abort(new Error('lock lost')),
          () => undefined,
        );
        return failure(429, 17, { 'retry-after': '100' });
      },
      { settings: { inlineWaitMs: 200_000 } },
    );
    await one.process.start('u1');
    const startMs = one.world.clock.now();
    await expect(one.process.handle(marker(one.world), lock.signal)).rejects.toThrow('lock lost');
    expect(one.world.clock.now() - startMs).toBeLessThan(100);
  });

  it('by another worker that moved the row settles, and the monitor revives what nobody holds', async () => {
    const one = rig(serveLists({ u1: list }));
    await one.process.start('u1');
    const held = marker(one.world);
    const serve = one.upstream.script;
    one.upstream.script = async (call, signal) => {
      one.upstream.script = serve;
      // The worker that lost the lock gets one page further, then dies.
      const other = one.restart({ settings: { slicePages: 99 } });
      const lock = new AbortController();
      one.upstream.script = (again, abort) => {
        if (again.after !== null) lock.abort(new Error('dead'));
        return serve(again, abort);
      };
      await other.handle(held, lock.signal).catch(() => undefined);
      one.upstream.script = serve;
      return serve(call, signal);
    };
    await one.process.deliver(held);
    expect(one.world.bus.in(MINING_QUEUE)).toEqual([]);
    expect(await one.process.run('u1')).toMatchObject({ state: 'live' });
    one.world.clock.skip(2000);
    expect(await one.process.revive(2000)).toBe(1);
    await one.process.drain();
    expect(await one.process.run('u1')).toMatchObject({ state: 'done', pages: 5 });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', list));
  });

  it('by a write of its end whose answer was lost still tells that the run is over', async () => {
    const { world, process } = rig(serveLists({ u1: [[{ id: 'a' }]] }));
    await process.start('u1');
    const { runs } = world.ledger;
    const write = runs.write.bind(runs);
    runs.write = async (writes) => {
      await write(writes);
      runs.write = write;
      throw new Error('answer lost');
    };
    await expect(process.handle(marker(world))).rejects.toThrow('answer lost');
    expect(process.progress.openRuns()).toBe(1);
    await process.drain();
    expect(await process.run('u1')).toMatchObject({ state: 'done' });
    expect(process.progress.openRuns()).toBe(0);
  });

  it('by a write whose answer looks like a conflict goes on with its own row', async () => {
    const { world, upstream, process } = rig(serveLists({ u1: list }));
    await process.start('u1');
    const { runs } = world.ledger;
    const write = runs.write.bind(runs);
    runs.write = async (writes) => {
      await write(writes);
      runs.write = write;
      return writes.map(() => ({ ok: false as const }));
    };
    await process.drain();
    expect(await process.run('u1')).toMatchObject({ state: 'done', pages: 5, slice: 0 });
    expect(upstream.calls).toHaveLength(5);
  });
});

describe('a row that ended while its message waited', () => {
  it('is settled and told', async () => {
    const { process } = rig(serveLists({ u1: pagesOf(1) }));
    await process.start('u1');
    const [stored] = await process.runs.read('chats', ['u1']);
    const end = { state: 'quarantined', code: 'refused', reason: 'by hand' } as const;
    await process.runs.write([{ run: endRun(stored!.run, end, 1), etag: stored!.etag }]);
    await process.drain();
    expect(process.progress.openRuns()).toBe(0);
    expect(process.progress.setAsideList()).toMatchObject([{ reason: 'by hand' }]);
  });
});
