import { parseArgs } from 'node:util';

export interface SoakOptions {
  /** Length of the run, its warm-up included. */
  readonly minutes: number;
  readonly users: number;
  readonly seed: number;
  /** Keep so many KB of every call to the upstream for ever: the run has to fail. Default 0. */
  readonly leakKilobytes: number;
  /** One JSON object with every figure as the last line of stdout. */
  readonly isJson: boolean;
  readonly keep: boolean;
}

/** Reads the command line of `npm run soak`. @throws Error naming the flag and the rule. */
export function readSoakOptions(args: readonly string[]): SoakOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: 'string', default: '10' },
      users: { type: 'string', default: '30' },
      seed: { type: 'string', default: '1' },
      leak: { type: 'string', default: '0' },
      json: { type: 'boolean', default: false },
      keep: { type: 'boolean', default: false },
    },
  });
  const { json: isJson, keep } = values;
  const minutes = Number(values.minutes);
  if (!(minutes >= 1.5 && minutes <= 1440)) throw new Error(`--minutes must be 1.5..1440, got ${values.minutes}`);
  const whole = (name: 'users' | 'seed' | 'leak', min: number): number => {
    const value = Number(values[name]);
    if (Number.isInteger(value) && value >= min) return value;
    throw new Error(`--${name} must be a whole number from ${min}, got ${values[name]}`);
  };
  return { minutes, users: whole('users', 1), seed: whole('seed', 0), leakKilobytes: whole('leak', 0), isJson, keep };
}
