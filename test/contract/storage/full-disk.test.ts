import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

// Child processes and servers start slowly on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 90_000 });

const run = promisify(execFile);

const WRITER = join(import.meta.dirname, 'full-disk-writer.ts');
const BROKER = join(import.meta.dirname, '../broker/full-disk-broker.ts');

/** Runs a command with a file system of 4 MB mounted on a folder, seen by nobody else. Linux, where users may make namespaces. */
const NAMESPACE = ['--user', '--map-root-user', '--mount', 'sh', '-c'];
const MOUNT = 'mount -t tmpfs -o size=4m tmpfs "$0" && exec "$@"';

/** A property of the machine, not a server that one could install: where it is missing, these tests are skipped in CI too. */
const canMount = spawnSync('unshare', [...NAMESPACE, MOUNT, tmpdir(), 'true']).status === 0;
if (!canMount)
  process.stderr.write('\n!!! SKIPPED: tests of a full disk need Linux with user namespaces (unshare)\n\n');

describe.runIf(canMount)('a full disk', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'adit-full-'));
  });
  afterEach(async () => {
    await rm(dir, { recursive: true });
  });

  it.each(['ledger', 'lake'])(
    'makes the %s refuse a write whole, keep what it acknowledged, and go on when there is space',
    async (what) => {
      const { stdout } = await run('unshare', [...NAMESPACE, MOUNT, dir, process.execPath, WRITER, what, dir]);
      const { count, ...seen } = JSON.parse(stdout) as { count: number };
      expect(count).toBeGreaterThan(10);
      expect(seen).toEqual({ lost: 0, code: 'DISK_FULL', isRefusedThere: false, leftOvers: 0, isThereLater: true });
    },
  );

  it('ends the broker, which keeps what it acknowledged and goes on when there is space; a log that cannot be written ends nobody', async () => {
    const { stdout } = await run('unshare', [...NAMESPACE, MOUNT, dir, process.execPath, BROKER, dir]);
    const { count, ...seen } = JSON.parse(stdout) as { count: number };
    expect(count).toBeGreaterThan(10);
    expect(seen).toEqual({ lost: 0, failure: 'JOURNAL' });
  });
});
