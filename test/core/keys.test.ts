import { describe, expect, it } from 'vitest';
import { sha256Digest } from '../../runtime/adapters/system.ts';
import {
  envelopeKey,
  ITEM_HASH_DIGITS,
  itemKey,
  PARTITIONS_PER_MINER,
  partitionsOf,
  prefixEnd,
  runKey,
  USER_HASH_DIGITS,
} from '../../runtime/core/keys.ts';

const KEY = /^[A-Za-z0-9._:|-]{1,512}$/;

const userHash = (userId: string): string => sha256Digest.sha256(userId, USER_HASH_DIGITS);
const itemHash = (id: string): string => sha256Digest.sha256(id, ITEM_HASH_DIGITS);

describe('keys', () => {
  it('tell ids apart that differ only in case, by a space, or by what no key may hold', () => {
    const ids = ['abc', 'ABC', 'Abc', 'abc ', ' abc', 'a/b', 'a\\b', 'a#b', 'a?b', 'a\u0000b', 'é', 'e\u0301', '😀'];
    const rows = ids.flatMap((user) => ids.map((id) => itemKey('chats', userHash(user), itemHash(id)).row));
    expect(new Set(rows).size).toBe(ids.length ** 2);
  });

  it('are made of what every table takes, whatever the ids look like', () => {
    for (const id of ['', '/'.repeat(5000), '\u0000', '../..', '😀'.repeat(1000)]) {
      for (const key of [itemKey('wall-posts', userHash(id), itemHash(id)), runKey('wall-posts', userHash(id))]) {
        expect(key.partition).toMatch(KEY);
        expect(key.row).toMatch(KEY);
      }
    }
  });

  it('put all items and the run of one user into one of the partitions of the miner', () => {
    const partitions = partitionsOf('chats');
    expect(partitions).toHaveLength(PARTITIONS_PER_MINER);
    expect(new Set(partitions).size).toBe(PARTITIONS_PER_MINER);
    const used = new Set<string>();
    for (let user = 0; user < 500; user += 1) {
      const hash = userHash(`u${user}`);
      const keys = [runKey('chats', hash), ...['a', 'b', 'c'].map((id) => itemKey('chats', hash, itemHash(id)))];
      expect(new Set(keys.map(({ partition }) => partition)).size).toBe(1);
      expect(keys.every(({ row }) => row.startsWith(hash))).toBe(true);
      used.add(keys[0]!.partition);
    }
    expect(used).toEqual(new Set(partitions));
  });

  it('keep miners apart, also when one name begins with another', () => {
    expect(itemKey('fans', userHash('u'), itemHash('i')).partition).not.toBe(
      itemKey('fans-2', userHash('u'), itemHash('i')).partition,
    );
  });

  it('spread envelopes by the first digit of their id', () => {
    expect(envelopeKey('a1b2')).toEqual({ partition: 'envelope.a', row: 'a1b2' });
  });
});

describe('prefixEnd', () => {
  it('ends a range that holds every row of a user and none of another', () => {
    const hashes = Array.from({ length: 2000 }, (_, user) => userHash(`u${user}`)).concat(
      'f'.repeat(20),
      '0'.repeat(20),
      '9'.repeat(20),
    );
    for (const hash of hashes) {
      const end = prefixEnd(hash);
      expect(end).toMatch(KEY);
      expect(end).toHaveLength(hash.length);
      for (const row of [hash, `${hash}${'0'.repeat(32)}`, `${hash}${'f'.repeat(32)}`]) {
        expect(row >= hash && row < end).toBe(true);
      }
    }
    const sorted = hashes.toSorted();
    for (const [at, hash] of sorted.entries()) {
      const next = sorted[at + 1];
      if (next !== undefined && next !== hash) expect(prefixEnd(hash) <= next, hash).toBe(true);
    }
  });
});
