import { readFileSync, writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { openUndiciUpstream } from '../../../runtime/adapters/undici-upstream.ts';
import { Fault } from '../../../runtime/core/faults.ts';
import { SETTINGS } from '../../../runtime/settings.ts';

/** Run as a process of its own with `--expose-gc`: asks for a page, then for a bomb, and says what memory the bomb cost. */
const [plainUrl = '', bombUrl = ''] = process.argv.slice(2);
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

await upstream.call({ ...call, url: plainUrl });
for (let round = 0; round < 3; round += 1) {
  globalThis.gc?.();
  await turn();
}
const beforeBytes = process.memoryUsage.rss();
forgetPeak();
const code = await upstream.call({ ...call, url: bombUrl }).then(
  ({ status }) => `status ${status}`,
  (error: unknown) => (error instanceof Fault ? error.code : String(error)),
);
process.stdout.write(`${JSON.stringify({ code, extraBytes: peakBytes() - beforeBytes })}\n`);
await upstream.close();
