import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

const GO_MODULE = join(import.meta.dirname, 'cli/go.mod');

/**
 * The Pulumi CLI: `PULUMI_CLI`, else the one on the PATH, else the one that `.ci/pulumi-cli` has built into its cache.
 * Undefined where there is none.
 */
export function findCli(env: NodeJS.ProcessEnv): string | undefined {
  const named = env['PULUMI_CLI'];
  if (named !== undefined && named !== '') return named;
  return onPath('pulumi', env) ?? [join(cacheFolder(env), 'pulumi')].find(existsSync);
}

/** Where `.ci/pulumi-cli` puts what it builds. */
function cacheFolder(env: NodeJS.ProcessEnv): string {
  const [, version] = /pulumi\/pkg\/v3 (v\S+)/.exec(readFileSync(GO_MODULE, 'utf8')) ?? [];
  return join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'adit', `pulumi-${version}`);
}

/** Path of a program on the PATH. */
export function onPath(program: string, env: NodeJS.ProcessEnv): string | undefined {
  return (env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => isExecutable(path));
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** How a command of the CLI ended. */
export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  /** Both streams in the order in which they came. */
  readonly text: string;
}

export interface CliOptions {
  readonly cli: string;
  /** Folder with Pulumi.yaml. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Runs one command of the CLI to its end, without questions and colours. */
export function runCli({ cli, folder, env }: CliOptions, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(cli, [...args, '--non-interactive', '--color', 'never'], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const texts = { stdout: '', text: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      texts.stdout += chunk;
      texts.text += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (texts.text += chunk));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, ...texts }));
  });
}

/** Environment of a CLI that keeps its state in a folder and asks no network. */
export function offlineEnv(stateFolder: string, attachedPort: number): Record<string, string> {
  const modules = join(REPOSITORY, 'node_modules');
  const env: Record<string, string> = {
    PULUMI_BACKEND_URL: `file://${stateFolder}`,
    PULUMI_HOME: join(stateFolder, 'home'),
    PULUMI_CONFIG_PASSPHRASE: 'for a state that a test throws away',
    PULUMI_SKIP_UPDATE_CHECK: 'true',
    PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION: 'true',
    // Shows the flag --event-log, which the Automation API uses as well.
    PULUMI_DEBUG_COMMANDS: 'true',
    PULUMI_DEBUG_PROVIDERS: `azure-native:${attachedPort}`,
    // The SDK's provider of dynamic resources, and the Node that it is started with.
    PATH: [join(modules, '.bin'), join(modules, '@pulumi/pulumi'), process.env['PATH'] ?? ''].join(delimiter),
  };
  // A Pulumi release brings its own language host, which is the better one.
  if (onPath('pulumi-language-nodejs', process.env) === undefined) {
    env['PULUMI_DEBUG_LANGUAGES'] = `nodejs:${attachedPort}`;
  }
  return env;
}

/**
 * For `describe.runIf`: the CLI, or undefined after saying how to get it.
 *
 * @throws Error when there is none and `CI` is `true`: there every test runs.
 */
export function cliOrNotice(): string | undefined {
  const cli = findCli(process.env);
  if (cli !== undefined) return cli;
  const message = 'The Pulumi CLI is missing. To get it: .ci/pulumi-cli builds one (needs Go), or install a release';
  if (process.env['CI'] === 'true') throw new Error(`${message} (CI must run every test)`);
  console.warn(`\n!!! TESTS SKIPPED: ${message}\n`);
  return undefined;
}
