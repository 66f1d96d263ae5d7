import { describe, expect, it } from 'vitest';
import { Fault } from '../../runtime/core/faults.ts';
import { lakeIds, MINING_QUEUE } from '../fakes/engine-rig.ts';
import { failure, page, type Script, serveLists } from '../fakes/scripted-upstream.ts';
import { brokenEquations, idsOf, marker, mineAll, pagesOf, rig } from './mining-rig.ts';

describe('a stuck marker', () => {
  it('quarantines the run at exactly the sixth equal marker, and every item served is in the lake', async () => {
    const one = rig(({ after }) =>
      page([{ id: after === null ? 'head' : `page ${one.upstream.calls.length}` }], 'same'),
    );
    const run = await mineAll(one);
    expect(run).toMatchObject({ state: 'quarantined', marker: 'same', code: 'marker-stuck', guard: { repeats: 5 } });
    expect(run.reason).toBe('marker-stuck: the same marker came back, 5 repeats in a row on page 6');
    expect(one.upstream.calls).toHaveLength(6);
    expect(lakeIds(one.world.lake)).toHaveLength(6);
    expect(one.process.progress.setAside()).toMatchObject({ quarantined: 1 });
    expect(await mineAll(one)).toEqual(run);
    expect(one.upstream.calls).toHaveLength(6);
    expect(await brokenEquations(one.process)).toEqual([]);
  });

  it('quarantines also across slices and restarts of the process', async () => {
    const one = rig(() => page([{ id: 'a' }], 'same'), { settings: { slicePages: 1 } });
    await one.process.start('u1');
    for (let round = 0; round < 20 && one.world.bus.held.length > 0; round += 1) {
      const process = one.restart();
      for (const held of [...one.world.bus.held]) await process.deliver(held);
    }
    expect(await one.process.run('u1')).toMatchObject({ state: 'quarantined', pages: 6 });
    expect(one.upstream.calls).toHaveLength(6);
  });

  it.each([2, 3, 10, 64])('quarantines a circle of %d markers', async (length) => {
    const one = rig(({ index }) => page([{ id: `i${index}` }], `m${index % length}`));
    const run = await mineAll(one);
    expect(run).toMatchObject({ state: 'quarantined' });
    expect(run.reason).toContain(`${length} markers came back in a circle`);
    expect(one.upstream.calls).toHaveLength(length + 5);
    expect(lakeIds(one.world.lake)).toHaveLength(length + 5);
  });

  it('is counted once for a page that is mined twice', async () => {
    const one = rig(() => page([{ id: 'a' }], 'same'), { settings: { slicePages: 1 } });
    await one.process.start('u1');
    for (let round = 0; round < 10; round += 1) {
      const [held] = one.world.bus.in(MINING_QUEUE);
      if (held === undefined) break;
      await Promise.all([one.process.handle(held), one.process.handle(held)]);
      one.world.bus.settle(held, { settlement: { kind: 'complete' } });
    }
    await one.process.drain();
    expect(await one.process.run('u1')).toMatchObject({ state: 'quarantined', pages: 6, guard: { repeats: 5 } });
  });
});

describe('faults of the upstream', () => {
  /** Answers the first `times` calls of `after` with `answer`. */
  const failing = (times: number, after: string | null, answer: () => ReturnType<typeof failure>): Script => {
    const serve = serveLists({ u1: pagesOf(3) });
    let left = times;
    return (call, signal) => {
      if (call.after !== after || left === 0) return serve(call, signal);
      left -= 1;
      return answer();
    };
  };

  it('a dead marker: once more from the head, and what is known is dropped', async () => {
    const one = rig(failing(1, 'm2', () => failure(400, 100)));
    expect(await mineAll(one)).toMatchObject({ state: 'done', restarts: 1, pages: 5 });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(3)));
    expect(one.upstream.calls.map(({ after }) => after)).toEqual([null, 'm1', 'm2', null, 'm1', 'm2']);
    expect(await brokenEquations(one.process)).toEqual([]);
  });

  it('a marker that dies twice: quarantine', async () => {
    const one = rig(failing(2, 'm2', () => failure(400, 100)));
    expect(await mineAll(one)).toMatchObject({ state: 'quarantined', restarts: 1 });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(2)));
  });

  it('a page that is too large: half the limit, kept for the rest of the run', async () => {
    const serve = serveLists({ u1: pagesOf(3) });
    const one = rig((call, signal) => {
      if (call.limit > 30) throw new Fault('page-too-large', 'too large');
      return serve(call, signal);
    });
    expect(await mineAll(one)).toMatchObject({ state: 'done', pageLimit: 25 });
    expect(one.upstream.calls.map(({ limit }) => limit)).toEqual([100, 50, 25, 25, 25]);
  });

  it('a single item that is too large: quarantine, with what came before it in the lake', async () => {
    const serve = serveLists({ u1: pagesOf(3) });
    const one = rig((call, signal) => {
      if (call.after === 'm1') throw new Fault('page-too-large', 'too large');
      return serve(call, signal);
    });
    expect(await mineAll(one)).toMatchObject({ state: 'quarantined', pageLimit: 1, marker: 'm1' });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(1)));
  });

  it('a short rate limit: waited out inside the slice', async () => {
    const one = rig(failing(2, 'm1', () => failure(429, 17, { 'retry-after': '0.1' })));
    const startMs = one.world.clock.now();
    expect(await mineAll(one)).toMatchObject({ state: 'done', slice: 0 });
    expect(one.world.clock.now() - startMs).toBeGreaterThanOrEqual(200);
    expect(one.upstream.calls).toHaveLength(5);
  });

  it('a long rate limit: a scheduled message, and nobody is called before its time', async () => {
    const times: number[] = [];
    const serve = failing(1, 'm1', () => failure(429, 17, { 'retry-after': '30' }));
    const one = rig((call, signal) => {
      times.push(one.world.clock.now());
      return serve(call, signal);
    });
    expect(await mineAll(one)).toMatchObject({ state: 'done', slice: 1, failures: 0 });
    expect(times[2]! - times[1]!).toBeGreaterThanOrEqual(30_000);
    expect(times).toHaveLength(4);
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(3)));
  });

  it('a rate limit of one user: the others go on', async () => {
    const one = rig((call) =>
      call.userId === 'u1' && call.index < 3 ? failure(429, 17, { 'retry-after': '30' }) : page([{ id: 'a' }]),
    );
    const times = new Map<string, number>();
    const { script } = one.upstream;
    one.upstream.script = (call, signal) => {
      times.set(call.userId, one.world.clock.now());
      return script(call, signal);
    };
    await mineAll(one, 'u1', 'u2', 'u3');
    expect(times.get('u1')! - times.get('u2')!).toBeGreaterThan(29_000);
    expect(times.get('u3')! - times.get('u2')!).toBeLessThan(1000);
  });

  it('a rate limit of the upstream: everybody waits', async () => {
    const times: number[] = [];
    const one = rig((call) => {
      times.push(one.world.clock.now());
      return call.index === 0 ? failure(429, 4, { 'retry-after': '30' }) : page([{ id: 'a' }]);
    });
    await one.process.start('u1', 'u2', 'u3');
    await one.process.deliver(marker(one.world));
    await one.process.drain();
    expect(times).toHaveLength(4);
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(30_000);
  });

  it('a transient fault: again in the slice, then later, then done', async () => {
    const one = rig(failing(4, 'm1', () => failure(503)));
    expect(await mineAll(one)).toMatchObject({ state: 'done', slice: 1, failures: 0 });
    expect(one.upstream.calls).toHaveLength(7);
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(3)));
  });

  it('a transient fault that stays: given up after eleven slices, and tried again by the next firing', async () => {
    // Three calls, two until the breaker opens, and then a probe a slice.
    const one = rig(failing(14, 'm1', () => failure(503)));
    expect(await mineAll(one)).toMatchObject({ state: 'failed', failures: 10, slice: 10 });
    expect(one.process.progress.setAside()).toMatchObject({ failed: 1 });
    expect(await mineAll(one)).toMatchObject({ state: 'done' });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(3)));
    expect(one.process.progress.setAside()).toMatchObject({ failed: 0 });
  });

  it('waits of rate limits do not use up the retries of a transient fault', async () => {
    const one = rig(({ index }) => {
      if (index < 5) return failure(429, 17, { 'retry-after': '0' });
      return index < 7 ? failure(503) : page([{ id: 'a' }]);
    });
    expect(await mineAll(one)).toMatchObject({ state: 'done', slice: 0 });
  });

  it.each<[string, () => ReturnType<typeof failure>, string, string]>([
    ['a refused token', () => failure(401, 190), 'paused', 'token'],
    ['a missing permission', () => failure(403, 10), 'failed', 'permission'],
    ['a wrong address', () => failure(404), 'quarantined', 'wrong-address'],
    ['a redirect', () => failure(302), 'quarantined', 'wrong-address'],
    ['a refusal', () => failure(418, 5), 'quarantined', 'refused'],
    ['a page without a list', () => ({ ...failure(200), text: '{"data":null}' }), 'quarantined', 'page-shape'],
    ['HTML', () => ({ ...failure(200), text: '<html>' }), 'quarantined', 'page-shape'],
    [
      'a next without a marker',
      () => ({ ...failure(200), text: '{"data":[],"paging":{"next":"x"}}' }),
      'quarantined',
      'marker-missing',
    ],
  ])('%s: the run ends at that page, and what came before is in the lake', async (_, answer, state, code) => {
    const one = rig(failing(1, 'm1', answer));
    const run = await mineAll(one);
    expect(run).toMatchObject({ state, marker: 'm1', pages: 1 });
    expect(run.reason).toMatch(new RegExp(`^${code}: `));
    expect(run.reason).not.toContain('token of u1');
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(1)));
    expect(one.process.progress.openRuns()).toBe(0);
  });

  it('a user who is gone: set inactive', async () => {
    const one = rig(failing(1, null, () => failure(404, 803)));
    expect(await mineAll(one)).toMatchObject({ state: 'failed' });
    expect((await one.process.users.read('u1'))?.status).toBe('inactive');
  });

  it('a bug in the miner: the message comes again, and the error is seen', async () => {
    const one = rig(serveLists({ u1: pagesOf(1) }), {
      miner: {
        request: () => {
          throw new TypeError('bug');
        },
      },
    });
    await one.process.start('u1');
    await expect(one.process.handle(marker(one.world))).rejects.toThrow('bug');
    expect(await one.process.run('u1')).toMatchObject({ state: 'live', pages: 0 });
  });
});
