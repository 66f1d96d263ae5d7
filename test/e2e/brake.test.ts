import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { miners } from '../../runtime/catalog.ts';
import { adit, emptyFolder, type Ended, lastJson, type Running, startAdit, until } from './adit.ts';
import { exportRows, mineArgs } from './lake-rows.ts';
import { page, plainItems, startUpstream } from './scripted-upstream.ts';

vi.setConfig({ testTimeout: 300_000 });

/** By then nothing may be asked any more. */
const BAR_MS = 5000;

const brake = (state: string, ...args: readonly string[]): Promise<Ended> =>
  adit('adit', ['brake', ...args, '--state', state]);

/** A running `npm start` with the simulator, which never runs out of work. */
async function mining(state: string): Promise<{ running: Running; calls: () => Promise<number> }> {
  const running = startAdit('start', [
    ...['--users', '20', '--state', state],
    ...['--set', 'fireEveryMs=1000', '--set', 'userCallsPerSecond=5', '--set', 'brakeLookMs=500'],
  ]);
  onTestFinished(() => void running.child.kill('SIGKILL'));
  await until(() => /new items +[1-9]/.test(running.stderr()), 60_000, `the first items; it said ${running.stderr()}`);
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(running.stderr())?.[0] ?? '';
  const calls = async (): Promise<number> => {
    const stats = (await (await fetch(`${url}/_sim/stats`)).json()) as { calls: Record<string, number> };
    return Object.values(stats.calls).reduce((sum, count) => sum + count, 0);
  };
  return { running, calls };
}

async function stopped(running: Running): Promise<Ended> {
  running.child.kill('SIGINT');
  return running.ended;
}

describe('adit brake, beside a running npm start', () => {
  it('0 new calls 5 s after every lane was stopped; after the release everything goes on without a restart', async () => {
    const state = join(await emptyFolder(), 'state');
    const { running, calls } = await mining(state);
    for (const lane of ['realtime', 'money', 'bulk']) {
      const engaged = await brake(state, 'engage', '--lane', lane, '--reason', 'a test');
      expect(engaged.code, engaged.stderr).toBe(0);
      expect(engaged.stdout).toMatch(
        new RegExp(`^The lane ${lane} is stopped\\. .*\\nNext: npm run adit -- brake release`),
      );
    }
    await delay(BAR_MS);
    const before = await calls();
    await delay(BAR_MS);
    expect(await calls()).toBe(before);
    expect(running.stderr()).toMatch(/lane bulk +stopped since .* by .+: a test\nNext: npm run adit -- brake release/);
    const status = await brake(state, 'status', '--json');
    const { brakes } = lastJson(status) as { brakes: readonly { isEngaged: boolean; reason: string }[] };
    expect(brakes.map(({ isEngaged, reason }) => [isEngaged, reason])).toEqual(
      ['a', 'b', 'c'].map(() => [true, 'a test']),
    );
    for (const lane of ['realtime', 'money', 'bulk']) {
      expect((await brake(state, 'release', '--lane', lane, '--reason', 'over')).code).toBe(0);
    }
    await until(async () => (await calls()) > before + 20, 30_000, 'calls after the release');
    const ended = await stopped(running);
    expect(ended.code, ended.stderr).toBe(0);
    expect((await brake(state, 'status')).stdout).toMatch(
      /^No lane and no miner is stopped\.\nlane bulk +released .*: over/,
    );
    const once = await adit('start', ['--once', '--json', '--users', '20', '--state', state]);
    expect(once.code, once.stderr).toBe(0);
    expect(lastJson(once)).toMatchObject({ lost: 0, duplicate: 0 });
  });

  it('stops one miner and no other', async () => {
    const state = join(await emptyFolder(), 'state');
    const upstream = await startUpstream(({ miner, earlier }) => page(plainItems(`${miner}-${earlier}-`, 3)));
    const names = ['chats', 'fans'];
    const args = await mineArgs({ upstream, state, users: ['u1', 'u2'], miners: names });
    const endless = args.filter((arg) => !['--once', '--json'].includes(arg));
    const running = startAdit('start', [...endless, '--set', 'fireEveryMs=1000', '--set', 'brakeLookMs=500']);
    onTestFinished(() => void running.child.kill('SIGKILL'));
    const count = (name: string): number => upstream.calls.filter(({ miner }) => miner === name).length;
    await until(() => names.every((name) => count(name) > 4), 60_000, `calls; it said ${running.stderr()}`);
    expect((await brake(state, 'engage', '--miner', 'chats', '--reason', 'a test')).code).toBe(0);
    await delay(BAR_MS);
    const before = { chats: count('chats'), fans: count('fans') };
    await delay(BAR_MS);
    expect(count('chats')).toBe(before.chats);
    expect(count('fans')).toBeGreaterThan(before.fans);
    expect((await stopped(running)).code).toBe(0);
  });
});

describe('npm start -- --once beside a brake', () => {
  it('leaves the lane out, says so, is no success, and goes on after the release', async () => {
    const state = join(await emptyFolder(), 'state');
    const args = ['--once', '--json', '--users', '5', '--state', state];
    expect((await adit('start', [...args, '--miner', 'fans'])).code).toBe(0);
    await brake(state, 'engage', '--lane', 'money', '--reason', 'the bill');
    const once = await adit('start', args);
    expect(once.code, once.stderr).toBe(1);
    expect(once.stderr).toMatch(/lane money +stopped since .*: the bill/);
    expect(once.stderr).toContain('Lanes are stopped (npm run adit -- brake status --state ');
    const mined = new Set((await exportRows(state)).map(({ miner }) => miner));
    const money = miners.filter(({ lane }) => lane === 'money').map(({ name }) => name);
    expect(money.some((name) => mined.has(name))).toBe(false);
    expect(mined.has('chats')).toBe(true);
    await brake(state, 'release', '--lane', 'money', '--reason', 'paid');
    const again = await adit('start', args);
    expect(again.code, again.stderr).toBe(0);
    expect(lastJson(again)).toMatchObject({ lost: 0, duplicate: 0 });
  });
});

describe('a wrong answer to everybody', () => {
  it.each([
    ['mass-gone', 404, 803],
    ['mass-token', 401, 190],
  ])('%s: the lane stops, nobody is lost, and after the release everybody is mined', async (code, status, number) => {
    const state = join(await emptyFolder(), 'state');
    let isWrong = true;
    let calls = 0;
    const upstream = await startUpstream(() => {
      calls += 1;
      // The probe before the run is one call of one user, and must not be refused.
      const body = JSON.stringify({ error: { message: 'no', type: 'OAuthException', code: number } });
      return isWrong && calls > 1 ? { status, body } : page(plainItems('i', 3));
    });
    const users = Array.from({ length: 30 }, (_, at) => `u${at}`);
    const args = await mineArgs({ upstream, state, users });
    const first = await adit('start', [...args, '--set', 'brakeLookMs=500']);
    expect(first.code, first.stderr).toBe(1);
    expect(first.stderr).toMatch(new RegExp(`lane realtime +stopped since .* by adit: ${code}: \\d+ of 30 users`));
    expect(first.stderr).not.toContain('runs set aside');
    expect(first.stderr).toContain('30 of their runs wait');
    expect(calls).toBeLessThan(200);
    const listed = await adit('adit', ['users', 'list', '--state', state]);
    expect(listed.stdout.split('\n').filter((line) => line.includes('"inactive"'))).toEqual([]);
    isWrong = false;
    expect((await brake(state, 'release', '--lane', 'realtime', '--reason', 'address put right')).code).toBe(0);
    const again = await adit('start', [...args, '--set', 'brakeLookMs=500']);
    expect(again.code, again.stderr).toBe(0);
    expect(new Set((await exportRows(state)).map(({ userId }) => userId)).size).toBe(30);
  });
});

describe('what a person may say', () => {
  it.each([
    [['engage', '--reason', 'x'], 'a brake needs --lane or --miner'],
    [['engage', '--lane', 'bulk', '--miner', 'chats', '--reason', 'x'], 'one of them'],
    [
      ['engage', '--lane', 'bulks', '--reason', 'x'],
      '--lane must be one of realtime, money, bulk, got "bulks"; did you mean bulk?',
    ],
    [['release', '--miner', 'chat', '--reason', 'x'], 'did you mean chats?'],
    [['engage', '--lane', 'bulk'], '--reason is missing'],
    [['engage', '--lane', 'bulk', '--reason', ' '], '--reason is missing'],
    [['engage', '--lane', 'bulk', '--reason', 'x'], 'there is no state in'],
  ])('%j', async (args, message) => {
    const state = join(await emptyFolder(), 'state');
    const ended = await brake(state, ...args);
    expect([ended.code, ended.stdout]).toEqual([2, '']);
    expect(ended.stderr).toContain(message);
    expect(existsSync(state)).toBe(false);
  });

  it('looks without changing anything', async () => {
    const state = join(await emptyFolder(), 'state');
    expect((await brake(state, 'status')).stdout).toBe('No lane and no miner is stopped.\n');
    expect((await brake(state, 'release', '--lane', 'bulk', '--reason', 'x')).stdout).toContain('is not stopped');
    expect(existsSync(state)).toBe(false);
    expect((await adit('start', ['--once', '--users', '1', '--miner', 'fans', '--state', state])).code).toBe(0);
    const dry = await brake(state, 'engage', '--lane', 'bulk', '--reason', 'x', '--dry-run');
    expect([dry.code, dry.stdout]).toEqual([0, 'The lane bulk would stop: x. Nothing was changed.\n']);
    expect((await brake(state, 'status')).stdout).toBe('No lane and no miner is stopped.\n');
  });
});
