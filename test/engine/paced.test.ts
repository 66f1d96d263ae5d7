import { describe, expect, it, vi } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import { deadLetterDescription, deadLetterReason } from '../../runtime/core/redrive.ts';
import { PortErrors } from '../../runtime/engine/port-errors.ts';
import { Runs } from '../../runtime/engine/runs.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { lakeIds, NEVER_LOST, userNamed } from '../fakes/engine-rig.ts';
import { serveLists } from '../fakes/scripted-upstream.ts';
import { CHATS, pipelineRig, type PipelineRig } from './pipeline-rig.ts';

const QUEUE = routeOf(CHATS).miningQueue;
const LISTS = serveLists({ u1: [[{ id: 'a' }]], u2: [[{ id: 'b' }]] });
const USERS = [userNamed('u1'), userNamed('u2')];

async function mining(rig: PipelineRig) {
  const pipeline = rig.open();
  await pipeline.users.import(USERS);
  pipeline.startIngest();
  pipeline.startMining();
  return pipeline;
}

const deadIn = (rig: PipelineRig, queue: string) => rig.bus.messages(`${queue}/$DeadLetterQueue`);

/** Reasons of the dead letters of a queue, as a receiver sees them. */
async function reasons(rig: PipelineRig, queue: string): Promise<readonly string[]> {
  const seen: string[] = [];
  const consumer = rig.bus.consume(
    `${queue}/$DeadLetterQueue`,
    { concurrency: 10, onError: () => undefined },
    async (message) => {
      seen.push(`${deadLetterReason(message)}: ${deadLetterDescription(message)}`);
      return { settlement: { kind: 'complete' } };
    },
  );
  await vi.waitFor(() => expect(seen.length).toBeGreaterThan(0));
  await consumer.stop(0);
  return seen;
}

describe('a message that fails by itself', () => {
  it('is a dead letter after five deliveries, with code and count, and its run is set aside; the others go on', async () => {
    let requests = 0;
    const miner = {
      ...CHATS,
      request: (userId: string) => {
        if (userId !== 'u1') return CHATS.request(userId);
        requests += 1;
        throw new TypeError('x is not a function');
      },
    };
    const rig = pipelineRig({ clock: new AutoClock(), script: LISTS, miners: [miner] });
    const pipeline = await mining(rig);
    await pipeline.fireMiner('chats', USERS, NEVER_LOST);
    await vi.waitFor(() => expect(deadIn(rig, QUEUE)).toHaveLength(1));
    await vi.waitFor(() => expect(lakeIds(rig.lake)).toEqual(['u2/b']));
    expect(requests).toBe(5);
    const [stored] = await new Runs({ rows: rig.ledger.runs, digest: sha256Digest }).read('chats', ['u1']);
    const why = 'poison-message: after 5 deliveries: TypeError: x is not a function';
    expect(stored?.run).toMatchObject({ state: 'quarantined', reason: why, slice: 0 });
    expect(await reasons(rig, QUEUE)).toEqual([why]);
    expect(pipeline.progress.setAsideList()).toMatchObject([{ userId: 'u1', state: 'quarantined' }]);
    await pipeline.stop(0);
    await rig.bus.close();
  });

  it('as an envelope whose row in the ledger is broken is a dead letter too', async () => {
    const rig = pipelineRig({ clock: new AutoClock(), script: LISTS });
    const { envelopes } = rig.ledger;
    const read = envelopes.read.bind(envelopes);
    let isBroken = true;
    envelopes.read = async (keys) =>
      isBroken ? keys.map((key) => ({ ...key, value: 'not JSON', etag: 'r' })) : read(keys);
    const pipeline = await mining(rig);
    await pipeline.fireMiner('chats', USERS.slice(0, 1), NEVER_LOST);
    await vi.waitFor(() => expect(deadIn(rig, INGESTION_QUEUE)).toHaveLength(1));
    isBroken = false;
    expect(await reasons(rig, INGESTION_QUEUE)).toEqual([
      expect.stringMatching(/^poison-message: after 5 deliveries: SyntaxError: /),
    ]);
    await pipeline.stop(0);
    await rig.bus.close();
  });
});

describe('a service that is away', () => {
  it.each([
    ['for long', 100],
    ['for a moment', 2],
  ])(
    '%s uses up no deliveries: nothing is a dead letter, and everything is in the lake afterwards',
    async (_, times) => {
      const clock = new AutoClock();
      const rig = pipelineRig({ clock, script: LISTS });
      const { users, envelopes } = rig.ledger;
      let left = times;
      // A client whose connection breaks under it throws what our own mistakes throw.
      const fail =
        <Args extends readonly unknown[], Answer>(work: (...args: Args) => Promise<Answer>) =>
        async (...args: Args): Promise<Answer> => {
          left -= 1;
          if (left >= 0) throw new TypeError("Cannot read properties of undefined (reading 'socket')");
          return work(...args);
        };
      const pipeline = await mining(rig);
      users.read = fail(users.read.bind(users));
      envelopes.read = fail(envelopes.read.bind(envelopes));
      await pipeline.fireMiner('chats', USERS, NEVER_LOST);
      await vi.waitFor(() => expect(lakeIds(rig.lake)).toEqual(['u1/a', 'u2/b']), { timeout: 20_000 });
      expect(left).toBeLessThan(0);
      expect(deadIn(rig, QUEUE)).toEqual([]);
      expect(deadIn(rig, INGESTION_QUEUE)).toEqual([]);
      expect(rig.logged.includes('a service is away: a message waits in its queue')).toBe(times > 10);
      await pipeline.stop(0);
      await rig.bus.close();
    },
  );

  it('is not hammered, and holds no message on paid time: what waits is in the queue', async () => {
    const clock = new AutoClock();
    const rig = pipelineRig({ clock, script: LISTS });
    const pipeline = await mining(rig);
    let reads = 0;
    const startMs = clock.now();
    rig.ledger.users.read = async () => {
      reads += 1;
      throw new Error('503');
    };
    await pipeline.fireMiner('chats', USERS.slice(0, 1), NEVER_LOST);
    await vi.waitFor(() => expect(clock.now() - startMs).toBeGreaterThan(3_600_000), { timeout: 20_000 });
    expect(reads).toBeGreaterThan(20);
    const hours = (clock.now() - startMs) / 3_600_000;
    // Two short tries and one that puts it back, then two minutes in the queue.
    expect(reads / hours).toBeLessThan(3 * 50);
    await pipeline.stop(0);
    await rig.bus.close();
  });
});

describe('errors of ports', () => {
  class Port {
    readonly #value = 7;
    value(): number {
      return this.#value;
    }
    fail(): never {
      throw new TypeError('sync');
    }
    async reject(): Promise<never> {
      throw new TypeError('async');
    }
    async *read(): AsyncGenerator<number> {
      yield 1;
      throw new TypeError('while reading');
    }
  }

  it('are known, however they are thrown, and the port works as before', async () => {
    const errors = new PortErrors();
    const port = errors.watch(new Port());
    expect(port.value()).toBe(7);
    const caught: unknown[] = [];
    try {
      port.fail();
    } catch (error) {
      caught.push(error);
    }
    await port.reject().catch((error: unknown) => caught.push(error));
    const read: number[] = [];
    try {
      for await (const value of port.read()) read.push(value);
    } catch (error) {
      caught.push(error);
    }
    expect(read).toEqual([1]);
    expect(caught.map((error) => (error as Error).message)).toEqual(['sync', 'async', 'while reading']);
    expect(caught.every((error) => errors.has(error))).toBe(true);
    expect(errors.has(new TypeError('sync'))).toBe(false);
    expect(errors.has('text')).toBe(false);
  });
});
