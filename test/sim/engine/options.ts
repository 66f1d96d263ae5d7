import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { MUTANTS } from './mutants.ts';

/** The command line of `npm run sim`. */
export interface SimOptions {
  readonly seeds: number;
  readonly from: number;
  /** One seed only, with everything that it shows. */
  readonly seed: number | undefined;
  /** Kills of a replay: numbers of calls and moments. */
  readonly kills: readonly { readonly call: number; readonly when: 'before' | 'after' }[];
  readonly trace: boolean;
  /** Simulated hours of one soak, 0 = none. */
  readonly hours: number;
  readonly mutant: string | undefined;
  readonly json: boolean;
  readonly workers: number;
}

const SEEDS_MAX = 10_000_000;
const WORKERS_MAX = 16;

/** Reads the command line. @throws Error naming the flag, the rule and the value. */
export function readSimOptions(args: readonly string[]): SimOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seeds: { type: 'string', default: '200' },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      kill: { type: 'string', multiple: true, default: [] },
      trace: { type: 'boolean', default: false },
      hours: { type: 'string', default: '0' },
      mutant: { type: 'string' },
      json: { type: 'boolean', default: false },
      workers: { type: 'string', default: String(Math.min(2, availableParallelism())) },
    },
  });
  const whole = (name: 'seeds' | 'from' | 'seed' | 'hours' | 'workers', min: number, max: number): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new Error(`--${name} must be a whole number of ${min}..${max}, got ${values[name]}`);
  };
  const { mutant } = values;
  if (mutant !== undefined && MUTANTS[mutant] === undefined) {
    throw new Error(`--mutant must be one of ${Object.keys(MUTANTS).join(', ')}, got ${mutant}`);
  }
  return {
    seeds: whole('seeds', 0, SEEDS_MAX),
    from: whole('from', 0, SEEDS_MAX),
    seed: values.seed === undefined ? undefined : whole('seed', 0, SEEDS_MAX),
    kills: values.kill.map(killOf),
    trace: values.trace,
    hours: whole('hours', 0, 24 * 365),
    mutant,
    json: values.json,
    workers: whole('workers', 1, WORKERS_MAX),
  };
}

function killOf(text: string): SimOptions['kills'][number] {
  const match = /^(before|after):(\d+)$/.exec(text);
  if (match === null) throw new Error(`--kill must be before:CALL or after:CALL, got ${text}`);
  return { when: match[1] as 'before' | 'after', call: Number(match[2]) };
}
