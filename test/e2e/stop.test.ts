import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { adit, emptyFolder, type Ended, lastJson, REPOSITORY, type Running, startAdit, until } from './adit.ts';
import { exportRows, mineArgs } from './lake-rows.ts';
import { allGone, descendantsOf, type Process } from './process-tree.ts';
import { listOf, page, plainItems, type ScriptedUpstream, startUpstream } from './scripted-upstream.ts';

/** Beyond this a person reaches for kill -9. */
const PATIENCE_MS = 15_000;

/** Time for children to notice that their parent is gone. */
const ORPHANS_LIMIT_MS = 2000;

function start(args: readonly string[]): Running {
  const running = startAdit('start', args);
  onTestFinished(() => void running.child.kill('SIGKILL'));
  return running;
}

async function mining(running: Running): Promise<readonly Process[]> {
  await until(() => running.stderr().includes('Adit mines'), PATIENCE_MS, 'the first line');
  return descendantsOf(running.child.pid ?? 0);
}

/** The arguments of an endless `npm start`. */
async function endless(upstream: ScriptedUpstream, state: string, ...args: readonly string[]): Promise<string[]> {
  const all = await mineArgs({ upstream, state, users: ['u1', 'u2'], args });
  return all.filter((arg) => !['--once', '--json'].includes(arg));
}

async function endOf(running: Running, limitMs = PATIENCE_MS): Promise<Ended> {
  let ended: Ended | undefined;
  void running.ended.then((end) => (ended = end));
  await until(() => ended !== undefined, limitMs, `the process to end; it said ${running.stderr()}`);
  return ended!;
}

async function expectUsable(state: string): Promise<void> {
  const ended = await adit('start', ['--once', '--json', '--users', '5', '--state', state]);
  expect(ended.code, ended.stderr).toBe(0);
  expect(lastJson(ended)).toMatchObject({ lost: 0, duplicate: 0 });
}

describe('npm start, until it is stopped', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('ends by itself after %s, with nothing left running', async (signal) => {
    const state = join(await emptyFolder(), 'state');
    const running = start(['--users', '5', '--state', state]);
    const children = await mining(running);
    const names = children.map(({ command }) => command).join('\n');
    expect(names).toMatch(/local\/broker\/main\.ts/);
    expect(names).toMatch(/local\/upstream\/main\.ts/);
    running.child.kill(signal);
    const ended = await endOf(running);
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toMatch(/Stopping: /);
    expect(ended.stderr).toMatch(/Stopped\. Nothing is lost; npm start goes on from here\.\n$/);
    await allGone(children, ORPHANS_LIMIT_MS);
    await expectUsable(state);
  });

  it('takes one Ctrl-C for the whole process group, as a terminal sends it', async () => {
    const state = join(await emptyFolder(), 'state');
    const launch = join(REPOSITORY, 'runtime/host/launch.mjs');
    const child = spawn(process.execPath, [launch, 'start', '--users', '5', '--state', state], {
      cwd: REPOSITORY,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    await until(() => stderr.includes('Adit mines'), PATIENCE_MS, 'the first line');
    const children = descendantsOf(child.pid ?? 0);
    const ended = once(child, 'close');
    process.kill(-(child.pid ?? 0), 'SIGINT');
    const [code] = (await ended) as [number | null];
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(/Stopped\. Nothing is lost/);
    await allGone(children, ORPHANS_LIMIT_MS);
  });

  it('shows progress as plain lines, fires again, and finds nothing new then', async () => {
    const upstream = await startUpstream(listOf(plainItems('i', 30), 10));
    const state = join(await emptyFolder(), 'state');
    const running = start(await endless(upstream, state, '--set', 'fireEveryMs=2000'));
    await until(() => /pages +\d/.test(running.stderr()), 10_000 + PATIENCE_MS, 'a progress line');
    await until(() => upstream.calls.length >= 1 + 3 * 2 * 3, 20_000, 'the third firing');
    const lines = (): readonly (readonly number[])[] =>
      [...running.stderr().matchAll(/chats .* pages +(\d+) +new items +(\d+)/g)].map((found) =>
        found.slice(1).map(Number),
      );
    await until(() => (lines().at(-1)?.[0] ?? 0) >= 18, 10_000, 'the pages of the third firing');
    expect(lines().at(-1)?.[1]).toBe(60);
    running.child.kill('SIGINT');
    const ended = await endOf(running);
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
    expect(await exportRows(state)).toHaveLength(60);
  });
});

describe('a stop that meets an upstream that does not answer', () => {
  it('waits no longer than the grace', async () => {
    const upstream = await startUpstream(({ after }) =>
      after === null ? page(plainItems('i', 10), 'm') : () => undefined,
    );
    const state = join(await emptyFolder(), 'state');
    const running = start(await endless(upstream, state, '--set', 'stopGraceMs=1000'));
    const children = await mining(running);
    await until(() => upstream.calls.some((call) => call.after === 'm'), PATIENCE_MS, 'the call that hangs');
    running.child.kill('SIGTERM');
    const ended = await endOf(running, 8000);
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toMatch(/Stopped\. Nothing is lost/);
    await allGone(children, ORPHANS_LIMIT_MS);
    expect(await exportRows(state)).toHaveLength(20);
  });

  it('ends at once on the second Ctrl-C', async () => {
    const upstream = await startUpstream(({ after }) =>
      after === null ? page(plainItems('i', 10), 'm') : () => undefined,
    );
    const state = join(await emptyFolder(), 'state');
    const running = start(await endless(upstream, state));
    const children = await mining(running);
    await until(() => upstream.calls.some((call) => call.after === 'm'), PATIENCE_MS, 'the call that hangs');
    running.child.kill('SIGINT');
    await until(() => running.stderr().includes('second Ctrl-C'), 2000, 'the line that says so');
    running.child.kill('SIGINT');
    const ended = await endOf(running, 2000);
    expect(ended.code).toBe(1);
    await allGone(children, ORPHANS_LIMIT_MS);
    await expectUsable(state);
  });
});

describe('npm start -- --once', () => {
  it('that is stopped says so, is no success, and the same command goes on', async () => {
    const state = join(await emptyFolder(), 'state');
    const args = ['--once', '--json', '--users', '5', '--state', state];
    const running = start([...args, '--set', 'userCallsPerSecond=2']);
    const children = await mining(running);
    await until(() => /new items +[1-9]/.test(running.stderr()), PATIENCE_MS, 'the first items');
    running.child.kill('SIGINT');
    const ended = await endOf(running);
    expect(ended.code, ended.stderr).toBe(1);
    expect(ended.stderr).toMatch(/Stopped; \d+ runs are not over\. Nothing is lost; the same command goes on/);
    await allGone(children, ORPHANS_LIMIT_MS);
    const again = await adit('start', args);
    expect(again.code, again.stderr).toBe(0);
    expect(lastJson(again)).toMatchObject({ lost: 0, duplicate: 0 });
    expect(lastJson(again)['new']).toBeGreaterThan(0);
  });
});

describe('npm start that is killed', () => {
  it.each([[['--once']], [[]]])('leaves no process behind (%j)', async (args) => {
    const state = join(await emptyFolder(), 'state');
    const running = start([...args, '--users', '5', '--state', state, '--set', 'userCallsPerSecond=2']);
    const children = await mining(running);
    expect(children.length).toBeGreaterThanOrEqual(2);
    running.child.kill('SIGKILL');
    await running.ended;
    await allGone(children, ORPHANS_LIMIT_MS);
    await expectUsable(state);
  });

  it('or stopped before it is ready leaves none either, and does not complain', async () => {
    for (const signal of ['SIGINT', 'SIGKILL'] as const) {
      const state = join(await emptyFolder(), 'state');
      const running = start(['--users', '5', '--state', state]);
      const pid = running.child.pid ?? 0;
      await until(() => descendantsOf(pid).length > 0, PATIENCE_MS, 'the first child');
      const children = descendantsOf(pid);
      running.child.kill(signal);
      const ended = await endOf(running);
      if (signal === 'SIGINT') expect(ended.code, ended.stderr).toBe(0);
      expect(ended.stderr).not.toMatch(/ at .*\.ts:\d+/);
      await allGone(children, ORPHANS_LIMIT_MS);
    }
  });
});
