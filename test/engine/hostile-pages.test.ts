import { describe, expect, it, onTestFinished } from 'vitest';
import type { PageFaultCode } from '../../runtime/core/faults.ts';
import { checkPage, type HostileSums, idsMet } from './hostile-checks.ts';
import { hostilePage } from './hostile-grammar.ts';

/** `TEST_SEED=<seed of a page> TEST_PAGES=1` reads that page alone. */
const FIRST_SEED = Number(process.env['TEST_SEED'] ?? 20_261_128);
const PAGES = Number(process.env['TEST_PAGES'] ?? 100_000);

/** CPU time that a million characters may cost, all checks included. A step that is quadratic in one page costs hundreds of seconds. */
const CPU_MS_PER_MILLION = 4_000;

/** Every fault that an answer alone can be; the others need a second answer, a socket or a proxy. Least times of each. */
const LEAST: Readonly<Partial<Record<PageFaultCode | 'page', number>>> = {
  ...{ page: 40_000, 'page-shape': 5_000, 'marker-missing': 1_000, transient: 1_000, refused: 1_000 },
  ...{ 'rate-limit-user': 500, 'rate-limit-upstream': 100, token: 500, permission: 50, 'user-gone': 300 },
  ...{ 'wrong-address': 500, 'dead-marker': 20, 'page-too-large': 2 },
};

/** What no page may change. */
const PROTOTYPES = [Object.prototype, Array.prototype, String.prototype, Number.prototype, Function.prototype];
const shapeOfPrototypes = (): string => PROTOTYPES.map((one) => Reflect.ownKeys(one).map(String).join()).join(';');

describe('answers that nobody would think of', () => {
  it(
    `are pages or known faults, and what is taken of ${PAGES} of them is in the lake as served`,
    { timeout: 300_000 },
    async () => {
      const sums: HostileSums = { outcomes: new Map(), items: 0, rejected: 0, rows: 0, tooDeep: 0, characters: 0 };
      const before = shapeOfPrototypes();
      const { stackTraceLimit } = Error;
      onTestFinished(() => void (Error.stackTraceLimit = stackTraceLimit));
      // Half of the pages are faults, and their stacks would be a quarter of the time. A page that is read alone has them.
      if (PAGES > 1) Error.stackTraceLimit = 0;
      const started = process.cpuUsage();
      for (let seed = FIRST_SEED; seed < FIRST_SEED + PAGES; seed += 1) {
        try {
          await checkPage(seed, sums);
          if (shapeOfPrototypes() !== before) expect.fail('a prototype was changed');
        } catch (error) {
          const how = `TEST_SEED=${seed} TEST_PAGES=1 npm run test:unit -- test/engine/hostile-pages.test.ts`;
          const { marker, answer } = hostilePage(seed);
          const shown = JSON.stringify({ marker, ...answer }).slice(0, 2_000);
          throw new Error(`page ${seed}: ${String(error)}\n  again: ${how}\n  ${shown}`, { cause: error });
        }
      }
      const { user, system } = process.cpuUsage(started);
      const cpuMs = (user + system) / 1_000;
      const counts = [...sums.outcomes].sort(([left], [right]) => (left < right ? -1 : 1));
      const rest = { ...sums, outcomes: undefined };
      process.stdout.write(
        `hostile pages: seeds ${FIRST_SEED}..${FIRST_SEED + PAGES - 1}: ${counts.map(([name, count]) => `${name} ${count}`).join(', ')}; ` +
          `${JSON.stringify({ ...rest, ids: idsMet(), cpuMs: Math.round(cpuMs) })}\n`,
      );
      if (PAGES < 100_000) return;
      expect(Object.keys(LEAST).sort()).toEqual(counts.map(([name]) => name));
      expect(counts.filter(([name, count]) => count < (LEAST[name as 'page'] ?? 0))).toEqual([]);
      expect(cpuMs).toBeLessThan((CPU_MS_PER_MILLION * sums.characters) / 1_000_000);
    },
  );
});
