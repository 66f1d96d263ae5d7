// Loaded before the program (node --expose-gc --import): looks at the process from the inside and says what it sees, so that the
// product needs no code for it. Its one timer is no reason to live.
import { subscribe } from 'node:diagnostics_channel';
import { readdirSync, readlinkSync, writeSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { SAMPLER, type Sample } from './sample.ts';

const DESCRIPTORS = '/proc/self/fd';

const LOOP_RESOLUTION_MS = 10;

const NS_PER_MS = 1e6;

const fd = Number(process.env[SAMPLER.fd]);
const everyMs = Number(process.env[SAMPLER.everyMs]);
const leakBytes = Number(process.env[SAMPLER.leakBytes] ?? 0);
const collect = (globalThis as { gc?: () => void }).gc;
const delay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
const leaked: string[] = [];
let calls = 0;

// Every call of the HTTP client comes through here (undici's documented channel).
subscribe('undici:request:create', () => {
  calls += 1;
  if (leakBytes > 0) leaked.push(Buffer.alloc(leakBytes, String(calls)).toString('latin1'));
});

function look(): void {
  collect?.();
  const { heapUsed, heapTotal, rss, external } = process.memoryUsage();
  const resources = process.getActiveResourcesInfo();
  const count = (...names: readonly string[]): number => resources.filter((name) => names.includes(name)).length;
  const links = descriptors();
  const sample: Sample = {
    atMs: Math.round(performance.now()),
    heapBytes: heapUsed,
    rssBytes: rss,
    heapTotalBytes: heapTotal,
    externalBytes: external,
    // Idle sockets of the HTTP client are no reason to live, so that Node does not list them; the system does.
    sockets: links?.filter((link) => link.startsWith('socket:')).length ?? count('TCPSocketWrap', 'TLSWrap'),
    timers: count('Timeout', 'Immediate'),
    handles: resources.length,
    descriptors: links?.length ?? 0,
    loopDelayMs: delay.percentile(99) / NS_PER_MS,
    leakedBytes: leaked.length * leakBytes,
    calls,
  };
  delay.reset();
  writeSync(fd, `${JSON.stringify(sample)}\n`);
}

/** What every open file descriptor is; undefined where the system does not tell. */
function descriptors(): readonly string[] | undefined {
  try {
    return readdirSync(DESCRIPTORS).flatMap((name) => linkOf(`${DESCRIPTORS}/${name}`));
  } catch {
    return undefined;
  }
}

function linkOf(path: string): readonly string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    // Closed meanwhile, as the one of this very listing.
    return [];
  }
}

if (Number.isInteger(fd) && everyMs > 0) {
  delay.enable();
  setInterval(look, everyMs).unref();
}
