import { describe, expect, it } from 'vitest';
import { INGESTION_QUEUE } from '../../runtime/core/route.ts';
import { COPIES_LIMIT, WAITING_LIMIT } from '../../runtime/core/run.ts';
import { EngineProcess, lakeIds, MINING_QUEUE, newWorld, userNamed, type World } from '../fakes/engine-rig.ts';
import { Fuse } from '../fakes/fuse.ts';
import type { HeldMessage } from '../fakes/hand-bus.ts';
import { Dice } from '../fakes/dice.ts';
import { ScriptedUpstream, serveLists } from '../fakes/scripted-upstream.ts';
import { idsOf, marker, pagesOf, rig } from './mining-rig.ts';

const CASES = 100;
const FIRST_SEED = Number(process.env['TEST_SEED'] ?? 1);
const REVIVE_AFTER_MS = 60_000;

/** Deliveries of one marker message before the broker gives it up in this world. */
const DELIVERIES_MAX = 10;

const sliceOf = ({ message }: HeldMessage): string => {
  const { runId, slice } = message.properties;
  return `${String(runId)} slice ${String(slice)}`;
};

const userOf = ({ message }: HeldMessage): string =>
  (JSON.parse(new TextDecoder().decode(message.body)) as { userId: string }).userId;

describe('a copy of a marker message', () => {
  it('dies at its slice: it is not sent on as a copy of the next one', async () => {
    const list = pagesOf(20);
    const one = rig(serveLists({ u1: list }), { settings: { slicePages: 1 } });
    await one.process.start('u1');
    // Three revivals while the message waited in a long queue.
    for (let copy = 0; copy < 3; copy += 1) {
      one.world.clock.skip(REVIVE_AFTER_MS * 2 ** copy);
      expect(await one.process.revive(REVIVE_AFTER_MS)).toBe(1);
    }
    while (one.world.bus.in(MINING_QUEUE).length > 0) await one.process.deliver(marker(one.world));
    expect(await one.process.run('u1')).toMatchObject({ state: 'done', slice: 19 });
    const sent = one.world.bus.sent.filter(({ entity }) => entity === MINING_QUEUE);
    expect(sent).toHaveLength(20 + 3);
    expect(one.upstream.calls).toHaveLength(20);
  });

  it('that was sent while a worker was at the slice does not cost that worker its page', async () => {
    const serve = serveLists({ u1: pagesOf(4) });
    const revived: number[] = [];
    const one = rig(
      async (call, signal) => {
        if (one.upstream.calls.length === 2) {
          one.world.clock.skip(REVIVE_AFTER_MS);
          revived.push(await one.restart().revive(REVIVE_AFTER_MS));
        }
        return serve(call, signal);
      },
      { settings: { sliceMs: 10 * REVIVE_AFTER_MS } },
    );
    await one.process.start('u1');
    await one.process.deliver(marker(one.world));
    expect(await one.process.run('u1')).toMatchObject({ state: 'done', pages: 4 });
    expect(one.upstream.calls).toHaveLength(4);
    expect(revived).toEqual([1]);
    await one.process.drain();
    expect(lakeIds(one.world.lake)).toEqual(idsOf('u1', pagesOf(4)));
  });
});

/** Messages near the head of the queue, as workers take them: a few at a time, in order. */
function due(world: World): readonly HeldMessage[] {
  const nowMs = world.clock.now();
  return world.bus.in(MINING_QUEUE).filter(({ message }) => (message.notBeforeMs ?? 0) <= nowMs);
}

interface Play {
  readonly waitingMost: number;
  readonly sentForOneSlice: number;
  readonly copies: number;
  readonly wrong: readonly string[];
}

class Game {
  readonly #dice: Dice;
  readonly #world: World;
  readonly #upstream: ScriptedUpstream;
  readonly #users: readonly string[];
  readonly #options: ConstructorParameters<typeof EngineProcess>[1];
  #process: EngineProcess;
  #waitingMost = 0;

  constructor(seed: number) {
    this.#dice = new Dice(seed);
    this.#world = newWorld(seed);
    this.#users = Array.from({ length: this.#dice.between(1, 3) }, (_, at) => `u${at}`);
    const list = pagesOf(this.#dice.between(4, 25));
    this.#upstream = new ScriptedUpstream(serveLists(Object.fromEntries(this.#users.map((userId) => [userId, list]))));
    this.#options = {
      upstream: this.#upstream,
      settings: { slicePages: this.#dice.between(1, 4) },
      reviveAfterMs: REVIVE_AFTER_MS,
    };
    this.#process = new EngineProcess(this.#world, this.#options);
  }

  async play(): Promise<Play> {
    const users = this.#users.map((userId) => userNamed(userId));
    await this.#process.users.import(users);
    await this.#process.fire(users);
    for (let step = 0; step < 120; step += 1) {
      await this.#step();
      for (const userId of this.#users) {
        const waiting = this.#world.bus.in(MINING_QUEUE).filter((held) => userOf(held) === userId).length;
        this.#waitingMost = Math.max(this.#waitingMost, waiting);
      }
    }
    return this.#end();
  }

  async #step(): Promise<void> {
    const dice = this.#dice;
    if (dice.chance(0.1)) return this.#lookOrFire();
    if (dice.chance(0.15) || this.#process.fuse.isDead) {
      const when = dice.of(['before', 'after'] as const);
      const mode = dice.of(['crash', 'hiccup'] as const);
      const fuse = new Fuse({ at: dice.between(1, 30), when, mode });
      this.#process = new EngineProcess(this.#world, { ...this.#options, fuse });
    }
    const queue = due(this.#world);
    const held = queue[dice.upTo(Math.min(3, queue.length))];
    if (held === undefined) return;
    const copy = dice.upTo(20);
    if (copy === 0) return void this.#world.bus.held.splice(this.#world.bus.held.indexOf(held), 1);
    // The broker has it twice: a send in doubt that was made again.
    if (copy === 1) return void this.#world.bus.held.splice(this.#world.bus.held.indexOf(held), 0, { ...held });
    if (copy === 2) await Promise.all([this.#deliver(held, true), this.#deliver(held, true)]);
    else await this.#deliver(held, copy !== 3);
  }

  /** With `isSettled` false the lock was lost after the work was done: the message comes again. */
  async #deliver(held: HeldMessage, isSettled: boolean): Promise<void> {
    const { bus } = this.#world;
    try {
      const handled = await this.#process.handle(held);
      if (isSettled) bus.settle(held, handled);
      else bus.giveBack(held);
    } catch {
      bus.giveBack(held);
    }
    const at = bus.held.indexOf(held);
    if (at >= 0 && held.deliveryCount >= DELIVERIES_MAX) bus.held.splice(at, 1);
  }

  async #lookOrFire(): Promise<void> {
    this.#world.clock.skip(this.#dice.of([1, REVIVE_AFTER_MS / 2, REVIVE_AFTER_MS]));
    const work = this.#dice.chance(0.5)
      ? this.#process.revive(REVIVE_AFTER_MS)
      : this.#process.fire(this.#users.map((userId) => userNamed(userId)));
    await work.catch(() => undefined);
  }

  /** From here on nothing fails: whatever was lost or cut off, every run comes to its end. */
  async #end(): Promise<Play> {
    const last = new EngineProcess(this.#world, this.#options);
    for (let round = 0; round < 8; round += 1) {
      await last.drain();
      this.#world.clock.skip(REVIVE_AFTER_MS * 2 ** round);
      await last.revive(REVIVE_AFTER_MS);
    }
    await last.drain();
    const wrong: string[] = [];
    const list = pagesOf(25);
    for (const userId of this.#users) {
      const run = await last.run(userId);
      if (run?.state !== 'done') wrong.push(`the run of ${userId} is ${run?.state}: ${run?.reason}`);
      const ids = lakeIds(this.#world.lake).filter((one) => one.startsWith(`${userId}/`));
      if (new Set(ids).size !== ids.length) wrong.push(`${userId} has an item twice`);
      const all = new Set(idsOf(userId, list));
      if (ids.some((one) => !all.has(one)) || ids.length < 8) wrong.push(`${userId} lacks items`);
    }
    const bySlice = new Map<string, number>();
    const sent = this.#world.bus.sent.filter(({ entity }) => entity !== INGESTION_QUEUE);
    for (const held of sent) bySlice.set(sliceOf(held), (bySlice.get(sliceOf(held)) ?? 0) + 1);
    const most = Math.max(...bySlice.values());
    return { waitingMost: this.#waitingMost, sentForOneSlice: most, copies: sent.length - bySlice.size, wrong };
  }
}

describe('whatever is lost, doubled, redelivered and killed', () => {
  it(`at most ${WAITING_LIMIT} marker messages of one user and miner wait, and every run comes to its end (${CASES} cases)`, async () => {
    let waitingMost = 0;
    let sentMost = 0;
    let copies = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + CASES; seed += 1) {
      const play = await new Game(seed).play();
      expect(play.wrong, `TEST_SEED=${seed}`).toEqual([]);
      expect(play.waitingMost, `TEST_SEED=${seed}`).toBeLessThanOrEqual(WAITING_LIMIT);
      expect(play.sentForOneSlice, `TEST_SEED=${seed}`).toBeLessThanOrEqual(1 + COPIES_LIMIT + DELIVERIES_MAX);
      waitingMost = Math.max(waitingMost, play.waitingMost);
      sentMost = Math.max(sentMost, play.sentForOneSlice);
      copies += play.copies;
    }
    process.stdout.write(
      `waiting jobs: ${CASES} cases, ${copies} copies were sent, most waiting at once ${waitingMost} of ${WAITING_LIMIT}, most sent for one slice ${sentMost}\n`,
    );
    expect(copies).toBeGreaterThan(CASES);
  }, 120_000);
});
