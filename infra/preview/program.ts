import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { setTimeout as wait } from 'node:timers/promises';

/** The SDK's own runner of programs, which Pulumi's language host starts too. */
const RUNNER = createRequire(import.meta.url).resolve('@pulumi/pulumi/cmd/run/index.js');

/** How much of what a program prints is kept for the report of its failure. */
const KEPT_TEXT_CHARS = 64 * 1024;

/** A grandchild may hold the program's output open after its end; nobody waits longer than this for what it says. */
const LAST_WORDS_MS = 500;

/** Which program, as whom, and to whom it talks. */
export interface ProgramOptions {
  /** Folder of Pulumi.yaml; the program's working directory. */
  readonly dir: string;
  /** File of the program, relative to `dir`. Default `.`: what package.json calls `main`, as with the Pulumi CLI. */
  readonly entry?: string | undefined;
  readonly project: string;
  readonly stack: string;
  /** Default `organization`, as with a state of one's own. */
  readonly organization?: string | undefined;
  /** Key with namespace, for example `adit:stage`; lists and objects are JSON text. */
  readonly config: Readonly<Record<string, string>>;
  /** Keys of `config` that are secret. Default: none. */
  readonly secretKeys?: readonly string[] | undefined;
  /** True: the program is told that it is a preview. */
  readonly isPreview: boolean;
  /** `host:port` of the resource monitor. */
  readonly monitorAddress: string;
  /** `host:port` of the engine, which takes the log. */
  readonly engineAddress: string;
  /** Other environment variables of the program. Default: none. */
  readonly variables?: Readonly<Record<string, string>> | undefined;
  /** Is told everything that the program prints. */
  readonly onText?: ((text: string) => void) | undefined;
}

/** How a program ended. */
export interface ProgramEnd {
  /** Null: it was ended by `signal`. The SDK's 32 stands for a failure that is in the log. */
  readonly code: number | null;
  readonly signal: string | null;
  /** The end of what it printed. */
  readonly text: string;
}

/** A program in a process of its own. */
export interface RunningProgram {
  readonly pid: number;
  /** Rejects when the process could not be started. */
  readonly ended: Promise<ProgramEnd>;
  /** Kills it; idempotent. Wait for `ended`. */
  stop(): void;
}

/**
 * Starts a Pulumi program through the SDK's runner, on this Node, which strips the types itself. It is given no
 * environment but its own: what it registers depends neither on the machine nor on credentials that lie around, and
 * no proxy comes between it and its monitor.
 */
export function startProgram(options: ProgramOptions): RunningProgram {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', RUNNER, ...argumentsOf(options)], {
    cwd: options.dir,
    env: {
      PULUMI_CONFIG: JSON.stringify(options.config),
      PULUMI_CONFIG_SECRET_KEYS: JSON.stringify(options.secretKeys ?? []),
      ...options.variables,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const hear = (chunk: string): void => {
    text = `${text}${chunk}`.slice(-KEPT_TEXT_CHARS);
    options.onText?.(chunk);
  };
  child.stdout.setEncoding('utf8').on('data', hear);
  child.stderr.setEncoding('utf8').on('data', hear);
  const { promise: closed, resolve: onClose } = Promise.withResolvers<void>();
  child.once('close', onClose);
  const { promise: ended, resolve, reject } = Promise.withResolvers<ProgramEnd>();
  child.once('error', reject);
  child.once('exit', (code, signal) => {
    void Promise.race([closed, wait(LAST_WORDS_MS, undefined, { ref: false })]).then(() => {
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ code, signal, text });
    });
  });
  return { pid: child.pid ?? 0, ended, stop: () => void child.kill('SIGKILL') };
}

function argumentsOf(options: ProgramOptions): readonly string[] {
  return [
    `--monitor=${options.monitorAddress}`,
    `--engine=${options.engineAddress}`,
    `--organization=${options.organization ?? 'organization'}`,
    `--project=${options.project}`,
    `--stack=${options.stack}`,
    `--pwd=${options.dir}`,
    `--root-directory=${options.dir}`,
    ...(options.isPreview ? ['--dry-run'] : []),
    options.entry ?? '.',
  ];
}
