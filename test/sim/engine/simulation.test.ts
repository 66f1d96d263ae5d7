import { describe, expect, it } from 'vitest';
import { runJob } from './job.ts';
import { MUTANTS } from './mutants.ts';
import { SiteRegister } from './site-register.ts';

/** `npm run sim` takes thousands; these few keep the simulation itself from breaking unseen. */
const SEEDS = 40;
const FIRST_SEED = Number(process.env['TEST_SEED'] ?? 1);

/** A deliberate bug that survives so many seeds is not seen by the checkers. */
const SEEDS_PER_MUTANT = 120;

/** Kills at sites in one test. */
const KILLS = 60;

/** Time for a busy machine, in ms. */
const TIMEOUT_MS = 600_000;

describe('the simulated engine', () => {
  it(
    `loses nothing, doubles nothing and comes to rest, whatever happens (${SEEDS} seeds, then kills where nobody died yet)`,
    async () => {
      const register = new SiteRegister();
      const met = { strict: 0, openings: 0, probes: 0, fullWindows: 0 };
      for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
        const result = await runJob({ seed, looks: true });
        expect(result.outcome.wrong, `npm run sim -- --seed ${seed} --trace`).toEqual([]);
        register.note(result);
        const { rule, ...counts } = result.outcome.budgets;
        if (rule === 'strict') met.strict += 1;
        met.openings += counts.openings;
        met.probes += counts.probes;
        met.fullWindows += counts.fullWindows;
      }
      // Or the checks of shared budgets and breakers show nothing.
      expect(met.strict).toBeGreaterThan(SEEDS / 10);
      expect(Math.min(met.openings, met.probes, met.fullWindows)).toBeGreaterThan(0);
      const before = register.killed();
      for (const job of register.plan().slice(0, KILLS)) {
        const result = await runJob(job);
        const replay = `npm run sim -- --seed ${job.seed} ${JSON.stringify(job.kills)}`;
        expect(result.outcome.wrong, replay).toEqual([]);
        register.note(result);
      }
      expect(register.found).toBeGreaterThan(80);
      expect(register.killed()).toBeGreaterThan(before);
    },
    TIMEOUT_MS,
  );

  it(
    'leaves the same trace when a seed is run again, also in the company of others',
    async () => {
      const first = await runJob({ seed: 7, looks: false });
      await runJob({ seed: 8, looks: true });
      const again = await runJob({ seed: 7, looks: true });
      expect(again.outcome.traceHash).toBe(first.outcome.traceHash);
      expect(first.outcome.calls).toBeGreaterThan(100);
    },
    TIMEOUT_MS,
  );

  it(
    'hears of a version that came back although a worker died before it told the cache what it had ingested',
    async () => {
      // Found by a kill after an envelope was marked done. Call numbers move when the engine does, so each of them is tried.
      const calls: number[] = [];
      await runJob({ seed: 4, looks: false }, (line) => {
        const call = /envelopes\.write #(\d+)$/.exec(line)?.[1];
        if (call !== undefined) calls.push(Number(call));
      });
      expect(calls.length).toBeGreaterThan(5);
      for (const call of calls) {
        const { outcome } = await runJob({ seed: 4, looks: false, kills: [{ call, when: 'after' }] });
        expect(outcome.wrong, `killed after call ${call}`).toEqual([]);
      }
    },
    TIMEOUT_MS,
  );
});

describe('the checkers of the simulation find', () => {
  it.each(Object.entries(MUTANTS))(
    '%s',
    async (name, { found, seeds = SEEDS_PER_MUTANT }) => {
      let what: string | undefined;
      let seed = 0;
      while (what === undefined && seed < seeds) {
        seed += 1;
        const { outcome } = await runJob({ seed, looks: false, mutant: name });
        what = outcome.wrong.find((wrong) => found.test(wrong));
      }
      process.stdout.write(`mutant ${name}: seed ${seed}: ${what}\n`);
      expect(what).toBeDefined();
    },
    TIMEOUT_MS,
  );
});
