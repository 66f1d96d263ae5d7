import { spawn, spawnSync } from 'node:child_process';
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { adit, emptyFolder, REPOSITORY, startAdit, until } from './adit.ts';

const USERS = '{"userId":"u1","accessToken":"hush"}\n';

/** Runs a command with a file system of 3 MB mounted on a folder, seen by nobody else. */
const NAMESPACE = ['--user', '--map-root-user', '--mount', 'sh', '-c'];
const SMALL_DISK = 'mount -t tmpfs -o size=3m tmpfs "$0" && exec "$@"';
const canMount = spawnSync('unshare', [...NAMESPACE, SMALL_DISK, tmpdir(), 'true']).status === 0;
if (!canMount) process.stderr.write('\n!!! SKIPPED: the full disk test needs Linux with user namespaces (unshare)\n\n');

async function ended(command: string, args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(command, args, { cwd: REPOSITORY, stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stderr };
}

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('a mistake is one clear message with the next command, and exit code 2', () => {
  it.each([
    [['--bogus'], /unknown option '--bogus'[^]*npm start -- --help/],
    [['--set', 'userCallPerSecond=1'], /no setting "userCallPerSecond"; did you mean userCallsPerSecond\?/],
    [['--set', 'lingerMs=never'], /lingerMs must be a whole number 0\.\.60000 \(ms\), got "never"/],
    [['--set', 'nonsense'], /--set must be name=value/],
    [['--users', '0'], /--users must be a whole number 1\.\.1000000, got "0"/],
    [['--max-wait', 'soon'], /--max-wait must be a time such as/],
    [['--upstream', 'ftp://x'], /--upstream must be an http or https URL/],
    [['--scenario', 'no-such'], /calm[^]*no-such/],
  ])('%j', async (args, message) => {
    const state = join(await emptyFolder(), 'state');
    const ended = await adit('start', ['--once', '--state', state, ...args]);
    expect(ended.stderr).toMatch(message);
    expect(ended.code).toBe(2);
    expect(ended.stdout).toBe('');
  });

  it('names all mistakes at once', async () => {
    const ended = await adit('start', ['--users', 'x', '--seed', 'y', '--set', 'lingerMs=-1', '--set', 'foo=1']);
    expect(ended.stderr.trim().split('\n')).toHaveLength(4);
    expect(ended.code).toBe(2);
  });

  it.each([
    ['', /has no user/],
    ['{"userId":"a","accessToken":"t"}\n{"userId":"a","accessToken":"t"}\n', /line 2: userId "a" is on line 1 already/],
    [
      'not json\n{"userId":"","accessToken":"t"}\n{"userId":"c"}\n',
      /3 bad lines[^]*line 1: not JSON[^]*line 2: userId[^]*line 3: accessToken/,
    ],
    ['{"userId":"a","accessToken":"hush","proxyUrl":"nope"}\n', /line 1: proxyUrl/],
  ])('users file %j', async (text, message) => {
    const dir = await emptyFolder();
    const file = join(dir, 'users.ndjson');
    await writeFile(file, text);
    const state = join(dir, 'state');
    const ended = await adit('start', [
      '--once',
      '--upstream',
      'http://127.0.0.1:1',
      '--users-file',
      file,
      '--state',
      state,
    ]);
    expect(ended.stderr).toMatch(message);
    expect(ended.stderr).not.toMatch(/hush/);
    expect(ended.code).toBe(2);
    expect(await readdir(dir)).toEqual(['users.ndjson']);
  });

  it('a users file that is not there', async () => {
    const ended = await adit('start', ['--once', '--upstream', 'http://127.0.0.1:1', '--users-file', '/no/such/file']);
    expect(ended.stderr).toMatch(/\/no\/such\/file cannot be read \(ENOENT\)/);
    expect(ended.code).toBe(2);
  });

  it('no users at all', async () => {
    const state = join(await emptyFolder(), 'state');
    const ended = await adit('start', ['--once', '--upstream', 'http://127.0.0.1:1', '--state', state]);
    expect(ended.stderr).toMatch(/no active user to mine\. Next: npm start -- --upstream URL --users-file FILE/);
    expect(ended.code).toBe(2);
  });

  it('an upstream that is down, not HTTP, or speaks another shape', async () => {
    const dir = await emptyFolder();
    const file = join(dir, 'users.ndjson');
    await writeFile(file, USERS);
    const notHttp = await listening(createServer((socket) => socket.end('SSH-2.0-hello\r\n')));
    const html = await listening(
      createHttpServer((_, response) => response.setHeader('content-type', 'text/html').end('<h1>hello</h1>')),
    );
    const missing = await listening(createHttpServer((_, response) => response.writeHead(404).end('nothing')));
    const cases = [
      [1, /cannot be reached/],
      [notHttp, /cannot be reached/],
      [html, /does not serve pages/],
      [missing, /does not serve pages/],
    ] as const;
    for (const [port, message] of cases) {
      const url = `http://127.0.0.1:${port}`;
      const ended = await adit('start', [
        '--once',
        '--upstream',
        url,
        '--users-file',
        file,
        '--state',
        join(dir, 'state'),
      ]);
      expect(ended.stderr).toMatch(message);
      expect(ended.code).toBe(2);
    }
  });

  it('a port in use', async () => {
    const port = await listening(createServer());
    for (const setting of ['brokerPort', 'simulatorPort']) {
      const state = join(await emptyFolder(), 'state');
      const ended = await adit('start', ['--once', '--users', '1', '--state', state, '--set', `${setting}=${port}`]);
      expect(ended.stderr).toMatch(new RegExp(`port is in use[^]*--set ${setting}=0`));
      expect(ended.code).toBe(2);
    }
  });

  it('a state folder that is in use, and one whose owner was killed', async () => {
    const state = join(await emptyFolder(), 'state');
    const first = startAdit('start', ['--users', '1', '--state', state]);
    await until(() => first.stderr().includes('Adit mines'), 20_000, 'the first process to mine');
    const second = await adit('start', ['--once', '--users', '1', '--state', state]);
    expect(second.stderr).toMatch(/in use[^]*--state/);
    expect(second.code).toBe(2);
    first.child.kill('SIGKILL');
    await first.ended;
    const third = await adit('start', ['--once', '--json', '--users', '1', '--state', state]);
    expect(third.code, third.stderr).toBe(0);
  });

  it('a state folder that is a file, newer, or not writable', async () => {
    const dir = await emptyFolder();
    await writeFile(join(dir, 'file'), '');
    const asFile = await adit('start', ['--once', '--users', '1', '--state', join(dir, 'file')]);
    expect(asFile.code).toBe(2);
    await mkdir(join(dir, 'newer'));
    await writeFile(join(dir, 'newer', 'version.json'), '{"stateVersion":99}');
    const newer = await adit('start', ['--once', '--users', '1', '--state', join(dir, 'newer')]);
    expect(newer.stderr).toMatch(/newer/);
    expect(newer.code).toBe(2);
    if (process.getuid?.() === 0) return;
    await mkdir(join(dir, 'locked'));
    await chmod(join(dir, 'locked'), 0o500);
    const locked = await adit('start', ['--once', '--users', '1', '--state', join(dir, 'locked')]);
    expect(locked.code).toBe(2);
  });

  it('an unknown miner, command or folder of npm run adit', async () => {
    const dir = await emptyFolder();
    const noLake = await adit('adit', ['export', '--state', dir]);
    expect(noLake.stderr).toMatch(/there is no lake in [^]*npm start/);
    expect(noLake.code).toBe(2);
    const noMiner = await adit('adit', ['export', '--state', dir, '--miner', 'nope']);
    expect(noMiner.stderr).toMatch(
      /--miner must be one of transactions, wall-posts, earnings, chats, fans, got "nope"/,
    );
    expect(noMiner.code).toBe(2);
    const noCommand = await adit('adit', ['exprot']);
    expect(noCommand.stderr).toMatch(/unknown command 'exprot'/);
    expect(noCommand.code).toBe(2);
  });

  it.runIf(canMount)('a disk that is full; the same command goes on when there is space', async () => {
    const dir = await emptyFolder();
    const start = ['runtime/host/launch.mjs', 'start', '--once', '--users', '60', '--state', dir];
    const full = await ended('unshare', [...NAMESPACE, SMALL_DISK, dir, process.execPath, ...start]);
    expect(full.stderr).toMatch(/disk|space/i);
    expect(full.stderr).toMatch(/Next: free some space/);
    expect(full.code).toBe(2);
  });
});
