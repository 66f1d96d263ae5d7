import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../../runtime/adapters/system.ts';
import { openUndiciUpstream } from '../../../runtime/adapters/undici-upstream.ts';
import { Fault } from '../../../runtime/core/faults.ts';
import { ClientPool } from '../../../runtime/engine/client-pool.ts';
import { graph } from '../../../runtime/upstreams/graph.ts';

/**
 * Run as a process of its own with `--expose-gc`: many users, proxies, aborts and faults come and go in rounds, and after each
 * round it says what is left. Arguments: base URL, proxy ports, rounds, calls a round.
 */
const [baseUrl = '', ports = '', rounds = '0', callsPerRound = '0'] = process.argv.slice(2);
const proxyPorts = ports.split(',');

/** Enough that most users and proxies of a round are evicted in it. */
const CLIENTS = 50;
const PROXIES = 8;
const AT_ONCE = 24;

/** What the server of the test does by the number in the path, and where it never finishes its answer. */
const KINDS = 17;
const SILENT: ReadonlySet<number> = new Set([6, 7]);

const upstream = openUndiciUpstream({ connections: 8, maxProxies: PROXIES, idleMs: 1000, connectTimeoutMs: 1000 });
const log = { info: () => undefined, warn: () => undefined };
const options = { idleMs: 200, clientsLimit: CLIENTS, directForMs: 50 };
const pool = new ClientPool({ clock: systemClock, upstream, log }, options);
const outcomes = new Map<string, number>();
let sent = 0;
let busiest = 0;

/** A pure function of the number, so that every run does the same. */
async function call(number: number): Promise<string> {
  const who = number % 61;
  // From time to time everybody gets a new token and another proxy.
  const epoch = Math.floor(number / 1000);
  const port = proxyPorts[who % proxyPorts.length];
  // The name makes another proxy of the same server.
  const proxyUrl = who % 3 === 0 ? null : `http://p${(who + epoch) % 23}:word@127.0.0.1:${port}`;
  const user = {
    ...{ userId: `u${who}`, accessToken: `t${epoch}`, proxyUrl, status: 'active' as const },
    allowDirect: who % 2 === 0,
  };
  const abort = new AbortController();
  if (number % 13 === 0) setTimeout(() => abort.abort(new Error('the lock was lost')), number % 5);
  const kind = number % KINDS;
  const url = `${baseUrl}/${kind}?after=${number}`;
  // Waiting longer for what never comes would only take longer.
  const timeoutMs = SILENT.has(kind) ? 60 : 20_000;
  try {
    const answer = await pool.call(graph, user, { url, maxBytes: 50_000, timeoutMs }, abort.signal);
    return `status ${answer.status}`;
  } catch (error) {
    return error instanceof Fault ? error.code : 'aborted';
  }
}

async function worker(until: number): Promise<void> {
  while (sent < until) {
    const outcome = await call(sent++);
    busiest = Math.max(busiest, resources()['TCPSocketWrap'] ?? 0);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
}

/** Sockets and timers that keep a process alive, by kind. Pipes to the parent are not ours. */
function resources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

async function settled(): Promise<{ heapBytes: number; resources: Record<string, number> }> {
  for (let collection = 0; collection < 5; collection += 1) {
    globalThis.gc?.();
    await pause(20);
  }
  return { heapBytes: process.memoryUsage().heapUsed, resources: resources() };
}

const before = (await settled()).resources;
const heaps: number[] = [];
for (let round = 1; round <= Number(rounds); round += 1) {
  const workers = Array.from({ length: AT_ONCE }, () => worker(round * Number(callsPerRound)));
  await Promise.all(workers);
  heaps.push((await settled()).heapBytes);
}
const size = pool.size;
pool.close();
await upstream.close();
const after = (await settled()).resources;
const said = { before, after, heaps, busiest, size, counts: pool.counts, outcomes: Object.fromEntries(outcomes) };
process.stdout.write(`${JSON.stringify(said)}\n`);
