import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { SAMPLER, type Sample } from './sample.ts';

const LAUNCH = fileURLToPath(new URL('../../runtime/host/launch.mjs', import.meta.url));
const PRELOAD = new URL('sampler.ts', import.meta.url).href;

/** Lines of its standard error that are kept, in characters. */
const STDERR_LIMIT = 100_000;

export interface MinerOptions {
  readonly args: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly everyMs: number;
  readonly leakBytes: number;
}

/** An endless `npm start` that is looked at from the inside. */
export class SampledMiner {
  readonly samples: Sample[] = [];
  readonly #child;
  readonly #ended: Promise<number | null>;
  #stderr = '';

  constructor({ args, variables, everyMs, leakBytes }: MinerOptions) {
    const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning', '--import', PRELOAD];
    this.#child = spawn(process.execPath, [...flags, LAUNCH, 'start', ...args], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      env: {
        ...process.env,
        ...variables,
        ...{ [SAMPLER.fd]: '3', [SAMPLER.everyMs]: String(everyMs), [SAMPLER.leakBytes]: String(leakBytes) },
      },
    });
    const { stderr, stdio } = this.#child;
    stderr?.on('data', (chunk: Buffer) => (this.#stderr = (this.#stderr + chunk.toString()).slice(-STDERR_LIMIT)));
    const samples = stdio[3];
    if (samples instanceof Readable) {
      createInterface({ input: samples }).on('line', (line) => this.samples.push(JSON.parse(line) as Sample));
    }
    this.#ended = once(this.#child, 'close').then(([code]) => code as number | null);
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** Rejects when the process ends before anybody has stopped it. */
  async endedEarly(): Promise<never> {
    const code = await this.#ended;
    throw new Error(`npm start ended with ${code}\n${this.#stderr}`);
  }

  /** As Ctrl-C does. The exit code. */
  async stop(): Promise<number | null> {
    this.#child.kill('SIGINT');
    return this.#ended;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
