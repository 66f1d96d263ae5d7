import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const LAUNCH = fileURLToPath(new URL('../../runtime/host/launch.mjs', import.meta.url));

/** Work that was under way when the process tree died. */
export interface Hit {
  readonly page: number;
  readonly send: number;
  readonly ingest: number;
}

export interface VictimEnd {
  /** Null when it was killed. */
  readonly exitCode: number | null;
  readonly hit: Hit;
  readonly stdout: string;
  readonly stderr: string;
}

/** One process tree of `npm start -- --once`, in a process group of its own so that one signal takes all of it. */
export class Victim {
  readonly #child;
  readonly #ended: Promise<VictimEnd>;
  readonly #counts = { page: 0, send: 0, ingest: 0 };
  readonly #begun = Promise.withResolvers<void>();
  #hasBegun = false;

  constructor(args: readonly string[], variables: Readonly<Record<string, string>>) {
    this.#child = spawn(process.execPath, [LAUNCH, 'start', '--once', '--json', ...args], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...variables, ADIT_PHASE_FD: '3' },
    });
    this.#ended = this.#follow();
  }

  /** Resolves when the first page is asked for, or when the process has ended. */
  async begun(): Promise<void> {
    await Promise.race([this.#begun.promise, this.#ended]);
  }

  async ended(): Promise<VictimEnd> {
    return this.#ended;
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
    return { exitCode, hit: { ...this.#counts }, ...texts };
  }

  #note(chunk: Buffer): void {
    for (const letter of chunk.toString('latin1')) {
      if (letter === 'P') this.#counts.page += 1;
      else if (letter === 'p') this.#counts.page -= 1;
      else if (letter === 'S') this.#counts.send += 1;
      else if (letter === 's') this.#counts.send -= 1;
      else if (letter === 'I') this.#counts.ingest += 1;
      else if (letter === 'i') this.#counts.ingest -= 1;
      if (letter === 'P' && !this.#hasBegun) {
        this.#hasBegun = true;
        this.#begun.resolve();
      }
    }
  }
}
