import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';

const START_LIMIT_MS = 5_000;
const ASK_INTERVAL_MS = 20;
const ASK_LIMIT_MS = 1_000;

/** A port that was free may be taken before Redis has it. */
const START_ATTEMPTS = 3;

/** Redis saves nothing here, so it ends at once; beyond this it is killed. */
const STOP_LIMIT_MS = 3_000;

/** Lines of Redis that go into the error when it does not start. */
const LINES_KEPT = 20;

/** Exit code of the supervisor when there is no redis-server. */
const NOT_FOUND = 127;

/**
 * Runs Redis and ends it when standard input ends, which the system brings about when our process dies, however it dies.
 * A background command of `sh` has no standard input, so the pipe is passed on as descriptor 4; the pid goes out on 3.
 */
const SUPERVISOR = `
command -v redis-server >/dev/null 2>&1 || exit ${NOT_FOUND}
exec 4<&0
redis-server "$@" </dev/null 3>&- 4<&- &
server=$!
echo "$server" >&3
exec 3>&-
{ cat <&4 >/dev/null; kill "$server"; } >/dev/null 2>&1 &
watcher=$!
exec 4<&-
wait "$server"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
`;

/** A Redis of our own. */
export interface LocalRedis {
  /** `redis://127.0.0.1:PORT`. */
  readonly url: string;
  /** Of redis-server itself. */
  readonly pid: number;
  /** Ends it and waits for its end. Idempotent. */
  stop(): Promise<void>;
}

interface Supervisor {
  /** Whether it keeps this process alive. */
  hold(isHeld: boolean): void;
  readonly input: Socket;
  /** Pid of redis-server, or `undefined` when it was never started. */
  readonly pid: Promise<number | undefined>;
  /** Exit code, once all is over. */
  readonly ended: Promise<number | null>;
}

/**
 * Starts `redis-server` from the PATH on a free port of 127.0.0.1: memory only, 512 MB, in its own session, so that Ctrl-C in
 * the terminal does not reach it before `stop`. It never outlives this process, and does not keep this process alive.
 * @returns `undefined` when there is no redis-server.
 * @throws Error with its last lines when it does not answer within 5 s.
 */
export async function startRedis(options: {
  /** Working folder of Redis; made when missing. */
  dir: string;
  /** Told each line that Redis prints. */
  log?: (line: string) => void;
}): Promise<LocalRedis | undefined> {
  await mkdir(options.dir, { recursive: true });
  const lines: string[] = [];
  const log = (line: string): void => {
    lines.push(line);
    if (lines.length > LINES_KEPT) lines.shift();
    options.log?.(line);
  };
  for (let attempt = 1; attempt <= START_ATTEMPTS; attempt += 1) {
    const port = await freePort();
    const supervisor = launch(options.dir, port, log);
    const pid = await supervisor.pid;
    if (pid === undefined) {
      if ((await supervisor.ended) === NOT_FOUND) return undefined;
      continue;
    }
    const stop = stopper(supervisor, pid);
    if (await isReady(port, pid, supervisor.ended)) {
      supervisor.hold(false);
      return { url: `redis://127.0.0.1:${port}`, pid, stop };
    }
    await stop();
  }
  throw new Error(`redis-server did not start in ${options.dir}; its last lines:\n${lines.join('\n')}`);
}

function launch(dir: string, port: number, log: (line: string) => void): Supervisor {
  const place = ['--bind', '127.0.0.1', '--port', String(port), '--dir', dir, '--daemonize', 'no'];
  const memory = ['--save', '', '--appendonly', 'no', '--maxmemory', '512mb', '--maxmemory-policy', 'volatile-lru'];
  const child = spawn('sh', ['-c', SUPERVISOR, 'adit-redis', ...place, ...memory], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
    detached: true,
  });
  // Node makes pipes as sockets; its types know only streams.
  const pipes = child.stdio as readonly unknown[] as readonly [Socket, Socket, Socket, Socket];
  const [input, output, errors, pids] = pipes;
  // Redis may be gone when the pipe is closed.
  input.on('error', () => undefined);
  for (const stream of [output, errors]) createInterface({ input: stream }).on('line', log);
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', resolve);
    // No `sh`, no Redis.
    child.once('error', () => resolve(NOT_FOUND));
  });
  const hold = (isHeld: boolean): void => {
    for (const handle of [child, ...pipes]) {
      if (isHeld) handle.ref();
      else handle.unref();
    }
  };
  return { input, pid: firstPid(pids), ended, hold };
}

function firstPid(pids: Socket): Promise<number | undefined> {
  return new Promise((resolve) => {
    const reader = createInterface({ input: pids });
    reader.once('line', (line) => resolve(Number(line)));
    reader.once('close', () => resolve(undefined));
  });
}

function stopper(supervisor: Supervisor, pid: number): () => Promise<void> {
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    supervisor.hold(true);
    supervisor.input.end();
    if (await endsWithinMs(supervisor.ended, STOP_LIMIT_MS)) return;
    // While the supervisor lives, the pid is still that of its child.
    process.kill(pid, 'SIGKILL');
    await supervisor.ended;
  };
  return () => (stopping ??= stop());
}

/** True once the server on `port` is ours: another one may have taken the port first. False when ours ended or the time is over. */
async function isReady(port: number, pid: number, ended: Promise<unknown>): Promise<boolean> {
  const limit = AbortSignal.timeout(START_LIMIT_MS);
  while (!limit.aborted) {
    if ((await processIdAt(port)) === pid) return true;
    if (await endsWithinMs(ended, ASK_INTERVAL_MS)) return false;
  }
  return false;
}

/** Pid of the Redis that answers on the port, or `undefined`. */
function processIdAt(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    let answer = '';
    socket.setTimeout(ASK_LIMIT_MS, () => socket.destroy());
    socket.once('connect', () => socket.write('INFO server\r\n'));
    socket.on('data', (bytes) => {
      answer += bytes.toString();
      if (/process_id:\d+\r\n/.test(answer)) socket.destroy();
    });
    socket.on('error', () => undefined);
    socket.once('close', () => {
      const found = /process_id:(\d+)\r\n/.exec(answer)?.[1];
      resolve(found === undefined ? undefined : Number(found));
    });
  });
}

async function endsWithinMs(ended: Promise<unknown>, ms: number): Promise<boolean> {
  const stopWaiting = new AbortController();
  try {
    const waited = wait(ms, false, { signal: stopWaiting.signal });
    return await Promise.race([ended.then(() => true), waited]);
  } finally {
    stopWaiting.abort();
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}
