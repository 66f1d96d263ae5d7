import { describe, expect, it } from 'vitest';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { type EngineProcess, lakeIds, markerBody, MINING_QUEUE, userNamed } from '../fakes/engine-rig.ts';
import { failure, page, serveLists } from '../fakes/scripted-upstream.ts';
import { brokenEquations, idsOf, marker, mineAll, pagesOf, rig } from './mining-rig.ts';

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

describe('budgets', () => {
  it('of a user space his calls, inside the slice while the waits are short', async () => {
    const times: number[] = [];
    const serve = serveLists({ u1: pagesOf(5) });
    const one = rig(
      (call, signal) => {
        times.push(one.world.clock.now());
        return serve(call, signal);
      },
      { limits: { userCallsPerSecond: 10 } },
    );
    expect(await mineAll(one)).toMatchObject({ state: 'done', slice: 0 });
    // A call may come a fiftieth of a second early, and the one after it is then not earlier than 102 ms after the place of this one.
    expect(times.slice(1).every((time, at) => time - times[at]! >= 82)).toBe(true);
    expect(times[4]! - times[0]!).toBeGreaterThanOrEqual(4 * 102 - 20);
  });

  it('of a user become scheduled messages when the waits are long', async () => {
    const one = rig(serveLists({ u1: pagesOf(4) }), { limits: { userCallsPerSecond: 1 } });
    expect(await mineAll(one)).toMatchObject({ state: 'done', slice: 3, pages: 4 });
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(4)));
  });

  it('that come in turns are waited for in the slice at last: a message that came late would miss each of them', async () => {
    const one = rig(serveLists({ u1: pagesOf(2) }), { settings: { inlineWaitMs: 200 } });
    one.process.limits.enter = () =>
      Promise.resolve({ kind: 'later', waitMs: 60_000, isBreakerOpen: false, isTurn: true });
    await one.process.start('u1');
    await one.process.deliver(marker(one.world));
    expect(await one.process.run('u1')).toMatchObject({ notBeforeMs: one.world.clock.now() + 60_000 - 160 });
  });

  it('that others use up end a slice in time: no slice waits for ever', async () => {
    const one = rig(serveLists({ u1: pagesOf(2) }), { settings: { sliceMs: 1000 } });
    const { limits } = one.process;
    const enter = limits.enter.bind(limits);
    let isStarved = true;
    limits.enter = (...args) =>
      isStarved ? Promise.resolve({ kind: 'later', waitMs: 100, isBreakerOpen: false, isTurn: false }) : enter(...args);
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
    ['set inactive', async (process: EngineProcess) => process.users.setStatus('u1', 'inactive')],
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
