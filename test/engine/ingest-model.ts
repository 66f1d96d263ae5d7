import { isSeen, voidClaim } from '../../runtime/core/checkpoint.ts';
import { judgeItem } from './ingest-judge.ts';
import { endOf, resultIn, type Shelf, viewOf } from './ingest-shelf.ts';
import { GIVEN_UP, OWN, OWN_LATE, RESULT_BASE, RowTable, UNKNOWN } from './ingest-rows.ts';
import {
  DISCARDED,
  DONE,
  EMPTY_OBJECT,
  NOT_ENDED,
  RELEASED,
  REOPENED,
  StateLayout,
  WORKER_FIELDS,
  WORKERS,
} from './ingest-layout.ts';
import {
  CLAIM_WRITE_DONE,
  type ModelResult,
  type ModelView,
  type Protocol,
  type Scenario,
  stepsOf,
  type Trace,
} from './ingest-scenarios.ts';

/** Where a worker stands. The steps are taken one at a time, and anything may happen in between. */
const IDLE = 0;
const LOOK_DONE = 1;
const READ = 2;
const SWAP = 3;
const WRITE = 4;
const MARK_DONE = 5;
const TELL_CACHE = 6;
const SETTLE = 7;
const REOPEN = 8;
const LOOK_AGAIN = 9;
const EMPTY = 10;
const VOID_READ = 11;
const VOID_SWAP = 12;
const END = 13;
const STEP_NAMES = [
  ...['rests', 'looks', 'reads', 'swaps', 'writes', 'marks done', 'tells the cache', 'settles', 'reopens'],
  ...['looks again', 'empties', 'reads to void', 'voids', 'ends'],
];

/** Whoever finds a row changed gives his message back. */
const GIVE_BACK = -1;

/** Explores every interleaving of two workers over a scenario, with the real claim decision. States are met once. */
export class IngestModel {
  readonly #scenario: Scenario;
  readonly #protocol: Protocol;
  readonly #layout: StateLayout;
  readonly #rows: RowTable;
  #violation: string | undefined;

  constructor(scenario: Scenario, protocol: Protocol = CLAIM_WRITE_DONE) {
    this.#scenario = scenario;
    this.#protocol = protocol;
    this.#layout = new StateLayout(scenario);
    this.#rows = new RowTable(scenario, protocol.decide);
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
        this.#layout.orderWorkers(next);
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
    const start = new Array<number>(this.#layout.size).fill(0);
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

  /** What of a state can be seen from outside. */
  view(state: readonly number[]): ModelView {
    return viewOf(this.#shelf(state));
  }

  // ------------------------------------------------------------ steps

  #successors(state: number[], visit: (step: string, next: number[]) => void): void {
    if (state[2]! > 0) visit(`stray write of E${state[2]}`, this.#landStray(state));
    for (const envelope of this.#scenario.discards ?? []) this.#discard(state, envelope, visit);
    for (let worker = 0; worker < WORKERS; worker += 1) {
      const at = this.#layout.workerAt(worker);
      if (state[at + 1] === IDLE) this.#deliveries(state, worker, visit);
      else {
        visit(`W${worker} ${STEP_NAMES[state[at + 1]!]} E${state[at]}`, this.#step(state, worker));
        if (state[0]! > 0) this.#crashes(state, worker, visit);
      }
    }
  }

  /** A person gives up a dead letter, which is sent again; a worker who has lost its lock may still be at work on it. */
  #discard(state: number[], envelope: number, visit: (step: string, next: number[]) => void): void {
    const at = this.#layout.envelopeAt(envelope);
    const isOpen = state[at] === NOT_ENDED || state[at]! >= REOPENED;
    if (state[at + 1] === 1 || !isOpen) return;
    const next = state.slice();
    next[at] = DISCARDED;
    visit(`discard of E${envelope + 1}`, next);
  }

  /** An envelope that is not settled is delivered to an idle worker, also when the other still works on it: its lock is lost then. */
  #deliveries(state: number[], worker: number, visit: (step: string, next: number[]) => void): void {
    for (const envelope of this.#scenario.envelopes.keys()) {
      const at = this.#layout.envelopeAt(envelope);
      if (state[at + 1] === 1) continue;
      const next = state.slice();
      next[at + 2] = worker + 1;
      next[this.#layout.workerAt(worker)] = envelope + 1;
      next[this.#layout.workerAt(worker) + 1] = LOOK_DONE;
      visit(`E${envelope + 1} to W${worker}`, next);
    }
  }

  /** The worker is gone at once; a write that it had begun may still land later. */
  #crashes(state: number[], worker: number, visit: (step: string, next: number[]) => void): void {
    const at = this.#layout.workerAt(worker);
    const envelope = state[at]! - 1;
    const next = state.slice();
    next[0]! -= 1;
    if (next[this.#layout.envelopeAt(envelope) + 2] === worker + 1) next[this.#layout.envelopeAt(envelope) + 2] = 0;
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
    const object = this.#layout.envelopeAt(state[2]! - 1) + 3;
    if (next[object] === 0) next[object] = state[3]!;
    next[2] = 0;
    next[3] = 0;
    return next;
  }

  #step(state: number[], worker: number): number[] {
    const next = state.slice();
    const at = this.#layout.workerAt(worker);
    const envelope = state[at]! - 1;
    const ended = this.#layout.envelopeAt(envelope);
    switch (state[at + 1]) {
      case LOOK_DONE:
        next[at + 4] = state[ended]!;
        if (state[ended] === DONE || state[ended] === RELEASED) next[at + 1] = SETTLE;
        else if (state[ended] === DISCARDED) next[at + 1] = EMPTY;
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
        this.#write(next, worker);
        break;
      case MARK_DONE:
        next[at + 1] = this.#change(next, worker, DONE) ? TELL_CACHE : LOOK_AGAIN;
        break;
      case LOOK_AGAIN:
        next[at + 1] = state[ended] === DONE ? TELL_CACHE : GIVE_BACK;
        break;
      case REOPEN:
        next[at + 5] = 1;
        next[at + 1] = this.#change(next, worker, Math.max(REOPENED, next[at + 4]! + 1)) ? SWAP : GIVE_BACK;
        break;
      case EMPTY:
        if (next[ended + 3] === 0) next[ended + 3] = EMPTY_OBJECT;
        next[at + 1] = next[ended + 3] === EMPTY_OBJECT ? VOID_READ : END;
        break;
      case VOID_READ:
      case VOID_SWAP:
        this.#void(next, worker);
        break;
      case END:
        next[ended] = state[ended + 3] === EMPTY_OBJECT ? RELEASED : DONE;
        next[at + 1] = SETTLE;
        break;
      case TELL_CACHE:
        // What the worker knew when it claimed: others may have gone on since.
        for (const [position, { item }] of this.#scenario.envelopes[envelope]!.entries()) {
          const row = Math.floor(next[at + WORKER_FIELDS + position]! / RESULT_BASE);
          if (row !== 0 && isSeen(this.#rows.all[row]!)) next[this.#layout.cacheAt(item)] = row;
        }
        next[at + 1] = SETTLE;
        break;
      case SETTLE:
        // Only the holder of the lock settles; the others learn that they had lost it.
        if (next[this.#layout.envelopeAt(envelope) + 2] === worker + 1) next[this.#layout.envelopeAt(envelope) + 1] = 1;
        this.#rest(next, worker);
        break;
      default:
        throw new Error(`no step ${state[at + 1]}`);
    }
    if (next[at + 1] === GIVE_BACK) this.#rest(next, worker);
    return next;
  }

  #read(next: number[], worker: number): void {
    const at = this.#layout.workerAt(worker);
    const position = next[at + 2]!;
    const candidate = this.#scenario.envelopes[next[at]! - 1]![position]!;
    next[at + 3] = next[this.#layout.rowAt(candidate.item)]!;
    if (this.#protocol.order === 'claim-write' || this.#hasResults(next, worker)) {
      next[at + 1] = SWAP;
      return;
    }
    // Broken order: what the row allows now is written before it is claimed.
    next[at + WORKER_FIELDS + position] = this.#rows.decide(next[at + 3]!, next[at]! - 1, position).result;
    this.#advance(next, worker, WRITE);
  }

  /** Compare-and-set of one row: it fails when the row is not the one that the worker has read. */
  #swap(next: number[], worker: number): void {
    const at = this.#layout.workerAt(worker);
    const position = next[at + 2]!;
    const { item } = this.#scenario.envelopes[next[at]! - 1]![position]!;
    const read = next[at + 3]!;
    const decision = this.#rows.decide(read, next[at]! - 1, position);
    if (decision.isReopened && next[at + 5] === 0 && this.#protocol.reopens !== false) {
      next[at + 1] = REOPEN;
      return;
    }
    if (decision.row !== read && next[this.#layout.rowAt(item)] !== read) {
      next[at + 1] = READ;
      return;
    }
    next[this.#layout.rowAt(item)] = decision.row === read ? next[this.#layout.rowAt(item)]! : decision.row;
    next[at + WORKER_FIELDS + position] =
      decision.result === GIVEN_UP ? GIVEN_UP : decision.result + RESULT_BASE * decision.row;
    this.#advance(next, worker, this.#protocol.order === 'claim-write' ? WRITE : MARK_DONE);
  }

  /** To the next item of the envelope, or to the step after the last one. */
  #advance(next: number[], worker: number, after: number): void {
    const at = this.#layout.workerAt(worker);
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
    const at = this.#layout.workerAt(worker);
    return this.#scenario.envelopes[next[at]! - 1]!.every(
      (_, position) => next[at + WORKER_FIELDS + position] !== UNKNOWN,
    );
  }

  #rest(next: number[], worker: number): void {
    next.fill(0, this.#layout.workerAt(worker), this.#layout.workerAt(worker + 1));
  }

  /** The lake object as one number: which items it holds, and which of them as late. 0 = no object. */
  #bytesOf(state: readonly number[], worker: number): number {
    const at = this.#layout.workerAt(worker);
    let bytes = 0;
    for (const position of this.#scenario.envelopes[state[at]! - 1]!.keys()) {
      const result = state[at + WORKER_FIELDS + position]! % RESULT_BASE;
      bytes = bytes * RESULT_BASE + (result === OWN || result === OWN_LATE ? result : 0);
    }
    return bytes;
  }

  /** An object is made once. Whoever finds another one keeps to it. */
  #write(next: number[], worker: number): void {
    const at = this.#layout.workerAt(worker);
    const object = this.#layout.envelopeAt(next[at]! - 1) + 3;
    const bytes = this.#bytesOf(next, worker);
    if (next[object] === 0) next[object] = bytes;
    if (next[object] === bytes) next[at + 1] = this.#afterWrite();
    else if (next[object] === EMPTY_OBJECT) next[at + 1] = GIVE_BACK;
    else if (this.#scenario.discards === undefined)
      this.#violation ??= 'the object of an envelope would have changed its bytes';
    else this.#voidNext(next, worker, 0);
  }

  /** Changes the row of the worker's envelope when it is still the one that the worker has met. */
  #change(next: number[], worker: number, to: number): boolean {
    const at = this.#layout.workerAt(worker);
    const row = this.#layout.envelopeAt(next[at]! - 1);
    if (next[row] !== next[at + 4]) return false;
    next[row] = to;
    next[at + 4] = to;
    return true;
  }

  #void(next: number[], worker: number): void {
    const at = this.#layout.workerAt(worker);
    const envelope = next[at]! - 1;
    const position = next[at + 2]!;
    const candidate = this.#scenario.envelopes[envelope]![position]!;
    const row = this.#layout.rowAt(candidate.item);
    if (next[at + 1] === VOID_READ) {
      next[at + 3] = next[row]!;
      next[at + 1] = VOID_SWAP;
      return;
    }
    const voided = (this.#protocol.voidClaim ?? voidClaim)(this.#rows.all[next[at + 3]!], candidate, `E${envelope}`, 0);
    if (voided !== undefined && next[row] !== next[at + 3]) {
      next[at + 1] = VOID_READ;
      return;
    }
    if (voided !== undefined) next[row] = this.#rows.idOf(voided);
    this.#voidNext(next, worker, position + 1);
  }

  /** To the next item that is to be void: all of a discarded envelope, else what the object lacks. */
  #voidNext(next: number[], worker: number, from: number): void {
    const at = this.#layout.workerAt(worker);
    const items = this.#scenario.envelopes[next[at]! - 1]!;
    const object = next[this.#layout.envelopeAt(next[at]! - 1) + 3]!;
    const isLacking = (position: number): boolean =>
      object === EMPTY_OBJECT || resultIn(object, items.length, position) === UNKNOWN;
    const position = items.findIndex((_, position) => position >= from && isLacking(position));
    next[at + 3] = 0;
    next[at + 2] = Math.max(0, position);
    if (position >= 0) next[at + 1] = VOID_READ;
    else if (object === EMPTY_OBJECT) next[at + 1] = END;
    else {
      next[at + 1] = MARK_DONE;
      // What it knew of its claims is no fact for the cache.
      next.fill(GIVEN_UP, at + WORKER_FIELDS, at + WORKER_FIELDS + items.length);
    }
  }

  // ------------------------------------------------------------ what must hold at every end

  #shelf(state: readonly number[]): Shelf {
    return { state, layout: this.#layout, scenario: this.#scenario, rows: this.#rows.all };
  }

  #judge(state: readonly number[]): string | undefined {
    for (const envelope of this.#scenario.envelopes.keys()) {
      const at = this.#layout.envelopeAt(envelope);
      const isEnded = state[at] === DONE || state[at] === RELEASED;
      if (!isEnded || state[at + 1] !== 1) return `E${envelope + 1} is never done`;
    }
    for (let item = 0; item < this.#layout.items; item += 1) {
      const wrong = judgeItem(endOf(this.#shelf(state), item));
      if (wrong !== undefined) return `item ${item}: ${wrong}`;
    }
    return undefined;
  }
}

function keyOf(state: readonly number[]): string {
  return String.fromCharCode(...state);
}
