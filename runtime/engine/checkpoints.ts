import { trimOldest } from '../core/bounded.ts';
import { type Candidate, decodeCached, decodeCheckpoint, encodeCached, isAfter, isSeen } from '../core/checkpoint.ts';
import { ITEM_HASH_DIGITS, itemKey, prefixEnd, USER_HASH_DIGITS, type HashedKey } from '../core/keys.ts';
import type { Cache, Digest, Rows, StoredRow } from '../ports.ts';

/** Key of an item in the ledger and in the cache tiers. */
export interface ItemKey extends HashedKey {
  readonly cacheKey: string;
}

/** One item of a page as the checkpoint sees it. */
export interface Sighting {
  readonly userId: string;
  readonly id: string;
  readonly version: string;
  /** The run whose page it is on. */
  readonly runId: string;
}

/** What the checkpoint cache works with. */
export interface CheckpointsDeps {
  readonly digest: Digest;
  readonly items: Rows;
  /** Fastest first: the memory tier, then Redis. A tier that throws is left out. */
  readonly tiers: readonly Cache[];
  readonly onTierError: (error: unknown) => void;
}

/**
 * Versions that are sent but not seen in the lake yet, per process: about 250 bytes each, and in a fleet, where others ingest them,
 * always this many in the end. Oldest entries are forgotten first: then an item is merely sent twice.
 */
const IN_FLIGHT_LIMIT = 100_000;

/**
 * Facts about the newest ingested items of this process, so that an older one that arrives later is not told to the cache: those of
 * the last seconds, even when thousands are ingested in each.
 */
const RECENT_FACTS_LIMIT = 20_000;

/** Items whose key is kept between mining and ingest. */
const KEYS_LIMIT = 20_000;

/** Users whose hash is kept. */
const USER_HASHES_LIMIT = 10_000;

/** Users known to have more rows than a page may read by range. */
const LARGE_USERS_LIMIT = 100_000;

/** A range read looks at this many rows per item of the page; with the point reads after it, at most 3 rows per item. */
const RANGE_ROWS_PER_ITEM = 2;

/**
 * A version on its way. Until the broker has acknowledged it, nobody may count on it. Afterwards only the run that sent it does:
 * another process may ingest it, which this one never hears of, and in a later run another version may be the newest.
 */
interface InFlight {
  readonly version: string;
  readonly runId: string;
  isAcknowledged: boolean;
}

/** What the lake holds newest of one item; `observedAtMs` is undefined where a tier did not say. */
interface Fact {
  readonly key: ItemKey;
  readonly version: string;
  readonly observedAtMs: number | undefined;
}

/** What an ingested envelope has found out about one item. */
export interface IngestedItem {
  readonly key: ItemKey;
  /** The version that the envelope carried. */
  readonly version: string;
  /** Newest observation in the ledger after the claim. */
  readonly newest: Candidate;
}

/**
 * Answers "is this version of this item the newest that the lake holds?" for a page at a time: memory, one MGET, then at
 * most three ledger rows per item. Article ch. 3; departs: a page at a time, marked only after ingest.
 */
export class Checkpoints {
  readonly #deps: CheckpointsDeps;
  readonly #inFlight = new Map<string, InFlight>();
  readonly #recent = new Map<string, Candidate>();
  readonly #largeUsers = new Set<string>();
  readonly #userHashes = new Map<string, string>();
  readonly #keys = new Map<string, ItemKey>();

  constructor(deps: CheckpointsDeps) {
    this.#deps = deps;
  }

  /** Pages come user by user, so the newest hashes are worth keeping. */
  userHash(userId: string): string {
    const known = this.#userHashes.get(userId);
    if (known !== undefined) return known;
    const hash = this.#deps.digest.sha256(userId, USER_HASH_DIGITS);
    this.#userHashes.set(userId, hash);
    trimOldest(this.#userHashes, USER_HASHES_LIMIT);
    return hash;
  }

  /** An item's key is asked for several times on its way: when it is seen, sent, acknowledged and ingested. */
  keyOf(minerName: string, userId: string, id: string): ItemKey {
    const name = JSON.stringify([minerName, userId, id]);
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    // As JSON text: UTF-8 has one and the same replacement for every lone surrogate, so that ids would fall together.
    const itemHash = this.#deps.digest.sha256(JSON.stringify(id), ITEM_HASH_DIGITS);
    const userHash = this.userHash(userId);
    // The braces keep one user's keys in one Redis slot, so that a page is one MGET on a cluster.
    const key = { ...itemKey(minerName, userHash, itemHash), cacheKey: `c1:{${userHash}}:${minerName}:${itemHash}` };
    this.#keys.set(name, key);
    trimOldest(this.#keys, KEYS_LIMIT);
    return key;
  }

  /** For each sighting of one user's page: true when its version is the newest one known. */
  async seen(minerName: string, sightings: readonly Sighting[], ttlMs: number): Promise<readonly boolean[]> {
    const keys = sightings.map((sighting) => this.keyOf(minerName, sighting.userId, sighting.id));
    const versions = new Map<string, string>();
    for (const [index, key] of keys.entries()) {
      const inFlight = this.#inFlight.get(key.cacheKey);
      const isOurs = inFlight?.isAcknowledged === true && inFlight.runId === sightings[index]?.runId;
      if (isOurs) versions.set(key.row, inFlight.version);
    }
    await this.#askTiers(keys, versions, ttlMs);
    const missing = keys.filter((key) => !versions.has(key.row));
    const found = await this.#askLedger(missing);
    const learnt = missing.flatMap((key): Fact[] => {
      const last = found.get(key.row);
      return last === undefined ? [] : [{ key, ...last }];
    });
    for (const { key, version } of learnt) versions.set(key.row, version);
    await this.#fill(this.#deps.tiers, learnt, ttlMs);
    return sightings.map((sighting, index) => versions.get(keys[index]!.row) === sighting.version);
  }

  /**
   * The version is handed over for sending. Whoever meets it again still sends it, because the broker may never get it:
   * a send that fails needs no word.
   */
  sending(minerName: string, sighting: Sighting): void {
    const key = this.keyOf(minerName, sighting.userId, sighting.id).cacheKey;
    const { version, runId } = sighting;
    const before = this.#inFlight.get(key);
    if (before?.version === version && before.runId === runId) return;
    this.#inFlight.delete(key);
    this.#inFlight.set(key, { version, runId, isAcknowledged: false });
    trimOldest(this.#inFlight, IN_FLIGHT_LIMIT);
  }

  /** The broker has the version: the same one again is seen, any other one is new. What is ingested by now stays forgotten. */
  sent(minerName: string, sighting: Sighting): void {
    const inFlight = this.#inFlight.get(this.keyOf(minerName, sighting.userId, sighting.id).cacheKey);
    if (inFlight?.version === sighting.version && inFlight.runId === sighting.runId) inFlight.isAcknowledged = true;
  }

  /** After ingest, and only then: these versions are the newest in the lake. */
  async ingested(entries: readonly IngestedItem[], ttlMs: number): Promise<void> {
    for (const { key, newest } of entries) this.#rememberRecent(key.cacheKey, newest);
    const facts = entries.map(({ key, newest }): Fact => ({ key, ...newest }));
    await this.#fill(this.#deps.tiers, facts, ttlMs);
    for (const entry of entries) this.#forget(entry.key.cacheKey, entry.version);
  }

  /**
   * These items were ingested by a worker who may have died before it told the tiers, or their envelope was discarded: whatever the
   * tiers say of them is older than the ledger, which is asked again.
   */
  async doubt(keys: readonly ItemKey[]): Promise<void> {
    for (const tier of this.#deps.tiers) {
      await tier.deleteMany(keys.map(({ cacheKey }) => cacheKey)).catch(this.#deps.onTierError);
    }
  }

  #forget(key: string, version: string): void {
    if (this.#inFlight.get(key)?.version === version) this.#inFlight.delete(key);
  }

  #rememberRecent(key: string, newest: Candidate): void {
    const before = this.#recent.get(key);
    if (before !== undefined && isAfter(before, newest)) return;
    this.#recent.delete(key);
    this.#recent.set(key, newest);
    trimOldest(this.#recent, RECENT_FACTS_LIMIT);
  }

  /** Envelopes of one item may be ingested at once and tell the cache in any order; so may a page that has just read the ledger. */
  #isOutdated(fact: Fact): boolean {
    const newest = this.#recent.get(fact.key.cacheKey);
    if (newest === undefined) return false;
    const { version, observedAtMs } = fact;
    return observedAtMs === undefined ? version !== newest.version : isAfter(newest, { version, observedAtMs });
  }

  async #askTiers(keys: readonly ItemKey[], versions: Map<string, string>, ttlMs: number): Promise<void> {
    for (const [level, tier] of this.#deps.tiers.entries()) {
      const missing = keys.filter((key) => !versions.has(key.row));
      if (missing.length === 0) return;
      try {
        const values = await tier.getMany(missing.map(({ cacheKey }) => cacheKey));
        const hits = missing.flatMap((key, index): Fact[] => {
          const value = values[index];
          return value === undefined ? [] : [{ key, ...decodeCached(value) }];
        });
        for (const { key, version } of hits) versions.set(key.row, version);
        await this.#fill(this.#deps.tiers.slice(0, level), hits, ttlMs);
      } catch (error) {
        this.#deps.onTierError(error);
      }
    }
  }

  async #fill(tiers: readonly Cache[], facts: readonly Fact[], ttlMs: number): Promise<void> {
    for (const tier of tiers) {
      // Looked at again for each tier, because time passes in between.
      const current = facts.filter((fact) => !this.#isOutdated(fact));
      if (current.length === 0) return;
      try {
        await tier.setMany(
          current.map((fact) => [fact.key.cacheKey, cachedOf(fact)] as const),
          ttlMs,
        );
      } catch (error) {
        this.#deps.onTierError(error);
      }
    }
  }

  /**
   * Newest observations by row. A user with few rows costs one range read, a large one point reads. Rows of one page belong to
   * one user; the bound of three rows per item holds whatever the ids look like, because the keys are hashes.
   */
  async #askLedger(keys: readonly ItemKey[]): Promise<ReadonlyMap<string, Candidate>> {
    const found = new Map<string, Candidate>();
    const learn = ({ row, value }: StoredRow): void => {
      const checkpoint = decodeCheckpoint(value);
      if (isSeen(checkpoint)) found.set(row, checkpoint.last);
    };
    const first = keys[0];
    if (first === undefined) return found;
    const userHash = first.row.slice(0, USER_HASH_DIGITS);
    const user = `${first.partition}|${userHash}`;
    if (!this.#largeUsers.has(user)) {
      const limit = Math.max(keys.length * RANGE_ROWS_PER_ITEM, 1);
      const range = { from: userHash, to: prefixEnd(userHash), limit };
      let rows = 0;
      for await (const stored of this.#deps.items.scan(first.partition, range)) {
        rows += 1;
        learn(stored);
      }
      if (rows < limit) return found;
      this.#rememberLarge(user);
    }
    const rest = keys.filter((key) => !found.has(key.row));
    const stored = await this.#deps.items.read(rest);
    for (const row of stored) if (row !== undefined) learn(row);
    return found;
  }

  #rememberLarge(user: string): void {
    this.#largeUsers.add(user);
    trimOldest(this.#largeUsers, LARGE_USERS_LIMIT);
  }
}

function cachedOf({ version, observedAtMs }: Fact): string {
  return observedAtMs === undefined ? version : encodeCached({ version, observedAtMs });
}
