import { describe, expect, it } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { BRAKE_CACHE_MS } from '../../runtime/engine/brakes.ts';
import { Runs } from '../../runtime/engine/runs.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { userNamed } from '../fakes/engine-rig.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { bed, DEAD_LETTERS, marker, metadata, QUEUE } from './functions-bed.ts';

describe('a queue function whose message cannot be handled now', () => {
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
});
