import { describe, expect, it, vi } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { miners } from '../../runtime/catalog.ts';
import { functionsOf } from '../../runtime/core/functions.ts';
import { entitiesOf, INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import { BRAKE_CACHE_MS } from '../../runtime/engine/brakes.ts';
import { liveHosts } from '../../runtime/engine/heartbeat.ts';
import { Runs } from '../../runtime/engine/runs.ts';
import { FunctionsApp, type FunctionsGround } from '../../runtime/host/functions-app.ts';
import { incomingMessage } from '../../runtime/host/functions-message.ts';
import { registerFunctions } from '../../runtime/host/functions-register.ts';
import { CHATS, pipelineRig, type PipelineRig } from '../engine/pipeline-rig.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { lakeIds, userNamed } from '../fakes/engine-rig.ts';
import { serveLists } from '../fakes/scripted-upstream.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { captureFunctions, type FunctionsCore, type RpcData } from './functions-core-stub.ts';
import { FunctionsHost, triggerMetadata } from './functions-host.ts';

const QUEUE = routeOf(CHATS).miningQueue;
const DEAD_LETTERS = '/$DeadLetterQueue';
const LISTS = serveLists({ u1: [[{ id: 'a' }], [{ id: 'b' }]], u2: [[{ id: 'c' }]] });
/** Not UTF-8: as text it would come back as replacement characters. */
const BINARY = Buffer.from([0x8b, 0xff, 0xfe, 0x00, 0xc3, 0x28, 0xed, 0xa0, 0x80]);

interface Bed {
  readonly rig: PipelineRig;
  readonly core: FunctionsCore;
  readonly app: FunctionsApp;
  readonly clock: TestClock | AutoClock;
  readonly opened: () => number;
  readonly closed: () => number;
}

/** The app over fakes, registered with a stub of the worker. */
async function bed(changes: { clock?: TestClock | AutoClock; open?: () => Promise<void> } = {}): Promise<Bed> {
  const clock = changes.clock ?? new TestClock();
  const rig = pipelineRig({ clock, script: LISTS });
  let opened = 0;
  let closed = 0;
  const open = async (): Promise<FunctionsGround> => {
    opened += 1;
    await changes.open?.();
    const close = async (): Promise<void> => void (closed += 1);
    return { settings: rig.settings, ledger: rig.ledger, openPipeline: () => rig.open(), close };
  };
  const app = new FunctionsApp({ open, version: 'v1', hostId: 'host-1', clock, log: rig.log });
  const core = await captureFunctions(() => registerFunctions(functionsOf([CHATS]), app, 'v1'));
  return { rig, core, app, clock, opened: () => opened, closed: () => closed };
}

/** What the host says about a first delivery. */
function metadata(changes: Readonly<Record<string, RpcData>> = {}): Readonly<Record<string, RpcData>> {
  const message = {
    messageId: 'm1',
    body: BINARY,
    contentType: 'application/x',
    subject: 'chats',
    sessionId: undefined,
  };
  return {
    ...triggerMetadata({ ...message, properties: { schemaVersion: 1 }, deliveryCount: 0, enqueuedAtMs: 0 }),
    ...changes,
  };
}

async function marker(rig: PipelineRig): Promise<RpcData> {
  const [message] = rig.bus.messages(QUEUE);
  return { bytes: message?.body ?? new Uint8Array(0) };
}

describe('registration', () => {
  it('covers every function of the catalog, with its schedule or its queue', async () => {
    const { app } = await bed();
    const core = await captureFunctions(() => registerFunctions(functionsOf(miners), app, 'v1'));
    const declared = functionsOf(miners);
    expect([...core.functions.keys()]).toEqual(declared.map(({ name }) => name));
    for (const declaration of declared) {
      const trigger = core.trigger(declaration.name);
      if (declaration.kind === 'timer')
        expect(trigger).toMatchObject({ type: 'timerTrigger', schedule: declaration.schedule });
      if (declaration.kind === 'http') expect(trigger).toMatchObject({ type: 'httpTrigger', route: declaration.route });
      if (declaration.kind !== 'queue') continue;
      expect(trigger).toMatchObject({
        type: 'serviceBusTrigger',
        queueName: declaration.queue,
        connection: 'ServiceBus',
      });
    }
    const queues = declared.flatMap((declaration) => (declaration.kind === 'queue' ? [declaration.queue] : []));
    const entities = entitiesOf(miners).flatMap((entity) => (entity.kind === 'queue' ? [entity.name] : []));
    expect(queues.toSorted()).toEqual(entities.toSorted());
  });

  it('binds single messages as bytes, without a retry of its own', async () => {
    const { core } = await bed();
    for (const name of ['ingest', 'mineChats']) {
      expect(core.trigger(name)).toMatchObject({ cardinality: 'one', dataType: 'binary' });
      expect(core.functions.get(name)?.metadata.retryOptions).toBeUndefined();
    }
  });

  it('answers the version to everybody, and the health to whoever has a key', async () => {
    const { core } = await bed();
    expect(core.trigger('version')).toMatchObject({ authLevel: 'anonymous', methods: ['GET'] });
    expect(core.trigger('health')).toMatchObject({ authLevel: 'function', methods: ['GET'] });
  });

  it('opens nothing, and neither does the version', async () => {
    const { core, opened } = await bed();
    expect(await core.get('version')).toEqual({ status: 200, body: { version: 'v1' } });
    expect(opened()).toBe(0);
  });
});

describe('a message of the Functions host', () => {
  it('is read with the names that the host writes', () => {
    const read = incomingMessage(BINARY, {
      messageId: 12,
      contentType: 'application/x',
      subject: 'chats',
      deliveryCount: 3,
      applicationProperties: { schemaVersion: 1 },
      enqueuedTimeUtc: '2026-11-23T10:00:00.5',
    });
    expect(read).toEqual({
      messageId: '12',
      body: BINARY,
      contentType: 'application/x',
      subject: 'chats',
      properties: { schemaVersion: 1 },
      sessionId: undefined,
      deliveryCount: 2,
      enqueuedAtMs: Date.UTC(2026, 10, 23, 10, 0, 0, 500),
    });
  });

  it('may lack everything but its bytes', () => {
    expect(incomingMessage(Buffer.alloc(0), {})).toMatchObject({
      messageId: '',
      properties: {},
      deliveryCount: 0,
      enqueuedAtMs: 0,
    });
  });

  it.each([['text'], [{ parsed: true }], [undefined], [7]])(
    'that came as %j is refused by the name of the option',
    (body) => {
      expect(() => incomingMessage(body, {})).toThrow("dataType 'binary'");
    },
  );
});

describe('a queue function', () => {
  it('gets the bytes as they were sent, also those that are no text', async () => {
    const { core, rig, clock } = await bed({ clock: new AutoClock() });
    await core.invoke('ingest', { bytes: BINARY }, metadata());
    await clock.sleep(10);
    const [dead] = rig.bus.messages(`${INGESTION_QUEUE}${DEAD_LETTERS}`);
    expect(Buffer.from(dead?.body ?? []).equals(BINARY)).toBe(true);
  });

  it('fails for a body that came as text, and says which option is missing', async () => {
    const { core } = await bed();
    await expect(core.invoke('ingest', { string: 'text' }, metadata())).rejects.toThrow("dataType 'binary'");
  });

  it('returns, so that the host completes the message, when its slice is done', async () => {
    const { core, rig } = await bed({ clock: new AutoClock() });
    await rig.open().users.import([userNamed('u1')]);
    await core.tick('fireChats');
    await core.invoke('mineChats', await marker(rig), metadata());
    expect(rig.bus.messages(INGESTION_QUEUE).length).toBeGreaterThan(0);
    expect(rig.upstream.calls).toHaveLength(2);
  });

  it('rejects, so that the host abandons the message, when the ledger is away', async () => {
    const { core, rig } = await bed({ clock: new AutoClock() });
    await rig.open().users.import([userNamed('u1')]);
    await core.tick('fireChats');
    const message = await marker(rig);
    rig.ledger.runs.fail = new Error('the ledger is away');
    await expect(core.invoke('mineChats', message, metadata())).rejects.toThrow('the ledger is away');
    rig.ledger.runs.fail = undefined;
    await core.invoke('mineChats', message, metadata({ DeliveryCount: { json: '2' } }));
    expect(rig.upstream.calls).toHaveLength(2);
  });

  it('puts the message back for later at its third delivery, and returns at once: no outage uses up deliveries', async () => {
    const { core, rig, clock } = await bed({ clock: new AutoClock() });
    await rig.open().users.import([userNamed('u1')]);
    await core.tick('fireChats');
    const message = await marker(rig);
    const waiting = (await rig.bus.depth(QUEUE)).active;
    rig.ledger.runs.fail = new Error('the ledger is away');
    const startMs = clock.now();
    for (const delivery of ['3', '19', '20']) {
      await core.invoke('mineChats', message, metadata({ DeliveryCount: { json: delivery } }));
      expect((await rig.bus.depth(QUEUE)).active).toBe(waiting);
    }
    expect(clock.now() - startMs).toBeLessThan(1000);
    expect(await rig.bus.depth(QUEUE)).toMatchObject({ scheduled: 3, deadLetter: 0 });
    rig.ledger.runs.fail = undefined;
    await clock.sleep(60_000);
    expect((await rig.bus.depth(QUEUE)).active).toBe(waiting + 3);
  });

  it('makes a dead letter of a message that fails by itself at its fifth delivery, and sets its run aside', async () => {
    const { core, rig, clock } = await bed({ clock: new AutoClock() });
    const pipeline = rig.open();
    await pipeline.users.import([userNamed('u1')]);
    await core.tick('fireChats');
    const message = await marker(rig);
    rig.upstream.script = () => {
      throw Object.assign(new Error('too large to be asked'), { statusCode: 413 });
    };
    await expect(core.invoke('mineChats', message, metadata({ DeliveryCount: { json: '4' } }))).rejects.toThrow(
      'large',
    );
    await core.invoke('mineChats', message, metadata({ DeliveryCount: { json: '5' } }));
    await clock.sleep(10);
    const [dead] = rig.bus.messages(`${QUEUE}${DEAD_LETTERS}`);
    expect(dead?.properties).toMatchObject({
      deadLetterReason: 'poison-message',
      deadLetterDescription: 'after 5 deliveries: Error: too large to be asked',
    });
    const [stored] = await new Runs({ rows: rig.ledger.runs, digest: sha256Digest }).read('chats', ['u1']);
    expect(stored?.run).toMatchObject({ state: 'quarantined', code: 'poison-message' });
  });

  it('begins nothing while its lane is stopped: the message waits in its queue, and no user is fired', async () => {
    const clock = new TestClock();
    const { app, core, rig } = await bed({ clock });
    await rig.open().users.import([userNamed('u1'), userNamed('u2')]);
    await core.tick('fireChats');
    const message = await marker(rig);
    const { control } = rig.ledger;
    const target = { kind: 'lane', name: 'realtime' } as const;
    const value = JSON.stringify({ target, isEngaged: true, engagedAtMs: 0, engagedBy: 'ada', reason: 'the bill' });
    await control.write([{ partition: 'brake', row: 'lane.realtime', value, ifMatch: 'any' }]);
    const { active } = await rig.bus.depth(QUEUE);
    await clock.advance(BRAKE_CACHE_MS);
    await core.invoke('mineChats', message, metadata());
    await core.tick('fireChats');
    expect(rig.upstream.calls).toEqual([]);
    expect(await rig.bus.depth(QUEUE)).toMatchObject({ active, scheduled: 1 });
    expect(rig.logged).toContain('a firing is left out, its lane is stopped');
    const { isWell, report } = await app.health();
    expect([isWell, report['brakes']]).toEqual([
      true,
      [{ target: 'lane realtime', since: '1970-01-01T00:00:00.000Z', reason: 'the bill' }],
    ]);
  });

  it('sends poison to the dead letters with its reason, and lets the host complete the original', async () => {
    const { core, rig, clock } = await bed({ clock: new AutoClock() });
    await core.invoke('mineChats', { bytes: BINARY }, metadata());
    await clock.sleep(10);
    expect(rig.bus.messages(QUEUE)).toEqual([]);
    const [dead] = rig.bus.messages(`${QUEUE}${DEAD_LETTERS}`);
    expect(dead?.properties).toEqual({
      schemaVersion: 1,
      deadLetterReason: 'marker-message-malformed',
      deadLetterDescription: 'not JSON',
    });
  });

  it('rejects when the dead letter cannot be sent, so that the message is not lost', async () => {
    const { core, rig } = await bed({ clock: new AutoClock() });
    rig.bus.failSends(new Error('the bus is away'));
    await expect(core.invoke('mineChats', { bytes: BINARY }, metadata())).rejects.toThrow('the bus is away');
  });

  it('gives back a copy on its way to the dead letters that it received too early, unhandled', async () => {
    const { core, rig } = await bed();
    const early = metadata({ ApplicationProperties: { json: '{"deadLetterReason":"marker-message-malformed"}' } });
    await expect(core.invoke('mineChats', { bytes: BINARY }, early)).rejects.toThrow('on its way to the dead letters');
    expect(rig.bus.messages(QUEUE)).toEqual([]);
  });
});

describe('the app', () => {
  it('opens once for invocations that come together', async () => {
    const { core, opened } = await bed({ clock: new AutoClock() });
    await Promise.all([core.tick('monitor'), core.tick('fireChats'), core.get('health')]);
    expect(opened()).toBe(1);
  });

  it('tries again at the next invocation after it could not open', async () => {
    let isAway = true;
    const open = async (): Promise<void> => {
      if (isAway) throw Object.assign(new Error('key vault says no'), { code: 'VAULT' });
    };
    const { core, opened } = await bed({ clock: new AutoClock(), open });
    await expect(core.tick('fireChats')).rejects.toThrow('key vault says no');
    expect(await core.get('health')).toMatchObject({ status: 503, body: { open: 'VAULT' } });
    isAway = false;
    await core.tick('fireChats');
    await core.tick('fireChats');
    expect(opened()).toBe(3);
  });

  it('runs a whole firing to the lake when a host drives it', async () => {
    const { core, rig, closed } = await bed({ clock: new AutoClock() });
    await rig.open().users.import([userNamed('u1'), userNamed('u2')]);
    const host = new FunctionsHost(core, rig.bus);
    await core.tick('fireChats');
    await vi.waitFor(() => expect(lakeIds(rig.lake)).toEqual(['u1/a', 'u1/b', 'u2/c']));
    await host.stop();
    expect(host.errors).toEqual([]);
    expect(closed()).toBe(1);
  });
});

describe('the monitor', () => {
  it('gives a sign of life at each tick, and looks at the queues three times per revival', async () => {
    const { core, rig, clock } = await bed();
    const looks: string[] = [];
    const depth = rig.bus.depth.bind(rig.bus);
    rig.bus.depth = (entity) => {
      looks.push(entity);
      return depth(entity);
    };
    for (let minute = 0; minute < 11; minute += 1) {
      await core.tick('monitor');
      await (clock as TestClock).advance(60_000);
    }
    expect(await liveHosts({ control: rig.ledger.control, clock })).toMatchObject([
      { hostId: 'host-1', version: 'v1' },
    ]);
    expect(rig.settings.reviveAfterMs).toBe(900_000);
    expect(looks).toEqual([QUEUE, INGESTION_QUEUE, QUEUE, INGESTION_QUEUE, QUEUE, INGESTION_QUEUE]);
  });

  it('looks again at the next tick when a look has failed', async () => {
    const { core, rig } = await bed();
    const depth = rig.bus.depth.bind(rig.bus);
    rig.bus.depth = () => Promise.reject(new Error('throttled'));
    await expect(core.tick('monitor')).rejects.toThrow('throttled');
    rig.bus.depth = depth;
    await core.tick('monitor');
    expect(await rig.ledger.control.read([{ partition: 'monitor', row: 'watch' }])).toMatchObject([{ row: 'watch' }]);
  });
});

describe('health', () => {
  it('tells what the process has done', async () => {
    const { core } = await bed({ clock: new AutoClock() });
    const { status, body } = await core.get('health');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      version: 'v1',
      startedAt: '2026-01-01T00:00:00.000Z',
      ledger: 'ok',
      bus: 'ok',
      backlog: 0,
      counters: { fetched: 0 },
      miners: { chats: { pages: 0, itemsNew: 0 } },
    });
  });

  it.each(['ledger', 'bus'] as const)(
    'is 503 when the %s cannot be reached, and keeps the words of the error to the log',
    async (part) => {
      const { core, rig } = await bed({ clock: new AutoClock() });
      const error = Object.assign(new Error('secret=hush'), { code: 'ECONNREFUSED' });
      if (part === 'ledger') rig.ledger.control.fail = error;
      else rig.bus.depth = () => Promise.reject(error);
      const { status, body } = await core.get('health');
      expect(status).toBe(503);
      expect(body).toMatchObject({ [part]: 'ECONNREFUSED' });
      expect(JSON.stringify(body)).not.toContain('hush');
    },
  );

  it('is 503 when nobody answers', async () => {
    const { core, rig } = await bed({ clock: new AutoClock() });
    rig.bus.depth = () => new Promise(() => undefined);
    expect(await core.get('health')).toMatchObject({ status: 503, body: { bus: 'NO_ANSWER', ledger: 'ok' } });
  });
});

describe('the end of the app', () => {
  it('lets a slice end at its page, refuses what comes later, and closes once', async () => {
    const { core, rig, closed } = await bed();
    await rig.open().users.import([userNamed('u1')]);
    await core.tick('fireChats');
    const held = Promise.withResolvers<void>();
    rig.upstream.script = async (call) => {
      await held.promise;
      return LISTS(call, undefined);
    };
    const slice = core.invoke('mineChats', await marker(rig), metadata());
    await vi.waitFor(() => expect(rig.upstream.inFlight).toBe(1));
    const ended = core.terminate();
    held.resolve();
    await Promise.all([slice, ended, core.terminate()]);
    expect(rig.upstream.calls).toHaveLength(1);
    expect(closed()).toBe(1);
    await expect(core.tick('fireChats')).rejects.toThrow('the app is stopping');
    expect(await core.get('health')).toMatchObject({ status: 503, body: { stopped: true } });
  });

  it('tells an invocation to end that outlasts the grace', async () => {
    const clock = new TestClock();
    const { core, rig, closed } = await bed({ clock });
    await rig.open().users.import([userNamed('u1')]);
    await core.tick('fireChats');
    rig.upstream.script = (_, signal) =>
      new Promise((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason as Error));
      });
    const slice = Promise.allSettled([core.invoke('mineChats', await marker(rig), metadata())]);
    await vi.waitFor(() => expect(rig.upstream.inFlight).toBe(1));
    const ended = core.terminate();
    await clock.waitForSleepers(1);
    await clock.advance(rig.settings.stopGraceMs);
    expect(await slice).toMatchObject([{ status: 'rejected', reason: { message: 'the app is stopping' } }]);
    await ended;
    expect(closed()).toBe(1);
  });

  it('is nothing to do for an app that was never asked', async () => {
    const { core, opened, closed } = await bed();
    await core.terminate();
    expect([opened(), closed()]).toEqual([0, 0]);
  });
});
