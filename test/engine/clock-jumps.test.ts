import { describe, expect, it } from 'vitest';
import type { Clock, UpstreamAnswer } from '../../runtime/ports.ts';
import { EngineProcess, lakeRows, newWorld, userNamed, type World } from '../fakes/engine-rig.ts';
import { ScriptedUpstream } from '../fakes/scripted-upstream.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** A process's own clock over the true time: it may be wrong, and be set. */
class WallClock implements Clock {
  skewMs: number;
  readonly #true: Clock;

  constructor(time: Clock, skewMs = 0) {
    this.#true = time;
    this.skewMs = skewMs;
  }

  now = (): number => this.#true.now() + this.skewMs;
  sleep = (ms: number, signal?: AbortSignal): Promise<void> => this.#true.sleep(ms, signal);
}

const USERS = ['u1', 'u2', 'u3'].map((userId) => userNamed(userId));
const ITEMS = 20;
const PAGE_ITEMS = 5;

/** Lists whose items all have one version, which a test changes; `onCall` may do anything in between. */
function stage(onCall: (calls: number) => UpstreamAnswer | undefined = () => undefined) {
  const world = newWorld();
  const served = { version: 'A' };
  const upstream = new ScriptedUpstream(({ after, index }) => {
    const instead = onCall(index);
    if (instead !== undefined) return instead;
    const from = Number(after ?? 0);
    const items = Array.from({ length: PAGE_ITEMS }, (_, at) => ({ id: `i${from + at}`, v: served.version }));
    const to = from + PAGE_ITEMS;
    const paging = to < ITEMS ? { cursors: { after: String(to) }, next: 'http://upstream/next' } : {};
    return { status: 200, headers: {}, text: JSON.stringify({ data: items, paging }) };
  });
  const open = (clock: Clock): EngineProcess =>
    new EngineProcess(world, {
      ...{ upstream, clock, settings: { slicePages: 2 }, reviveAfterMs: 15 * MINUTE_MS },
      isOneOfMany: true,
    });
  return { world, served, upstream, open };
}

/** Versions of every item in the order of their observation; late ones in lower case. All items have the same. */
function versionsOf(world: World): string {
  const rows = lakeRows(world.lake).toSorted((a, b) => (a.observedAt < b.observedAt ? -1 : 1));
  const byItem = new Map<string, string>();
  for (const { userId, id, late, data } of rows) {
    const { v } = data as { v: string };
    byItem.set(`${userId}/${id}`, (byItem.get(`${userId}/${id}`) ?? '') + (late ? v.toLowerCase() : v));
  }
  expect(byItem.size).toBe(USERS.length * ITEMS);
  const [first = '', ...more] = [...new Set(byItem.values())];
  expect(more).toEqual([]);
  return first;
}

async function fireAndDrain(process: EngineProcess, version: string, served: { version: string }): Promise<void> {
  served.version = version;
  await process.fire(USERS);
  await process.drain();
  // What does not move by itself is sent again, as the monitor does.
  for (const { userId } of USERS) expect(await process.run(userId)).toMatchObject({ state: 'done' });
}

describe('processes whose clocks differ', () => {
  it.each([
    ['5 seconds', 5000],
    ['5 minutes', 5 * MINUTE_MS],
    ['a day', DAY_MS],
  ])('by %s either way see A, B, A, B, A as five versions, none of them late', async (_, skewMs) => {
    const { world, served, open } = stage();
    const processes = [skewMs, -skewMs, skewMs, 0, -skewMs].map((skew) => open(new WallClock(world.clock, skew)));
    await processes[0]?.users.import(USERS);
    for (const [index, process] of processes.entries()) {
      await fireAndDrain(process, index % 2 === 0 ? 'A' : 'B', served);
      world.clock.skip(1000);
    }
    expect(versionsOf(world)).toBe('ABABA');
  });

  it('share the slices of one run: pages are observed one after the other', async () => {
    const { world, served, open } = stage();
    const [ahead, behind] = [5 * MINUTE_MS, -5 * MINUTE_MS].map((skew) => open(new WallClock(world.clock, skew)));
    if (ahead === undefined || behind === undefined) throw new Error('two processes are needed');
    await ahead.users.import(USERS);
    for (const version of ['A', 'B', 'A']) {
      served.version = version;
      await ahead.fire(USERS);
      for (let turn = 0; world.bus.held.length > 0; turn += 1) {
        const [held] = world.bus.held;
        if (held !== undefined) await (turn % 2 === 0 ? behind : ahead).deliver(held);
      }
    }
    expect(versionsOf(world)).toBe('ABA');
  });
});

describe('a clock that is set while users are mined', () => {
  const JUMPS = [
    ['an hour forward', HOUR_MS, 0],
    ['a day forward', DAY_MS, 0],
    ['an hour back', -HOUR_MS, 0],
    ['a day forward and back again', DAY_MS, 1],
    ['an hour back and forward again', -HOUR_MS, 1],
  ] as const;

  it.each(JUMPS)(
    '%s: nothing is lost or twice, nothing is sent again in a storm, every run ends',
    async (_, jumpMs, isUndone) => {
      const { world, served, upstream, open } = stage((calls) => {
        if (calls === 16) wall.skewMs = jumpMs;
        if (calls === 20 && isUndone === 1) wall.skewMs = 0;
        return undefined;
      });
      const wall = new WallClock(world.clock);
      const process = open(wall);
      await process.users.import(USERS);
      const startMs = world.clock.now();
      await fireAndDrain(process, 'A', served);
      await fireAndDrain(process, 'B', served);
      await fireAndDrain(process, 'A', served);
      // Nobody waits for a budget that only a clock has used.
      expect(world.clock.now() - startMs).toBeLessThan(10 * MINUTE_MS);
      expect(versionsOf(world)).toBe('ABA');
      // Four pages a user and firing, two a slice; a slice that the clock ended early is one message more.
      expect(upstream.calls).toHaveLength(3 * USERS.length * 4);
      const markers = world.bus.sent.filter(({ entity }) => entity === 'chats-mining-queue').length;
      expect(markers).toBeLessThanOrEqual(3 * USERS.length * 2 + 2 * USERS.length);
      expect([process.errors, process.tierErrors, world.bus.deadLetters]).toEqual([[], [], []]);
    },
  );

  it.each([
    ['forward', HOUR_MS],
    ['back', -HOUR_MS],
  ])('%s while a run waits for its limit: it goes on after the wait and the jump at most', async (_, jumpMs) => {
    const limited = { status: 429, headers: { 'retry-after': '120' }, text: '{"error":{"code":17}}' };
    const { world, served, open } = stage((calls) => (calls === 3 ? limited : undefined));
    const wall = new WallClock(world.clock);
    const process = open(wall);
    await process.users.import(USERS);
    served.version = 'A';
    await process.fire(USERS);
    const startMs = world.clock.now();
    const jumped = process.drain();
    wall.skewMs = jumpMs;
    await jumped;
    expect(versionsOf(world)).toBe('A');
    expect(world.clock.now() - startMs).toBeLessThanOrEqual(Math.abs(jumpMs) + 10 * MINUTE_MS);
  });

  it.each([
    ['forward', HOUR_MS],
    ['back', -HOUR_MS],
  ])(
    '%s while a message is lost: the run is found silent after the jump at most, and sent again once',
    async (_, jumpMs) => {
      const { world, served, open } = stage();
      const wall = new WallClock(world.clock, jumpMs);
      const process = open(wall);
      await process.users.import(USERS);
      served.version = 'A';
      await process.fire(USERS);
      world.bus.held.length = 0;
      wall.skewMs = 0;
      let revived = 0;
      let waitedMs = 0;
      for (; revived === 0 && waitedMs < DAY_MS; waitedMs += MINUTE_MS) {
        world.clock.skip(MINUTE_MS);
        revived += await process.revive(15 * MINUTE_MS);
      }
      expect(revived).toBe(USERS.length);
      expect(waitedMs).toBeLessThanOrEqual(Math.abs(jumpMs) + 16 * MINUTE_MS);
      expect(await process.revive(15 * MINUTE_MS)).toBe(0);
      await process.drain();
      expect(versionsOf(world)).toBe('A');
    },
  );
});
