import { nearestOf } from './core/nearest.ts';

/** Where a process runs: on this machine (`home`) or deployed (`cloud`). Decides which defaults count. */
export type Stage = 'home' | 'cloud';

/** One setting: declared here once, written by infra, read once by `host/config.ts`. */
export interface SettingSpec {
  readonly unit: 'calls/s' | 'calls' | 'ms' | 'bytes' | 'count' | 'port';
  readonly min: number;
  readonly max: number;
  readonly home: number;
  readonly cloud: number;
  readonly docs: string;
  /** Means nothing in the cloud, so infra does not write it. */
  readonly homeOnly?: true;
  /** A stack derives it from its own configuration, so `adit:settings` must not set it. */
  readonly fromStack?: true;
}

const HOUR_MS = 3_600_000;

/**
 * THE table of settings. Override one with `--set name=value` or with the environment variable
 * `ADIT_<NAME_IN_CAPITALS>`, for example `ADIT_USER_CALLS_PER_SECOND=2`.
 */
export const SETTINGS = {
  userCallsPerSecond: {
    unit: 'calls/s',
    min: 0.001,
    max: 100_000,
    home: 1000,
    cloud: 1,
    docs: 'Calls allowed for one user (article ch. 7: one per second).',
  },
  upstreamCallsPerSecond: {
    unit: 'calls/s',
    min: 0.001,
    max: 1_000_000,
    home: 100_000,
    cloud: 100,
    docs: 'Calls allowed for one upstream, all users together.',
  },
  proxyCallsPerSecond: {
    unit: 'calls/s',
    min: 0.001,
    max: 100_000,
    home: 1000,
    cloud: 10,
    docs: 'Calls allowed through one proxy, all its users together.',
  },
  breakerOpenMs: {
    unit: 'ms',
    min: 1,
    max: HOUR_MS,
    home: 500,
    cloud: 15_000,
    docs: 'Time for which a way to an upstream is closed after too many faults; doubles with each probe that fails, up to 60 times (article ch. 7: 15 minutes).',
  },
  instances: {
    unit: 'count',
    min: 1,
    max: 1_000_000,
    home: 1,
    cloud: 200,
    docs: 'Processes that call an upstream at most; when Redis is gone each one keeps to its share, limit / instances. A stack counts its own.',
    fromStack: true,
  },
  upstreamConcurrency: {
    unit: 'calls',
    min: 1,
    max: 1000,
    home: 64,
    cloud: 10,
    docs: 'Calls to one upstream in flight per process (article ch. 7: 10).',
  },
  rateLimitWaitMs: {
    unit: 'ms',
    min: 1,
    max: 24 * HOUR_MS,
    home: 1000,
    cloud: 300_000,
    docs: 'Wait after a rate limit that does not say how long (article ch. 7: 5 minutes).',
  },
  inlineWaitMs: {
    unit: 'ms',
    min: 0,
    max: 30_000,
    home: 200,
    cloud: 30_000,
    docs: 'Longest wait inside a slice; a longer one becomes a scheduled message, because waiting costs money.',
  },
  retryLaterMs: {
    unit: 'ms',
    min: 1,
    max: HOUR_MS,
    home: 500,
    cloud: 30_000,
    docs: 'Wait before the next slice after a transient fault that outlived its retries; doubles up to 30 times.',
  },
  callTimeoutMs: {
    unit: 'ms',
    min: 10,
    max: 600_000,
    home: 30_000,
    cloud: 30_000,
    docs: 'Longest time for one call, headers and body together.',
  },
  clientIdleMs: {
    unit: 'ms',
    min: 1000,
    max: 24 * HOUR_MS,
    home: 300_000,
    cloud: 300_000,
    docs: "An unused user's client, an idle socket or an unused proxy is closed after this long (article ch. 1: 2 hours).",
  },
  pageMaxBytes: {
    unit: 'bytes',
    min: 1024,
    max: 256 * 1024 * 1024,
    home: 16 * 1024 * 1024,
    cloud: 16 * 1024 * 1024,
    docs: 'Largest decoded page; above it the page is asked again with half the limit.',
  },
  slicePages: {
    unit: 'count',
    min: 1,
    max: 10_000,
    home: 50,
    cloud: 50,
    docs: 'Pages of one slice before the run goes on in a new marker message.',
  },
  sliceMs: {
    unit: 'ms',
    min: 100,
    max: 240_000,
    home: 60_000,
    cloud: 60_000,
    docs: 'Time of one slice before the run goes on in a new marker message.',
  },
  miningConcurrency: {
    unit: 'count',
    min: 1,
    max: 500,
    home: 24,
    cloud: 32,
    docs: 'Marker messages of one miner handled at once by one process (article ch. 5: 32).',
  },
  ingestConcurrency: {
    unit: 'count',
    min: 1,
    max: 100,
    home: 8,
    cloud: 16,
    docs: 'Envelopes ingested at once by one process.',
  },
  sealedMaxBytes: {
    unit: 'bytes',
    min: 1024,
    max: 250_000,
    home: 200_000,
    cloud: 200_000,
    docs: 'Largest sealed envelope (article ch. 6: 200 KB; Standard takes 256 KB).',
  },
  lingerMs: {
    unit: 'ms',
    min: 0,
    max: 60_000,
    home: 50,
    cloud: 1000,
    docs: 'Longest time that mined items wait for company in an envelope.',
  },
  memoryTierEntries: {
    unit: 'count',
    min: 0,
    max: 5_000_000,
    home: 250_000,
    cloud: 250_000,
    docs: 'Checkpoints held in memory, about 170 bytes each, by a process that is alone. Home only.',
    homeOnly: true,
  },
  cacheTimeoutMs: {
    unit: 'ms',
    min: 10,
    max: 10_000,
    home: 500,
    cloud: 500,
    docs: 'Longest wait for Redis before the ledger is asked instead.',
  },
  reviveAfterMs: {
    unit: 'ms',
    min: 1000,
    max: 24 * HOUR_MS,
    home: 60_000,
    cloud: 900_000,
    docs: 'A live run that has not moved for this long is sent again.',
  },
  brakeLookMs: {
    unit: 'ms',
    min: 100,
    max: 24 * HOUR_MS,
    home: 2000,
    cloud: 300_000,
    docs: 'First wait of a message that meets a stopped lane; grows to six times that while the lane is stopped.',
  },
  monitorEveryMs: {
    unit: 'ms',
    min: 50,
    max: HOUR_MS,
    home: 500,
    cloud: 60_000,
    docs: 'Time between two looks at queues and silent runs.',
  },
  fireEveryMs: {
    unit: 'ms',
    min: 1000,
    max: 24 * HOUR_MS,
    home: 60_000,
    cloud: 6 * HOUR_MS,
    docs: 'Time between two firings of npm start. The cloud uses the schedules of the catalog.',
    homeOnly: true,
  },
  stopGraceMs: {
    unit: 'ms',
    min: 0,
    max: 120_000,
    home: 10_000,
    cloud: 30_000,
    docs: 'Time for work in flight to end after SIGINT or SIGTERM.',
  },
  brokerPort: {
    unit: 'port',
    min: 0,
    max: 65_535,
    home: 0,
    cloud: 0,
    docs: 'Port of the local broker; 0 = any free one. Home only.',
    homeOnly: true,
  },
  simulatorPort: {
    unit: 'port',
    min: 0,
    max: 65_535,
    home: 0,
    cloud: 0,
    docs: 'Port of the upstream simulator; 0 = any free one. Home only.',
    homeOnly: true,
  },
} as const satisfies Record<string, SettingSpec>;

/** Version of the outputs of a stack. A process refuses the outputs of a newer one. */
export const STACK_OUTPUTS_VERSION = 1;

/** What a stack tells whoever works with it, without a secret (`pulumi stack output --json`). */
export interface StackOutputs {
  readonly schemaVersion: number;
  readonly stage: string;
  /** Environment variables of a process that mines into this stack with its own login. */
  readonly settings: Readonly<Record<string, string>>;
  readonly resourceGroup: string;
  readonly functionApp: { readonly name: string; readonly hostname: string; readonly version: string };
  readonly dashboardUrl: string;
}

export type SettingName = keyof typeof SETTINGS;

export type Settings = Readonly<Record<SettingName, number>>;

/** Name of the environment variable of a setting. */
export function variableOf(name: string): string {
  return `ADIT_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** One assignment that a person wrote, and where. */
export interface Assignment {
  readonly name: string;
  readonly text: string;
  /** For the message: `--set` or the variable's name. */
  readonly origin: string;
}

export type ReadSettings =
  | { readonly ok: true; readonly settings: Settings }
  /** Every mistake at once, each with name, rule, value and an example. */
  | { readonly ok: false; readonly errors: readonly string[] };

/** The settings of a stage with a person's assignments on top; the last assignment of a name wins. */
export function readSettings(stage: Stage, assignments: readonly Assignment[]): ReadSettings {
  const settings: Record<string, number> = {};
  for (const [name, spec] of Object.entries(SETTINGS)) settings[name] = spec[stage];
  const errors: string[] = [];
  for (const assignment of assignments) {
    const parsed = parseAssignment(assignment, stage);
    if (typeof parsed === 'string') errors.push(parsed);
    else settings[assignment.name] = parsed;
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, settings: settings as Settings };
}

function parseAssignment(assignment: Assignment, stage: Stage): number | string {
  const { name, text, origin } = assignment;
  if (!Object.hasOwn(SETTINGS, name)) {
    const near = nearestOf(name, Object.keys(SETTINGS) as SettingName[]) ?? 'userCallsPerSecond';
    return `${origin}: there is no setting ${JSON.stringify(name)}; did you mean ${near}? Example: --set ${near}=${SETTINGS[near][stage]}`;
  }
  const spec: SettingSpec = SETTINGS[name as SettingName];
  const value = text.trim() === '' ? Number.NaN : Number(text);
  const isWhole = spec.unit === 'calls/s' || Number.isInteger(value);
  if (Number.isFinite(value) && isWhole && value >= spec.min && value <= spec.max) return value;
  const kind = spec.unit === 'calls/s' ? 'a number' : 'a whole number';
  return `${origin}: ${name} must be ${kind} ${spec.min}..${spec.max} (${spec.unit}), got ${JSON.stringify(text)}. Example: --set ${name}=${spec[stage]}`;
}
