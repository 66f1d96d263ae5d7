import { Command, CommanderError, Option } from 'commander';
import { miners, upstreams } from '../catalog.ts';
import { parseDuration } from '../core/duration.ts';
import { type ConnectionName, CONNECTIONS } from '../connections.ts';
import { type Assignment, readSettings, SETTINGS, type Settings, variableOf } from '../settings.ts';
import { BadInput } from './bad-input.ts';
import type { Environment } from './config.ts';

/** What `npm start` was asked to do. */
export interface StartOptions {
  readonly once: boolean;
  readonly json: boolean;
  readonly strict: boolean;
  /** Simulated users. */
  readonly users: number;
  readonly seed: number;
  readonly scenario: string;
  /** Base URLs by name of the upstream; `*` stands for every one that is not named. Empty: the simulator. */
  readonly upstreamUrls: Readonly<Record<string, string>>;
  /** Only these miners; empty = the whole catalog. */
  readonly minerNames: readonly string[];
  readonly usersFile: string | undefined;
  readonly state: string;
  readonly maxWaitMs: number;
  /** Of this machine, or with `stack` what the cloud has by default: the stack itself has the last word. */
  readonly settings: Settings;
  /** What the person set on the command line. */
  readonly overrides: readonly Assignment[];
  /** Name of the deployed stack to mine into; undefined: this machine. */
  readonly stack: string | undefined;
  /** Mine although the functions of the stack are at work. */
  readonly isBeside: boolean;
}

interface Flags {
  once: boolean;
  json: boolean;
  strict: boolean;
  users: string;
  seed: string;
  scenario: string;
  upstream: readonly string[];
  miner: readonly string[];
  usersFile?: string;
  state?: string;
  maxWait: string;
  set: readonly string[];
  beside: boolean;
}

/** What only the simulator or a server of one's own needs; a stack names its upstreams itself. */
const HOME_ONLY_FLAGS = ['users', 'seed', 'scenario', 'upstream'] as const;

/** What may be set beside ADIT_STACK: secrets that a stack does not tell, and what is no setting of the stack. */
const BESIDE_STACK: ReadonlySet<string> = new Set<ConnectionName>(['stack', 'redisUrl', 'sealingKeys', 'phaseFd']);

/** Where the state of `npm start` lives when `--state` does not say. */
export const STATE_FOLDER_DEFAULT = '.adit/home';

/** Users that the simulator knows at most. */
const USERS_LIMIT = 1_000_000;

/**
 * Reads the command line of `npm start`.
 * @throws BadInput with every mistake at once. Undefined: help was asked for and printed.
 */
export function readStartOptions(args: readonly string[], environment: Environment): StartOptions | undefined {
  const parsed = parseFlags(args);
  if (parsed === undefined) return undefined;
  const { flags, given } = parsed;
  const { stack } = environment;
  const errors: string[] = [];
  const overrides = readOverrides(flags.set, errors);
  for (const variable of environment.unknown) {
    errors.push(`${variable}: there is no such setting. Next: npm start -- --help lists them`);
  }
  errors.push(...placeErrors(environment, given));
  const read =
    stack === undefined
      ? readSettings('home', [...environment.assignments, ...overrides])
      : readSettings('cloud', overrides);
  if (!read.ok) errors.push(...read.errors);
  const users = wholeNumber('--users', flags.users, 1, USERS_LIMIT, errors);
  const seed = wholeNumber('--seed', flags.seed, 0, 2 ** 31 - 1, errors);
  const maxWaitMs = parseDuration(flags.maxWait);
  if (maxWaitMs === undefined)
    errors.push(`--max-wait must be a time such as 30s, 10m or 2h, got ${JSON.stringify(flags.maxWait)}`);
  const upstreamUrls = readUpstreams(flags.upstream, errors);
  errors.push(...minerErrors(flags.miner));
  if (errors.length > 0 || !read.ok || maxWaitMs === undefined) throw new BadInput(errors.join('\n'));
  const { once, json, strict, scenario, usersFile, miner: minerNames, beside: isBeside } = flags;
  return {
    ...{ once, json, strict, scenario, usersFile, minerNames, isBeside },
    ...{ users, seed, upstreamUrls, maxWaitMs, overrides, stack },
    state: flags.state ?? stateFolderOf(stack),
    settings: read.settings,
  };
}

function readOverrides(texts: readonly string[], errors: string[]): readonly Assignment[] {
  const overrides: Assignment[] = [];
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1)
      errors.push(`--set must be name=value, got ${JSON.stringify(text)}. Example: --set userCallsPerSecond=1`);
    else overrides.push({ name: text.slice(0, at), text: text.slice(at + 1), origin: '--set' });
  }
  return overrides;
}

/** With a stack, everything but the person's own choices comes from the stack; without one, nothing is beside anything. */
function placeErrors(environment: Environment, given: ReadonlySet<string>): readonly string[] {
  if (environment.stack === undefined) {
    return given.has('beside')
      ? ['--beside is for a deployed stack. Example: ADIT_STACK=dev npm start -- --beside']
      : [];
  }
  const flags = HOME_ONLY_FLAGS.filter((flag) => given.has(flag)).map(
    (flag) => `--${flag} is for this machine, and ADIT_STACK mines into a deployed stack. Next: leave one of them out`,
  );
  const settings = environment.assignments.map(
    ({ name, origin }) =>
      `${origin} is set beside ADIT_STACK, which has its own. Next: unset it, or say --set ${name}=...`,
  );
  const connections = Object.entries(CONNECTIONS)
    .filter(([name]) => environment[name as ConnectionName] !== undefined && !BESIDE_STACK.has(name))
    .map(([, { variable }]) => `${variable} is set beside ADIT_STACK, which has its own. Next: unset one of them`);
  return [...flags, ...settings, ...connections];
}

function stateFolderOf(stack: string | undefined): string {
  return stack === undefined ? STATE_FOLDER_DEFAULT : `.adit/stack-${stack.replaceAll(/[^\w.-]/g, '-')}`;
}

function parseFlags(args: readonly string[]): { flags: Flags; given: ReadonlySet<string> } | undefined {
  const command = new Command('npm start --')
    .description(
      'Mines every user of an upstream into a lake on this machine. Without --upstream it brings its own simulated one. With ADIT_STACK=dev it mines into that deployed stack.',
    )
    .option('--once', 'fire every miner once, end when all runs are in the lake, check completeness', false)
    .option('--json', 'last line on stdout is one JSON object; progress goes to stderr', false)
    .option('--strict', 'with --once: users set aside make the exit code 1', false)
    .option('--users <n>', 'simulated users', '50')
    .option('--seed <n>', 'seed of the simulated upstream', '1')
    .option('--scenario <name|file>', 'what the simulated upstream does', 'calm')
    .addOption(
      new Option('--upstream <[name=]url>', 'mine this server instead; it keeps the upstream contract')
        .default([], 'the simulator')
        .argParser(collect),
    )
    .addOption(new Option('--miner <name>', 'only this data type; repeatable').default([], 'all').argParser(collect))
    .option('--users-file <file>', 'NDJSON file of the users to mine; without it the imported users')
    .option('--state <dir>', `folder of broker, ledger and lake (default ${STATE_FOLDER_DEFAULT})`)
    .option('--beside', 'with ADIT_STACK: mine although the functions of the stack are at work', false)
    .option('--max-wait <time>', 'with --once: give up after this time', '10m')
    .addOption(
      new Option('--set <name=value>', 'override a setting; repeatable').default([], 'none').argParser(collect),
    )
    .addHelpText('after', settingsHelp())
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined, outputError: () => undefined });
  try {
    const flags = command.parse([...args], { from: 'user' }).opts<Flags & Record<string, unknown>>();
    const given = Object.keys(flags).filter((name) => command.getOptionValueSource(name) === 'cli');
    return { flags, given: new Set(given) };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return undefined;
    throw new BadInput(`${error.message.replace(/^error: /, '')}\nNext: npm start -- --help`, { cause: error });
  }
}

function collect(text: string, earlier: unknown): readonly string[] {
  return [...(Array.isArray(earlier) ? (earlier as string[]) : []), text];
}

function wholeNumber(flag: string, text: string, min: number, max: number, errors: string[]): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  errors.push(
    `${flag} must be a whole number ${min}..${max}, got ${JSON.stringify(text)}. Example: ${flag} ${Math.max(min, 7)}`,
  );
  return min;
}

/** `URL` for every upstream, or `name=URL` for one of the catalog. */
function readUpstreams(texts: readonly string[], errors: string[]): Readonly<Record<string, string>> {
  const urls: Record<string, string> = {};
  for (const text of texts) {
    const [, name = '*', url = ''] = /^(?:([a-z][a-z0-9-]*)=)?([^]*)$/.exec(text) ?? [];
    if (name !== '*' && !upstreams.some((upstream) => upstream.name === name)) {
      const names = upstreams.map((upstream) => upstream.name).join(', ');
      errors.push(
        `--upstream names ${JSON.stringify(name)}; the catalog knows ${names}. Example: --upstream ${names}=http://127.0.0.1:8080`,
      );
    }
    errors.push(...urlErrors(url));
    urls[name] = url.replace(/\/+$/, '');
  }
  return urls;
}

function urlErrors(text: string): readonly string[] {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    return [
      `--upstream must be an http or https URL, got ${JSON.stringify(text)}. Example: --upstream http://127.0.0.1:8080`,
    ];
  }
  if (url.search !== '' || url.hash !== '' || url.username !== '') {
    return ['--upstream must have no query, fragment or credentials. Tokens belong into the users file'];
  }
  return [];
}

function minerErrors(names: readonly string[]): readonly string[] {
  const known = miners.map((miner) => miner.name);
  return names
    .filter((name) => !known.includes(name))
    .map((name) => `--miner must be one of ${known.join(', ')}, got ${JSON.stringify(name)}`);
}

function settingsHelp(): string {
  const rows = Object.entries(SETTINGS).map(
    ([name, spec]) => `  ${name.padEnd(24)} ${String(spec.home).padStart(9)} ${spec.unit.padEnd(8)} ${spec.docs}`,
  );
  const connections = Object.values(CONNECTIONS).map(({ variable, docs }) => `  ${variable.padEnd(32)} ${docs}`);
  return [
    '',
    `Settings (--set name=value, or ${variableOf('userCallsPerSecond')}=value), with their defaults on this machine:`,
    ...rows,
    '',
    'Connections (environment only):',
    ...connections,
    '',
  ].join('\n');
}
