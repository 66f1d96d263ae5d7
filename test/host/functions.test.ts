import { describe, expect, it, vi } from 'vitest';
import { miners } from '../../runtime/catalog.ts';
import { functionsOf } from '../../runtime/core/functions.ts';
import { entitiesOf, INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { liveHosts } from '../../runtime/engine/heartbeat.ts';
import { incomingMessage } from '../../runtime/host/functions-message.ts';
import { registerFunctions } from '../../runtime/host/functions-register.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { lakeIds, userNamed } from '../fakes/engine-rig.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { captureFunctions } from './functions-core-stub.ts';
import { BINARY, bed, DEAD_LETTERS, LISTS, marker, metadata, QUEUE } from './functions-bed.ts';
import { FunctionsHost } from './functions-host.ts';

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
