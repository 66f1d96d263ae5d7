import type { Bus, Cache, Lake, Ledger, Rows, Upstream } from '../../runtime/ports.ts';

/** What a blown fuse throws. */
export class Blown extends Error {
  override readonly name = 'Blown';
}

export interface FuseOptions {
  /** Port call that fails, from 1; 0 = none. */
  readonly at: number;
  /** `before`: the call has no effect · `after`: it has, and its answer is lost. */
  readonly when: 'before' | 'after';
  /** `crash`: every later call fails too, as in a process that is gone · `hiccup`: only this one. */
  readonly mode: 'crash' | 'hiccup';
}

/** Counts the calls that a process makes to the outside and fails one of them. */
export class Fuse {
  readonly #options: FuseOptions;
  /** Calls so far. */
  calls = 0;
  isBlown = false;

  constructor(options: FuseOptions = { at: 0, when: 'before', mode: 'hiccup' }) {
    this.#options = options;
  }

  /** True when the process of this fuse is gone. */
  get isDead(): boolean {
    return this.isBlown && this.#options.mode === 'crash';
  }

  async run<T>(name: string, call: () => Promise<T>): Promise<T> {
    const { at, when } = this.#options;
    if (this.isDead) throw new Blown(`${name}: the process is gone`);
    this.calls += 1;
    if (this.calls !== at) return call();
    this.isBlown = true;
    if (when === 'after') await call();
    throw new Blown(`${name}: call ${at} failed ${when} its effect`);
  }
}

/** The outside of one process. */
export interface Outside {
  readonly bus: Bus;
  readonly ledger: Ledger;
  readonly lake: Lake;
  readonly upstream: Upstream;
  readonly redis: Cache;
}

/** Every port call goes through the fuse. */
export function throughFuse(outside: Outside, fuse: Fuse): Outside {
  const { bus, ledger, lake, upstream, redis } = outside;
  return {
    bus: {
      send: (entity, messages, signal) => fuse.run('bus.send', () => bus.send(entity, messages, signal)),
      consume: (entity, options, handler) => bus.consume(entity, options, handler),
      close: () => bus.close(),
    },
    ledger: {
      items: fusedRows(ledger.items, 'items', fuse),
      envelopes: fusedRows(ledger.envelopes, 'envelopes', fuse),
      runs: fusedRows(ledger.runs, 'runs', fuse),
      users: fusedRows(ledger.users, 'users', fuse),
      control: fusedRows(ledger.control, 'control', fuse),
      close: () => ledger.close(),
    },
    lake: {
      write: (name, text) => fuse.run('lake.write', () => lake.write(name, text)),
      create: (name, text) => fuse.run('lake.create', () => lake.create(name, text)),
      read: (name) => fuse.run('lake.read', () => lake.read(name)),
      list: (prefix) => lake.list(prefix),
    },
    upstream: {
      call: (call, signal) => fuse.run('upstream.call', () => upstream.call(call, signal)),
      close: () => upstream.close(),
    },
    redis: {
      getMany: (keys) => fuse.run('redis.getMany', () => redis.getMany(keys)),
      setMany: (entries, ttlMs) => fuse.run('redis.setMany', () => redis.setMany(entries, ttlMs)),
      deleteMany: (keys) => fuse.run('redis.deleteMany', () => redis.deleteMany(keys)),
      close: () => redis.close(),
    },
  };
}

function fusedRows(rows: Rows, table: string, fuse: Fuse): Rows {
  return {
    read: (keys) => fuse.run(`${table}.read`, () => rows.read(keys)),
    write: (writes) => fuse.run(`${table}.write`, () => rows.write(writes)),
    async *scan(partition, range) {
      await fuse.run(`${table}.scan`, () => Promise.resolve());
      yield* rows.scan(partition, range);
    },
  };
}
