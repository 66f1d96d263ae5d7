import type { JobResult } from './job.ts';
import type { SimOptions } from './options.ts';

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
  readonly #deadLetters = new Map<string, number>();
  readonly #hashes = new Map<number, string>();

  add({ job, outcome }: JobResult): void {
    this.runs += 1;
    if (outcome.wrong.length > 0) this.failed += 1;
    if ((job.kills ?? []).length === 0) this.#compare(job.seed, outcome.traceHash);
    else this.#planned += 1;
    this.#simulatedMs += outcome.simulatedMs;
    this.#steps += outcome.steps;
    this.#calls += outcome.calls;
    this.#kills += outcome.kills;
    this.#rows += outcome.rows;
    this.#upstreamCalls += outcome.upstreamCalls;
    this.#healMaxMs = Math.max(this.#healMaxMs, outcome.healMs);
    this.#runRowMaxBytes = Math.max(this.#runRowMaxBytes, outcome.runRowMaxBytes);
    this.#waitingMax = Math.max(this.#waitingMax, outcome.waitingMax);
    this.#perRunMax = Math.max(this.#perRunMax, outcome.perRunMax);
    for (const [reason, count] of Object.entries(outcome.deadLetters)) {
      this.#deadLetters.set(reason, (this.#deadLetters.get(reason) ?? 0) + count);
    }
  }

  figures(seconds: number): Readonly<Record<string, unknown>> {
    return {
      ...{ simulations: this.runs, failed: this.failed, runTwice: this.#twice, unequalTraces: this.unequal },
      ...{ seconds: Math.round(seconds), simulatedHours: Math.round(this.#simulatedMs / 3_600_000) },
      timesRealTime: Math.round(this.#simulatedMs / 1000 / seconds),
      ...{ steps: this.#steps, portCalls: this.#calls, kills: this.#kills, killsBySite: this.#planned },
      ...{ upstreamCalls: this.#upstreamCalls, objects: this.#rows },
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
      `replays: ${this.#twice} seeds run twice, ${this.unequal} with another trace`,
      `bounds: healed within ${Math.round(this.#healMaxMs / 1000)} s, run rows up to ${this.#runRowMaxBytes} bytes, ${this.#waitingMax} messages waiting at most, ${this.#perRunMax} of one run`,
      `dead letters, all redriven: ${dead === '' ? 'none' : dead}`,
    ];
  }

  #compare(seed: number, hash: string): void {
    const before = this.#hashes.get(seed);
    this.#hashes.set(seed, hash);
    if (before === undefined) return;
    this.#twice += 1;
    if (before !== hash) this.unequal += 1;
  }
}
