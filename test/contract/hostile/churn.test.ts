import { execFile } from 'node:child_process';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { startProxy, startRawServer, type TestServer } from '../upstream/servers.ts';

const run = promisify(execFile);

const ROUNDS = 10;
const CALLS_PER_ROUND = 600;
const CALLS = ROUNDS * CALLS_PER_ROUND;

/** Of the heap after the first rounds, per round; what grows with the calls would be far above it. */
const HEAP_SLOPE_MAX_BYTES = 60_000;

/** Sockets open at once: 8 to the origin, and 8 through each of 8 proxies, twice while one is replaced. */
const SOCKETS_MAX = 8 + 2 * 8 * 8;

const OK = 'HTTP/1.1 200 OK\r\n';
const PAGE = '{"data":[]}';
const answered = (body: string, status = 200): string =>
  `HTTP/1.1 ${status} X\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
const BOMB = gzipSync(Buffer.alloc(1_000_000)).toString('latin1');

/** One misbehaviour a path. */
const ANSWERS: readonly ((socket: Socket) => void)[] = [
  (socket) => socket.write(answered(PAGE)),
  (socket) => socket.write(answered(PAGE)),
  (socket) => socket.write(answered('x'.repeat(30_000), 500)),
  (socket) => socket.write(answered('x'.repeat(60_000))),
  (socket) => socket.resetAndDestroy(),
  (socket) => socket.end(`${OK}content-length: 100\r\n\r\n{`),
  (socket) => socket.write(`${OK}content-length: 100000\r\n\r\n`),
  () => undefined,
  (socket) => socket.write(`${OK}content-encoding: gzip\r\ncontent-length: ${BOMB.length}\r\n\r\n${BOMB}`, 'latin1'),
  (socket) => socket.write(`${OK}content-encoding: rot13\r\ncontent-length: 2\r\n\r\n{}`),
  (socket) => socket.end(`${OK}connection: close\r\n\r\n${PAGE}`),
  (socket) => socket.write(answered(PAGE + PAGE)),
  (socket) => socket.write('hello\r\n\r\n'),
  (socket) => socket.write(`HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n`),
  (socket) => socket.write(`${OK}content-length: 9\r\n\r\n${PAGE}${PAGE}`),
  (socket) => socket.write(answered('', 429)),
  (socket) => socket.write(answered(PAGE)),
];

/** Whatever happens to thousands of calls, nothing of it is left: no socket, no timer, no growing heap. */
it('leaves no socket, no timer and no heap behind, whatever users, proxies, aborts and faults come and go', async () => {
  const server = await startRawServer((socket, head) => {
    ANSWERS[Number(/^GET \/(\d+)\?/.exec(head)?.[1] ?? 0)]?.(socket);
  });
  const proxies: readonly TestServer[] = [
    await startProxy(),
    await startProxy(),
    await startRawServer((socket) => void socket.end('HTTP/1.1 407 No\r\ncontent-length: 2\r\n\r\nno')),
    await startRawServer((socket) => socket.destroy()),
  ];
  try {
    const child = join(import.meta.dirname, 'churn-child.ts');
    const ports = proxies.map(({ host }) => host.split(':')[1]).join(',');
    const flags = ['--expose-gc', '--disable-warning=ExperimentalWarning'];
    const { stdout } = await run(process.execPath, [
      ...flags,
      child,
      server.url,
      ports,
      String(ROUNDS),
      String(CALLS_PER_ROUND),
    ]);
    const said = JSON.parse(stdout) as {
      before: Record<string, number>;
      after: Record<string, number>;
      heaps: readonly number[];
      busiest: number;
      size: number;
      counts: { opened: number; closed: number };
      outcomes: Record<string, number>;
    };
    const { before, after, heaps, busiest, size, counts, outcomes } = said;
    const slopeBytes = slopeOf(heaps.slice(3));
    process.stdout.write(
      `\nchurn: ${CALLS} calls, ${counts.opened} clients opened and ${counts.closed} closed, at most ${busiest} sockets, heap ${Math.round(slopeBytes)} bytes a round of ${CALLS_PER_ROUND} calls\n`,
    );
    expect(after).toEqual(before);
    expect(counts.closed).toBe(counts.opened);
    expect(counts.opened).toBeGreaterThan(CALLS / 10);
    expect(size).toBeLessThanOrEqual(50);
    expect(busiest).toBeGreaterThan(8);
    expect(busiest).toBeLessThanOrEqual(SOCKETS_MAX);
    expect(slopeBytes).toBeLessThan(HEAP_SLOPE_MAX_BYTES);
    // Everything that was to happen has happened.
    expect(Object.values(outcomes).reduce((sum, count) => sum + count, 0)).toBe(CALLS);
    for (const outcome of ['status 200', 'status 302', 'status 500', 'transient', 'page-too-large', 'proxy', 'aborted'])
      expect(outcomes[outcome], outcome).toBeGreaterThan(0);
    await server.idle();
    await proxies[0]?.idle();
    await proxies[1]?.idle();
  } finally {
    for (const one of [server, ...proxies]) await one.close();
  }
}, 300_000);

/** Least squares, in bytes a round. */
function slopeOf(values: readonly number[]): number {
  const middle = (values.length - 1) / 2;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const above = values.reduce((sum, value, at) => sum + (at - middle) * (value - mean), 0);
  return above / values.reduce((sum, _, at) => sum + (at - middle) ** 2, 0);
}
