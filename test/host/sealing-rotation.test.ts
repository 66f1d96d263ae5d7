import { describe, expect, it } from 'vitest';
import { openAesSealing } from '../../runtime/adapters/aes-sealing.ts';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { type KeyRing, RING_KEYS_LIMIT } from '../../runtime/core/key-ring.ts';
import type { User } from '../../runtime/core/miner.ts';
import { userKeyOf, Users } from '../../runtime/engine/users.ts';
import { BadInput } from '../../runtime/host/bad-input.ts';
import { rotateKey, type Rotation } from '../../runtime/host/rotate-key.ts';
import type { KeySource } from '../../runtime/host/sealing-keys.ts';
import type { Rows } from '../../runtime/ports.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { userNamed } from '../fakes/engine-rig.ts';
import { MemoryRows } from '../fakes/memory-rows.ts';
import { seededRandom } from '../fakes/seeded-random.ts';
import { keyNamed } from '../fakes/test-sealing.ts';

const digest = sha256Digest;

/** What survives a process: the table and the keys. */
class World {
  readonly rows = new MemoryRows();
  readonly control = new MemoryRows();
  readonly clock = new AutoClock();
  readonly lines: string[] = [];
  ring: KeyRing = [keyNamed('k1')];
  changedAtMs = this.clock.now();
  isShared = false;

  get ids(): readonly string[] {
    return this.ring.map(({ id }) => id);
  }

  keys(): KeySource {
    return {
      text: 'the keys of a test',
      isShared: this.isShared,
      load: async () => ({ ring: this.ring, changedAtMs: this.changedAtMs }),
      save: async (ring) => {
        this.ring = ring;
        this.changedAtMs = this.clock.now();
      },
    };
  }

  /** The table as a process sees it that has loaded the stored keys. */
  users(ring = this.ring): Users {
    return new Users({ rows: this.rows, digest, sealing: openAesSealing({ ring, clock: this.clock }) });
  }

  async tokens(): Promise<ReadonlyMap<string, string>> {
    const tokens = new Map<string, string>();
    for await (const { userId, accessToken } of this.users().list()) tokens.set(userId, accessToken);
    return tokens;
  }

  async countByKey(): Promise<Readonly<Record<string, number>>> {
    const counts: Record<string, number> = {};
    for await (const { keyId } of this.users().entries()) counts[String(keyId)] = (counts[String(keyId)] ?? 0) + 1;
    return counts;
  }

  rotate(options: { dropOld?: boolean; keys?: KeySource; rows?: Rows; control?: Rows; seed?: number } = {}) {
    const { dropOld = false, keys = this.keys(), rows = this.rows, control = this.control, seed = 1 } = options;
    return rotateKey(
      { users: rows, control, keys, digest, clock: this.clock, random: seededRandom(seed) },
      { dropOld, onLine: (line) => this.lines.push(line), onProgress: () => undefined },
    );
  }
}

async function worldWith(count: number): Promise<World> {
  const world = new World();
  await world.users().import(usersOf(count));
  return world;
}

const usersOf = (count: number): readonly User[] => Array.from({ length: count }, (_, at) => userNamed(`u${at}`));

const tokensOf = (users: readonly User[]): ReadonlyMap<string, string> =>
  new Map(users.map(({ userId, accessToken }) => [userId, accessToken]));

const keysOf = (rotation: Rotation): readonly (readonly [string, number])[] =>
  rotation.keys.map(({ keyId, rows }) => [keyId, rows]);

/** A process that is killed at its `deadline`th effect, before or after it has happened. */
class Mortal {
  /** Resolves at the kill: a dead process does not answer. */
  readonly death: Promise<'killed'>;
  #effects = 0;
  #die: (() => void) | undefined;
  readonly #deadline: number;
  readonly #afterwards: boolean;

  constructor(deadline: number, afterwards: boolean) {
    this.#deadline = deadline;
    this.#afterwards = afterwards;
    this.death = new Promise((resolve) => {
      this.#die = () => resolve('killed');
    });
  }

  /** What a dead process waits for never comes. */
  async effect<T>(work: () => Promise<T>): Promise<T> {
    this.#effects += 1;
    if (this.#effects < this.#deadline) return work();
    if (this.#effects === this.#deadline) {
      if (this.#afterwards) await work();
      this.#die?.();
    }
    return new Promise<T>(() => undefined);
  }

  rows(rows: Rows): Rows {
    return {
      read: (keys) => rows.read(keys),
      scan: (partition, range) => rows.scan(partition, range),
      write: (writes) => this.effect(() => rows.write(writes)),
    };
  }

  keys(source: KeySource): KeySource {
    return { ...source, save: (ring) => this.effect(async () => source.save?.(ring)) };
  }
}

describe('rotate-key', () => {
  it('seals every user with a new key, and drops the old one when it is told to', async () => {
    const world = await worldWith(1200);
    const first = await world.rotate();
    expect(first).toMatchObject({ isNewKey: true, resealed: 1200, users: 1200, unreadable: 0, dropped: [] });
    expect(first.keyId).toMatch(/^k2-[0-9a-f]{6}$/);
    expect(keysOf(first)).toEqual([
      [first.keyId, 1200],
      ['k1', 0],
    ]);
    expect(await world.tokens()).toEqual(tokensOf(usersOf(1200)));

    const second = await world.rotate({ dropOld: true });
    expect(second).toMatchObject({ isNewKey: false, resealed: 0, keyId: first.keyId, dropped: ['k1'] });
    expect(world.ids).toEqual([first.keyId]);
    expect(await world.tokens()).toEqual(tokensOf(usersOf(1200)));

    const third = await world.rotate({ dropOld: true });
    expect(third).toMatchObject({ isNewKey: true, resealed: 1200, dropped: [first.keyId] });
    expect(world.ids).toEqual([third.keyId]);
    expect(await world.tokens()).toEqual(tokensOf(usersOf(1200)));
  });

  it('seals users from before there were keys, without a new key', async () => {
    const world = await worldWith(3);
    const plain = userNamed('plain');
    await world.rows.write([{ ...userKeyOf('plain', digest), value: JSON.stringify(plain), ifMatch: 'any' }]);
    expect(await world.rotate()).toMatchObject({ isNewKey: false, keyId: 'k1', resealed: 1, users: 4 });
    expect(await world.countByKey()).toEqual({ k1: 4 });
    expect((await world.tokens()).get('plain')).toBe(plain.accessToken);
  });

  it.each([
    ['before', false],
    ['after', true],
  ])('killed %s any effect, every token stays readable, and the same command finishes', async (_, afterwards) => {
    const expected = tokensOf(usersOf(40));
    let kills = 0;
    for (let deadline = 1; ; deadline += 1) {
      const world = await worldWith(40);
      world.isShared = true;
      const mortal = new Mortal(deadline, afterwards);
      const rotating = world.rotate({
        rows: mortal.rows(world.rows),
        control: mortal.rows(world.control),
        keys: mortal.keys(world.keys()),
      });
      const ended = await Promise.race([mortal.death, rotating]);
      expect(await world.tokens(), `killed at effect ${deadline}`).toEqual(expected);
      if (ended !== 'killed') break;
      kills += 1;
      const resumed = await world.rotate({ seed: 2 });
      expect(await world.tokens()).toEqual(expected);
      expect(await world.countByKey()).toEqual({ [resumed.keyId]: 40 });
      expect(world.ids.length, 'one new key, or two when everything was sealed before the kill').toBeLessThanOrEqual(3);
      world.clock.skip(600_000);
      await world.rotate({ seed: 3, dropOld: true });
      expect(await world.tokens()).toEqual(expected);
      expect(world.ids).toEqual([resumed.keyId]);
    }
    expect(kills).toBeGreaterThan(15);
  });

  it('goes on with the newest key after a kill in the middle', async () => {
    const world = await worldWith(40);
    const mortal = new Mortal(6, false);
    const rotating = world.rotate({ rows: mortal.rows(world.rows), keys: mortal.keys(world.keys()) });
    expect(await Promise.race([mortal.death, rotating])).toBe('killed');
    const [newest] = world.ids;
    const between = await world.countByKey();
    expect(Object.keys(between).toSorted()).toEqual(['k1', newest]);
    const resumed = await world.rotate();
    expect(resumed).toMatchObject({ isNewKey: false, keyId: newest, resealed: between['k1'] });
    expect(world.lines.at(-1)).toBe(
      `${between['k1']} users are not sealed with the current key ${newest} yet: they come first.`,
    );
  });

  it('a token that is written meanwhile wins, and a user that is removed stays removed', async () => {
    const world = await worldWith(20);
    const renewed = userNamed('u3', { accessToken: 'renewed' });
    const old = world.users();
    let writes = 0;
    const rows: Rows = {
      read: (keys) => world.rows.read(keys),
      scan: (partition) => world.rows.scan(partition),
      write: async (batch) => {
        writes += 1;
        if (writes === 1) {
          await old.import([renewed]);
          await old.remove('u4');
          await old.setStatus('u5', 'inactive');
        }
        return world.rows.write(batch);
      },
    };
    const rotation = await world.rotate({ rows });
    expect(rotation).toMatchObject({ resealed: 19, users: 19 });
    const users = world.users();
    expect(await users.read('u3')).toEqual(renewed);
    expect(await users.read('u4')).toBeUndefined();
    expect(await users.read('u5')).toEqual(userNamed('u5', { status: 'inactive' }));
    expect(await world.countByKey()).toEqual({ [rotation.keyId]: 19 });
  });

  it('leaves users alone whose tokens do not open, names them, and makes no key while there are any', async () => {
    const world = await worldWith(5);
    const [row] = await world.rows.read([userKeyOf('u1', digest)]);
    await world.rows.write([{ ...userKeyOf('u2', digest), value: row?.value ?? '', ifMatch: 'any' }]);
    const rotation = await world.rotate();
    expect(rotation).toMatchObject({ isNewKey: true, resealed: 4, unreadable: 1 });
    expect(rotation.unreadableUsers).toMatchObject([
      { userId: 'u1', reason: expect.stringContaining('Next: ') as string },
    ]);
    const again = await world.rotate({ dropOld: true });
    expect(again).toMatchObject({ isNewKey: false, resealed: 0, unreadable: 1, dropped: [] });
    expect(world.ids, 'its key is kept').toEqual([rotation.keyId, 'k1']);
    await world.users().import([userNamed('u2')]);
    expect(await world.rotate({ dropOld: true })).toMatchObject({ unreadable: 0, dropped: ['k1'] });
  });

  it('keys that others use are dropped only when nobody can still seal with them', async () => {
    const world = await worldWith(5);
    world.isShared = true;
    const startedAtMs = world.clock.now();
    const rotation = await world.rotate({ dropOld: true });
    expect(rotation).toMatchObject({ isNewKey: true, dropped: [], dropFromMs: startedAtMs + 240_000 });
    // A process with the ring of before.
    await world.users([keyNamed('k1')]).import([userNamed('u1')]);
    world.clock.skip(239_000);
    const early = await world.rotate({ dropOld: true });
    expect(early).toMatchObject({ isNewKey: false, resealed: 1, dropped: [], dropFromMs: startedAtMs + 240_000 });
    world.clock.skip(1000);
    expect(await world.rotate({ dropOld: true })).toMatchObject({ dropped: ['k1'], dropFromMs: undefined });
    expect(await world.tokens()).toEqual(tokensOf(usersOf(5)));
  });

  it('two at once follow each other', async () => {
    const world = await worldWith(30);
    world.isShared = true;
    const [one, two] = await Promise.all([world.rotate({ seed: 1 }), world.rotate({ seed: 2 })]);
    expect([one.isNewKey, two.isNewKey]).toEqual([true, true]);
    expect(world.ids).toHaveLength(3);
    expect(await world.countByKey()).toEqual({ [world.ids[0] ?? '']: 30 });
    expect([one.keyId, two.keyId]).toContain(world.ids[0]);
    expect(await world.tokens()).toEqual(tokensOf(usersOf(30)));
  });

  it('touches no user when its key did not stay in the ring', async () => {
    const world = await worldWith(3);
    const keys: KeySource = {
      ...world.keys(),
      save: async () => {
        world.ring = [keyNamed('k9'), keyNamed('k1')];
      },
    };
    await expect(world.rotate({ keys })).rejects.toThrow(BadInput);
    expect(await world.countByKey()).toEqual({ k1: 3 });
  });

  it('keys that only a person can change: says how, and seals with the one that was put first', async () => {
    const world = await worldWith(3);
    const { save: _, ...fixed } = world.keys();
    await expect(world.rotate({ keys: fixed })).rejects.toThrow(
      /which only you can change[^]*Next: put a new key first/,
    );
    world.ring = [keyNamed('k2'), keyNamed('k1')];
    expect(await world.rotate({ keys: fixed })).toMatchObject({ isNewKey: false, keyId: 'k2', resealed: 3 });
    expect(await world.rotate({ keys: fixed, dropOld: true })).toMatchObject({ dropped: [] });
  });

  it('refuses to make a ring longer than it may be', async () => {
    const world = await worldWith(1);
    for (let at = 1; at < RING_KEYS_LIMIT; at += 1) await world.rotate();
    await expect(world.rotate()).rejects.toThrow(/32 keys[^]*--drop-old/);
    expect(await world.rotate({ dropOld: true })).toMatchObject({ dropped: { length: RING_KEYS_LIMIT - 1 } });
    expect(await world.tokens()).toEqual(tokensOf(usersOf(1)));
  });
});
