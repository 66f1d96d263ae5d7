import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { BadInput } from './bad-input.ts';

/** Exit code of the broker when its journal cannot be written any more. */
export const JOURNAL_LOST_EXIT = 3;

/** How a child ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A server of the local cloud in a process of its own; it ends when this process does. */
export interface Child {
  readonly pid: number;
  /** What it said when it was ready. */
  readonly ready: Readonly<Record<string, unknown>>;
  /** Resolves when the process has ended. */
  readonly ended: Promise<ChildEnd>;
  stop(): Promise<void>;
}

/** Time for a child to be ready, in ms, and to end after it was asked to. */
const READY_LIMIT_MS = 20_000;
const STOP_LIMIT_MS = 5000;

/**
 * Starts `entry` (relative to runtime/), hands it one line of options and waits for its one line of answer.
 * @throws BadInput when it answers with an error, for example a port in use.
 */
export async function startChild(name: string, entry: string, options: unknown): Promise<Child> {
  const path = fileURLToPath(new URL(`../${entry}`, import.meta.url));
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { promise: ended, resolve } = Promise.withResolvers<ChildEnd>();
  child.once('exit', (code, signal) => resolve({ code, signal }));
  child.stdin.on('error', () => undefined);
  child.stdin.write(`${JSON.stringify(options)}\n`);
  const stop = async (): Promise<void> => {
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS);
    await ended;
    clearTimeout(timer);
  };
  const ready = await firstLine(name, child.stdout, ended).catch(async (error: unknown) => {
    child.kill('SIGKILL');
    await ended;
    throw error;
  });
  return { pid: child.pid ?? 0, ready, ended, stop };
}

async function firstLine(
  name: string,
  stdout: NodeJS.ReadableStream,
  ended: Promise<ChildEnd>,
): Promise<Record<string, unknown>> {
  const lines = createInterface({ input: stdout });
  const timeout = new AbortController();
  const line = once(lines, 'line', { signal: timeout.signal }).then(([text]) => String(text));
  const timer = setTimeout(() => timeout.abort(), READY_LIMIT_MS);
  try {
    const text = await Promise.race([line, ended.then(() => undefined)]);
    if (text === undefined) throw new Error(`${name} ended before it was ready`);
    const answer = JSON.parse(text) as Record<string, unknown>;
    const error = answer['error'] as { code?: string; message?: string } | undefined;
    if (error !== undefined) throw refused(name, error);
    return answer;
  } finally {
    clearTimeout(timer);
    line.catch(() => undefined);
  }
}

function refused(name: string, error: { code?: string; message?: string }): BadInput {
  if (error.code !== 'EADDRINUSE') return new BadInput(`${name} could not start: ${error.message ?? error.code}`);
  const setting = `${name}Port`;
  return new BadInput(
    `${name} could not start: its port is in use (${error.message}). Next: choose another one, or any free one with --set ${setting}=0`,
  );
}
