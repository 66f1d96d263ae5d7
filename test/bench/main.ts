// Times npm start -- --once against the floor, round by round in one run, so that the ratio holds on a busy machine.
// Run: npm run bench -- --users 500 --rounds 3
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { startChild } from '../../runtime/host/child.ts';

interface Figures {
  readonly pages: number;
  readonly items: number;
  readonly durationMs: number;
  readonly cpuMs: number;
  readonly peakRssBytes: number;
  readonly firstItemMs?: number;
}

const CONCURRENCY = 64;
const LAUNCH = fileURLToPath(new URL('../../runtime/host/launch.mjs', import.meta.url));
const FLOOR = fileURLToPath(new URL('floor.ts', import.meta.url));

const { values } = parseArgs({
  options: {
    users: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '3' },
    seed: { type: 'string', default: '7' },
    json: { type: 'boolean', default: false },
  },
});

async function lastLine(args: readonly string[]): Promise<Record<string, number>> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}`);
  return JSON.parse(text.trim().split('\n').at(-1) ?? '') as Record<string, number>;
}

async function floor(url: string, usersFile: string, dir: string): Promise<Figures> {
  const options = { url, usersFile, file: join(dir, 'floor.ndjson'), concurrency: CONCURRENCY };
  return (await lastLine([FLOOR, JSON.stringify(options)])) as unknown as Figures;
}

async function mine(url: string, usersFile: string, state: string): Promise<Figures> {
  const args = ['--once', '--json', '--upstream', url, '--users-file', usersFile, '--state', state];
  const result = await lastLine([LAUNCH, 'start', ...args]);
  return { ...(result as unknown as Figures), items: result['fetched'] ?? 0 };
}

async function round(number: number, users: number): Promise<Readonly<Record<string, Figures>>> {
  const dir = await mkdtemp(join(tmpdir(), 'adit-bench-'));
  const usersFile = join(dir, 'users.ndjson');
  const simulator = await startChild('simulator', 'local/upstream/main.ts', {
    port: 0,
    seed: Number(values.seed),
    users,
    scenario: 'calm',
    usersFile,
  });
  try {
    const url = String(simulator.ready['url']);
    // The simulator makes its lists on the first reading, so nobody is timed on that one.
    await floor(url, usersFile, dir);
    const figures = {
      floor: await floor(url, usersFile, dir),
      'all new': await mine(url, usersFile, join(dir, 'state')),
      'all seen': await mine(url, usersFile, join(dir, 'state')),
    };
    process.stderr.write(`round ${number} done\n`);
    return figures;
  } finally {
    await simulator.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((left, right) => left - right);
  return sorted[sorted.length >> 1] ?? 0;
}

function summarise(name: string, rounds: readonly Readonly<Record<string, Figures>>[], users: number): object {
  const of = (pick: (figures: Figures) => number): number =>
    median(rounds.flatMap((figures) => (figures[name] === undefined ? [] : [pick(figures[name])])));
  const perSecond = (count: (figures: Figures) => number): number =>
    Math.round(of((figures) => (count(figures) * 1000) / figures.durationMs));
  return {
    contender: name,
    seconds: Number((of((figures) => figures.durationMs) / 1000).toFixed(1)),
    usersPerSecond: perSecond(() => users),
    pagesPerSecond: perSecond((figures) => figures.pages),
    itemsPerSecond: perSecond((figures) => figures.items),
    cpuMsPerPage: Number(of((figures) => figures.cpuMs / figures.pages).toFixed(2)),
    peakRssMb: Math.round(of((figures) => figures.peakRssBytes) / 1e6),
    firstItemMs: of((figures) => figures.firstItemMs ?? 0),
    toFloor: Number(
      median(rounds.map((figures) => (figures['floor']?.durationMs ?? 0) / (figures[name]?.durationMs ?? 1))).toFixed(
        2,
      ),
    ),
  };
}

const users = Number(values.users);
const rounds: Readonly<Record<string, Figures>>[] = [];
for (let number = 1; number <= Number(values.rounds); number += 1) rounds.push(await round(number, users));
const rows = ['floor', 'all new', 'all seen'].map((name) => summarise(name, rounds, users));
if (values.json) process.stdout.write(`${JSON.stringify({ users, rounds: rounds.length, rows })}\n`);
else {
  const machine = `${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`;
  process.stdout.write(`${users} users x 5 data types, median of ${rounds.length} rounds, ${machine}\n`);
  console.table(rows);
}
