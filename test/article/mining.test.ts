import { describe, expect, it } from 'vitest';
import { trimOldest } from '../../runtime/core/bounded.ts';
import { guardMarker, FRESH_GUARD } from '../../runtime/core/marker.ts';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { ClientPool } from '../../runtime/engine/client-pool.ts';
import type { UpstreamAnswer } from '../../runtime/ports.ts';
import { graph } from '../../runtime/upstreams/graph.ts';
import { brokenEquations, idsOf, mineAll, pagesOf, rig } from '../engine/mining-rig.ts';
import { pipelineRig } from '../engine/pipeline-rig.ts';
import { lakeIds, userNamed } from '../fakes/engine-rig.ts';
import { Fuse } from '../fakes/fuse.ts';
import { failure, page, serveLists } from '../fakes/scripted-upstream.ts';
import { TestClock } from '../fakes/test-clock.ts';

/** A semaphore as the article uses it: whoever wants may release. */
class Semaphore {
  free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(free: number) {
    this.free = free;
  }

  async wait(): Promise<void> {
    if (this.free > 0) this.free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.free += 1;
    else next();
  }
}

const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await Promise.resolve();
};

describe('the loop guard sees equal neighbours only, and returns without telling (article ch. 1)', () => {
  /** As printed: counts equal neighbours, and at its limit returns to a caller who has to read a property. */
  class Printed {
    marker = 0;
    repeats = 0;
    get isValid(): boolean {
      return this.repeats <= 5;
    }

    increment(next: number): void {
      if (this.marker === next) {
        this.repeats += 1;
        if (!this.isValid) return;
      } else this.repeats = 0;
      this.marker = next;
    }
  }

  it('as printed: A, B, A, B goes on for ever, and a caller that does not ask goes on too', () => {
    const cycling = new Printed();
    for (let page = 0; page < 10_000; page += 1) cycling.increment(1 + (page % 2));
    expect(cycling.isValid).toBe(true);
    const stuck = new Printed();
    let pages = 0;
    for (; pages < 10_000; pages += 1) stuck.increment(7);
    expect([stuck.isValid, pages]).toEqual([false, 10_000]);
  });

  it('ours: a cycle is a verdict, and the run is set aside, resumably', async () => {
    let state = FRESH_GUARD;
    let pages = 0;
    for (let verdict = 'go-on'; verdict === 'go-on'; pages += 1) {
      const decision = guardMarker(state, `m${pages % 2}`);
      ({ state, verdict } = decision);
    }
    expect(pages).toBe(7);
    const one = rig(({ index }) => page([{ id: `i${index}` }], `m${index % 2}`));
    expect(await mineAll(one)).toMatchObject({ state: 'quarantined', code: 'marker-stuck', pages: 7 });
  });
});

describe('an item is marked as seen before it is sent (article ch. 3)', () => {
  it('as printed: a crash between mark and send loses the item for good', async () => {
    const seen = new Set<string>();
    const sent: string[] = [];
    // SET NX as the check: asking marks.
    const process = async (id: string, send: (one: string) => Promise<void>): Promise<void> => {
      if (seen.has(id)) return;
      seen.add(id);
      await send(id);
    };
    await expect(process('a', () => Promise.reject(new Error('killed')))).rejects.toThrow('killed');
    await process('a', async (id) => void sent.push(id));
    expect(sent).toEqual([]);
  });

  it('ours: killed at every step of a page, before or after its effect, and every item is in the lake once', async () => {
    const list = pagesOf(1);
    for (const when of ['before', 'after'] as const) {
      for (let at = 1; at <= 20; at += 1) {
        const one = rig(serveLists({ u1: list }), { fuse: new Fuse({ at, when, mode: 'crash' }) });
        await one.process.start('u1').catch(() => undefined);
        await one.process.drain();
        const next = one.restart({ fuse: new Fuse() });
        await next.users.import([userNamed('u1')]);
        one.world.clock.skip(60_000);
        await next.fire([userNamed('u1')]);
        await next.drain();
        expect(lakeIds(one.world.lake), `killed ${when} call ${at}`).toEqual(idsOf('u1', list));
      }
    }
  });
});

describe('the limiter sleeps while it holds a shared slot, and its map of users never shrinks (article ch. 7)', () => {
  it('as printed: one user that is told to wait stops everybody', async () => {
    const slots = new Semaphore(1);
    let wake = (): void => undefined;
    const delay = new Promise<void>((resolve) => (wake = resolve));
    const called: string[] = [];
    const send = async (user: string): Promise<void> => {
      await slots.wait();
      try {
        called.push(user);
        if (user === 'limited') await delay;
      } finally {
        slots.release();
      }
    };
    const both = Promise.all([send('limited'), send('other')]);
    await turns();
    expect(called).toEqual(['limited']);
    wake();
    await both;
  });

  it('ours: with one slot, a user who waits for a minute keeps nobody else from calling', async () => {
    const calledAt = new Map<string, number>();
    const one = rig(
      ({ userId }) => {
        if (!calledAt.has(userId)) calledAt.set(userId, one.world.clock.now());
        const isFirst =
          userId === 'limited' && one.upstream.calls.filter((call) => call.userId === userId).length === 1;
        return isFirst ? failure(429, 17, { 'retry-after': '60' }) : page([{ id: 'a' }]);
      },
      { limits: { concurrency: 1 }, settings: { inlineWaitMs: 120_000 } },
    );
    const startMs = one.world.clock.now();
    await mineAll(one, 'limited', 'other');
    for (const userId of ['limited', 'other']) expect(await one.process.run(userId)).toMatchObject({ state: 'done' });
    expect(calledAt.get('other')! - startMs).toBeLessThan(60_000);
    expect(one.world.clock.now() - startMs).toBeGreaterThanOrEqual(60_000);
  });

  it('as printed the map grows by a user for ever; ours is cut back to its limit', () => {
    const printed = new Map<string, number>();
    const ours = new Map<string, number>();
    for (let user = 0; user < 5000; user += 1) {
      printed.set(`u${user}`, 1);
      ours.set(`u${user}`, 1);
      trimOldest(ours, 1000);
    }
    expect(printed.size).toBe(5000);
    expect(ours.size).toBeLessThanOrEqual(1100);
  });
});

describe('the pipeline starts work without awaiting it, so a shutdown loses it (article ch. 2)', () => {
  it('as printed: the loop ends, the limiter says that all is done, and the work is not', async () => {
    const limiter = new Semaphore(2);
    const done: string[] = [];
    let finish = (): void => undefined;
    const work = new Promise<void>((resolve) => (finish = resolve));
    const processMessages = async (messages: readonly string[]): Promise<void> => {
      for (const message of messages) {
        await limiter.wait();
        const task = async (): Promise<void> => {
          try {
            await work;
            done.push(message);
          } finally {
            limiter.release();
          }
        };
        // Started, and nobody waits for it.
        void task();
      }
    };
    await processMessages(['a', 'b']);
    expect(done).toEqual([]);
    finish();
    await turns();
  });

  it('ours: stop ends only after the page in flight is delivered', async () => {
    let answer = (): void => undefined;
    const served = new Promise<void>((resolve) => (answer = resolve));
    const one = pipelineRig({
      clock: new TestClock(),
      script: async () => {
        await served;
        return page([{ id: 'a' }], 'm1');
      },
      settings: { lingerMs: 0 },
    });
    const pipeline = one.open();
    await pipeline.users.import([userNamed('u1')]);
    pipeline.startMining();
    await pipeline.fire(() => [userNamed('u1')], 1, new AbortController().signal);
    while (one.upstream.inFlight === 0) await new Promise((resolve) => setImmediate(resolve));
    let isStopped = false;
    const stopped = pipeline.stop(600_000).then(() => (isStopped = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isStopped).toBe(false);
    answer();
    await stopped;
    expect(pipeline.completeness.counters).toMatchObject({ fetched: 1, new: 1, sent: 1 });
    expect((await one.bus.depth(INGESTION_QUEUE)).active).toBe(1);
  });
});

describe('a client is cleaned up while it is used, and disposed twice (article ch. 1)', () => {
  it('as printed: the timer disposes what a call has just fetched, and a second clean-up disposes it again', async () => {
    const client = { disposals: 0, isBroken: false };
    const clients = new Map([['u1', { client, usedAtMs: 0 }]]);
    const cleanUp = (nowMs: number): void => {
      for (const [key, entry] of clients) {
        if (entry.usedAtMs > nowMs - 100) continue;
        clients.delete(key);
        entry.client.disposals += 1;
        entry.client.isBroken = true;
      }
    };
    const fetched = clients.get('u1')?.client;
    cleanUp(1000);
    expect(fetched?.isBroken).toBe(true);
    // Whoever holds it disposes it too, as its owner should.
    client.disposals += 1;
    expect(client.disposals).toBe(2);
  });

  it('ours: a client with a call that runs is closed after the call, once', async () => {
    let answer = (): void => undefined;
    const served = new Promise<UpstreamAnswer>((resolve) => {
      answer = () => resolve({ status: 200, headers: {}, text: '{}' });
    });
    const sent: Readonly<Record<string, string>>[] = [];
    const clock = new TestClock();
    const upstream = {
      call: async ({ headers }: { readonly headers: Readonly<Record<string, string>> }) => {
        sent.push(headers);
        return served;
      },
      close: async () => undefined,
    };
    const log = { info: () => undefined, warn: () => undefined };
    const pool = new ClientPool({ clock, upstream, log }, { idleMs: 1000 });
    const call = pool.call(graph, userNamed('u1'), { url: 'http://upstream/', maxBytes: 10, timeoutMs: 60_000 });
    await turns();
    await clock.advance(5000);
    pool.expire();
    pool.close();
    pool.close();
    expect(pool.counts).toEqual({ opened: 1, closed: 0 });
    answer();
    await call;
    expect(pool.counts).toEqual({ opened: 1, closed: 1 });
    expect(sent[0]?.['authorization']).toBe('Bearer token of u1');
  });
});

describe('a failed batch send loses or blocks later messages (article ch. 3)', () => {
  /** As printed, with a batch of two. */
  class Sender {
    batch: string[] = [];
    readonly sent: string[] = [];
    isDown = false;

    async add(message: string): Promise<void> {
      if (this.batch.length < 2) {
        this.batch.push(message);
        return;
      }
      await this.send(this.batch);
      this.batch = [message];
    }

    async send(batch: readonly string[]): Promise<void> {
      if (this.isDown) throw new Error('away');
      this.sent.push(...batch);
    }
  }

  it('as printed: the message that found the batch full is lost, and its caller is told of the others', async () => {
    const sender = new Sender();
    for (const message of ['a', 'b']) await sender.add(message);
    sender.isDown = true;
    await expect(sender.add('c')).rejects.toThrow('away');
    sender.isDown = false;
    await sender.add('d');
    await sender.send(sender.batch);
    expect(sender.sent).toEqual(['a', 'b', 'd']);
  });

  it('ours: a failed send is nobody else’s, and what failed comes again', async () => {
    const one = rig(serveLists({ u1: pagesOf(1), u2: pagesOf(1) }), { packer: { sealedMaxBytes: 1024, lingerMs: 0 } });
    let failures = 0;
    one.world.bus.beforeSend = (entity) => {
      if (entity !== INGESTION_QUEUE || failures > 0) return;
      failures += 1;
      throw new Error('away');
    };
    await mineAll(one, 'u1', 'u2');
    expect(failures).toBe(1);
    expect(lakeIds(one.world.lake)).toEqual([...idsOf('u1', pagesOf(1)), ...idsOf('u2', pagesOf(1))]);
    expect(await brokenEquations(one.process)).toEqual([]);
  });
});

describe('a slot can be released twice (article ch. 2)', () => {
  it('as printed: a second release for one user lets one more in than there are slots', async () => {
    const slots = new Semaphore(2);
    await slots.wait();
    await slots.wait();
    // One user leaves, and the handler of its closed socket says so again.
    slots.release();
    slots.release();
    await slots.wait();
    await slots.wait();
    const held = 1 + 2;
    expect(held).toBeGreaterThan(2);
  });

  it('ours: a slot is held for the length of a call and given back with it, also when the call fails', async () => {
    let most = 0;
    const one = rig(
      async ({ index }) => {
        most = Math.max(most, one.upstream.inFlight);
        await one.world.clock.sleep(10);
        if (index % 3 === 0) throw new Error('the connection broke');
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
