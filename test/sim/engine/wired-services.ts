import type {
  Cache,
  Lake,
  Ledger,
  RowKey,
  RowOutcome,
  Rows,
  RowWrite,
  SharedBudgets,
  StoredRow,
} from '../../../runtime/ports.ts';
import type { Dice } from '../../fakes/dice.ts';
import type { Service } from './plan.ts';
import type { Caller, Wire } from './wire.ts';

/** A service as one process reaches it. */
export interface Line {
  readonly wire: Wire;
  readonly caller: Caller;
  readonly dice: Dice;
}

/** Told what a call has done, once it has its effect. */
export interface Watchers {
  readonly onRunWritten: (caller: Caller, write: RowWrite, before: StoredRow | undefined) => void;
  readonly onObjectWritten: (name: string, text: string, before: string | undefined) => void;
}

function through<T>({ wire, caller }: Line, service: Service, operation: string, effect: () => Promise<T>): Promise<T> {
  return wire.call({ caller, service, operation, effect });
}

/** The ledger behind the wire. `transactionRefusal`: share of writes that are refused whole because of one row. */
export function wiredLedger(line: Line, ledger: Ledger, transactionRefusal: number, watchers: Watchers): Ledger {
  const rows = (table: Rows, name: string, onWritten?: Watchers['onRunWritten']): Rows =>
    wiredRows(line, table, { name, transactionRefusal, onWritten });
  return {
    items: rows(ledger.items, 'items'),
    envelopes: rows(ledger.envelopes, 'envelopes'),
    runs: rows(ledger.runs, 'runs', watchers.onRunWritten),
    users: rows(ledger.users, 'users'),
    control: rows(ledger.control, 'control'),
    close: () => Promise.resolve(),
  };
}

interface TableOptions {
  readonly name: string;
  readonly transactionRefusal: number;
  readonly onWritten: Watchers['onRunWritten'] | undefined;
}

function wiredRows(line: Line, table: Rows, options: TableOptions): Rows {
  const { name, onWritten } = options;
  const write = async (writes: readonly RowWrite[]): Promise<readonly RowOutcome[]> => {
    const before = await table.read(writes);
    // An entity transaction is refused whole when one of its rows does not meet its condition.
    const isRefused = !line.wire.isHealed && writes.length > 1 && line.dice.chance(options.transactionRefusal);
    if (isRefused && writes.some((row, index) => !meets(row, before[index]))) return writes.map(() => ({ ok: false }));
    const outcomes = await table.write(writes);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.ok) onWritten?.(line.caller, writes[index]!, before[index]);
    }
    return outcomes;
  };
  return {
    read: (keys: readonly RowKey[]) => through(line, 'ledger', `${name}.read`, () => table.read(keys)),
    write: (writes) => through(line, 'ledger', `${name}.write`, () => write(writes)),
    async *scan(partition, range) {
      const rows = await through(line, 'ledger', `${name}.scan`, () => Array.fromAsync(table.scan(partition, range)));
      yield* rows;
    },
  };
}

function meets({ ifMatch }: RowWrite, stored: StoredRow | undefined): boolean {
  if (ifMatch === 'any') return true;
  return ifMatch === 'absent' ? stored === undefined : stored?.etag === ifMatch;
}

/** The lake behind the wire. */
export function wiredLake(line: Line, lake: Lake, { onObjectWritten }: Watchers): Lake {
  const write = async (name: string, text: string): Promise<void> => {
    const before = await lake.read(name);
    await lake.write(name, text);
    onObjectWritten(name, text, before);
  };
  const create = async (name: string, text: string): Promise<boolean> => {
    const isNew = await lake.create(name, text);
    if (isNew) onObjectWritten(name, text, undefined);
    return isNew;
  };
  return {
    write: (name, text) => through(line, 'lake', 'lake.write', () => write(name, text)),
    create: (name, text) => through(line, 'lake', 'lake.create', () => create(name, text)),
    read: (name) => through(line, 'lake', 'lake.read', () => lake.read(name)),
    list: (prefix) => lake.list(prefix),
  };
}

/** The shared cache behind the wire. */
export function wiredCache(line: Line, cache: Cache): Cache {
  return {
    getMany: (keys) => through(line, 'redis', 'redis.getMany', () => cache.getMany(keys)),
    setMany: (entries, ttlMs) => through(line, 'redis', 'redis.setMany', () => cache.setMany(entries, ttlMs)),
    deleteMany: (keys) => through(line, 'redis', 'redis.deleteMany', () => cache.deleteMany(keys)),
    close: () => Promise.resolve(),
  };
}

/** Told how a process gets on with the shared budgets. */
export interface BudgetWatchers {
  /** An answer about a seat has come. */
  readonly onSeat: (caller: Caller) => void;
  /** They were not reached. */
  readonly onUnreached: (caller: Caller) => void;
}

/** The budgets that all processes share, behind the wire. */
export function wiredBudgets(
  line: Line,
  budgets: SharedBudgets,
  { onSeat, onUnreached }: BudgetWatchers,
): SharedBudgets {
  const reach = async <T>(operation: string, effect: () => Promise<T>): Promise<T> => {
    try {
      return await through(line, 'redis', operation, effect);
    } catch (error) {
      onUnreached(line.caller);
      throw error;
    }
  };
  return {
    take: (call, ask) => reach('budgets.take', () => budgets.take(call, ask)),
    note: (call, outcome, answered) => reach('budgets.note', () => budgets.note(call, outcome, answered)),
    seat: async (upstream, ask) => {
      const seat = await reach('budgets.seat', () => budgets.seat(upstream, ask));
      onSeat(line.caller);
      return seat;
    },
  };
}
