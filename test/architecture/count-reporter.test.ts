import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

let folder = '';

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'adit-count-')));
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction');
  const reporter = JSON.stringify(join(ROOT, 'test', 'count-reporter.ts'));
  plant(
    'vitest.config.ts',
    `import { CountReporter } from ${reporter};
     export default { test: { reporters: ['default', new CountReporter()], include: ['*.test.ts'] } };`,
  );
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function plant(path: string, text: string): void {
  writeFileSync(join(folder, path), text);
}

/** Lines that a run of the planted tests printed, and the line that it left in the counts file. */
function runPlanted(): { status: number | null; lines: readonly string[]; counts: string } {
  const vitest = join(ROOT, 'node_modules', 'vitest', 'vitest.mjs');
  const countsFile = join(folder, 'counts');
  const { status, stdout } = spawnSync(process.execPath, [vitest, 'run'], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, TEST_COUNTS_FILE: countsFile, NO_COLOR: '1' },
  });
  return { status, lines: stdout.trimEnd().split('\n'), counts: readFileSync(countsFile, 'utf8') };
}

test('a run ends with its counts, and names what it skipped', () => {
  plant(
    'mixed.test.ts',
    `import { expect, test } from 'vitest';
     test('passes', () => expect(1).toBe(1));
     test('passes too', () => expect(1).toBe(1));
     test('fails', () => expect(1).toBe(2));
     test('needs Redis', ({ skip }) => skip('no redis-server on this machine'));`,
  );
  const { status, lines, counts } = runPlanted();
  expect(status).not.toBe(0);
  expect(lines.at(-1)).toBe('2 passed, 1 failed, 1 skipped');
  expect(lines).toContain('NOT RUN mixed.test.ts > needs Redis: no redis-server on this machine');
  expect(counts).toBe('2 1 1\n');
});

test('a file that cannot be loaded and an error outside any test count as failed', () => {
  plant('broken.test.ts', "import './missing.ts';");
  plant(
    'stray.test.ts',
    `import { expect, test } from 'vitest';
     test('passes', async () => { void Promise.reject(new Error('stray')); expect(1).toBe(1); });`,
  );
  expect(runPlanted().lines.at(-1)).toBe('1 passed, 2 failed');
});

test('what a failed hook kept from running is counted but not named one by one', () => {
  plant(
    'hook.test.ts',
    `import { beforeAll, describe, test } from 'vitest';
     describe('with a server', () => {
       beforeAll(() => { throw new Error('no server'); });
       describe('that answers', () => { test('one', () => {}); });
       test('two', () => {});
     });`,
  );
  const { lines } = runPlanted();
  expect(lines.at(-1)).toBe('0 passed, 1 failed, 2 skipped');
  expect(lines.filter((line) => line.startsWith('NOT RUN'))).toEqual([]);
});

test('a clean run says so', () => {
  plant('clean.test.ts', "import { expect, test } from 'vitest'; test('passes', () => expect(1).toBe(1));");
  expect(runPlanted()).toMatchObject({ status: 0, counts: '1 0 0\n' });
});
