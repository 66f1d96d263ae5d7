import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import type { Figure } from './verdict.ts';

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));

const LEAK_KILOBYTES = 64;

interface Result {
  readonly leakedBytes: number;
  readonly growing: readonly string[];
  readonly figures: readonly Figure[];
}

it(
  'a soak of a process that keeps something of every call fails, and says what grows',
  { timeout: 400_000 },
  async () => {
    const args = ['--minutes', '1.5', '--leak', String(LEAK_KILOBYTES), '--json'];
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, TEST_COUNTS_FILE: '/dev/null' },
    });
    const texts = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk: Buffer) => (texts.stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (texts.stderr += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number | null];
    // A run that fails keeps its folder for whoever looks into it; this one is expected.
    const kept = /^kept: (\S+)$/m.exec(texts.stderr)?.[1];
    if (kept !== undefined) await rm(kept, { recursive: true });
    expect(code, texts.stderr).toBe(1);
    const result = JSON.parse(texts.stdout.trim().split('\n').at(-1) ?? '{}') as Result;
    expect(result.growing, texts.stderr).toContain('heapBytes');
    expect(texts.stderr).toMatch(/FAILED: heapBytes/);
    expect(result.leakedBytes).toBeGreaterThan(0);
  },
);
