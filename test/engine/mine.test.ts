import { describe, expect, it } from 'vitest';
import { Fault } from '../../runtime/core/faults.ts';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { endRun, type Run } from '../../runtime/core/run.ts';
import { equationsOf } from '../../runtime/engine/completeness.ts';
import {
  EngineProcess,
  lakeIds,
  markerBody,
  MINING_QUEUE,
  newWorld,
  type ProcessOptions,
  userNamed,
  type World,
} from '../fakes/engine-rig.ts';
import { Fuse } from '../fakes/fuse.ts';
import type { HeldMessage } from '../fakes/hand-bus.ts';
import { failure, page, type Script, ScriptedUpstream, serveLists } from '../fakes/scripted-upstream.ts';

/** `count` pages with two items each. */
const pagesOf = (count: number, prefix = 'i'): readonly (readonly unknown[])[] =>
  Array.from({ length: count }, (_, at) => [{ id: `${prefix}${2 * at}` }, { id: `${prefix}${2 * at + 1}` }]);

const idsOf = (userId: string, pages: readonly (readonly unknown[])[]): readonly string[] =>
  pages
    .flat()
    .map((item) => `${userId}/${(item as { id: string }).id}`)
    .toSorted();

interface Rig {
  readonly world: World;
  readonly upstream: ScriptedUpstream;
  readonly process: EngineProcess;
  /** Another process over the same world. */
  readonly restart: (options?: Partial<ProcessOptions>) => EngineProcess;
}

function rig(script: Script, options: Partial<ProcessOptions> = {}, world = newWorld()): Rig {
  const upstream = new ScriptedUpstream(script);
  const restart = (changes: Partial<ProcessOptions> = {}) =>
    new EngineProcess(world, { upstream, ...options, ...changes });
  return { world, upstream, process: restart(), restart };
}

/** Fires for `u1` and mines until nothing is left. */
async function mineAll({ process }: Rig, ...userIds: readonly string[]): Promise<Run> {
  await process.start(...(userIds.length === 0 ? ['u1'] : userIds));
  await process.drain();
  return (await process.run('u1'))!;
}

const marker = (world: World): HeldMessage => world.bus.in(MINING_QUEUE)[0]!;

async function brokenEquations(process: EngineProcess): Promise<readonly string[]> {
  await process.completeness.audit();
  return equationsOf(process.completeness.counters)
    .filter(({ holds }) => !holds)
    .map(({ text, left, right }) => `${text}: ${left} and ${right}`);
}

describe('a run', () => {
  it.each([
    [1, 1],
    [5, 5],
    [6, 5],
    [10, 5],
    [11, 5],
    [7, 1],
  ])('of %d pages in slices of %d pages brings every item once', async (pages, slicePages) => {
    const list = pagesOf(pages);
    const one = rig(serveLists({ u1: list }), { settings: { slicePages } });
    const run = await mineAll(one);
    expect(run).toMatchObject({
      state: 'done',
      pages,
      failures: 0,
      revivals: 0,
      slice: Math.floor((pages - 1) / slicePages),
    });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', list));
    expect(one.upstream.calls).toHaveLength(pages);
    expect(one.process.completeness.counters).toMatchObject({ fetched: 2 * pages, new: 2 * pages, settled: 2 * pages });
    expect(await brokenEquations(one.process)).toEqual([]);
    expect(one.process.progress.openRuns()).toBe(0);
    expect(one.process.errors).toEqual([]);
  });

  it('ends its slice when its time is over', async () => {
    const list = pagesOf(6);
    const serve = serveLists({ u1: list });
    const one = rig(
      (call, signal) => {
        one.world.clock.skip(40);
        return serve(call, signal);
      },
      { settings: { sliceMs: 100 } },
    );
    expect(await mineAll(one)).toMatchObject({ state: 'done', pages: 6, slice: 1 });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', list));
  });

  it('passes healthy odd lists: empty pages, shared items, shrinking pages, an empty list', async () => {
    const odd = [[], [{ id: 'a' }, { id: 'b' }], [{ id: 'b' }, { id: 'c' }], [], [], [{ id: 'd' }], []];
    const one = rig(serveLists({ u1: odd, u2: [[]] }));
    expect(await mineAll(one, 'u1', 'u2')).toMatchObject({ state: 'done', pages: 7 });
    expect(lakeIds(one.world.lake)).toEqual(['u1/a', 'u1/b', 'u1/c', 'u1/d']);
    expect(await one.process.run('u2')).toMatchObject({ state: 'done', pages: 1 });
    expect(await brokenEquations(one.process)).toEqual([]);
  });

  it('that comes again over unchanged data is healthy and brings nothing', async () => {
    const one = rig(serveLists({ u1: pagesOf(10) }));
    await mineAll(one);
    const sent = one.world.bus.sent.filter(({ entity }) => entity === INGESTION_QUEUE).length;
    expect(await mineAll(one)).toMatchObject({ state: 'done', pages: 10 });
    expect(one.world.bus.sent.filter(({ entity }) => entity === INGESTION_QUEUE)).toHaveLength(sent);
    expect(one.process.completeness.counters).toMatchObject({ fetched: 40, new: 20, seen: 20 });
  });

  it('brings changed items as new versions: A, B, A are three', async () => {
    let value = 'A';
    const one = rig(() => page([{ id: 'x', value }]));
    for (const next of ['A', 'B', 'B', 'A']) {
      value = next;
      await mineAll(one);
      one.world.clock.skip(1000);
    }
    expect(lakeIds(one.world.lake)).toEqual(['u1/x', 'u1/x', 'u1/x']);
  });

  it('publishes to the data topic when the miner says so', async () => {
    const one = rig(serveLists({ u1: pagesOf(1) }), { miner: { dataTopic: true } });
    const entities: string[] = [];
    one.world.bus.beforeSend = (entity) => {
      entities.push(entity);
    };
    await mineAll(one);
    expect(entities).toContain('chats-data-topic');
    expect(lakeIds(one.world.lake)).toHaveLength(2);
  });
});

describe('a marker message', () => {
  it('just behind the row sends the next one again, once per delivery, and mines nothing', async () => {
    const { world, upstream, process } = rig(serveLists({ u1: pagesOf(9) }), { settings: { slicePages: 3 } });
    await process.start('u1');
    const first = marker(world);
    await process.handle(first);
    const calls = upstream.calls.length;
    const [, second] = world.bus.in(MINING_QUEUE);
    await process.deliver(first);
    expect(upstream.calls).toHaveLength(calls);
    const again = world.bus.in(MINING_QUEUE);
    expect(again).toHaveLength(2);
    expect(again[1]?.message.body).toEqual(second?.message.body);
    expect(again[1]?.message.messageId).not.toBe(second?.message.messageId);
    await process.drain();
    expect(lakeIds(world.lake)).toHaveLength(18);
    expect(await process.run('u1')).toMatchObject({ state: 'done', pages: 9 });
  });

  it('further behind the row, or of a run that is over, is settled without any work', async () => {
    const { world, upstream, process } = rig(serveLists({ u1: pagesOf(9) }), { settings: { slicePages: 3 } });
    await process.start('u1');
    const first = marker(world);
    await process.handle(first);
    const [, second] = world.bus.in(MINING_QUEUE);
    await process.deliver(second!);
    const sent = world.bus.sent.length;
    const calls = upstream.calls.length;
    expect(await process.deliver(first)).toEqual({ settlement: { kind: 'complete' } });
    expect([world.bus.sent.length, upstream.calls.length]).toEqual([sent, calls]);
    await process.drain();
    world.bus.held.push(first, second!);
    await process.drain();
    expect(await process.run('u1')).toMatchObject({ state: 'done', pages: 9 });
    expect(upstream.calls).toHaveLength(9);
  });

  it('of a run that waits, delivered again, is scheduled again for the same time', async () => {
    const { world, process } = rig(() => failure(429, 17, { 'retry-after': '60' }));
    await process.start('u1');
    const first = marker(world);
    await process.handle(first);
    await process.deliver(first);
    const times = world.bus.in(MINING_QUEUE).map(({ message }) => message.notBeforeMs);
    expect(times).toEqual([times[0], times[0]]);
    expect(times[0]).toBeGreaterThanOrEqual(world.clock.now() + 60_000);
  });

  it('delivered to two workers at once brings every item once, and the run goes on', async () => {
    const list = pagesOf(7);
    const one = rig(serveLists({ u1: list }), { settings: { slicePages: 3 } });
    await one.process.start('u1');
    const held = marker(one.world);
    const handled = await Promise.all([one.process.handle(held), one.process.handle(held)]);
    for (const one2 of handled) one.world.bus.settle(held, one2);
    await one.process.drain();
    expect(await one.process.run('u1')).toMatchObject({ state: 'done', pages: 7 });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', list));
    expect(await brokenEquations(one.process)).toEqual([]);
  });

  it.each([
    ['not JSON', '{'],
    ['without a run', JSON.stringify({ schemaVersion: 1, minerName: 'chats', userId: 'u1', slice: 0 })],
  ])('that is %s is a dead letter', async (_, text) => {
    const { world, process } = rig(serveLists({}));
    await world.bus.send(MINING_QUEUE, [
      { messageId: 'm', body: new TextEncoder().encode(text), contentType: 'x', properties: {} },
    ]);
    await process.drain();
    expect(world.bus.deadLetters.map(({ reason }) => reason)).toEqual(['marker-message-malformed']);
  });

  it('that newer code wrote waits for newer code', async () => {
    const { world, process } = rig(serveLists({}));
    const body = new TextEncoder().encode('{"schemaVersion":2}');
    await world.bus.send(MINING_QUEUE, [{ messageId: 'm', body, contentType: 'x', properties: {} }]);
    await process.deliver(marker(world));
    expect(world.bus.held).toMatchObject([
      { entity: MINING_QUEUE, message: { body, notBeforeMs: world.clock.now() + 30_000 } },
    ]);
  });

  it('of a user without a run, or of another run, is settled', async () => {
    const { world, upstream, process } = rig(serveLists({ u1: pagesOf(1) }));
    await process.start('u1');
    const run = (await process.run('u1'))!;
    await process.drain();
    const calls = upstream.calls.length;
    for (const other of [
      { ...run, userId: 'nobody' },
      { ...run, runId: 'another' },
    ]) {
      await world.bus.send(MINING_QUEUE, [
        { messageId: 'm', body: markerBody(other), contentType: 'x', properties: {} },
      ]);
    }
    await process.drain();
    expect(upstream.calls).toHaveLength(calls);
    expect(world.bus.deadLetters).toEqual([]);
  });
});

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

describe('a stuck marker', () => {
  it('quarantines the run at exactly the sixth repeat, and every item served is in the lake', async () => {
    const one = rig(({ after }) =>
      page([{ id: after === null ? 'head' : `page ${one.upstream.calls.length}` }], 'same'),
    );
    const run = await mineAll(one);
    expect(run).toMatchObject({ state: 'quarantined', marker: 'same', guard: { repeats: 6 } });
    expect(run.reason).toBe('marker-stuck: the same marker came back, 6 repeats in a row on page 7');
    expect(one.upstream.calls).toHaveLength(7);
    expect(lakeIds(one.world.lake)).toHaveLength(7);
    expect(one.process.progress.setAside()).toMatchObject({ quarantined: 1 });
    expect(await mineAll(one)).toEqual(run);
    expect(one.upstream.calls).toHaveLength(7);
    expect(await brokenEquations(one.process)).toEqual([]);
  });

  it('quarantines also across slices and restarts of the process', async () => {
    const one = rig(() => page([{ id: 'a' }], 'same'), { settings: { slicePages: 1 } });
    await one.process.start('u1');
    for (let round = 0; round < 20 && one.world.bus.held.length > 0; round += 1) {
      const process = one.restart();
      for (const held of [...one.world.bus.held]) await process.deliver(held);
    }
    expect(await one.process.run('u1')).toMatchObject({ state: 'quarantined', pages: 7 });
    expect(one.upstream.calls).toHaveLength(7);
  });

  it.each([2, 3, 10, 64])('quarantines a circle of %d markers', async (length) => {
    const one = rig(({ index }) => page([{ id: `i${index}` }], `m${index % length}`));
    const run = await mineAll(one);
    expect(run).toMatchObject({ state: 'quarantined' });
    expect(run.reason).toContain(`${length} markers came back in a circle`);
    expect(one.upstream.calls).toHaveLength(length + 6);
    expect(lakeIds(one.world.lake)).toHaveLength(length + 6);
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
    expect(await one.process.run('u1')).toMatchObject({ state: 'quarantined', pages: 7, guard: { repeats: 6 } });
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
    const one = rig(failing(33, 'm1', () => failure(503)));
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
    expect(one.process.gone.map(({ userId }) => userId)).toEqual(['u1']);
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

describe('budgets', () => {
  it('of a user space his calls, inside the slice while the waits are short', async () => {
    const times: number[] = [];
    const serve = serveLists({ u1: pagesOf(5) });
    const one = rig(
      (call, signal) => {
        times.push(one.world.clock.now());
        return serve(call, signal);
      },
      { limits: { user: { callsPerSecond: 10, burst: 1 } } },
    );
    expect(await mineAll(one)).toMatchObject({ state: 'done', slice: 0 });
    expect(times.slice(1).every((time, at) => time - times[at]! >= 100)).toBe(true);
  });

  it('of a user become scheduled messages when the waits are long', async () => {
    const one = rig(serveLists({ u1: pagesOf(4) }), { limits: { user: { callsPerSecond: 1, burst: 1 } } });
    expect(await mineAll(one)).toMatchObject({ state: 'done', slice: 3, pages: 4 });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(4)));
  });

  it('that others use up end a slice in time: no slice waits for ever', async () => {
    const one = rig(serveLists({ u1: pagesOf(2) }), { settings: { sliceMs: 1000 } });
    const { limits } = one.process;
    const take = limits.take.bind(limits);
    let isStarved = true;
    limits.take = (...args) => (isStarved ? 100 : take(...args));
    await one.process.start('u1');
    const startMs = one.world.clock.now();
    await one.process.deliver(marker(one.world));
    expect(one.world.clock.now() - startMs).toBeLessThanOrEqual(1100);
    expect(await one.process.run('u1')).toMatchObject({ state: 'live', slice: 1, pages: 0 });
    isStarved = false;
    await one.process.drain();
    expect(await one.process.run('u1')).toMatchObject({ state: 'done', pages: 2 });
  });

  it('never let more calls run at once than there are slots', async () => {
    let most = 0;
    const one = rig(
      async () => {
        most = Math.max(most, one.upstream.inFlight);
        await one.world.clock.sleep(10);
        return page([{ id: 'a' }]);
      },
      { limits: { concurrency: 3 } },
    );
    await one.process.start(...Array.from({ length: 20 }, (_, at) => `u${at}`));
    await one.process.drain({ concurrency: 20 });
    expect(most).toBe(3);
    expect(lakeIds(one.world.lake)).toHaveLength(20);
  });
});

describe('users', () => {
  it.each([
    ['removed', async (process: EngineProcess) => void (await process.users.remove('u1'))],
    ['set inactive', async (process: EngineProcess) => process.users.setInactive('u1')],
  ])('who were %s after the firing are not mined', async (_, change) => {
    const { upstream, process } = rig(serveLists({ u1: pagesOf(1) }));
    await process.start('u1');
    await change(process);
    await process.drain();
    expect(upstream.calls).toEqual([]);
    expect(await process.run('u1')).toMatchObject({ state: 'failed', reason: 'the user is not active' });
    expect(process.progress.openRuns()).toBe(0);
  });

  it('are mined with their own token, also with ids that a path must escape', async () => {
    const odd = 'ü/?#&%2F 😀';
    const one = rig(serveLists({ [odd]: pagesOf(1) }));
    await one.process.users.import([userNamed(odd)]);
    await one.process.fire([userNamed(odd, { accessToken: 'ignored: the table has the newest' })]);
    await one.process.users.import([userNamed(odd, { accessToken: 'newest' })]);
    await one.process.drain();
    expect(one.upstream.calls).toMatchObject([{ userId: odd, token: 'newest' }]);
    expect(lakeIds(one.world.lake)).toHaveLength(2);
  });

  it('never have their token in a run row, a marker message, an envelope or the lake', async () => {
    const one = rig(serveLists({ u1: pagesOf(3) }), { settings: { slicePages: 1 } });
    await mineAll(one);
    const run = JSON.stringify(await one.process.run('u1'));
    const bodies = one.world.bus.sent.map(
      ({ message }) => new TextDecoder().decode(message.body) + JSON.stringify(message.properties),
    );
    const texts = [run, ...bodies, ...one.world.lake.objects.values()];
    expect(texts.filter((text) => text.includes('token of u1'))).toEqual([]);
  });

  it('who paused go on with a new token, from the head of the list', async () => {
    let isRefused = true;
    const serve = serveLists({ u1: pagesOf(2) });
    const one = rig((call, signal) => (isRefused && call.after !== null ? failure(401, 190) : serve(call, signal)));
    expect(await mineAll(one)).toMatchObject({ state: 'paused' });
    expect(await mineAll(one)).toMatchObject({ state: 'paused' });
    isRefused = false;
    const renewed = userNamed('u1', { accessToken: 'renewed' });
    await one.process.users.import([renewed]);
    await one.process.fire([renewed]);
    await one.process.drain();
    expect(await one.process.run('u1')).toMatchObject({ state: 'done' });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(2)));
  });
});

describe('a row that ended while its message waited', () => {
  it('is settled and told', async () => {
    const { process } = rig(serveLists({ u1: pagesOf(1) }));
    await process.start('u1');
    const [stored] = await process.runs.read('chats', ['u1']);
    await process.runs.write([{ run: endRun(stored!.run, 'quarantined', 'by hand', 1), etag: stored!.etag }]);
    await process.drain();
    expect(process.progress.openRuns()).toBe(0);
    expect(process.progress.setAsideList()).toMatchObject([{ reason: 'by hand' }]);
  });
});
