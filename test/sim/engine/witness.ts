import { decodeEnvelope, ENVELOPE_CONTENT_TYPE } from '../../../runtime/core/envelope.ts';
import type { OutgoingMessage, RowWrite, StoredRow, UpstreamAnswer } from '../../../runtime/ports.ts';
import type { Run } from '../../../runtime/core/run.ts';
import type { Plan } from './plan.ts';
import type { UpstreamWorld } from './upstream-world.ts';
import type { Caller } from './wire.ts';

/**
 * Whose calls share one budget. `process`: without a Redis each process keeps to a share of its own; that many processes on one
 * Redis keep to one budget is tested with a real one, in test/contract/budgets.
 */
export type BudgetScope = 'process' | 'fleet';
export const BUDGET_SCOPE: BudgetScope = 'process';

/** Times are whole milliseconds: a call may come this much earlier than it is due, in ms. */
const BUDGET_ROUNDING_MS = 1;

/** Sees everything that happens in a simulated world, and says at once what must not. */
export class Witness {
  readonly violations: string[] = [];
  /** `miner/user/id/version` of all that the broker has ever taken. */
  readonly sent = new Set<string>();
  readonly deadLetters = new Map<string, number>();
  runRowMaxBytes = 0;
  upstreamCalls = 0;
  perRunMax = 0;
  readonly #plan: Plan;
  readonly #upstream: UpstreamWorld;
  readonly #now: () => number;
  readonly #calls = new Map<string, number[]>();
  readonly #blockedUntilMs = new Map<string, number>();

  constructor(plan: Plan, upstream: UpstreamWorld, now: () => number) {
    this.#plan = plan;
    this.#upstream = upstream;
    this.#now = now;
  }

  violate(text: string): void {
    this.violations.push(text);
  }

  deadLetter(reason: string): void {
    this.deadLetters.set(reason, (this.deadLetters.get(reason) ?? 0) + 1);
  }

  waitingOfRun(count: number): void {
    this.perRunMax = Math.max(this.perRunMax, count);
  }

  /** A call leaves for the upstream: the budgets must have allowed it. */
  called(caller: Caller, userId: string): void {
    this.upstreamCalls += 1;
    const { userCallsPerSecond, upstreamCallsPerSecond } = this.#plan.settings;
    const scope = BUDGET_SCOPE === 'process' ? caller.name : 'fleet';
    if (!this.#hasTrueClocks()) return;
    this.#count(`${scope} ${userId}`, userCallsPerSecond);
    this.#count(`${scope} upstream`, upstreamCallsPerSecond);
    const stopMs = (this.#blockedUntilMs.get(`${scope} ${userId}`) ?? 0) - this.#now();
    if (stopMs > BUDGET_ROUNDING_MS)
      this.violate(`budget: ${caller.name} calls for ${userId} ${stopMs} ms before it may`);
  }

  /** The broker has taken an envelope: whatever is in it must come to the lake. */
  taken(message: OutgoingMessage): void {
    if (message.contentType !== ENVELOPE_CONTENT_TYPE) return;
    const { minerName, items } = decodeEnvelope(new TextDecoder().decode(message.body));
    for (const { userId, id, version } of items) this.sent.add(`${minerName}/${userId}/${id}/${version}`);
  }

  /** An answer came: what it says of waiting holds from now on. */
  answered(caller: Caller, userId: string, answer: UpstreamAnswer): void {
    if (answer.status !== 429) return;
    const seconds = answer.headers['retry-after'];
    const waitMs = seconds === undefined ? this.#plan.settings.rateLimitWaitMs : Number(seconds) * 1000;
    const scope = BUDGET_SCOPE === 'process' ? caller.name : 'fleet';
    const key = `${scope} ${userId}`;
    this.#blockedUntilMs.set(key, Math.max(this.#blockedUntilMs.get(key) ?? 0, this.#now() + waitMs));
  }

  /** A run row was written: when a page is checkpointed, its items count as delivered. */
  runWritten(caller: Caller, write: RowWrite, before: StoredRow | undefined): void {
    if (write.value === null) return;
    this.runRowMaxBytes = Math.max(this.runRowMaxBytes, Buffer.byteLength(write.value));
    if (before === undefined) return;
    const old = JSON.parse(before.value) as Run;
    const run = JSON.parse(write.value) as Run;
    if (old.runId !== run.runId) return;
    const wentBack = run.pages < old.pages || run.slice < old.slice || (old.state === 'done' && run.state !== 'done');
    if (wentBack) this.violate(`order: the run of ${run.minerName} of ${run.userId} went back`);
    if (run.pages !== old.pages + 1) return;
    const { minerName, userId, marker } = old;
    const candidates = this.#upstream.given({ minerName, userId, marker, process: caller.name });
    const missing = candidates.map(({ items }) =>
      items.find(({ id, version }) => !this.sent.has(`${minerName}/${userId}/${id}/${version}`)),
    );
    if (missing.length > 0 && missing.every((item) => item !== undefined)) {
      this.violate(
        `loss: page ${marker} of ${minerName}/${userId} was checkpointed, and the broker never had ${missing[0]?.id}`,
      );
    }
    if (candidates.length === 0)
      this.violate(`a page of ${minerName} of ${userId} was checkpointed that nobody served`);
  }

  /** An object of the lake never changes its bytes. */
  objectWritten(name: string, text: string, before: string | undefined): void {
    if (before !== undefined && before !== text) this.violate(`the object ${name} changed its bytes`);
  }

  /** Counts the calls of every window of a second, or of as long as one call takes at a slower rate. */
  #count(key: string, callsPerSecond: number): void {
    const nowMs = this.#now();
    const windowMs = Math.max(1000, 1000 / callsPerSecond);
    const limit = Math.round((callsPerSecond * windowMs) / 1000);
    const calls = (this.#calls.get(key) ?? []).filter((atMs) => atMs > nowMs - windowMs + BUDGET_ROUNDING_MS);
    calls.push(nowMs);
    this.#calls.set(key, calls);
    if (calls.length > limit)
      this.violate(
        `budget: ${key} is called ${calls.length} times in ${windowMs} ms, the last ${calls.at(-1)! - calls[0]!} ms after the first`,
      );
  }

  /** A clock that jumps ahead gives a budget more than its time. */
  #hasTrueClocks(): boolean {
    return this.#plan.clockJumps.length === 0;
  }
}
