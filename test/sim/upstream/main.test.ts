import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, describe, expect, it } from 'vitest';

const ENTRY = join(import.meta.dirname, '../../../runtime/local/upstream/main.ts');

const closers: (() => unknown)[] = [];

afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

interface Started {
  readonly child: ChildProcess;
  readonly exit: Promise<unknown[]>;
  line(): Promise<Record<string, unknown>>;
}

function run(input: string): Started {
  const child = spawn(process.execPath, [ENTRY], { stdio: ['pipe', 'pipe', 'inherit'] });
  closers.push(() => child.kill('SIGKILL'));
  const exit = once(child, 'exit');
  child.stdin.on('error', () => undefined);
  child.stdin.write(input);
  const first = once(createInterface({ input: child.stdout }), 'line');
  return { child, exit, line: async () => JSON.parse(String((await first)[0])) as Record<string, unknown> };
}

describe('the simulator as a process', () => {
  it('says where it listens, writes the users file, survives SIGINT and ends with its stdin', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'adit-sim-'));
    closers.push(() => rmSync(folder, { recursive: true }));
    const usersFile = join(folder, 'users.ndjson');
    const { child, exit, line } = run(`${JSON.stringify({ users: 2, seed: 3, usersFile })}\n`);
    const told = await line();
    expect(told).toEqual({
      port: expect.any(Number) as number,
      url: `http://127.0.0.1:${String(told['port'])}`,
      usersFile,
    });
    const users = readFileSync(usersFile, 'utf8')
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(users).toEqual(
      ['u1', 'u2'].map((userId) => ({
        userId,
        accessToken: expect.stringMatching(/^EAAB/) as string,
        proxyUrl: null,
        status: 'active',
      })),
    );
    child.kill('SIGINT');
    const headers = { authorization: `Bearer ${String(users[0]?.['accessToken'])}` };
    expect((await fetch(`${String(told['url'])}/users/u1/fans`, { headers })).status).toBe(200);
    child.stdin?.end();
    expect(await exit).toEqual([0, null]);
  });

  it('ends on SIGTERM', async () => {
    const { child, exit, line } = run('{"users":1}\n');
    await line();
    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });

  it('says that its port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    closers.push(() => server.close());
    await once(server, 'listening');
    const { exit, line } = run(`{"users":1,"port":${(server.address() as AddressInfo).port}}\n`);
    expect(await line()).toMatchObject({ error: { code: 'EADDRINUSE' } });
    expect(await exit).toEqual([2, null]);
  });

  it.each(['{"users":0}', 'nonsense'])('says what is wrong with its options: %s', async (options) => {
    const { exit, line } = run(`${options}\n`);
    expect(await line()).toMatchObject({ error: { code: 'INVALID_OPTIONS', message: expect.any(String) as string } });
    expect(await exit).toEqual([2, null]);
  });

  it('ends when it is told nothing', async () => {
    const { child, exit } = run('');
    child.stdin?.end();
    expect(await exit).toEqual([0, null]);
  });
});
