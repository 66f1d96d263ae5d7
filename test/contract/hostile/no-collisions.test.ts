import fc from 'fast-check';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, vi } from 'vitest';
import { openRedisCache } from '../../../runtime/adapters/redis-cache.ts';
import { openSqliteLedger } from '../../../runtime/adapters/sqlite-ledger.ts';
import { sha256Digest } from '../../../runtime/adapters/system.ts';
import { assertObjectName, oversizeObject, rejectedObject } from '../../../runtime/core/lake-name.ts';
import { Checkpoints, type ItemKey } from '../../../runtime/engine/checkpoints.ts';
import { openAzureStorage } from '../../../runtime/host/azure-storage.ts';
import { startRedis } from '../../../runtime/local/redis.ts';
import type { Lake, Rows } from '../../../runtime/ports.ts';
import { startAzurite } from '../../azurite/start.ts';
import { memoryLedger } from '../../fakes/memory-rows.ts';
import { isAzuriteHere, isRedisHere } from '../../fakes/servers.ts';

// Servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 120_000 });

/** Seeded, so that a failure is met again. */
const SEED = 20261128;

const ROW_KEY = /^[A-Za-z0-9._:|-]{1,512}$/;
const VERSION = '0'.repeat(32);

interface Thing {
  readonly miner: string;
  readonly userId: string;
  readonly id: string;
}

/** What a careless key would take for the same text. */
const LOOKALIKES: readonly ((text: string) => string)[] = [
  (text) => text.toUpperCase(),
  (text) => text.toLowerCase(),
  (text) => text.normalize('NFC'),
  (text) => text.normalize('NFD'),
  (text) => text.normalize('NFKC'),
  (text) => text.toWellFormed(),
  (text) => ` ${text}`,
  (text) => `${text} `,
  (text) => text.trim(),
  (text) => text.replaceAll('/', '\\'),
  (text) => text.replaceAll('/', '%2F'),
  (text) => encodeURIComponent(text.toWellFormed()),
  (text) => `${text}\0`,
  (text) => `${text}\ud800`,
  (text) => `${text}\ud801`,
  (text) => `${text}\udfff`,
  (text) => `${text}\ufffd`,
  (text) => `./${text}`,
  (text) => `${text}.`,
  (text) => JSON.stringify(text),
];

const WORDS = [
  'a',
  'É',
  'e\u0301',
  'ﬁ',
  'İ',
  'ß',
  'K',
  '\u212a',
  '🙈',
  '..',
  '/',
  '#',
  '\\',
  '__proto__',
  'x'.repeat(4080),
];

const text = fc.oneof(
  fc.constantFrom(...WORDS),
  fc.string({ minLength: 1, maxLength: 40, unit: 'binary' }),
  fc
    .array(fc.constantFrom('a', 'A', '/', '.', ' ', 'é', 'e\u0301', '\ud800', '\u0000'), { minLength: 1, maxLength: 6 })
    .map((parts) => parts.join('')),
);

/** A text and everything that looks like it; ids as they are, users as the users file takes them. */
const crowd = fc.tuple(text, text).map(([userId, id]): readonly Thing[] => {
  const around = (one: string): readonly string[] => [one, ...LOOKALIKES.map((change) => change(one))];
  const ids = [...new Set(around(id))].filter((one) => one !== '' && one.length <= 4096);
  const users = [...new Set(around(userId))].filter((one) => one !== '' && one.isWellFormed()).slice(0, 8);
  return ['chats', 'chats-2'].flatMap((miner) =>
    users.flatMap((user) => ids.map((one) => ({ miner, userId: user, id: one }))),
  );
});

function keysOf(things: readonly Thing[]): readonly ItemKey[] {
  const checkpoints = new Checkpoints({
    digest: sha256Digest,
    items: memoryLedger().items,
    tiers: [],
    onTierError: () => undefined,
  });
  return things.map(({ miner, userId, id }) => checkpoints.keyOf(miner, userId, id));
}

/** A file system or a collation that is careless about case and composition. */
const careless = (name: string): string => name.normalize('NFKC').toLowerCase();

/** Every word, every lookalike of it, for two users who differ only in case. */
const SAMPLE: readonly Thing[] = WORDS.flatMap((word) =>
  [...new Set([word, ...LOOKALIKES.map((change) => change(word))])]
    .filter((id) => id !== '' && id.length <= 4096)
    .flatMap((id) => ['user', 'USER'].map((userId) => ({ miner: 'chats', userId, id }))),
).filter((thing, at, all) => all.findIndex((other) => JSON.stringify(other) === JSON.stringify(thing)) === at);

async function expectRows(rows: Rows): Promise<void> {
  const keys = keysOf(SAMPLE);
  const written = await rows.write(
    keys.map(({ partition, row }, at) => ({ partition, row, value: String(at), ifMatch: 'absent' })),
  );
  expect(written.every(({ ok }) => ok)).toBe(true);
  expect((await rows.read(keys)).map((row) => row?.value)).toEqual(keys.map((_, at) => String(at)));
}

async function expectObjects(lake: Lake): Promise<void> {
  const names = keysOf(SAMPLE).map(({ row }) => oversizeObject('chats', row, VERSION));
  for (const [at, name] of names.entries()) await lake.write(name, `${at}\n`);
  expect(await Promise.all(names.map((name) => lake.read(name)))).toEqual(names.map((_, at) => `${at}\n`));
  const listed: string[] = [];
  for await (const name of lake.list('oversize/')) listed.push(name);
  expect(new Set(listed.map(careless)).size).toBe(SAMPLE.length);
}

describe('things with different names', () => {
  it('have different keys and objects, also where case and composition do not count', () => {
    let count = 0;
    fc.assert(
      fc.property(crowd, (things) => {
        const keys = keysOf(things);
        for (const { partition, row, cacheKey } of keys)
          expect(`${partition}|${row}|${cacheKey.replace(/[{}]/g, '')}`).toMatch(/^[\w.:|-]+$/);
        expect(keys.every(({ partition, row }) => ROW_KEY.test(partition) && ROW_KEY.test(row))).toBe(true);
        const kinds = [
          keys.map(({ partition, row }) => `${partition}/${row}`),
          keys.map(({ cacheKey }) => cacheKey),
          keys.map(({ row }, at) => oversizeObject(things[at]?.miner ?? '', row, VERSION)),
          things.map((thing) => rejectedObject(thing.miner, 0, sha256Digest.sha256(JSON.stringify(thing), 32))),
        ];
        for (const names of kinds) expect(new Set(names.map(careless)).size).toBe(things.length);
        for (const name of kinds.slice(2).flat()) assertObjectName(name);
        count += things.length;
      }),
      { seed: SEED, numRuns: 300 },
    );
    process.stdout.write(`\nno collisions: ${count} names, seed ${SEED}\n`);
  });

  it('have rows of their own on SQLite', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'adit-collisions-'));
    const ledger = openSqliteLedger({ file: join(dir, 'ledger.db') });
    try {
      await expectRows(ledger.items);
    } finally {
      await ledger.close();
      await rm(dir, { recursive: true });
    }
  });

  it.runIf(isRedisHere())('have entries of their own in Redis', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'adit-collisions-'));
    const redis = await startRedis({ dir });
    if (redis === undefined) throw new Error('redis-server is not on the PATH');
    const cache = openRedisCache({ url: redis.url, commandTimeoutMs: 10_000 });
    try {
      const keys = keysOf(SAMPLE).map(({ cacheKey }) => cacheKey);
      await cache.setMany(
        keys.map((key, at) => [key, String(at)] as const),
        600_000,
      );
      expect(await cache.getMany(keys)).toEqual(keys.map((_, at) => String(at)));
    } finally {
      await cache.close();
      await redis.stop();
      await rm(dir, { recursive: true });
    }
  });

  it.runIf(isAzuriteHere())('have rows and objects of their own on Azure storage', async () => {
    const azurite = await startAzurite();
    if (azurite === undefined) throw new Error('Azurite is not installed');
    try {
      const { ledger, lake } = await openAzureStorage(azurite.connectionString);
      await expectRows(ledger.items);
      await expectObjects(lake);
      await ledger.close();
    } finally {
      await azurite.stop();
    }
  });
});
