import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';

export const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Everything on stderr so far. */
  stderr(): string;
}

/** Starts `npm start` or `npm run adit` as a user does, in `root` (default: this repository). */
export function startAdit(
  command: 'start' | 'adit',
  args: readonly string[],
  options: { readonly root?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Running {
  const root = options.root ?? REPOSITORY;
  const child = spawn(process.execPath, [join(root, 'runtime/host/launch.mjs'), command, ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  const texts = { stdout: '', stderr: '' };
  // Decoded as a stream: a chunk may end within a character.
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (texts.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (texts.stderr += chunk));
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, ...texts }));
  return { child, ended, stderr: () => texts.stderr };
}

/** Runs a command to its end. */
export async function adit(...parameters: Parameters<typeof startAdit>): Promise<Ended> {
  return startAdit(...parameters).ended;
}

/** The JSON object on the last line of stdout. */
export function lastJson(ended: Ended): Record<string, unknown> {
  return JSON.parse(ended.stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>;
}

/** An empty folder that is removed after the test. */
export async function emptyFolder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'adit-e2e-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  return dir;
}

/** Resolves when `isTrue` holds; fails after `limitMs`. */
export async function until(isTrue: () => boolean | Promise<boolean>, limitMs: number, what: string): Promise<void> {
  const untilMs = Date.now() + limitMs;
  while (!(await isTrue())) {
    if (Date.now() > untilMs) throw new Error(`waited ${limitMs} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
