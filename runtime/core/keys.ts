/** Hexadecimal digits of a user's hash: 80 bits, so that two of 10^6 users collide with a chance of about 4e-13. */
export const USER_HASH_DIGITS = 20;

/** Hexadecimal digits of an item's hash: 128 bits. */
export const ITEM_HASH_DIGITS = 32;

/** Partitions per miner. Azure Tables serves about 2,000 rows/s from one partition, so 16 carry 32,000 rows/s per data type. */
export const PARTITIONS_PER_MINER = 16;

/** Key of a row, made of hashes: fixed width, free of odd characters, spread evenly. */
export interface HashedKey {
  readonly partition: string;
  readonly row: string;
}

/** Partition of everything that belongs to one user and one miner. */
export function partitionOf(minerName: string, userHash: string): string {
  return `${minerName}.${shardOf(userHash)}`;
}

/** All partitions of a miner, for scans over every user. */
export function partitionsOf(minerName: string): readonly string[] {
  return Array.from({ length: PARTITIONS_PER_MINER }, (_, shard) => `${minerName}.${shard.toString(16)}`);
}

function shardOf(userHash: string): string {
  return userHash.charAt(0);
}

/** Row of one item: a user's items are one range of one partition, and 1,000 items of many users fill few transactions. */
export function itemKey(minerName: string, userHash: string, itemHash: string): HashedKey {
  return { partition: partitionOf(minerName, userHash), row: `${userHash}${itemHash}` };
}

/** Row of the one run of a user and miner. */
export function runKey(minerName: string, userHash: string): HashedKey {
  return { partition: partitionOf(minerName, userHash), row: userHash };
}

/** Row of an envelope. Its id is random, so its first digit spreads the load. */
export function envelopeKey(envelopeId: string): HashedKey {
  return { partition: `envelope.${envelopeId.charAt(0)}`, row: envelopeId };
}

/** Exclusive end of the range of rows that start with `prefix`. */
export function prefixEnd(prefix: string): string {
  return `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`;
}
