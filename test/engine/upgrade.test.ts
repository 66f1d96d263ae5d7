import { describe, expect, it } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { ENVELOPE_CONTENT_TYPE } from '../../runtime/core/envelope.ts';
import { runKey, USER_HASH_DIGITS } from '../../runtime/core/keys.ts';
import { MARKER_MESSAGE_CONTENT_TYPE } from '../../runtime/core/marker-message.ts';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { EngineProcess, lakeRows, MINER, MINING_QUEUE, newWorld, userNamed } from '../fakes/engine-rig.ts';
import { ScriptedUpstream } from '../fakes/scripted-upstream.ts';

/*
 * Texts as the commit 90f2b2c wrote them, before runs and marker messages got more fields. While a deployment rolls, and after it,
 * they are in queues and tables: they must be read as they are.
 */
const RUN_ID = 'a087eaf3-00b3-49c9-b706-c4ebfb2627fd';
const RUN =
  `{"runId":"${RUN_ID}","userId":"u1","minerName":"chats","state":"live","slice":0,"marker":"m1","guard":{"recent":["0a"],` +
  '"repeats":0},"pages":1,"pageLimit":100,"failures":0,"restarts":0,"revivals":0,"startedAtMs":1767225600000,' +
  '"progressAtMs":1767225600000,"observedAtMs":1767225600000,"notBeforeMs":0}';
const MARKER = `{"schemaVersion":1,"minerName":"chats","userId":"u1","runId":"${RUN_ID}","slice":0,"marker":"m1","pages":1,"repeats":0}`;
const VERSION_OF_A = '6f2f08102787c1f21a4915876aa9366c';
const ENVELOPE =
  '{"schemaVersion":1,"envelopeId":"748ca60a-7d21-4b2e-8391-26bd675bd122","minerName":"chats","source":"mine",' +
  `"composedAtMs":1767225600000,"items":[\n{"userId":"u1","runId":"${RUN_ID}","id":"a","version":"${VERSION_OF_A}",` +
  '"observedAtMs":1767225600000,"data":{"id":"a","v":1}}\n]}';
const ITEM = `{"v":"${VERSION_OF_A}","o":1767225600000,"c":[["${VERSION_OF_A}","748ca60a-7d21-4b2e-8391-26bd675bd122",1767225600000,1767225600000,0]]}`;

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

function stage() {
  const world = newWorld();
  const text = '{"data":[{"id":"a","v":1},{"id":"b","v":2}]}';
  const upstream = new ScriptedUpstream(() => ({ status: 200, headers: {}, text }));
  return { world, upstream, process: new EngineProcess(world, { upstream }) };
}

describe('what the version before has left', () => {
  it('is a run and its marker message: the run goes on from its marker and ends', async () => {
    const { world, upstream, process } = stage();
    await process.users.import([userNamed('u1')]);
    const key = runKey('chats', sha256Digest.sha256('u1', USER_HASH_DIGITS));
    await world.ledger.runs.write([{ ...key, value: RUN, ifMatch: 'absent' }]);
    const message = { messageId: '1', body: bytes(MARKER), contentType: MARKER_MESSAGE_CONTENT_TYPE, properties: {} };
    await world.bus.send(MINING_QUEUE, [message]);
    await process.drain();
    expect(upstream.calls.map(({ after }) => after)).toEqual(['m1']);
    expect(await process.run('u1')).toMatchObject({ runId: RUN_ID, state: 'done', pages: 2 });
    expect([process.errors, world.bus.deadLetters]).toEqual([[], []]);
  });

  it.each(['live', 'done', 'quarantined', 'paused', 'failed'] as const)(
    'is a run that is %s: a firing meets it',
    async (state) => {
      const { world, process } = stage();
      const key = runKey('chats', sha256Digest.sha256('u1', USER_HASH_DIGITS));
      const value = RUN.replace('"state":"live"', `"state":"${state}"`);
      await world.ledger.runs.write([{ ...key, value, ifMatch: 'absent' }]);
      const count = await process.start('u1');
      const expected = {
        live: { coalesced: 1 },
        done: { started: 1 },
        quarantined: { setAside: 1 },
        paused: { started: 1 },
        failed: { started: 1 },
      };
      expect(count).toMatchObject(expected[state]);
      await process.drain();
      expect([process.errors, world.bus.deadLetters]).toEqual([[], []]);
    },
  );

  it('is a silent run: it is sent again', async () => {
    const { world, process } = stage();
    await process.users.import([userNamed('u1')]);
    const key = runKey('chats', sha256Digest.sha256('u1', USER_HASH_DIGITS));
    await world.ledger.runs.write([{ ...key, value: RUN, ifMatch: 'absent' }]);
    world.clock.skip(3_600_000);
    expect(await process.revive(60_000)).toBe(1);
    await process.drain();
    expect(await process.run('u1')).toMatchObject({ state: 'done', pages: 2 });
  });

  it('is an envelope and the row of its item: it is ingested once', async () => {
    const { world, process } = stage();
    const message = { messageId: '1', body: bytes(ENVELOPE), contentType: ENVELOPE_CONTENT_TYPE, properties: {} };
    await world.bus.send(INGESTION_QUEUE, [message, { ...message, messageId: '2' }]);
    await process.drain();
    expect(lakeRows(world.lake)).toMatchObject([{ userId: 'u1', id: 'a', version: VERSION_OF_A }]);
    const { partition, row } = process.checkpoints.keyOf(MINER.name, 'u1', 'a');
    const [stored] = await world.ledger.items.read([{ partition, row }]);
    expect(Object.keys(JSON.parse(stored?.value ?? '{}') as object)).toEqual(expect.arrayContaining(['v', 'o', 'c']));
  });

  it('is the row of an item: the same version again is seen, another one is new', async () => {
    const { world, process } = stage();
    const { partition, row } = process.checkpoints.keyOf(MINER.name, 'u1', 'a');
    await world.ledger.items.write([{ partition, row, value: ITEM, ifMatch: 'absent' }]);
    await process.start('u1');
    await process.drain();
    expect(lakeRows(world.lake).map(({ id }) => id)).toEqual(['b']);
  });
});

describe('what the version after has left', () => {
  it('keeps fields of a run that this version does not know', async () => {
    const { world, process } = stage();
    await process.users.import([userNamed('u1')]);
    const key = runKey('chats', sha256Digest.sha256('u1', USER_HASH_DIGITS));
    const value = `${RUN.slice(0, -1)},"fieldOfTheNextVersion":{"n":1}}`;
    await world.ledger.runs.write([{ ...key, value, ifMatch: 'absent' }]);
    await world.bus.send(MINING_QUEUE, [
      { messageId: '1', body: bytes(MARKER), contentType: MARKER_MESSAGE_CONTENT_TYPE, properties: {} },
    ]);
    await process.drain();
    expect(await process.run('u1')).toMatchObject({ state: 'done', fieldOfTheNextVersion: { n: 1 } });
  });

  it.each([
    ['marker messages', MINING_QUEUE, MARKER],
    ['envelopes', INGESTION_QUEUE, ENVELOPE],
  ])(
    'waits as %s: put back for later without using up a delivery, whole, and never a dead letter',
    async (_, queue, text) => {
      const { world, process } = stage();
      const body = bytes(text.replace('"schemaVersion":1', '"schemaVersion":2'));
      await world.bus.send(queue, [{ messageId: '1', body, contentType: 'a/b', subject: 's', properties: { p: 1 } }]);
      for (let round = 0; round < 50; round += 1) {
        const [held] = world.bus.in(queue);
        if (held === undefined) throw new Error('the message is gone');
        expect(held).toMatchObject({
          deliveryCount: 0,
          message: { body, contentType: 'a/b', subject: 's', properties: { p: 1 } },
        });
        if (round > 0) expect(held.message.notBeforeMs).toBeGreaterThan(world.clock.now());
        world.clock.skip(30_000);
        await process.deliver(held);
      }
      expect([world.bus.held.length, world.bus.deadLetters, lakeRows(world.lake)]).toEqual([1, [], []]);
    },
  );
});
