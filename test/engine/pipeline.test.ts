import { describe, expect, it, vi } from 'vitest';
import { INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import { equationsOf } from '../../runtime/engine/completeness.ts';
import type { Pipeline } from '../../runtime/engine/pipeline.ts';
import type { IncomingMessage } from '../../runtime/ports.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { lakeIds, NEVER_LOST, userNamed } from '../fakes/engine-rig.ts';
import { failure, type Script, serveLists } from '../fakes/scripted-upstream.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { CHATS, FANS, pipelineRig, type PipelineRig } from './pipeline-rig.ts';

const LISTS = serveLists({ u1: [[{ id: 'a' }, { id: 'b' }], [{ id: 'c' }]], u2: [[{ id: 'd' }]] });
const USERS = [userNamed('u1'), userNamed('u2')];
const RETIRED = { ...FANS, retired: true };
const IDS = ['u1/a', 'u1/b', 'u1/c', 'u2/d'];

const queueOf = (miner: typeof CHATS): string => routeOf(miner).miningQueue;

/** Receives for a pipeline that does not, as a Functions host does. */
function serve(rig: PipelineRig, pipeline: Pipeline, queues: readonly string[]): void {
  for (const queue of queues) {
    rig.bus.consume(queue, { concurrency: 4, onError: () => undefined }, (message, lock) =>
      pipeline.handlerOf(queue)(message, lock),
    );
  }
}

async function emptied(rig: PipelineRig, ...queues: readonly string[]): Promise<void> {
  await vi.waitFor(async () => {
    for (const queue of queues) expect(await rig.bus.depth(queue)).toMatchObject({ active: 0, scheduled: 0 });
  });
}

describe('a handler', () => {
  it('is one and the same for a queue, and there is none for a queue that no miner has', () => {
    const pipeline = pipelineRig({ clock: new TestClock(), script: LISTS }).open();
    expect(pipeline.handlerOf(queueOf(CHATS))).toBe(pipeline.handlerOf(queueOf(CHATS)));
    expect(pipeline.handlerOf(INGESTION_QUEUE)).not.toBe(pipeline.handlerOf(queueOf(CHATS)));
    expect(() => pipeline.handlerOf('fans-mining-queue')).toThrow('no miner of this process has the queue fans');
  });

  it('mines and ingests for a host that receives by itself, each in a process of its own', async () => {
    const rig = pipelineRig({ clock: new AutoClock(), script: LISTS });
    const [firing, mining, ingesting] = [rig.open(), rig.open(), rig.open()];
    for (const pipeline of [firing, mining, ingesting]) pipeline.joinFleet();
    await firing.users.import(USERS);
    serve(rig, mining, [queueOf(CHATS)]);
    serve(rig, ingesting, [INGESTION_QUEUE]);
    expect(await firing.fireMiner('chats', USERS, NEVER_LOST)).toMatchObject({ started: 2 });
    await emptied(rig, queueOf(CHATS), INGESTION_QUEUE);
    expect(lakeIds(rig.lake)).toEqual(IDS);
    expect(mining.completeness.counters).toMatchObject({ fetched: 4, new: 4, sent: 4, settled: 0 });
    expect(ingesting.completeness.counters).toMatchObject({ sent: 0, settled: 4, recovered: 0, lake: 0 });
    await rig.bus.close();
  });
});

describe('a process of a fleet', () => {
  it('follows no run and no envelope, because they may end in another process', async () => {
    const rig = pipelineRig({ clock: new AutoClock(), script: LISTS });
    const pipeline = rig.open();
    pipeline.joinFleet();
    await pipeline.users.import(USERS);
    await pipeline.fireMiner('chats', USERS, NEVER_LOST);
    serve(rig, pipeline, [queueOf(CHATS)]);
    await emptied(rig, queueOf(CHATS));
    expect(pipeline.progress.openRuns()).toBe(0);
    expect(pipeline.progress.setAsideList()).toEqual([]);
    expect(pipeline.completeness.unsettled()).toBe(0);
    expect(pipeline.progress.miners.get('chats')).toMatchObject({ pages: 3, itemsNew: 4, users: 0, usersDone: 0 });
    await rig.bus.close();
  });

  it('counts users that are gone by the hour, so that a long life does not make a few of them too many', async () => {
    const gone = Array.from({ length: 8 }, (_, at) => userNamed(`gone${at}`));
    const clock = new TestClock();
    const rig = pipelineRig({ clock, script: () => failure(404, 803) });
    const pipeline = rig.open();
    pipeline.joinFleet();
    await pipeline.users.import(gone);
    serve(rig, pipeline, [queueOf(CHATS)]);
    for (const [at, user] of gone.entries()) {
      if (at === 4) await clock.advance(3_600_000);
      await pipeline.fireMiner('chats', [user], NEVER_LOST);
      await emptied(rig, queueOf(CHATS));
    }
    const statuses = await Promise.all(gone.map(async ({ userId }) => (await pipeline.users.read(userId))?.status));
    expect(new Set(statuses)).toEqual(new Set(['inactive']));
    expect(rig.logged.filter((line) => line.startsWith('mass-gone'))).toEqual([]);
    await rig.bus.close();
  });
});

describe('processes that share their work', () => {
  it('each notice the runs that the other has ended, and find every number adding up', async () => {
    const clock = new AutoClock();
    const rig = pipelineRig({ clock, script: LISTS });
    const [firing, mining, ingesting] = [rig.open(), rig.open(), rig.open()];
    for (const pipeline of [firing, mining, ingesting]) pipeline.shareWork();
    await firing.users.import(USERS);
    await firing.fire(() => USERS, USERS.length, NEVER_LOST);
    await mining.fire(() => USERS, USERS.length, NEVER_LOST);
    mining.startMining();
    ingesting.startIngest();
    await emptied(rig, queueOf(CHATS), INGESTION_QUEUE);
    // An endless process never asks whether all is drained: its monitor alone must let go of what was ingested elsewhere.
    await mining.tick();
    expect(mining.completeness.unsettled()).toBe(0);
    for (const pipeline of [firing, mining, ingesting]) {
      expect(await ended(pipeline, clock)).toBe('drained');
      await pipeline.completeness.audit();
      expect(equationsOf(pipeline.completeness.counters).filter(({ holds }) => !holds)).toEqual([]);
    }
    expect(firing.progress.miners.get('chats')).toMatchObject({ users: 2, usersDone: 2, pages: 0 });
    expect(mining.completeness.counters).toMatchObject({ new: 4, sent: 4, settled: 4, recovered: 0, lake: 4 });
    expect(ingesting.completeness.counters).toMatchObject({ new: 0, sent: 0, settled: 4, recovered: 4, lake: 4 });
    for (const pipeline of [mining, ingesting]) await pipeline.stop(0);
    await rig.bus.close();
  });

  it('do not call it drained while a page of a run that another one has ended is under way here', async () => {
    const held = Promise.withResolvers<void>();
    const script: Script = async (...parameters) => {
      await held.promise;
      return LISTS(...parameters);
    };
    const clock = new AutoClock();
    const rig = pipelineRig({ clock, script });
    const [slow, fast] = [rig.open(), pipelineRig({ clock, script: LISTS }, rig).open()];
    for (const pipeline of [slow, fast]) pipeline.shareWork();
    await slow.users.import(USERS);
    await slow.fireMiner('chats', USERS, NEVER_LOST);
    const messages = rig.bus.messages(queueOf(CHATS));
    slow.startMining();
    await vi.waitFor(() => expect(rig.upstream.calls).toHaveLength(2));
    // The locks of the slow one were lost: the same messages are handled once more.
    for (const message of messages) {
      const again = {
        ...message,
        deliveryCount: 1,
        enqueuedAtMs: clock.now(),
        subject: undefined,
        sessionId: undefined,
      };
      await fast.handlerOf(queueOf(CHATS))(again, NEVER_LOST);
    }
    fast.startIngest();
    await emptied(rig, INGESTION_QUEUE);
    for (let look = 0; look < 5; look += 1) {
      await clock.sleep(1000);
      await slow.tick();
    }
    expect(slow.progress.openRuns()).toBe(0);
    expect(await slow.state()).toBe('working');
    held.resolve();
    await vi.waitFor(async () => expect(await slow.state()).toBe('drained'));
    for (const pipeline of [slow, fast]) await pipeline.stop(0);
    await rig.bus.close();
  });

  /** The last word of a process whose monitor looks now and then. */
  async function ended(pipeline: Pipeline, clock: AutoClock): Promise<string> {
    for (let look = 0; look < 10; look += 1) {
      await pipeline.tick();
      const state = await pipeline.state();
      if (state !== 'working') return state;
      await clock.sleep(1000);
    }
    return 'working';
  }
});

describe('a firing', () => {
  it('is of the one miner that is named', async () => {
    const rig = pipelineRig({ clock: new TestClock(), script: LISTS, miners: [CHATS, FANS] });
    const pipeline = rig.open();
    await pipeline.fireMiner('fans', USERS, NEVER_LOST);
    expect(rig.bus.messages(queueOf(FANS))).toHaveLength(2);
    expect(rig.bus.messages(queueOf(CHATS))).toEqual([]);
    await expect(pipeline.fireMiner('posts', USERS, NEVER_LOST)).rejects.toThrow('posts is not in the catalog');
  });

  it('leaves a retired miner out, alone and among all', async () => {
    const rig = pipelineRig({ clock: new TestClock(), script: LISTS, miners: [RETIRED, CHATS] });
    const pipeline = rig.open();
    expect(await pipeline.fireMiner('fans', USERS, NEVER_LOST)).toMatchObject({ started: 0 });
    await pipeline.fire(() => USERS, USERS.length, NEVER_LOST);
    expect(rig.bus.messages(queueOf(RETIRED))).toEqual([]);
    expect(rig.bus.messages(queueOf(CHATS))).toHaveLength(2);
  });

  it('of a miner that has retired since is mined to its end', async () => {
    const clock = new AutoClock();
    const before = pipelineRig({ clock, script: LISTS, miners: [FANS] });
    const first = before.open();
    await first.users.import(USERS);
    await first.fireMiner('fans', USERS, NEVER_LOST);
    const after = pipelineRig({ clock, script: LISTS, miners: [RETIRED] }, before);
    const pipeline = after.open();
    pipeline.startIngest();
    pipeline.startMining();
    await emptied(after, queueOf(RETIRED), INGESTION_QUEUE);
    expect(lakeIds(after.lake)).toEqual(IDS);
    await pipeline.stop(0);
    await after.bus.close();
  });
});

describe('the monitor of a fleet', () => {
  /** A fleet whose marker messages are lost, and the process that watches it. */
  async function lostRig(miners = [CHATS]): Promise<{ clock: TestClock; rig: PipelineRig; monitor: Pipeline }> {
    const clock = new TestClock();
    const rig = pipelineRig({ clock, script: LISTS, miners });
    const firing = rig.open();
    await firing.users.import(USERS);
    for (const { name } of miners) await firing.fireMiner(name, USERS, NEVER_LOST);
    for (const miner of miners) await swallow(rig, queueOf(miner));
    const monitor = rig.open();
    monitor.joinFleet();
    return { clock, rig, monitor };
  }

  async function swallow(rig: PipelineRig, queue: string): Promise<void> {
    const consumer = rig.bus.consume(queue, { concurrency: 50, onError: () => undefined }, async () => ({
      settlement: { kind: 'complete' },
    }));
    await emptied(rig, queue);
    await consumer.stop(0);
  }

  it('sends lost runs again that it has never seen, once they were silent for long enough', async () => {
    const { clock, rig, monitor } = await lostRig();
    await clock.advance(rig.settings.reviveAfterMs - 1);
    expect(await monitor.watch()).toBe(0);
    await clock.advance(1);
    expect(await monitor.watch()).toBe(2);
    expect(rig.bus.messages(queueOf(CHATS))).toHaveLength(2);
    expect(await monitor.watch()).toBe(0);
  });

  it('sends nothing while the queue holds something, also for later', async () => {
    const { clock, rig, monitor } = await lostRig();
    const later = { messageId: 'later', body: new Uint8Array(0), contentType: 'x', properties: {} };
    await clock.advance(rig.settings.reviveAfterMs);
    await rig.bus.send(queueOf(CHATS), [{ ...later, notBeforeMs: clock.now() + 1000 }]);
    expect(await monitor.watch()).toBe(0);
    await clock.advance(1000);
    expect(await rig.bus.depth(queueOf(CHATS))).toMatchObject({ active: 1, scheduled: 0 });
    expect(await monitor.watch()).toBe(0);
    await swallow(rig, queueOf(CHATS));
    expect(await monitor.watch()).toBe(2);
  });

  it('looks after retired miners too', async () => {
    const { clock, rig } = await lostRig([FANS]);
    const later = pipelineRig({ clock, script: LISTS, miners: [RETIRED] }, rig);
    await clock.advance(rig.settings.reviveAfterMs);
    expect(await later.open().watch()).toBe(2);
  });

  it('looks after every miner when the depth of one cannot be asked, and says so', async () => {
    const { clock, rig, monitor } = await lostRig([CHATS, FANS]);
    await clock.advance(rig.settings.reviveAfterMs);
    const depth = rig.bus.depth.bind(rig.bus);
    rig.bus.depth = async (entity) => {
      if (entity === queueOf(CHATS)) throw new Error('throttled');
      return depth(entity);
    };
    await expect(monitor.watch()).rejects.toThrow('throttled');
    expect(rig.bus.messages(queueOf(FANS))).toHaveLength(2);
    expect(rig.logged).toContain('the monitor could not look after the miner chats');
  });
});

describe('a dead letter of a host that can only complete or abandon', () => {
  it('is a copy that expires at once, with its reason, under an id of its own', async () => {
    const clock = new TestClock();
    const rig = pipelineRig({ clock, script: LISTS });
    const message: IncomingMessage = {
      messageId: 'original',
      body: Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28]),
      contentType: 'application/x',
      subject: 'chats',
      properties: { schemaVersion: 9, list: ['not plain'] },
      sessionId: undefined,
      deliveryCount: 3,
      enqueuedAtMs: 0,
    };
    const why = { kind: 'dead-letter', reason: 'envelope-unreadable', description: 'x'.repeat(5000) } as const;
    await rig.open().sendToDeadLetters(INGESTION_QUEUE, message, why);
    expect(rig.bus.messages(INGESTION_QUEUE)).toHaveLength(1);
    await clock.advance(1);
    expect(rig.bus.messages(INGESTION_QUEUE)).toEqual([]);
    const [dead] = rig.bus.messages(`${INGESTION_QUEUE}/$DeadLetterQueue`);
    expect(dead).toMatchObject({ contentType: 'application/x', subject: 'chats' });
    expect(dead?.messageId).not.toBe('original');
    expect(Buffer.from(dead?.body ?? []).equals(message.body)).toBe(true);
    expect(dead?.properties).toEqual({
      schemaVersion: 9,
      deadLetterReason: 'envelope-unreadable',
      deadLetterDescription: 'x'.repeat(1024),
    });
  });
});
