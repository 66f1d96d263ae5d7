import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startChild } from '../../runtime/host/child.ts';
import { adit, emptyFolder, lastJson, type Running, startAdit, until } from './adit.ts';

const VARIABLE = 'ADIT_SERVICE_BUS_CONNECTION_STRING';
const PATIENCE_MS = 60_000;

/** `npm run adit -- broker`, and the variable that it prints. */
async function startBroker(state: string): Promise<{ running: Running; env: Record<string, string> }> {
  const running = startAdit('adit', ['broker', '--state', state]);
  onTestFinished(() => void running.child.kill('SIGKILL'));
  let text = '';
  running.child.stdout?.on('data', (chunk: string) => (text += chunk));
  await until(() => text.includes('\n'), PATIENCE_MS, 'the broker');
  const [line = ''] = text.split('\n');
  expect(line.startsWith(`${VARIABLE}=Endpoint=sb://127.0.0.1:`)).toBe(true);
  // The line has its key, so that what is said beside it does not.
  await until(() => running.stderr().includes('\n'), PATIENCE_MS, 'what to do next');
  expect(running.stderr()).toContain(`export '<the line on stdout>' && npm start -- --state ${state}`);
  return { running, env: { [VARIABLE]: line.slice(VARIABLE.length + 1) } };
}

async function startSimulator(dir: string): Promise<{ url: string; usersFile: string }> {
  const usersFile = join(dir, 'users.ndjson');
  const simulator = await startChild('simulator', 'local/upstream/main.ts', { port: 0, seed: 4, users: 12, usersFile });
  onTestFinished(() => simulator.stop());
  return { url: String(simulator.ready['url']), usersFile };
}

async function pagesServed(url: string): Promise<number> {
  return ((await (await fetch(`${url}/_sim/stats`)).json()) as { pages: number }).pages;
}

describe('several npm start on one machine', () => {
  it('mine the same users over one broker and one folder, each item once, and find all their numbers adding up', async () => {
    const dir = await emptyFolder();
    const state = join(dir, 'state');
    const { running, env } = await startBroker(state);
    const { url, usersFile } = await startSimulator(dir);
    const args = ['--once', '--json', '--upstream', url, '--users-file', usersFile, '--state', state];
    const ends = await Promise.all([1, 2, 3].map(() => adit('start', args, { env })));
    for (const ended of ends) {
      expect(ended.code, ended.stderr).toBe(0);
      expect(ended.stderr).toMatch(/broker +127\.0\.0\.1:\d+ \(entered with a key\), shared with other processes/);
      expect(ended.stderr).toMatch(/cache +none: the ledger is asked \(REDIS_URL is not set\)/);
    }
    const truth = (await (await fetch(`${url}/_sim/truth`)).text()).trim().split('\n').length;
    const exported = await adit('adit', ['export', '--state', state]);
    expect(exported.stdout.trim().split('\n')).toHaveLength(truth);
    const sent = ends.reduce((sum, ended) => sum + Number(lastJson(ended)['new']), 0);
    expect(sent).toBeGreaterThanOrEqual(truth);
    running.child.kill('SIGINT');
    expect((await running.ended).code).toBe(0);
  });

  it('go on when the broker was killed and started again', async () => {
    const dir = await emptyFolder();
    const state = join(dir, 'state');
    const first = await startBroker(state);
    const { url, usersFile } = await startSimulator(dir);
    const args = ['--upstream', url, '--users-file', usersFile, '--state', state];
    const endless = startAdit('start', [...args, '--set', 'fireEveryMs=1000'], { env: first.env });
    onTestFinished(() => void endless.child.kill('SIGKILL'));
    await until(() => endless.stderr().includes('Adit mines'), PATIENCE_MS, 'the first line');
    first.running.child.kill('SIGKILL');
    await first.running.ended;
    const port = /:(\d+);/.exec(first.env[VARIABLE] ?? '')?.[1] ?? '';
    const second = startAdit('adit', ['broker', '--state', state, '--port', port]);
    onTestFinished(() => void second.child.kill('SIGKILL'));
    await until(() => second.stderr().includes('is ready'), PATIENCE_MS, 'the second broker');
    const before = await pagesServed(url);
    // More than were under way when the broker went.
    await until(async () => (await pagesServed(url)) > before + 100, 2 * PATIENCE_MS, 'new firings to be mined');
    endless.child.kill('SIGINT');
    expect((await endless.ended).code).toBe(0);
  });

  it('do not share with one that has the folder for itself, and the other way round; users are imported beside them', async () => {
    const dir = await emptyFolder();
    const state = join(dir, 'state');
    const { running, env } = await startBroker(state);
    const alone = await adit('start', ['--once', '--users', '1', '--state', state]);
    expect(alone.code).toBe(2);
    expect(alone.stderr).toMatch(/is shared by processes that use one broker; join them by setting ADIT_SERVICE_BUS/);
    const { usersFile } = await startSimulator(dir);
    const imported = await adit('adit', ['users', 'import', usersFile, '--state', state], { env });
    expect(imported.stdout).toBe('12 users are in the table.\n');
    running.child.kill('SIGTERM');
    await running.ended;
    const holder = startAdit('start', ['--users', '1', '--state', state]);
    onTestFinished(() => void holder.child.kill('SIGKILL'));
    await until(() => holder.stderr().includes('Adit mines'), PATIENCE_MS, 'the first line');
    const member = await adit('start', ['--once', '--users', '1', '--state', state], { env });
    expect(member.code).toBe(2);
    expect(member.stderr).toMatch(/for itself.*start it again with ADIT_SERVICE_BUS_CONNECTION_STRING/);
  });

  it.each([
    ['no connection string', 'localhost:5672'],
    ['one without a key', 'Endpoint=sb://127.0.0.1:5672;UseDevelopmentEmulator=true'],
    ['one without an endpoint', 'SharedAccessKeyName=k;SharedAccessKey=canary-key'],
  ])('refuse %s, and do not repeat it', async (_, text) => {
    const state = join(await emptyFolder(), 'state');
    const ended = await adit('start', ['--once', '--users', '1', '--state', state], { env: { [VARIABLE]: text } });
    expect(ended.code).toBe(2);
    expect(ended.stderr).toMatch(
      /ADIT_SERVICE_BUS_CONNECTION_STRING must be a connection string.*Next: npm run adit -- broker/,
    );
    expect(ended.stderr).not.toContain('canary');
  });

  it.each(['x', '65536', '-1'])('refuse the port %s for their broker', async (port) => {
    const state = join(await emptyFolder(), 'state');
    const ended = await adit('adit', ['broker', '--state', state, `--port=${port}`]);
    expect(ended.code).toBe(2);
    expect(ended.stderr).toContain(`--port must be a whole number 0..65535, got "${port}"`);
  });
});
