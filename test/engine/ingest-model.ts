import { type Candidate, encodeCheckpoint, type ItemCheckpoint } from '../../runtime/core/checkpoint.ts';
import {
  CLAIM_WRITE_DONE,
  type ModelItem,
  type ModelResult,
  type ModelView,
  type Protocol,
  type Scenario,
  stepsOf,
  type Trace,
} from './ingest-scenarios.ts';

const WORKERS = 2;

/** Where a worker stands. The steps are taken one at a time, and anything may happen in between. */
const IDLE = 0;
const LOOK_DONE = 1;
const READ = 2;
const SWAP = 3;
const WRITE = 4;
const MARK_DONE = 5;
const TELL_CACHE = 6;
const SETTLE = 7;
const STEP_NAMES = ['rests', 'looks', 'reads', 'swaps', 'writes', 'marks done', 'tells the cache', 'settles'];

/** What a worker knows of an item. */
const UNKNOWN = 0;
const OWN = 1;
const OWN_LATE = 2;
const KNOWN = 3;
const RESULT_BASE = 4;

interface Decision {
  readonly result: number;
  /** Row after the decision. */
  readonly row: number;
}

/** Explores every interleaving of two workers over a scenario, with the real claim decision. States are met once. */
export class IngestModel {
  readonly #scenario: Scenario;
  readonly #protocol: Protocol;
  readonly #items: number;
  /** Rows are numbers in the states; 0 = no row. Rows only grow, so that an equal row is an equal revision. */
  readonly #rows: (ItemCheckpoint | undefined)[] = [undefined];
  readonly #rowIds = new Map<string, number>();
  readonly #decisions = new Map<number, Decision>();
  readonly #size: number;
  #violation: string | undefined;

  constructor(scenario: Scenario, protocol: Protocol = CLAIM_WRITE_DONE) {
    this.#scenario = scenario;
    this.#protocol = protocol;
    this.#items = 1 + Math.max(...scenario.envelopes.flat().map(({ item }) => item));
    this.#size = this.#workerAt(WORKERS);
  }

  /** @param statesLimit - more states than this are a mistake in the scenario. */
  run(statesLimit = 5_000_000): ModelResult {
    const seen = new Set<string>();
    const start = this.start();
    const stack: { state: number[]; trace: Trace | undefined }[] = [{ state: start, trace: undefined }];
    seen.add(keyOf(start));
    let finalStates = 0;
    for (let top = stack.pop(); top !== undefined && this.#violation === undefined; top = stack.pop()) {
      const { state, trace } = top;
      let isFinal = true;
      const visit = (step: string, next: number[]): void => {
        isFinal = false;
        this.#orderWorkers(next);
        const key = keyOf(next);
        if (seen.has(key)) return;
        seen.add(key);
        stack.push({ state: next, trace: { step, before: trace } });
      };
      this.#successors(state, visit);
      if (isFinal) {
        finalStates += 1;
        this.#violation ??= this.#judge(state);
      }
      if (this.#violation !== undefined) this.#violation += ` after: ${stepsOf(trace).join(', ')}`;
      if (seen.size > statesLimit) throw new Error(`more than ${statesLimit} states`);
    }
    return { states: seen.size, finalStates, violation: this.#violation };
  }

  /** Nothing has been delivered yet. */
  start(): number[] {
    const start = new Array<number>(this.#size).fill(0);
    start[0] = this.#scenario.crashes;
    start[1] = this.#scenario.strayWrites;
    return start;
  }

  /** Everything that may happen next, by name. */
  steps(state: number[]): readonly { readonly step: string; readonly next: number[] }[] {
    const steps: { step: string; next: number[] }[] = [];
    this.#successors(state, (step, next) => steps.push({ step, next }));
    return steps;
  }

  /** What of a state can be seen from outside: row of every item, and of every envelope whether it is done, and its object. */
  view(state: readonly number[]): ModelView {
    const envelopes = [...this.#scenario.envelopes.keys()];
    const items = Array.from({ length: this.#items }, (_, item) => item);
    const rowOf = (item: number): ItemCheckpoint | undefined => this.#rows[state[this.#rowAt(item)]!];
    return {
      rows: items.map((item) => (rowOf(item) === undefined ? '' : encodeCheckpoint(rowOf(item)!))),
      done: envelopes.map((envelope) => state[this.#envelopeAt(envelope)] === 1),
      objects: envelopes.map((envelope) => state[this.#envelopeAt(envelope) + 3] !== 0),
      lake: items.flatMap((item) =>
        this.#lakeRows(state, item).map(({ version, isLate }) => `${item} ${version} ${isLate}`),
      ),
    };
  }

  // ------------------------------------------------------------ layout of a state

  // 0 crashes left, 1 stray writes left, 2 stray envelope + 1, 3 its bytes; rows; cache rows; per envelope: done, settled, holder, bytes; per worker.

  #rowAt(item: number): number {
    return 4 + item;
  }

  #cacheAt(item: number): number {
    return 4 + this.#items + item;
  }

  #envelopeAt(envelope: number): number {
    return 4 + 2 * this.#items + 4 * envelope;
  }

  /** Per worker: envelope + 1, step, position in the envelope, row as read; per item its result and the row after it. */
  #workerAt(worker: number): number {
    return this.#envelopeAt(this.#scenario.envelopes.length) + worker * (4 + this.#itemsMax());
  }

  #itemsMax(): number {
    return Math.max(...this.#scenario.envelopes.map((items) => items.length));
  }

  /** The workers are alike: of two states that differ only in their names, one is explored. */
  #orderWorkers(state: number[]): void {
    const at = this.#workerAt(0);
    const size = this.#workerAt(1) - at;
    let differs = 0;
    for (let field = 0; field < size && differs === 0; field += 1)
      differs = state[at + field]! - state[at + size + field]!;
    if (differs <= 0) return;
    const first = state.splice(at, size);
    state.push(...first);
    for (const envelope of this.#scenario.envelopes.keys()) {
      const holder = this.#envelopeAt(envelope) + 2;
      if (state[holder] !== 0) state[holder] = 1 + WORKERS - state[holder]!;
    }
  }

  // ------------------------------------------------------------ steps

  #successors(state: number[], visit: (step: string, next: number[]) => void): void {
    if (state[2]! > 0) visit(`stray write of E${state[2]}`, this.#landStray(state));
    for (let worker = 0; worker < WORKERS; worker += 1) {
      const at = this.#workerAt(worker);
      if (state[at + 1] === IDLE) this.#deliveries(state, worker, visit);
      else {
        visit(`W${worker} ${STEP_NAMES[state[at + 1]!]} E${state[at]}`, this.#step(state, worker));
        if (state[0]! > 0) this.#crashes(state, worker, visit);
      }
    }
  }

  /** An envelope that is not settled is delivered to an idle worker, also when the other still works on it: its lock is lost then. */
  #deliveries(state: number[], worker: number, visit: (step: string, next: number[]) => void): void {
    for (const envelope of this.#scenario.envelopes.keys()) {
      const at = this.#envelopeAt(envelope);
      if (state[at + 1] === 1) continue;
      const next = state.slice();
      next[at + 2] = worker + 1;
      next[this.#workerAt(worker)] = envelope + 1;
      next[this.#workerAt(worker) + 1] = LOOK_DONE;
      visit(`E${envelope + 1} to W${worker}`, next);
    }
  }

  /** The worker is gone at once; a write that it had begun may still land later. */
  #crashes(state: number[], worker: number, visit: (step: string, next: number[]) => void): void {
    const at = this.#workerAt(worker);
    const envelope = state[at]! - 1;
    const next = state.slice();
    next[0]! -= 1;
    if (next[this.#envelopeAt(envelope) + 2] === worker + 1) next[this.#envelopeAt(envelope) + 2] = 0;
    this.#rest(next, worker);
    visit(`W${worker} dies before it ${STEP_NAMES[state[at + 1]!]} E${state[at]}`, next);
    if (state[at + 1] !== WRITE || state[1] === 0 || state[2] !== 0) return;
    const stray = next.slice();
    stray[1]! -= 1;
    stray[2] = envelope + 1;
    stray[3] = this.#bytesOf(state, worker);
    visit(`W${worker} dies while it writes`, stray);
  }

  #landStray(state: number[]): number[] {
    const next = state.slice();
    this.#writeObject(next, state[2]! - 1, state[3]!);
    next[2] = 0;
    next[3] = 0;
    return next;
  }

  #step(state: number[], worker: number): number[] {
    const next = state.slice();
    const at = this.#workerAt(worker);
    const envelope = state[at]! - 1;
    switch (state[at + 1]) {
      case LOOK_DONE:
        if (state[this.#envelopeAt(envelope)] === 1) next[at + 1] = SETTLE;
        // The fast path: no read before the first insert.
        else next[at + 1] = this.#protocol.order === 'claim-write' ? SWAP : READ;
        break;
      case READ:
        this.#read(next, worker);
        break;
      case SWAP:
        this.#swap(next, worker);
        break;
      case WRITE:
        this.#writeObject(next, envelope, this.#bytesOf(next, worker));
        next[at + 1] = this.#protocol.order === 'claim-write' ? MARK_DONE : SWAP;
        break;
      case MARK_DONE:
        next[this.#envelopeAt(envelope)] = 1;
        next[at + 1] = TELL_CACHE;
        break;
      case TELL_CACHE:
        // What the worker knew when it claimed: others may have gone on since.
        for (const [position, { item }] of this.#scenario.envelopes[envelope]!.entries()) {
          next[this.#cacheAt(item)] = Math.floor(next[at + 4 + position]! / RESULT_BASE);
        }
        next[at + 1] = SETTLE;
        break;
      case SETTLE:
        // Only the holder of the lock settles; the others learn that they had lost it.
        if (next[this.#envelopeAt(envelope) + 2] === worker + 1) next[this.#envelopeAt(envelope) + 1] = 1;
        this.#rest(next, worker);
        break;
      default:
        throw new Error(`no step ${state[at + 1]}`);
    }
    return next;
  }

  #read(next: number[], worker: number): void {
    const at = this.#workerAt(worker);
    const position = next[at + 2]!;
    const candidate = this.#scenario.envelopes[next[at]! - 1]![position]!;
    next[at + 3] = next[this.#rowAt(candidate.item)]!;
    if (this.#protocol.order === 'claim-write' || this.#hasResults(next, worker)) {
      next[at + 1] = SWAP;
      return;
    }
    // Broken order: what the row allows now is written before it is claimed.
    next[at + 4 + position] = this.#decide(next[at + 3]!, next[at]! - 1, position).result;
    this.#advance(next, worker, WRITE);
  }

  /** Compare-and-set of one row: it fails when the row is not the one that the worker has read. */
  #swap(next: number[], worker: number): void {
    const at = this.#workerAt(worker);
    const position = next[at + 2]!;
    const { item } = this.#scenario.envelopes[next[at]! - 1]![position]!;
    const read = next[at + 3]!;
    const decision = this.#decide(read, next[at]! - 1, position);
    if (decision.row !== read && next[this.#rowAt(item)] !== read) {
      next[at + 1] = READ;
      return;
    }
    next[this.#rowAt(item)] = decision.row === read ? next[this.#rowAt(item)]! : decision.row;
    next[at + 4 + position] = decision.result + RESULT_BASE * decision.row;
    this.#advance(next, worker, this.#protocol.order === 'claim-write' ? WRITE : MARK_DONE);
  }

  /** To the next item of the envelope, or to the step after the last one. */
  #advance(next: number[], worker: number, after: number): void {
    const at = this.#workerAt(worker);
    next[at + 3] = 0;
    next[at + 2]! += 1;
    if (next[at + 2]! < this.#scenario.envelopes[next[at]! - 1]!.length) return;
    next[at + 2] = 0;
    next[at + 1] = after === WRITE && this.#bytesOf(next, worker) === 0 ? this.#afterWrite() : after;
  }

  #afterWrite(): number {
    return this.#protocol.order === 'claim-write' ? MARK_DONE : SWAP;
  }

  #hasResults(next: readonly number[], worker: number): boolean {
    const at = this.#workerAt(worker);
    return this.#scenario.envelopes[next[at]! - 1]!.every((_, position) => next[at + 4 + position] !== UNKNOWN);
  }

  #rest(next: number[], worker: number): void {
    next.fill(0, this.#workerAt(worker), this.#workerAt(worker + 1));
  }

  #decide(row: number, envelope: number, position: number): Decision {
    const key = (row * 16 + envelope) * 16 + position;
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const candidate = this.#scenario.envelopes[envelope]![position]!;
    const decision = this.#protocol.decide(this.#rows[row], candidate, `E${envelope}`, 0);
    const own = decision.isLate ? OWN_LATE : OWN;
    const made = {
      result: decision.verdict === 'own' ? own : KNOWN,
      row: decision.write === undefined ? row : this.#rowId(decision.write),
    };
    this.#decisions.set(key, made);
    return made;
  }

  #rowId(row: ItemCheckpoint): number {
    const text = encodeCheckpoint(row);
    const id = this.#rowIds.get(text) ?? this.#rows.push(row) - 1;
    this.#rowIds.set(text, id);
    return id;
  }

  /** The lake object as one number: which items it holds, and which of them as late. 0 = no object. */
  #bytesOf(state: readonly number[], worker: number): number {
    const at = this.#workerAt(worker);
    let bytes = 0;
    for (const position of this.#scenario.envelopes[state[at]! - 1]!.keys()) {
      const result = state[at + 4 + position]! % RESULT_BASE;
      bytes = bytes * RESULT_BASE + (result === OWN || result === OWN_LATE ? result : 0);
    }
    return bytes;
  }

  #writeObject(next: number[], envelope: number, bytes: number): void {
    const at = this.#envelopeAt(envelope) + 3;
    if (next[at] !== 0 && next[at] !== bytes) this.#violation ??= `the object of E${envelope + 1} changed its bytes`;
    next[at] = bytes;
  }

  // ------------------------------------------------------------ what must hold at every end

  #judge(state: readonly number[]): string | undefined {
    for (const envelope of this.#scenario.envelopes.keys()) {
      const at = this.#envelopeAt(envelope);
      if (state[at] !== 1 || state[at + 1] !== 1) return `E${envelope + 1} is never done`;
    }
    for (let item = 0; item < this.#items; item += 1) {
      const wrong = this.#judgeItem(state, item);
      if (wrong !== undefined) return `item ${item}: ${wrong}`;
    }
    return undefined;
  }

  #judgeItem(state: readonly number[], item: number): string | undefined {
    const observed = this.#scenario.envelopes
      .flat()
      .filter((candidate) => candidate.item === item)
      .toSorted(byTime);
    const lake = this.#lakeRows(state, item).toSorted(byTime);
    const versions = new Set(lake.map(({ version }) => version));
    const lost = observed.find(({ version }) => !versions.has(version));
    if (lost !== undefined) return `version ${lost.version} is lost`;
    const twice = lake.find(({ version }, index) => version === lake[index + 1]?.version);
    if (twice !== undefined) return `version ${twice.version} is there twice in a row`;
    // Of the newest observations of one millisecond any may be the newest, but ledger and lake must agree.
    const newest = observed.filter(({ observedAtMs }) => observedAtMs === observed.at(-1)?.observedAtMs);
    const last = this.#rows[state[this.#rowAt(item)]!]?.last.version;
    if (!newest.some(({ version }) => version === last)) return `the ledger says ${last}`;
    const rows = lake.filter(({ isLate, observedAtMs }) => !isLate && observedAtMs === newest[0]?.observedAtMs);
    const top = rows.length > 1 ? rows.find(({ version }) => version === last) : lake.findLast(({ isLate }) => !isLate);
    if (top?.version !== last) return `the newest row is ${top?.version}, the newest observation ${last}`;
    const cached = this.#rows[state[this.#cacheAt(item)]!];
    if (cached !== undefined && !versions.has(cached.last.version)) return `the cache knows ${cached.last.version}`;
    return undefined;
  }

  #lakeRows(state: readonly number[], item: number): (ModelItem & { isLate: boolean })[] {
    return this.#scenario.envelopes.flatMap((items, envelope) => {
      const bytes = state[this.#envelopeAt(envelope) + 3]!;
      return items.flatMap((candidate, position) => {
        const result = Math.floor(bytes / RESULT_BASE ** (items.length - 1 - position)) % RESULT_BASE;
        return candidate.item === item && result !== 0 ? [{ ...candidate, isLate: result === OWN_LATE }] : [];
      });
    });
  }
}

function keyOf(state: readonly number[]): string {
  return String.fromCharCode(...state);
}

function byTime(a: Candidate, b: Candidate): number {
  if (a.observedAtMs !== b.observedAtMs) return a.observedAtMs - b.observedAtMs;
  return a.version < b.version ? -1 : Number(a.version > b.version);
}
