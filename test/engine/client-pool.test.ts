import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Fault } from '../../runtime/core/faults.ts';
import type { User } from '../../runtime/core/miner.ts';
import { ClientPool, type ClientPoolOptions } from '../../runtime/engine/client-pool.ts';
import type { UpstreamAnswer, UpstreamCall } from '../../runtime/ports.ts';
import { graph } from '../../runtime/upstreams/graph.ts';
import { userNamed } from '../fakes/engine-rig.ts';
import { TestClock } from '../fakes/test-clock.ts';

const ANSWER: UpstreamAnswer = { status: 200, headers: {}, text: '{"data":[]}' };
const CALL = { url: 'http://upstream/users/u/chats', maxBytes: 1000, timeoutMs: 30_000 };
const IDLE_MS = 300_000;
const DIRECT_FOR_MS = 60_000;
const PROXY = 'http://name:password@proxy:3128';

type Serve = (call: UpstreamCall) => UpstreamAnswer | Promise<UpstreamAnswer>;

interface Rig {
  readonly clock: TestClock;
  readonly pool: ClientPool;
  readonly calls: UpstreamCall[];
  readonly logged: { level: string; message: string; fields: unknown }[];
  send(user: User, changes?: Partial<typeof CALL>): Promise<UpstreamAnswer>;
}

function rig(serve: Serve = () => ANSWER, options: Partial<ClientPoolOptions> = {}): Rig {
  const clock = new TestClock();
  const calls: UpstreamCall[] = [];
  const logged: Rig['logged'] = [];
  const writing = (level: string) => (message: string, fields?: unknown) =>
    void logged.push({ level, message, fields });
  const upstream = {
    call: async (call: UpstreamCall) => {
      calls.push(call);
      return serve(call);
    },
    close: async () => undefined,
  };
  const pool = new ClientPool(
    { clock, upstream, log: { info: writing('info'), warn: writing('warn') } },
    { idleMs: IDLE_MS, directForMs: DIRECT_FOR_MS, ...options },
  );
  return { clock, pool, calls, logged, send: (user, changes) => pool.call(graph, user, { ...CALL, ...changes }) };
}

/** A call that ends when it is told to. */
function held(): { readonly serve: Serve; release(): void } {
  const waiting: (() => void)[] = [];
  return {
    serve: () => new Promise((resolve) => waiting.push(() => resolve(ANSWER))),
    release: () => {
      for (const resolve of waiting.splice(0)) resolve();
    },
  };
}

const proxied = (changes: Partial<User> = {}): User => userNamed('u1', { proxyUrl: PROXY, ...changes });
const proxyDown: Serve = ({ proxyUrl }) => {
  if (proxyUrl === null) return ANSWER;
  throw new Fault('proxy', 'upstream/users: the proxy proxy:3128 refused the tunnel (status 407)');
};

describe('the way of a call', () => {
  it('is direct for a user without a proxy, through the proxy for a user with one', async () => {
    const { send, calls } = rig();
    await send(userNamed('u0'));
    await send(proxied());
    expect(calls.map(({ proxyUrl, headers }) => [proxyUrl, headers['authorization']])).toEqual([
      [null, 'Bearer token of u0'],
      [PROXY, 'Bearer token of u1'],
    ]);
  });

  it('stays the proxy, whatever fails, for a user who may not go direct', async () => {
    const { send, calls, logged } = rig(proxyDown);
    for (let attempt = 0; attempt < 3; attempt += 1)
      await expect(send(proxied())).rejects.toMatchObject({ code: 'proxy' });
    expect(calls.map(({ proxyUrl }) => proxyUrl)).toEqual([PROXY, PROXY, PROXY]);
    expect(logged).toEqual([]);
  });

  it.each(['transient', 'page-too-large', 'refused'] as const)(
    'stays the proxy when the upstream failed behind it (%s), even for a user who may go direct',
    async (code) => {
      const { send, calls } = rig(() => {
        throw new Fault(code, 'failed');
      });
      await expect(send(proxied({ allowDirect: true }))).rejects.toMatchObject({ code });
      expect(calls.map(({ proxyUrl }) => proxyUrl)).toEqual([PROXY]);
    },
  );

  it.each([403, 407, 429, 500, 502])('stays the proxy when the upstream answers %d behind it', async (status) => {
    const { send, calls } = rig(() => ({ ...ANSWER, status }));
    await send(proxied({ allowDirect: true }));
    await send(proxied({ allowDirect: true }));
    expect(calls.map(({ proxyUrl }) => proxyUrl)).toEqual([PROXY, PROXY]);
  });

  it('turns direct within the same call when the proxy itself failed and the user may, and stays so for a while, visibly', async () => {
    let isDown = true;
    const { send, calls, logged, clock } = rig((call) => (isDown ? proxyDown(call) : ANSWER));
    const user = proxied({ allowDirect: true });
    expect(await send(user)).toBe(ANSWER);
    await clock.advance(DIRECT_FOR_MS - 1);
    await send(user);
    expect(calls.map(({ proxyUrl }) => proxyUrl)).toEqual([PROXY, null, null]);
    expect(logged).toEqual([
      {
        level: 'warn',
        message: 'a proxy failed; its user goes direct for a while',
        fields: {
          userId: 'u1',
          directForMs: DIRECT_FOR_MS,
          error: 'upstream/users: the proxy proxy:3128 refused the tunnel (status 407)',
        },
      },
    ]);
    expect(JSON.stringify(logged)).not.toContain('password');

    isDown = false;
    await clock.advance(1);
    await send(user);
    await send(user);
    expect(calls.slice(3).map(({ proxyUrl }) => proxyUrl)).toEqual([PROXY, PROXY]);
    expect(logged.slice(1)).toEqual([{ level: 'info', message: 'a proxy works again', fields: { userId: 'u1' } }]);
  });

  it('is known before the call, so that the right breaker is asked', async () => {
    const { send, pool, clock } = rig(proxyDown);
    const user = proxied({ allowDirect: true });
    expect(pool.wayOf(graph, user)).toBe(PROXY);
    await send(user);
    expect([pool.wayOf(graph, user), pool.wayOf(graph, proxied()), pool.wayOf(graph, userNamed('u0'))]).toEqual([
      null,
      PROXY,
      null,
    ]);
    await clock.advance(DIRECT_FOR_MS);
    expect(pool.wayOf(graph, user)).toBe(PROXY);
  });

  it('has the time that is left when it turns direct, and none is asked for when there is none', async () => {
    let tookMs = 12_000;
    const rigged = rig(async (call) => {
      if (call.proxyUrl !== null) await rigged.clock.advance(tookMs);
      return proxyDown(call);
    });
    await rigged.send(proxied({ allowDirect: true }));
    expect(rigged.calls.map(({ timeoutMs }) => timeoutMs)).toEqual([30_000, 18_000]);
    await rigged.clock.advance(DIRECT_FOR_MS);
    tookMs = 30_000;
    await expect(rigged.send(proxied({ allowDirect: true }))).rejects.toMatchObject({ code: 'proxy' });
    expect(rigged.calls).toHaveLength(3);
  });

  it('fails with what the direct call failed with', async () => {
    const { send } = rig(({ proxyUrl }) => {
      throw proxyUrl === null ? new Fault('transient', 'no') : new Fault('proxy', 'no');
    });
    await expect(send(proxied({ allowDirect: true }))).rejects.toMatchObject({ code: 'transient' });
  });

  it('of one user says nothing about another one behind the same proxy', async () => {
    const { send, calls } = rig(proxyDown);
    await send(proxied({ allowDirect: true }));
    await expect(send(userNamed('u2', { proxyUrl: PROXY }))).rejects.toMatchObject({ code: 'proxy' });
    expect(calls.map(({ proxyUrl }) => proxyUrl)).toEqual([PROXY, null, PROXY]);
  });

  it('stays direct with a new token, and is the proxy again with a new proxy or without the permission', async () => {
    const { send, calls } = rig(proxyDown);
    await send(proxied({ allowDirect: true }));
    await send(proxied({ allowDirect: true, accessToken: 'new' }));
    expect(calls.splice(0).map(({ proxyUrl, headers }) => [proxyUrl, headers['authorization']])).toEqual([
      [PROXY, 'Bearer token of u1'],
      [null, 'Bearer token of u1'],
      [null, 'Bearer new'],
    ]);
    await expect(send(proxied())).rejects.toMatchObject({ code: 'proxy' });
    await send(proxied({ allowDirect: true, proxyUrl: 'http://other:1' }));
    expect(calls.map(({ proxyUrl }) => proxyUrl)).toEqual([PROXY, 'http://other:1', null]);
  });
});

describe('the life of a client', () => {
  it('ends when it was idle for long enough, and not a moment before', async () => {
    const { send, pool, clock } = rig();
    await send(userNamed('u1'));
    await clock.advance(1000);
    await send(userNamed('u2'));
    await clock.advance(IDLE_MS - 1001);
    pool.expire();
    expect(pool.size).toBe(2);
    await clock.advance(1);
    pool.expire();
    expect([pool.size, pool.counts]).toEqual([1, { opened: 2, closed: 1 }]);
    await clock.advance(1000);
    await send(userNamed('u3'));
    expect([pool.size, pool.counts]).toEqual([1, { opened: 3, closed: 2 }]);
  });

  it('does not end under a call that runs: by age, by number, by a new token, by the end of the pool', async () => {
    const { serve, release } = held();
    const { send, pool, clock } = rig(serve, { clientsLimit: 1 });
    const running = [send(userNamed('u1'))];
    await clock.advance(IDLE_MS * 2);
    pool.expire();
    expect(pool.counts).toEqual({ opened: 1, closed: 0 });
    running.push(send(userNamed('u2')), send(userNamed('u2', { accessToken: 'new' })));
    expect([pool.size, pool.counts]).toEqual([1, { opened: 3, closed: 0 }]);
    pool.close();
    pool.close();
    expect([pool.size, pool.counts]).toEqual([0, { opened: 3, closed: 0 }]);
    release();
    expect(await Promise.all(running)).toEqual([ANSWER, ANSWER, ANSWER]);
    expect(pool.counts).toEqual({ opened: 3, closed: 3 });
    await expect(send(userNamed('u1'))).rejects.toMatchObject({ code: 'transient' });
    expect(pool.counts).toEqual({ opened: 3, closed: 3 });
  });

  it('ends by number with the one that was idle longest, before one that is in use', async () => {
    const { serve, release } = held();
    let isHeld = true;
    const { send, pool, calls } = rig((call) => (isHeld ? serve(call) : ANSWER), { clientsLimit: 2 });
    const running = send(userNamed('busy'));
    isHeld = false;
    await send(userNamed('idle'));
    await send(userNamed('new'));
    expect([pool.size, pool.counts]).toEqual([2, { opened: 3, closed: 1 }]);
    release();
    await running;
    await send(userNamed('busy'));
    expect(pool.counts).toEqual({ opened: 3, closed: 1 });
    expect(calls).toHaveLength(4);
  });

  it.each(['clientCleanupRace: article ch. 1'])('is over exactly once whatever races with what (%s)', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('call' as const), user: fc.nat(5), token: fc.nat(1) }),
      fc.record({ kind: fc.constant('end' as const), call: fc.nat(10), isFault: fc.boolean() }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: IDLE_MS }) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        async (steps, clientsLimit) => {
          const open: { resolve: (answer: UpstreamAnswer) => void; reject: (error: unknown) => void }[] = [];
          const { send, pool, clock, calls } = rig(
            () => new Promise((resolve, reject) => open.push({ resolve, reject })),
            { clientsLimit },
          );
          const ended: Promise<unknown>[] = [];
          for (const taken of steps) {
            if (taken.kind === 'call') {
              ended.push(send(userNamed(`u${taken.user}`, { accessToken: `t${taken.token}` })).catch(() => undefined));
            } else if (taken.kind === 'end') {
              const [call] = open.splice(taken.call, 1);
              if (taken.isFault) call?.reject(new Fault('transient', 'no'));
              else call?.resolve(ANSWER);
            } else {
              await clock.advance(taken.ms);
              pool.expire();
            }
            await Promise.resolve();
            expect(pool.size).toBeLessThanOrEqual(clientsLimit);
            // Nobody's credential was taken away under a call.
            expect(calls.every(({ headers }) => headers['authorization']?.startsWith('Bearer t'))).toBe(true);
          }
          pool.close();
          for (const call of open.splice(0)) call.resolve(ANSWER);
          await Promise.all(ended);
          expect(pool.counts.closed).toBe(pool.counts.opened);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('costs a bounded number of clients for any number of users', async () => {
    const { send, pool } = rig(undefined, { clientsLimit: 100 });
    for (let user = 0; user < 5000; user += 1) await send(userNamed(`u${user}`));
    expect([pool.size, pool.counts]).toEqual([100, { opened: 5000, closed: 4900 }]);
  });

  it.each([{ idleMs: 0 }, { clientsLimit: 0.5 }, { directForMs: Number.NaN }])('refuses %j by name', (options) => {
    expect(() => rig(undefined, options)).toThrow(new RegExp(`^${Object.keys(options)[0]} must be`));
  });
});

describe("the article's client manager (ch. 1)", () => {
  /** As printed: a timer looks for clients that were not used for two hours, takes them out and disposes them. */
  class PrintedManager {
    readonly clients = new Map<string, { disposed: number; lastUsedMs: number }>();
    use(userId: string, nowMs: number): { disposed: number } {
      const known = this.clients.get(userId) ?? { disposed: 0, lastUsedMs: nowMs };
      this.clients.set(userId, known);
      return known;
    }
    cleanUp(nowMs: number): void {
      for (const [userId, client] of this.clients) {
        if (client.lastUsedMs >= nowMs - 7_200_000) continue;
        this.clients.delete(userId);
        client.disposed += 1;
      }
    }
  }

  it('disposes a client under a call that runs; ours does not', async () => {
    const printed = new PrintedManager();
    printed.use('u1', 0);
    const inUse = printed.use('u1', 7_200_001);
    printed.cleanUp(7_200_001);
    expect(inUse.disposed).toBe(1);

    const { serve, release } = held();
    const { send, pool, clock } = rig(serve);
    const running = send(userNamed('u1'));
    await clock.advance(7_200_001);
    pool.expire();
    expect(pool.counts.closed).toBe(0);
    release();
    await running;
  });
});
