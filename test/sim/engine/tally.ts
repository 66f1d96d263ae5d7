import type { JobResult } from './job.ts';
import type { SimOptions } from './options.ts';
import type { Outcome } from './simulation.ts';

/** At least this share of the fleets on a Redis is judged to the letter. */
const STRICT_SHARE = 0.2;

/** What all simulations of a command have shown together. */
export class Tally {
  runs = 0;
  failed = 0;
  /** Seeds that were run twice and left different traces. */
  unequal = 0;
  #twice = 0;
  #simulatedMs = 0;
  #steps = 0;
  #calls = 0;
  #kills = 0;
  #planned = 0;
  #rows = 0;
  #upstreamCalls = 0;
  #healMaxMs = 0;
  #runRowMaxBytes = 0;
  #waitingMax = 0;
  #perRunMax = 0;
  #openings = 0;
  #probes = 0;
  #fullWindows = 0;
  /** Seeds, without those that were run again, by what their calls are judged by. */
  readonly #rules = new Map<string, number>();
  readonly #deadLetters = new Map<string, number>();
  readonly #hashes = new Map<number, string>();

  add({ job, outcome }: JobResult): void {
    this.runs += 1;
    if (outcome.wrong.length > 0) this.failed += 1;
    if ((job.kills ?? []).length === 0) this.#compare(job.seed, outcome);
    else this.#planned += 1;
    this.#simulatedMs += outcome.simulatedMs;
    this.#steps += outcome.steps;
    this.#calls += outcome.calls;
    this.#kills += outcome.kills;
    this.#rows += outcome.rows;
    this.#upstreamCalls += outcome.upstreamCalls;
    this.#openings += outcome.budgets.openings;
    this.#probes += outcome.budgets.probes;
    this.#fullWindows += outcome.budgets.fullWindows;
    this.#healMaxMs = Math.max(this.#healMaxMs, outcome.healMs);
    this.#runRowMaxBytes = Math.max(this.#runRowMaxBytes, outcome.runRowMaxBytes);
    this.#waitingMax = Math.max(this.#waitingMax, outcome.waitingMax);
    this.#perRunMax = Math.max(this.#perRunMax, outcome.perRunMax);
    for (const [reason, count] of Object.entries(outcome.deadLetters)) {
      this.#deadLetters.set(reason, (this.#deadLetters.get(reason) ?? 0) + count);
    }
  }

  /** Whether fleets were judged to the letter often enough, and breakers opened, or the checks of budgets show nothing. */
  get hasSeenBudgets(): boolean {
    const isOften = this.#ofRule('strict') >= STRICT_SHARE * (this.#ofRule('strict') + this.#ofRule('loose'));
    return isOften && this.#openings > 0 && this.#probes > 0 && this.#fullWindows > 0;
  }

  figures(seconds: number): Readonly<Record<string, unknown>> {
    return {
      ...{ simulations: this.runs, failed: this.failed, runTwice: this.#twice, unequalTraces: this.unequal },
      ...{ seconds: Math.round(seconds), simulatedHours: Math.round(this.#simulatedMs / 3_600_000) },
      timesRealTime: Math.round(this.#simulatedMs / 1000 / seconds),
      ...{ steps: this.#steps, portCalls: this.#calls, kills: this.#kills, killsBySite: this.#planned },
      ...{ upstreamCalls: this.#upstreamCalls, objects: this.#rows },
      ...{ breakerOpenings: this.#openings, probes: this.#probes, fullWindows: this.#fullWindows },
      budgetsJudgedBy: Object.fromEntries(this.#rules),
      ...{ healMaxSeconds: Math.round(this.#healMaxMs / 1000), runRowMaxBytes: this.#runRowMaxBytes },
      ...{ waitingMax: this.#waitingMax, waitingPerRunMax: this.#perRunMax },
      deadLetters: Object.fromEntries(this.#deadLetters),
    };
  }

  lines({ seeds, from, workers }: SimOptions, seconds: number): readonly string[] {
    const hours = this.#simulatedMs / 3_600_000;
    const dead = [...this.#deadLetters].map(([reason, count]) => `${count} ${reason}`).join(', ');
    return [
      `seeds: ${from}..${from + seeds - 1}, ${this.#planned} more with a kill at a site; ${this.failed} failed`,
      `time: ${seconds.toFixed(0)} s with ${workers} workers; ${hours.toFixed(0)} simulated hours, ${Math.round((hours * 3600) / seconds)} times real time`,
      `work: ${this.#calls} port calls, ${this.#upstreamCalls} of the upstream, ${this.#kills} processes killed or stopped, ${this.#rows} objects of the lake`,
      `budgets: ${this.#ofRule('strict')} seeds judged to the letter over their fleet, ${this.#ofRule('loose')} with processes cut off, ${this.#ofRule('own')} by process; ${this.#fullWindows} windows full to the letter, shared breakers opened ${this.#openings} times, ${this.#probes} probes`,
      `replays: ${this.#twice} seeds run twice, ${this.unequal} with another trace`,
      `bounds: healed within ${Math.round(this.#healMaxMs / 1000)} s, run rows up to ${this.#runRowMaxBytes} bytes, ${this.#waitingMax} messages waiting at most, ${this.#perRunMax} of one run`,
      `dead letters, all redriven: ${dead === '' ? 'none' : dead}`,
    ];
  }

  #ofRule(rule: Outcome['budgets']['rule']): number {
    return this.#rules.get(rule) ?? 0;
  }

  #compare(seed: number, { traceHash, budgets }: Outcome): void {
    const before = this.#hashes.get(seed);
    this.#hashes.set(seed, traceHash);
    if (before === undefined) {
      this.#rules.set(budgets.rule, this.#ofRule(budgets.rule) + 1);
      return;
    }
    this.#twice += 1;
    if (before !== traceHash) this.unequal += 1;
  }
}
