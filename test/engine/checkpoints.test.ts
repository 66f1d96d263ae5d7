import { describe, expect, it } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import { decideClaim, encodeCheckpoint } from '../../runtime/core/checkpoint.ts';
import { Checkpoints } from '../../runtime/engine/checkpoints.ts';
import type { Cache, Rows, RowKey, StoredRow } from '../../runtime/ports.ts';
import { AutoClock } from '../fakes/auto-clock.ts';
import { MemoryCache } from '../fakes/memory-cache.ts';
import { MemoryRows } from '../fakes/memory-rows.ts';
import { seededRandom } from '../fakes/seeded-random.ts';

const MINER = 'chats';
const TTL_MS = 1000;

/** Counts the rows that are looked at. */
class CountingRows implements Rows {
  readonly #rows: Rows;
  looked = 0;

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  read(keys: readonly RowKey[]): Promise<readonly (StoredRow | undefined)[]> {
    this.looked += keys.length;
    return this.#rows.read(keys);
  }

  write(writes: Parameters<Rows['write']>[0]): ReturnType<Rows['write']> {
    return this.#rows.write(writes);
  }

  async *scan(...args: Parameters<Rows['scan']>): AsyncGenerator<StoredRow> {
    for await (const row of this.#rows.scan(...args)) {
      this.looked += 1;
      yield row;
    }
  }
}

/** A sorted table, so that a range of a large user is not sorted for every page. */
class SortedRows implements Rows {
  readonly #rows = new Map<string, StoredRow>();
  readonly #order: string[];

  constructor(rows: readonly StoredRow[]) {
    for (const row of rows) this.#rows.set(row.row, row);
    this.#order = [...this.#rows.keys()].toSorted();
  }

  async read(keys: readonly RowKey[]): Promise<readonly (StoredRow | undefined)[]> {
    return keys.map(({ row }) => this.#rows.get(row));
  }

  write(): never {
    throw new Error('this table is only read');
  }

  async *scan(
    _: string,
    { from = '', to = '~', limit = Number.POSITIVE_INFINITY }: Parameters<Rows['scan']>[1] = {},
  ): AsyncGenerator<StoredRow> {
    let low = 0;
    for (let high = this.#order.length; low < high;) {
      const middle = (low + high) >> 1;
      if (this.#order[middle]! < from) low = middle + 1;
      else high = middle;
    }
    for (let at = low; at < this.#order.length && this.#order[at]! < to && at - low < limit; at += 1) {
      yield this.#rows.get(this.#order[at]!)!;
    }
  }
}

function rig(items: Rows = new MemoryRows(), tiers?: readonly Cache[]) {
  const clock = new AutoClock();
  const memory = new MemoryCache(clock);
  const redis = new MemoryCache(clock);
  const errors: unknown[] = [];
  const checkpoints = new Checkpoints({
    ...{ digest: sha256Digest, items, tiers: tiers ?? [memory, redis] },
    onTierError: (error) => errors.push(error),
  });
  return { clock, memory, redis, errors, checkpoints, items };
}

const sighting = (id: string, version = 'v1', userId = 'u1', runId = 'r1') => ({ userId, id, version, runId });

/** Ledger row of an item whose newest version is `version`. */
function rowOf(checkpoints: Checkpoints, id: string, version: string, observedAtMs = 1, userId = 'u1') {
  const { write } = decideClaim(undefined, { version, observedAtMs }, 'E', 1);
  return { ...checkpoints.keyOf(MINER, userId, id), value: encodeCheckpoint(write!) };
}

async function claim(
  checkpoints: Checkpoints,
  items: Rows,
  id: string,
  version: string,
  observedAtMs = 1,
): Promise<void> {
  await items.write([{ ...rowOf(checkpoints, id, version, observedAtMs), ifMatch: 'any' }]);
}

const ingestedItem = (checkpoints: Checkpoints, id: string, version: string, observedAtMs: number) => ({
  ...{ key: checkpoints.keyOf(MINER, 'u1', id), version, newest: { version, observedAtMs } },
});

describe('seen', () => {
  it('knows exactly the newest version of the ledger', async () => {
    const { checkpoints, items } = rig();
    await claim(checkpoints, items, 'a', 'v2');
    expect(await checkpoints.seen(MINER, [sighting('a', 'v2'), sighting('a', 'v1'), sighting('b')], TTL_MS)).toEqual([
      ...[true, false, false],
    ]);
  });

  it('answers an empty page without asking anybody', async () => {
    const { checkpoints, memory, redis } = rig();
    expect(await checkpoints.seen(MINER, [], TTL_MS)).toEqual([]);
    expect(memory.calls + redis.calls).toBe(0);
  });

  it('keeps users and miners apart', async () => {
    const { checkpoints, items } = rig();
    await claim(checkpoints, items, 'a', 'v1');
    expect(await checkpoints.seen(MINER, [sighting('a', 'v1', 'u2')], TTL_MS)).toEqual([false]);
    expect(await checkpoints.seen('fans', [sighting('a')], TTL_MS)).toEqual([false]);
  });

  it('asks the ledger once, then the memory tier', async () => {
    const items = new CountingRows(new MemoryRows());
    const { checkpoints, redis } = rig(items);
    await claim(checkpoints, items, 'a', 'v1');
    await checkpoints.seen(MINER, [sighting('a')], TTL_MS);
    const { looked } = items;
    const calls = redis.calls;
    expect(await checkpoints.seen(MINER, [sighting('a')], TTL_MS)).toEqual([true]);
    expect(items.looked).toBe(looked);
    expect(redis.calls).toBe(calls);
  });

  it('asks Redis with one round trip for a page, and keeps the answer in memory', async () => {
    const { checkpoints, items, clock, redis } = rig();
    const page = Array.from({ length: 100 }, (_, at) => sighting(`i${at}`));
    for (const { id } of page) await claim(checkpoints, items, id, 'v1');
    await checkpoints.seen(MINER, page, TTL_MS);
    const memory = new MemoryCache(clock);
    const next = rig(items, [memory, redis]).checkpoints;
    const calls = redis.calls;
    expect(await next.seen(MINER, page, TTL_MS)).toEqual(page.map(() => true));
    expect(redis.calls).toBe(calls + 1);
    expect(memory.size).toBe(100);
  });

  it('puts only facts into the cache: nothing about an item that the ledger does not know', async () => {
    const { checkpoints, memory, redis } = rig();
    await checkpoints.seen(MINER, [sighting('a'), sighting('b')], TTL_MS);
    checkpoints.sending(MINER, sighting('a'));
    checkpoints.sent(MINER, sighting('a'));
    await checkpoints.seen(MINER, [sighting('a'), sighting('b')], TTL_MS);
    expect(memory.size + redis.size).toBe(0);
  });

  it('forgets with the time to live, and asks the ledger again', async () => {
    const items = new CountingRows(new MemoryRows());
    const { checkpoints, clock } = rig(items);
    await claim(checkpoints, items, 'a', 'v1');
    await checkpoints.seen(MINER, [sighting('a')], TTL_MS);
    const { looked } = items;
    clock.skip(TTL_MS);
    expect(await checkpoints.seen(MINER, [sighting('a')], TTL_MS)).toEqual([true]);
    expect(items.looked).toBeGreaterThan(looked);
  });

  it.each([
    ['memory', true, false],
    ['Redis', false, true],
    ['both tiers', true, true],
  ])('is right when %s cannot be asked', async (_, isMemoryDown, isRedisDown) => {
    const { checkpoints, items, memory, redis, errors } = rig();
    await claim(checkpoints, items, 'a', 'v1');
    memory.isDown = isMemoryDown;
    redis.isDown = isRedisDown;
    expect(await checkpoints.seen(MINER, [sighting('a'), sighting('b')], TTL_MS)).toEqual([true, false]);
    expect(errors.length).toBeGreaterThan(0);
    await checkpoints.ingested([ingestedItem(checkpoints, 'b', 'v1', 1)], TTL_MS);
    memory.isDown = false;
    redis.isDown = false;
    expect(await checkpoints.seen(MINER, [sighting('a')], TTL_MS)).toEqual([true]);
  });

  it('rejects when the ledger cannot be asked: "could not look" is not "not there"', async () => {
    const items = new MemoryRows();
    const { checkpoints } = rig(items);
    items.fail = new Error('ledger away');
    await expect(checkpoints.seen(MINER, [sighting('a')], TTL_MS)).rejects.toThrow('ledger away');
  });
});

describe('a version on its way', () => {
  it('is not counted on before the broker has it: another worker must not move on because of it', async () => {
    const { checkpoints } = rig();
    checkpoints.sending(MINER, sighting('a'));
    expect(await checkpoints.seen(MINER, [sighting('a')], TTL_MS)).toEqual([false]);
  });

  it('is seen once the broker has it, and any other version is new', async () => {
    const { checkpoints, items } = rig();
    await claim(checkpoints, items, 'a', 'v1');
    checkpoints.sending(MINER, sighting('a', 'v2'));
    checkpoints.sent(MINER, sighting('a', 'v2'));
    expect(await checkpoints.seen(MINER, [sighting('a', 'v2'), sighting('a', 'v1')], TTL_MS)).toEqual([true, false]);
  });

  it('is not counted on by a later run, because another process may have ingested it and a newer one since', async () => {
    const { checkpoints, items } = rig();
    checkpoints.sending(MINER, sighting('a', 'v1'));
    checkpoints.sent(MINER, sighting('a', 'v1'));
    // Both were ingested elsewhere; then the upstream went back to the first content: A, B, A are three versions.
    await claim(checkpoints, items, 'a', 'v1', 1);
    await claim(checkpoints, items, 'a', 'v2', 2);
    expect(await checkpoints.seen(MINER, [sighting('a', 'v1', 'u1', 'r2')], TTL_MS)).toEqual([false]);
    expect(await checkpoints.seen(MINER, [sighting('a', 'v2', 'u1', 'r2')], TTL_MS)).toEqual([true]);
  });

  it('is seen once a second send of it got through', async () => {
    const { checkpoints } = rig();
    checkpoints.sending(MINER, sighting('a'));
    checkpoints.sending(MINER, sighting('a'));
    checkpoints.sent(MINER, sighting('a'));
    checkpoints.sending(MINER, sighting('a'));
    expect(await checkpoints.seen(MINER, [sighting('a')], TTL_MS)).toEqual([true]);
  });

  it('is forgotten once it is ingested, also when that is known before the send has returned', async () => {
    const { checkpoints, items, memory, redis } = rig();
    checkpoints.sending(MINER, sighting('a'));
    await checkpoints.ingested([ingestedItem(checkpoints, 'a', 'v1', 1)], TTL_MS);
    checkpoints.sent(MINER, sighting('a'));
    // Another process has brought a newer version, and the tiers have been emptied.
    await claim(checkpoints, items, 'a', 'v2', 2);
    for (const tier of [memory, redis])
      await tier.deleteMany([`c1:{${checkpoints.userHash('u1')}}:chats:${rowEnd(checkpoints, 'a')}`]);
    expect(await checkpoints.seen(MINER, [sighting('a', 'v1'), sighting('a', 'v2')], TTL_MS)).toEqual([false, true]);
  });

  it('is not forgotten because an older one of the same item was ingested', async () => {
    const { checkpoints } = rig();
    checkpoints.sending(MINER, sighting('a', 'v1'));
    checkpoints.sending(MINER, sighting('a', 'v2'));
    checkpoints.sent(MINER, sighting('a', 'v1'));
    checkpoints.sent(MINER, sighting('a', 'v2'));
    await checkpoints.ingested([ingestedItem(checkpoints, 'a', 'v1', 1)], TTL_MS);
    expect(await checkpoints.seen(MINER, [sighting('a', 'v1'), sighting('a', 'v2')], TTL_MS)).toEqual([false, true]);
  });
});

const rowEnd = (checkpoints: Checkpoints, id: string): string => checkpoints.keyOf(MINER, 'u1', id).row.slice(20);

describe('the cache', () => {
  it('is told the newest version when two envelopes of one item are ingested at once, in whatever order they end', async () => {
    const { checkpoints } = rig();
    const older = ingestedItem(checkpoints, 'a', 'v1', 1);
    const newer = ingestedItem(checkpoints, 'a', 'v2', 2);
    await checkpoints.ingested([newer], TTL_MS);
    await checkpoints.ingested([older], TTL_MS);
    expect(await checkpoints.seen(MINER, [sighting('a', 'v1'), sighting('a', 'v2')], TTL_MS)).toEqual([false, true]);
  });

  it('is told the newest version when the older one is still on its way to a slow tier', async () => {
    const clock = new AutoClock();
    const slow = new SlowCache(clock);
    const { checkpoints } = rig(new MemoryRows(), [slow]);
    const older = checkpoints.ingested([ingestedItem(checkpoints, 'a', 'v1', 1)], TTL_MS);
    const newer = checkpoints.ingested([ingestedItem(checkpoints, 'a', 'v2', 2)], TTL_MS);
    await Promise.all([older, newer]);
    expect(await checkpoints.seen(MINER, [sighting('a', 'v1'), sighting('a', 'v2')], TTL_MS)).toEqual([false, true]);
  });

  it('is not told what a page has read from the ledger before a newer version was ingested', async () => {
    const items = new MemoryRows();
    const { checkpoints, memory, redis } = rig(items);
    await claim(checkpoints, items, 'a', 'v1', 1);
    const scan = items.scan.bind(items);
    items.scan = async function* (...args) {
      const rows: StoredRow[] = [];
      for await (const row of scan(...args)) rows.push(row);
      await checkpoints.ingested([ingestedItem(checkpoints, 'a', 'v2', 2)], TTL_MS);
      yield* rows;
    };
    await checkpoints.seen(MINER, [sighting('a', 'v1')], TTL_MS);
    expect(await checkpoints.seen(MINER, [sighting('a', 'v1'), sighting('a', 'v2')], TTL_MS)).toEqual([false, true]);
    expect([memory.size, redis.size]).toEqual([1, 1]);
  });
});

/** The first `setMany` arrives last. */
class SlowCache extends MemoryCache {
  #isFirst = true;

  override async setMany(...args: Parameters<Cache['setMany']>): Promise<void> {
    const isFirst = this.#isFirst;
    this.#isFirst = false;
    if (!isFirst) return super.setMany(...args);
    // One connection keeps the order of its commands: the first one is on its way before the second is asked for.
    await super.setMany(...args);
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  }
}

describe('the ledger', () => {
  const PAGE = 100;

  it('is asked for at most three rows per item, however many items the user has and whatever their ids look like', async () => {
    const { checkpoints: naming } = rig();
    const random = seededRandom(5);
    const ids = Array.from({ length: 200_000 }, () => random.uuid());
    const table = new SortedRows(ids.map((id) => ({ ...rowOf(naming, id, 'v1'), etag: 'e' })));
    const items = new CountingRows(table);
    const { checkpoints } = rig(items, []);
    let most = 0;
    for (let at = 0; at < 50; at += 1) {
      const page = Array.from({ length: PAGE }, (_, index) => {
        const isKnown = random.next() < 0.5;
        return sighting(isKnown ? ids[Math.floor(random.next() * ids.length)]! : `new ${at} ${index}`);
      });
      const before = items.looked;
      const seen = await checkpoints.seen(MINER, page, TTL_MS);
      expect(seen).toEqual(page.map(({ id }) => !id.startsWith('new')));
      most = Math.max(most, (items.looked - before) / PAGE);
    }
    expect(most).toBeLessThanOrEqual(3);
  });

  it.each([
    ['sequential numbers', (at: number) => String(at)],
    ['one long prefix', (at: number) => `${'x'.repeat(400)}${at}`],
    ['a common ending', (at: number) => `${at}${'x'.repeat(400)}`],
    ['letters of any script', (at: number) => String.fromCodePoint(0x1f300 + at)],
  ])('is asked for at most three rows per item when the ids are %s', async (_, idOf) => {
    for (const size of [1, 50, 199, 200, 201, 1000]) {
      const { checkpoints: naming } = rig();
      const table = new SortedRows(
        Array.from({ length: size }, (_row, at) => ({ ...rowOf(naming, idOf(at), 'v1'), etag: 'e' })),
      );
      const items = new CountingRows(table);
      const { checkpoints } = rig(items, []);
      for (let from = 0; from < size + PAGE; from += PAGE) {
        const page = Array.from({ length: PAGE }, (_item, at) => sighting(idOf(from + at)));
        const before = items.looked;
        expect(await checkpoints.seen(MINER, page, TTL_MS)).toEqual(page.map((_item, at) => from + at < size));
        expect(items.looked - before).toBeLessThanOrEqual(3 * PAGE);
      }
    }
  });

  it('is asked for one range while a user has few items', async () => {
    const { checkpoints: naming } = rig();
    const rows = new MemoryRows();
    for (let at = 0; at < 50; at += 1) await claim(naming, rows, `i${at}`, 'v1');
    const items = new CountingRows(rows);
    const { checkpoints } = rig(items, []);
    await checkpoints.seen(
      MINER,
      Array.from({ length: PAGE }, (_, at) => sighting(`i${at}`)),
      TTL_MS,
    );
    expect(items.looked).toBe(50);
    expect(rows.reads).toBe(0);
  });

  it('never reads the rows of a user whose hash follows', async () => {
    const rows = new MemoryRows();
    const { checkpoints } = rig(rows, []);
    for (let user = 0; user < 200; user += 1)
      await rows.write([{ ...rowOf(checkpoints, 'a', 'v1', 1, `u${user}`), ifMatch: 'any' }]);
    for (let user = 0; user < 200; user += 1) {
      const items = new CountingRows(rows);
      const one = rig(items, []).checkpoints;
      expect(await one.seen(MINER, [sighting('a', 'v1', `u${user}`), sighting('b', 'v1', `u${user}`)], TTL_MS)).toEqual(
        [true, false],
      );
      expect(items.looked).toBe(1);
    }
  });
});
