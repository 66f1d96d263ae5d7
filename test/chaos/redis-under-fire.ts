import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { delimiter, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ChaosOptions } from './options.ts';

/** Attempts to reach a server that was just started, 50 ms apart. */
const START_ATTEMPTS = 100;

/** The Redis of a chaos run: the home's own, none at all, or one that is killed and started again under way. */
export class RedisUnderFire {
  /** Environment of the victims. */
  readonly variables: Readonly<Record<string, string>>;
  /** 0 when the victims have their own, or none. */
  readonly port: number;
  readonly #isDisturbed: boolean;
  #server: ChildProcess | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(variables: Readonly<Record<string, string>>, port: number, isDisturbed: boolean) {
    this.variables = variables;
    this.port = port;
    this.#isDisturbed = isDisturbed;
  }

  /** `isShared`: by several process trees, none of which starts its own. */
  static async start(mode: ChaosOptions['redis'], isShared = false): Promise<RedisUnderFire> {
    if (mode === 'own' && !isShared) return new RedisUnderFire({}, 0, false);
    // A search path without redis-server: only the folder of this Node.
    const path = [dirname(process.execPath)].join(delimiter);
    if (mode === 'none') return new RedisUnderFire({ PATH: path, REDIS_URL: '' }, 0, false);
    const port = await freePort();
    const redis = new RedisUnderFire({ REDIS_URL: `redis://127.0.0.1:${port}` }, port, mode === 'restart');
    await redis.#up();
    return redis;
  }

  /**
   * Kills the server after `afterMs` and starts it, empty, as much later. In turn when it is asked for twice. False: it is left
   * alone.
   */
  async disturb(afterMs: number): Promise<boolean> {
    if (this.#server === undefined || !this.#isDisturbed) return false;
    const disturbed = this.#turn.then(async () => {
      await sleep(afterMs);
      await this.#down();
      await sleep(afterMs);
      await this.#up();
    });
    this.#turn = disturbed.catch(() => undefined);
    await disturbed;
    return true;
  }

  async stop(): Promise<void> {
    await this.#turn;
    await this.#down();
  }

  async #down(): Promise<void> {
    if (this.#server === undefined) return;
    const ended = once(this.#server, 'exit');
    this.#server.kill('SIGKILL');
    this.#server = undefined;
    await ended;
  }

  async #up(): Promise<void> {
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const server = spawn('redis-server', options, { stdio: 'ignore' });
    server.on('error', () => undefined);
    this.#server = server;
    for (let attempt = 0; attempt < START_ATTEMPTS; attempt += 1) {
      if (await answers(this.port)) return;
      await sleep(50);
    }
    throw new Error('--redis restart needs redis-server on the PATH: apt-get install redis-server');
  }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
