import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { openUndiciUpstream } from '../../../runtime/adapters/undici-upstream.ts';
import { Fault } from '../../../runtime/core/faults.ts';
import { SETTINGS } from '../../../runtime/settings.ts';

/**
 * Run as a process of its own with `--expose-gc`: is at work for a while, asks for a bomb three times, and says what became of
 * it and what memory it cost.
 */
const [plainUrl = '', bombUrl = ''] = process.argv.slice(2);

/** What one round costs depends on when garbage is collected; the dearest one counts. */
const ROUNDS = 3;

const upstream = openUndiciUpstream();
const call = { headers: {}, proxyUrl: null, maxBytes: SETTINGS.pageMaxBytes.cloud, timeoutMs: 300_000 };

/** Linux forgets the peak of a process when 5 is written here (man 5 proc); elsewhere the peak since its start has to do. */
function forgetPeak(): void {
  try {
    writeFileSync('/proc/self/clear_refs', '5');
  } catch {
    return;
  }
}

function peakBytes(): number {
  try {
    return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
  } catch {
    return process.resourceUsage().maxRSS * 1024;
  }
}

const ask = (url: string, maxBytes = call.maxBytes): Promise<string> =>
  upstream.call({ ...call, url, maxBytes }).then(
    ({ status }) => `status ${status}`,
    (error: unknown) => (error instanceof Fault ? error.code : String(error)),
  );

// Code that runs for the first time costs memory too, once.
for (let round = 0; round < ROUNDS; round += 1) {
  await ask(plainUrl);
  await ask(bombUrl, 1_000_000);
}
const extraBytes: number[] = [];
const codes = new Set<string>();
for (let round = 0; round < ROUNDS; round += 1) {
  for (let collection = 0; collection < ROUNDS; collection += 1) {
    globalThis.gc?.();
    await pause(20);
  }
  const beforeBytes = process.memoryUsage.rss();
  forgetPeak();
  codes.add(await ask(bombUrl));
  extraBytes.push(peakBytes() - beforeBytes);
}
process.stdout.write(`${JSON.stringify({ codes: [...codes], extraBytes: Math.max(...extraBytes) })}\n`);
await upstream.close();
