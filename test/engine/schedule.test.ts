import { describe, expect, it } from 'vitest';
import type { MarkerMessage } from '../../runtime/core/marker-message.ts';
import { endRun, REVIVALS_LIMIT, type Run } from '../../runtime/core/run.ts';
import { fire } from '../../runtime/engine/schedule.ts';
import type { RowOutcome } from '../../runtime/ports.ts';
import { EngineProcess, lakeIds, MINING_QUEUE, newWorld, userNamed, type World } from '../fakes/engine-rig.ts';
import { Fuse } from '../fakes/fuse.ts';
import { ScriptedUpstream, serveLists } from '../fakes/scripted-upstream.ts';

const REVIVE_AFTER_MS = 60_000;

const upstream = new ScriptedUpstream(serveLists({ u1: [[{ id: 'a' }]], u2: [[{ id: 'b' }]] }));

function rig(world = newWorld(), fuse = new Fuse()): { world: World; process: EngineProcess } {
  return { world, process: new EngineProcess(world, { upstream, fuse, reviveAfterMs: REVIVE_AFTER_MS }) };
}

const messages = (world: World): readonly MarkerMessage[] =>
  world.bus.in(MINING_QUEUE).map(({ message }) => JSON.parse(new TextDecoder().decode(message.body)) as MarkerMessage);

async function change(process: EngineProcess, userId: string, edit: (run: Run) => Run): Promise<void> {
  const [stored] = await process.runs.read('chats', [userId]);
  await process.runs.write([{ run: edit(stored!.run), etag: stored!.etag }]);
}

describe('a firing', () => {
  it('starts one run for each active user, and sends its marker message', async () => {
    const { world, process } = rig();
    const users = [userNamed('u1'), userNamed('u2', { status: 'inactive' }), userNamed('u3')];
    expect(await process.fire(users)).toEqual({ started: 2, coalesced: 0, revived: 0, setAside: 0 });
    expect(messages(world).map(({ userId, slice, marker }) => [userId, slice, marker])).toEqual([
      ['u1', 0, null],
      ['u3', 0, null],
    ]);
    expect(await process.run('u2')).toBeUndefined();
    expect(process.progress.openRuns()).toBe(2);
  });

  it('reads, writes and sends in batches, and leaves nobody out', async () => {
    const { world, process } = rig();
    const users = Array.from({ length: 1001 }, (_, at) => userNamed(`u${at}`));
    let sends = 0;
    world.bus.beforeSend = () => {
      sends += 1;
    };
    expect(await process.fire(users)).toMatchObject({ started: 1001 });
    expect(sends).toBe(11);
    expect(new Set(messages(world).map(({ userId }) => userId)).size).toBe(1001);
    expect(new Set(world.bus.sent.map(({ message }) => message.messageId)).size).toBe(1001);
  });

  it('joins runs that are still live, and sends nothing for them', async () => {
    const { world, process } = rig();
    await process.fire([userNamed('u1')]);
    const before = await process.run('u1');
    expect(await process.fire([userNamed('u1'), userNamed('u2')])).toEqual({
      started: 1,
      coalesced: 1,
      revived: 0,
      setAside: 0,
    });
    expect(await process.run('u1')).toEqual(before);
    expect(messages(world)).toHaveLength(2);
  });

  it('starts anew after a run that is done', async () => {
    const { process } = rig();
    await process.start('u1');
    await process.drain();
    const first = await process.run('u1');
    expect(first?.state).toBe('done');
    expect(await process.start('u1')).toMatchObject({ started: 1 });
    expect((await process.run('u1'))?.runId).not.toBe(first?.runId);
  });

  it('revives a live run that has been silent for as long as the setting says', async () => {
    const { world, process } = rig();
    await process.start('u1');
    world.bus.held.length = 0;
    world.clock.skip(REVIVE_AFTER_MS - 1);
    expect(await process.start('u1')).toMatchObject({ coalesced: 1 });
    world.clock.skip(1);
    const { sent } = world.bus;
    expect(await process.start('u1')).toMatchObject({ revived: 1 });
    expect(sent.at(-1)?.message.messageId).not.toBe(sent[0]?.message.messageId);
    await process.drain();
    expect(await process.run('u1')).toMatchObject({ state: 'done', revivals: 0 });
    expect(lakeIds(world.lake)).toEqual(['u1/a']);
  });

  it(`sets a run aside that stayed silent through ${REVIVALS_LIMIT} revivals, and lets it be`, async () => {
    const { world, process } = rig();
    await process.start('u1');
    for (let round = 0; round < REVIVALS_LIMIT; round += 1) {
      world.clock.skip(REVIVE_AFTER_MS * 2 ** round - 1);
      expect(await process.start('u1')).toMatchObject({ coalesced: 1 });
      world.clock.skip(1);
      expect(await process.start('u1')).toMatchObject({ revived: 1 });
    }
    world.clock.skip(REVIVE_AFTER_MS * 2 ** REVIVALS_LIMIT);
    const sent = world.bus.sent.length;
    expect(await process.start('u1')).toMatchObject({ setAside: 1 });
    expect(await process.run('u1')).toMatchObject({ state: 'quarantined', reason: 'no progress after 5 revivals' });
    expect(process.progress.setAsideList()).toMatchObject([{ userId: 'u1', state: 'quarantined' }]);
    expect(process.progress.openRuns()).toBe(0);
    expect(await process.start('u1')).toMatchObject({ setAside: 1 });
    expect(world.bus.sent).toHaveLength(sent);
  });

  it('leaves a paused user alone until the token changes', async () => {
    const { world, process } = rig();
    await process.start('u1');
    world.bus.held.length = 0;
    const tokenHash = process.scheduleDeps.digest.sha256('token of u1', 32);
    await change(process, 'u1', (run) => ({
      ...endRun(run, { state: 'paused', code: 'token', reason: 'no' }, 1),
      tokenHash,
    }));
    expect(await process.fire([userNamed('u1')])).toMatchObject({ setAside: 1, started: 0 });
    expect(process.progress.setAside()).toEqual({ quarantined: 0, paused: 1, failed: 0 });
    expect(await process.fire([userNamed('u1', { accessToken: 'a new one' })])).toMatchObject({ started: 1 });
    await process.drain();
    expect(await process.run('u1')).toMatchObject({ state: 'done' });
    expect(process.progress.setAside()).toEqual({ quarantined: 0, paused: 0, failed: 0 });
  });

  it('stops between batches when it is told to', async () => {
    const { world, process } = rig();
    const stop = new AbortController();
    const users = function* () {
      for (let at = 0; at < 1000; at += 1) {
        if (at === 150) stop.abort(new Error('stop'));
        yield userNamed(`u${at}`);
      }
    };
    await fire(process.scheduleDeps, process.miner, users(), stop.signal).catch(() => undefined);
    expect(messages(world).length).toBeLessThanOrEqual(200);
    expect(messages(world).length).toBeGreaterThan(0);
  });

  it('reads again what it could not write, so that one contended row costs nobody else the firing', async () => {
    const { world, process } = rig();
    const write = world.ledger.runs.write.bind(world.ledger.runs);
    let isContended = true;
    world.ledger.runs.write = async (writes) => {
      if (!isContended || writes.length < 2) return write(writes);
      isContended = false;
      // Another process has started u1; the transaction refuses its neighbours too.
      const other = new EngineProcess(world, { upstream });
      await other.fire([userNamed('u1')]);
      return writes.map((): RowOutcome => ({ ok: false }));
    };
    const count = await process.fire([userNamed('u1'), userNamed('u2'), userNamed('u3')]);
    expect(count).toEqual({ started: 2, coalesced: 1, revived: 0, setAside: 0 });
    expect(
      messages(world)
        .map(({ userId }) => userId)
        .toSorted(),
    ).toEqual(['u1', 'u2', 'u3']);
  });

  it('gives up on a row that is never won, and ends', async () => {
    const { world, process } = rig();
    world.ledger.runs.write = async (writes) => writes.map((): RowOutcome => ({ ok: false }));
    expect(await process.fire([userNamed('u1')])).toEqual({ started: 0, coalesced: 0, revived: 0, setAside: 0 });
    expect(messages(world)).toEqual([]);
  });
});

describe('two firings at once', () => {
  it('start one run, and the other one joins it', async () => {
    const { world, process } = rig();
    const other = new EngineProcess(world, { upstream });
    const counts = await Promise.all([process.fire([userNamed('u1')]), other.fire([userNamed('u1')])]);
    expect(counts.reduce((sum, { started }) => sum + started, 0)).toBe(1);
    expect(counts.reduce((sum, { coalesced }) => sum + coalesced, 0)).toBe(1);
    expect(messages(world)).toHaveLength(1);
  });
});

describe('a firing that is cut off', () => {
  it.each(['before', 'after'] as const)('at any step, %s its effect, is made good by the next one', async (when) => {
    for (let at = 1; at <= 3; at += 1) {
      const world = newWorld();
      await rig(world).process.users.import([userNamed('u1'), userNamed('u2')]);
      const first = rig(world, new Fuse({ at, when, mode: 'crash' })).process;
      await expect(first.fire([userNamed('u1'), userNamed('u2')])).rejects.toThrow(/call \d failed/);
      world.clock.skip(REVIVE_AFTER_MS);
      const { process } = rig(world);
      await process.fire([userNamed('u1'), userNamed('u2')]);
      await process.drain();
      expect(lakeIds(world.lake), `${when} call ${at}`).toEqual(['u1/a', 'u2/b']);
      expect(await process.run('u1')).toMatchObject({ state: 'done' });
      expect(process.progress.openRuns()).toBe(0);
    }
  });

  it('between row and message is made good by the monitor', async () => {
    const world = newWorld();
    await rig(world).process.users.import([userNamed('u1')]);
    const first = rig(world, new Fuse({ at: 3, when: 'before', mode: 'crash' })).process;
    await expect(first.fire([userNamed('u1')])).rejects.toThrow('bus.send');
    expect(world.bus.held).toEqual([]);
    const { process } = rig(world);
    world.clock.skip(1999);
    expect(await process.revive(2000)).toBe(0);
    world.clock.skip(1);
    expect(await process.revive(2000)).toBe(1);
    await process.drain();
    expect(lakeIds(world.lake)).toEqual(['u1/a']);
  });
});

describe('the monitor', () => {
  it('revives silent live runs only, also many of them', async () => {
    const { world, process } = rig();
    const ids = Array.from({ length: 250 }, (_, at) => `u${at}`);
    await process.start(...ids);
    world.bus.held.length = 0;
    await change(process, 'u0', (run) => endRun(run, { state: 'done', code: 'end-of-list', reason: 'x' }, 1));
    await change(process, 'u1', (run) => endRun(run, { state: 'quarantined', code: 'refused', reason: 'x' }, 1));
    await change(process, 'u2', (run) => ({ ...run, notBeforeMs: world.clock.now() + 10_000 }));
    world.clock.skip(5000);
    await change(process, 'u3', (run) => ({ ...run, progressAtMs: world.clock.now() }));
    expect(await process.revive(5000)).toBe(246);
    expect(messages(world).map(({ userId }) => userId)).not.toEqual(expect.arrayContaining(['u0']));
    expect(new Set(messages(world).map(({ userId }) => userId)).size).toBe(246);
    expect(await process.revive(5000)).toBe(0);
    world.clock.skip(9999);
    // The one that has not been revived yet; the others are given twice the time, and u2 had waited.
    expect(await process.revive(5000)).toBe(1);
    world.clock.skip(1);
    expect(await process.revive(5000)).toBe(247);
  });

  it('sends a waiting run at once when its wait is over', async () => {
    const { world, process } = rig();
    await process.start('u1');
    await change(process, 'u1', (run) => ({ ...run, notBeforeMs: world.clock.now() + 500 }));
    world.clock.skip(2500);
    expect(await process.revive(2000)).toBe(1);
    expect(world.bus.held.at(-1)?.message.notBeforeMs).toBeUndefined();
  });
});
