import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { startRedis } from '../../../runtime/local/redis.ts';
import { isRedisHere } from '../../fakes/servers.ts';

// Child processes and servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const HOLDER = join(import.meta.dirname, 'redis-holder.ts');

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'adit-redis-'));
});
afterEach(async () => {
  await rm(dir, { recursive: true });
});

describe.runIf(isRedisHere())('local Redis', () => {
  it('answers on 127.0.0.1 alone, keeps nothing on the disk, and is gone after stop', async () => {
    const lines: string[] = [];
    const redis = await startRedis({ dir: join(dir, 'made'), log: (line) => lines.push(line) });
    if (redis === undefined) throw new Error('redis-server is not on the PATH');
    const answer = await ask(redis.url, 'CONFIG GET *');
    await redis.stop();
    await redis.stop();
    expect(redis.url).toMatch(/^redis:\/\/127\.0\.0\.1:\d+$/);
    for (const [name, value] of [
      ['bind', '127.0.0.1'],
      ['save', ''],
      ['appendonly', 'no'],
      ['maxmemory', '536870912'],
      ['maxmemory-policy', 'volatile-lru'],
    ]) {
      expect(answer).toContain(`\r\n${name}\r\n$${value?.length}\r\n${value}\r\n`);
    }
    expect(isAlive(redis.pid)).toBe(false);
    expect(lines.join('\n')).toContain('Ready to accept connections');
    expect(await readdir(join(dir, 'made'))).toEqual([]);
  });

  it('gives each of two callers a server of its own', async () => {
    const started = await Promise.all([startRedis({ dir }), startRedis({ dir })]);
    expect(new Set(started.map((redis) => redis?.url)).size).toBe(2);
    for (const redis of started) await redis?.stop();
  });

  it('ends when its parent is killed', async () => {
    const { holder, pid } = await hold('wait');
    expect(isAlive(pid)).toBe(true);
    holder.kill('SIGKILL');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 10_000 });
  });

  it('ends when its parent leaves without stopping it, and does not hold the parent', async () => {
    const { holder, pid } = await hold('leave');
    if (holder.exitCode === null) await once(holder, 'exit');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 10_000 });
  });

  it('is not reached by the Ctrl-C that reaches its parent', async () => {
    const { holder, pid, url } = await hold('wait');
    // What a terminal does: the signal goes to the whole process group.
    process.kill(-(holder.pid ?? 0), 'SIGINT');
    expect(await ask(url, 'PING')).toContain('+PONG');
    expect(isAlive(pid)).toBe(true);
    holder.kill('SIGKILL');
    await vi.waitFor(() => expect(isAlive(pid)).toBe(false), { timeout: 10_000 });
  });
});

describe('local Redis without a server that works', () => {
  it('is undefined when there is no redis-server', async () => {
    const { pid } = await hold('leave', await emptyPath());
    expect(pid).toBeUndefined();
  });

  it('rejects with the last lines when redis-server ends at once', async () => {
    const path = await emptyPath();
    await writeFile(join(path, 'redis-server'), '#!/bin/sh\necho "no good today"\nexit 1\n');
    await chmod(join(path, 'redis-server'), 0o755);
    await expect(hold('leave', path)).rejects.toThrow('no good today');
  });
});

interface Held {
  readonly holder: ChildProcess;
  readonly pid: number;
  readonly url: string;
}

/** Starts Redis from a process of its own, in its own process group. */
async function hold(then: 'wait' | 'leave', path?: string): Promise<Held> {
  const env = path === undefined ? process.env : { ...process.env, PATH: path };
  const stdio = ['ignore', 'pipe', 'pipe'] as const;
  const holder = spawn(process.execPath, [HOLDER, dir, then], { stdio: [...stdio], detached: true, env });
  let errors = '';
  holder.stderr?.on('data', (text) => (errors += String(text)));
  const closed = once(holder, 'close');
  if (holder.stdout === null) throw new Error('the holder has no output');
  for await (const line of createInterface({ input: holder.stdout })) {
    return { holder, ...(JSON.parse(line) as { pid: number; url: string }) };
  }
  await closed;
  throw new Error(errors);
}

/** A PATH with a shell and no Redis. */
async function emptyPath(): Promise<string> {
  const path = join(dir, 'bin');
  await mkdir(path);
  for (const command of ['sh', 'cat']) await symlink(`/bin/${command}`, join(path, command));
  return path;
}

/** One inline command and the answer so far, once it has any. */
function ask(url: string, command: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port) }, () => socket.write(`${command}\r\nQUIT\r\n`));
    let answer = '';
    socket.on('data', (bytes) => (answer += bytes.toString()));
    socket.once('error', reject);
    socket.once('close', () => resolve(answer));
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
