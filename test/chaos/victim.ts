import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const LAUNCH = fileURLToPath(new URL('../../runtime/host/launch.mjs', import.meta.url));

/** Work that was under way when the process tree died. */
export interface Hit {
  readonly page: number;
  readonly send: number;
  readonly ingest: number;
  /** Slices of runs, each with one page in hand at most. */
  readonly slice: number;
}

export interface VictimEnd {
  /** Null when it was killed. */
  readonly exitCode: number | null;
  readonly hit: Hit;
  /** From its start to the first envelope that the broker acknowledged, in ms; undefined when there was none. */
  readonly firstItemMs: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** Which counter a letter of the phase trace moves, and by how much. */
const LETTERS: Readonly<Record<string, readonly [phase: keyof Hit, step: number]>> = {
  P: ['page', 1],
  p: ['page', -1],
  S: ['send', 1],
  s: ['send', -1],
  I: ['ingest', 1],
  i: ['ingest', -1],
  M: ['slice', 1],
  m: ['slice', -1],
};

const alive = new Set<Victim>();

/** Kills every victim that still runs: nothing is left behind when a run of chaos fails. */
export async function killVictims(): Promise<void> {
  for (const victim of alive) victim.kill();
  await Promise.all([...alive].map((victim) => victim.ended()));
}

/** One process tree of `npm start -- --once`, in a process group of its own so that one signal takes all of it. */
export class Victim {
  readonly #child;
  readonly #ended: Promise<VictimEnd>;
  readonly #counts = { page: 0, send: 0, ingest: 0, slice: 0 };
  readonly #begun = Promise.withResolvers<void>();
  readonly #startedAtMs = performance.now();
  #firstItemMs: number | undefined;
  #phases = 0;
  #awaited: { readonly phases: number; readonly resolve: () => void } | undefined;

  constructor(args: readonly string[], variables: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [LAUNCH, 'start', '--once', '--json', ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...variables, ADIT_PHASE_FD: '3' },
    });
    alive.add(this);
    this.#ended = this.#follow().finally(() => alive.delete(this));
  }

  /** Resolves when the first page is asked for, or when the process has ended. */
  async begun(): Promise<void> {
    await Promise.race([this.#begun.promise, this.#ended]);
  }

  /** Resolves when `phases` more phases have begun or ended, after `limitMs`, or when the process has ended. One caller at a time. */
  async lived(phases: number, limitMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#awaited = { phases: this.#phases + phases, resolve };
    const timer = setTimeout(resolve, limitMs);
    await Promise.race([promise, this.#ended]);
    clearTimeout(timer);
  }

  async ended(): Promise<VictimEnd> {
    return this.#ended;
  }

  /** What is under way now. */
  hit(): Hit {
    return { ...this.#counts };
  }

  /** SIGKILL to the whole tree. */
  kill(): void {
    try {
      process.kill(-(this.#child.pid ?? 0), 'SIGKILL');
    } catch {
      // It ended by itself a moment before.
    }
  }

  async #follow(): Promise<VictimEnd> {
    const { stdout, stderr, stdio } = this.#child;
    const texts = { stdout: '', stderr: '' };
    stdout?.on('data', (chunk: Buffer) => (texts.stdout += chunk.toString()));
    stderr?.on('data', (chunk: Buffer) => (texts.stderr += chunk.toString()));
    stdio[3]?.on('data', (chunk: Buffer) => this.#note(chunk));
    const [exitCode] = (await once(this.#child, 'close')) as [number | null];
    return { exitCode, hit: this.hit(), firstItemMs: this.#firstItemMs, ...texts };
  }

  #note(chunk: Buffer): void {
    this.#phases += chunk.length;
    if (this.#awaited !== undefined && this.#phases >= this.#awaited.phases) this.#awaited.resolve();
    for (const letter of chunk.toString('latin1')) {
      const [phase, step] = LETTERS[letter] ?? [];
      if (phase !== undefined && step !== undefined) this.#counts[phase] += step;
      if (letter === 'P') this.#begun.resolve();
      if (letter === 's') this.#firstItemMs ??= Math.round(performance.now() - this.#startedAtMs);
    }
  }
}

/** A run that is left alone has to end by itself with every number adding up. @throws Error with what it said */
export async function finish(args: readonly string[], variables: Readonly<Record<string, string>>): Promise<VictimEnd> {
  const end = await new Victim(args, variables).ended();
  if (end.exitCode !== 0)
    throw new Error(`a run that was left alone ended with ${end.exitCode}\n${end.stdout}\n${end.stderr}`);
  return end;
}

/** Lines of a command of `npm run adit`. @throws Error when it fails */
export async function* aditLines(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): AsyncIterable<string> {
  const child = spawn(process.execPath, [LAUNCH, 'adit', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...variables },
  });
  const ended = once(child, 'close');
  yield* createInterface({ input: child.stdout });
  const [exitCode] = (await ended) as [number | null];
  if (exitCode !== 0) throw new Error(`adit ${args[0]} ended with ${exitCode}`);
}
