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
  readonly #port: number;
  #server: ChildProcess | undefined;

  private constructor(variables: Readonly<Record<string, string>>, port: number) {
    this.variables = variables;
    this.#port = port;
  }

  static async start(mode: ChaosOptions['redis']): Promise<RedisUnderFire> {
    if (mode === 'own') return new RedisUnderFire({}, 0);
    // A search path without redis-server: only the folder of this Node.
    const path = [dirname(process.execPath)].join(delimiter);
    if (mode === 'none') return new RedisUnderFire({ PATH: path, REDIS_URL: '' }, 0);
    const port = await freePort();
    const redis = new RedisUnderFire({ REDIS_URL: `redis://127.0.0.1:${port}` }, port);
    await redis.#up();
    return redis;
  }

  /** Kills the server after `afterMs` and starts it, empty, as much later. */
  async disturb(afterMs: number): Promise<void> {
    if (this.#server === undefined) return;
    await sleep(afterMs);
    await this.stop();
    await sleep(afterMs);
    await this.#up();
  }

  async stop(): Promise<void> {
    if (this.#server === undefined) return;
    const ended = once(this.#server, 'exit');
    this.#server.kill('SIGKILL');
    this.#server = undefined;
    await ended;
  }

  async #up(): Promise<void> {
    const options = ['--port', String(this.#port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'];
    const server = spawn('redis-server', options, { stdio: 'ignore' });
    server.on('error', () => undefined);
    this.#server = server;
    for (let attempt = 0; attempt < START_ATTEMPTS; attempt += 1) {
      if (await answers(this.#port)) return;
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
