import { parseArgs } from 'node:util';

export interface ChaosOptions {
  readonly kills: number;
  readonly seed: number;
  readonly users: number;
  /** `own` the home starts its redis-server · `none` there is none · `restart` one that is stopped and started under way. */
  readonly redis: 'own' | 'none' | 'restart';
  readonly scenario: string;
  readonly keep: boolean;
}

/** Reads the command line of `npm run chaos`. @throws Error naming the flag and the rule. */
export function readChaosOptions(args: readonly string[]): ChaosOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      kills: { type: 'string', default: '10' },
      seed: { type: 'string', default: '1' },
      users: { type: 'string', default: '40' },
      redis: { type: 'string', default: 'own' },
      scenario: { type: 'string', default: 'overlap' },
      keep: { type: 'boolean', default: false },
    },
  });
  const whole = (name: 'kills' | 'seed' | 'users', min: number): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= min) return value;
    throw new Error(`--${name} must be a whole number from ${min}, got ${values[name]}`);
  };
  const { redis, scenario, keep } = values;
  if (redis !== 'own' && redis !== 'none' && redis !== 'restart') {
    throw new Error(`--redis must be own, none or restart, got ${redis}`);
  }
  return { kills: whole('kills', 0), seed: whole('seed', 0), users: whole('users', 1), redis, scenario, keep };
}
