import { parseArgs } from 'node:util';

export interface ChaosOptions {
  readonly kills: number;
  readonly seed: number;
  readonly users: number;
  /** Process trees that mine the same users at the same time. */
  readonly processes: number;
  /**
   * `own` the home starts its redis-server, or with several processes the harness does · `none` there is none · `restart` one that
   * is stopped and started under way. Default: `own` for one process, `restart` for several.
   */
  readonly redis: 'own' | 'none' | 'restart';
  readonly scenario: string;
  readonly keep: boolean;
}

const PROCESSES_LIMIT = 16;

/** Reads the command line of `npm run chaos`. @throws Error naming the flag and the rule. */
export function readChaosOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string', default: '10' },
      seed: { type: 'string', default: '1' },
      users: { type: 'string', default: '40' },
      processes: { type: 'string', default: '1' },
      redis: { type: 'string' },
      scenario: { type: 'string', default: 'overlap' },
      keep: { type: 'boolean', default: false },
    },
  });
  const whole = (
    name: 'kills' | 'seed' | 'users' | 'processes',
    min: number,
    max = Number.MAX_SAFE_INTEGER,
  ): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new Error(`--${name} must be a whole number ${min}..${max}, got ${values[name]}`);
  };
  const processes = whole('processes', 1, PROCESSES_LIMIT);
  const { redis = processes === 1 ? 'own' : 'restart', scenario, keep } = values;
  if (redis !== 'own' && redis !== 'none' && redis !== 'restart') {
    throw new Error(`--redis must be own, none or restart, got ${redis}`);
  }
  return {
    kills: whole('kills', 0),
    seed: whole('seed', 0),
    users: whole('users', 1),
    processes,
    redis,
    scenario,
    keep,
  };
}

/** The command that makes the same decisions again. */
export function replayText({ kills, seed, users, processes, redis, scenario }: ChaosOptions): string {
  return `npm run chaos -- --kills ${kills} --processes ${processes} --seed ${seed} --users ${users} --redis ${redis} --scenario ${scenario}`;
}
