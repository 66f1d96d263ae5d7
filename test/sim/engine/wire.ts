import type { Dice } from '../../fakes/dice.ts';
import type { CallFaults, Plan, Service } from './plan.ts';
import type { Scheduler } from './scheduler.ts';
import type { KillMoment, Site, SiteBook } from './site-book.ts';
import type { Trace } from './trace.ts';

/** What calls are made by: one life of one process. */
export interface Caller {
  readonly name: string;
  readonly slot: number;
  readonly isGone: boolean;
  /** Everything in memory is gone at once. */
  kill(why: string): void;
}

/** Kills the caller of one call. */
export interface PlannedKill {
  readonly call: number;
  readonly when: KillMoment;
}

/** What a call that failed on its way answers with. */
export class WireFault extends Error {
  override readonly name = 'WireFault';
  /** Whether the call had its effect by the time of this answer. */
  readonly isDone: boolean;

  constructor(message: string, isDone: boolean) {
    super(message);
    this.isDone = isDone;
  }
}

export interface WireDeps {
  readonly plan: Plan;
  readonly dice: Dice;
  readonly scheduler: Scheduler;
  readonly sites: SiteBook;
  readonly trace: Trace;
  readonly plannedKills: readonly PlannedKill[];
}

export interface WireCall<T> {
  readonly caller: Caller;
  readonly service: Service;
  readonly operation: string;
  readonly effect: () => Promise<T>;
  /** The time that the service takes, in ms, over that of the network. */
  readonly tookMs?: number;
  readonly signal?: AbortSignal | undefined;
}

interface Pending {
  readonly site: Site | undefined;
  readonly caller: Caller;
  moment: KillMoment;
}

/** Waits of a network without faults are shorter than this, in ms. */
export const HOP_MS = 3;
/** A call that does not reach its service says so within this, in ms. */
export const UNREACHED_MS = 2000;
/** A dead process's write that lands later lands within this, in ms. */
const STRAY_MS = 120_000;
const STRAY_SHARE = 0.4;
const LANDS_LATER_MS = 60_000;
const SLOW_MS = 20_000;

/** Everything between processes and services. Each call may be refused, lost, late or slow, and its caller may die of it. */
export class Wire {
  readonly #deps: WireDeps;
  readonly #pending = new Set<Pending>();
  readonly #away = new Map<string, number>();
  readonly #awaySince = new Map<Service, number>();
  calls = 0;
  /** No call fails any more, and nobody is killed. */
  isHealed = false;

  constructor(deps: WireDeps) {
    this.#deps = deps;
  }

  /** From now on nobody, or nobody in this slot, reaches the service for `forMs`. */
  cut(service: Service, forMs: number, slot?: number): void {
    const nowMs = this.#deps.scheduler.now();
    if (slot === undefined && this.awayUntilMs(service) <= nowMs) this.#awaySince.set(service, nowMs);
    const key = slot === undefined ? service : `${service} ${slot}`;
    this.#away.set(key, Math.max(this.#away.get(key) ?? 0, nowMs + forMs));
  }

  /** Until when nobody has reached the service, or reaches it. Epoch in ms; 0 = it was never away. */
  awayUntilMs(service: Service): number {
    return this.#away.get(service) ?? 0;
  }

  /** Since when, the last time that nobody reached the service. */
  awaySinceMs(service: Service): number {
    return this.#awaySince.get(service) ?? 0;
  }

  reaches(caller: Caller, service: Service): boolean {
    if (this.isHealed) return true;
    const nowMs = this.#deps.scheduler.now();
    const isUp = (this.#away.get(service) ?? 0) <= nowMs;
    return isUp && (this.#away.get(`${service} ${caller.slot}`) ?? 0) <= nowMs;
  }

  call<T>(call: WireCall<T>): Promise<T> {
    const { caller } = call;
    if (caller.isGone) return new Promise<T>(() => undefined);
    const number = (this.calls += 1);
    const { sites, trace, scheduler } = this.#deps;
    const site = sites.note(call.operation, number);
    trace.add(scheduler.now(), `${caller.name} ${call.operation} #${number}`);
    const kill = this.#killOf(number);
    const pending: Pending = { site, caller, moment: 'before' };
    this.#pending.add(pending);
    if (kill === 'before') caller.kill(`before call ${number}`);
    return new Promise<T>((resolve, reject) => {
      const onAbort = (): void => {
        if (!caller.isGone) reject(call.signal?.reason as Error);
      };
      call.signal?.addEventListener('abort', onAbort, { once: true });
      const answer = (settle: () => void): void => {
        call.signal?.removeEventListener('abort', onAbort);
        this.#pending.delete(pending);
        if (!caller.isGone) settle();
      };
      this.#send(call, pending, kill, { resolve, reject, answer });
    });
  }

  /** A process is gone: its calls are sites where it died. Told before `isGone` turns true or right after. */
  died(caller: Caller): void {
    for (const pending of this.#pending) {
      if (pending.caller !== caller) continue;
      pending.site?.killed.add(pending.moment);
      this.#pending.delete(pending);
    }
  }

  #killOf(number: number): KillMoment | undefined {
    const { dice, plan, plannedKills } = this.#deps;
    const planned = plannedKills.find(({ call }) => call === number);
    if (planned !== undefined) return planned.when;
    if (this.isHealed || plan.killShare === 0 || !dice.chance(plan.killShare)) return undefined;
    return dice.of(['before', 'after']);
  }

  #send<T>(
    call: WireCall<T>,
    pending: Pending,
    kill: KillMoment | undefined,
    to: { resolve: (value: T) => void; reject: (error: unknown) => void; answer: (settle: () => void) => void },
  ): void {
    const { scheduler, dice } = this.#deps;
    const { caller, operation } = call;
    const fail = (afterMs: number, why: string, isDone: boolean): void => {
      scheduler.after(afterMs, () => {
        if (!caller.isGone) this.#deps.trace.add(scheduler.now(), `${caller.name} ${operation} fails: ${why}`);
        to.answer(() => to.reject(new WireFault(`${operation}: ${why}`, isDone)));
      });
    };
    const faults = this.isHealed ? undefined : this.#deps.plan.calls[call.service];
    const fate = faults === undefined ? 'whole' : fateOf(faults, dice);
    const isUnreachable = !this.reaches(caller, call.service);
    if (kill !== 'after' && (isUnreachable || fate === 'refused')) {
      fail(isUnreachable ? dice.of([1, 500, UNREACHED_MS]) : dice.upTo(50), 'not reached', false);
      return;
    }
    const requestMs = dice.upTo(HOP_MS) + (fate === 'slow' ? dice.upTo(SLOW_MS) : 0) + (call.tookMs ?? 0);
    const arrive = (): void => {
      void this.#effect(call, pending, kill).then(
        (value) => {
          if (fate === 'answer-lost') fail(dice.of([1, 1000]), 'its answer was lost', true);
          else scheduler.after(dice.upTo(HOP_MS), () => to.answer(() => to.resolve(value)));
        },
        (error: unknown) => scheduler.after(dice.upTo(HOP_MS), () => to.answer(() => to.reject(error))),
      );
    };
    if (fate === 'lands-later' && kill !== 'after') {
      fail(requestMs, 'no answer in time', false);
      scheduler.after(requestMs + dice.upTo(LANDS_LATER_MS), () => void call.effect().catch(() => undefined));
      return;
    }
    scheduler.after(requestMs, () => {
      if (!caller.isGone) arrive();
      // The request was on its way when its sender died.
      else if (dice.chance(STRAY_SHARE)) scheduler.after(dice.upTo(STRAY_MS), arrive);
    });
  }

  async #effect<T>(call: WireCall<T>, pending: Pending, kill: KillMoment | undefined): Promise<T> {
    const { trace, scheduler } = this.#deps;
    const { caller, operation } = call;
    try {
      return await call.effect();
    } finally {
      trace.add(scheduler.now(), `${caller.name} ${operation} done${caller.isGone ? ' (stray)' : ''}`);
      pending.moment = 'after';
      if (kill === 'after') caller.kill('after the effect of a call');
    }
  }
}

function fateOf(faults: CallFaults, dice: Dice): 'whole' | 'refused' | 'answer-lost' | 'lands-later' | 'slow' {
  if (faults.refused > 0 && dice.chance(faults.refused)) return 'refused';
  if (faults.answerLost > 0 && dice.chance(faults.answerLost)) return 'answer-lost';
  if (faults.landsLater > 0 && dice.chance(faults.landsLater)) return 'lands-later';
  return faults.slow > 0 && dice.chance(faults.slow) ? 'slow' : 'whole';
}
