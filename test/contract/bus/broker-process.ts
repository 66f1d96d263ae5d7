import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Entity } from '../../../runtime/core/route.ts';
import type { BrokerOptions } from '../../../runtime/local/broker/broker.ts';

const MAIN = join(import.meta.dirname, '../../../runtime/local/broker/main.ts');

/** A broker in a process of its own, that a test may kill. Its state outlives it until `remove`. */
export class BrokerProcess {
  readonly #options: Omit<BrokerOptions, 'stateDir' | 'port'>;
  readonly #stateDir: string;
  #child: ChildProcess | undefined;
  #port = 0;
  #connectionString = '';

  private constructor(options: Omit<BrokerOptions, 'stateDir' | 'port'>, stateDir: string) {
    this.#options = options;
    this.#stateDir = stateDir;
  }

  static async start(
    entities: readonly Entity[],
    more: Pick<BrokerOptions, 'tokenLifetimeMs'> = {},
  ): Promise<BrokerProcess> {
    const broker = new BrokerProcess({ entities, ...more }, await mkdtemp(join(tmpdir(), 'adit-bus-')));
    await broker.restart();
    return broker;
  }

  get port(): number {
    return this.#port;
  }

  get connectionString(): string {
    return this.#connectionString;
  }

  /** Starts it on the state, and after the first time on the port, that it had. */
  async restart(): Promise<void> {
    const child = spawn(process.execPath, [MAIN], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    const options = { ...this.#options, stateDir: this.#stateDir, port: this.#port };
    child.stdin.write(`${JSON.stringify(options)}\n`);
    const lines = createInterface({ input: child.stdout });
    const [line] = (await Promise.race([
      once(lines, 'line'),
      once(child, 'exit').then(() => Promise.reject(new Error('the broker ended before it listened'))),
    ])) as [string];
    const answer = JSON.parse(line) as { port: number; connectionString: string };
    this.#port = answer.port;
    this.#connectionString = answer.connectionString;
  }

  /** SIGKILL: nothing is flushed, sockets are cut. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** Stops it without a word to anybody: connections stay open and nothing is answered. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async remove(): Promise<void> {
    await this.kill();
    await rm(this.#stateDir, { recursive: true });
  }
}
