import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { densest } from '../../fakes/densest.ts';
import type { Grant, MemberOptions } from './fleet-member.ts';

const MEMBER = join(import.meta.dirname, 'fleet-member.ts');

/** Clocks of the processes are wrong by up to so much, in both directions. */
const SKEW_MAX_MS = 5000;

/** Processes on one Redis; whoever starts them ends them. */
export class Fleet {
  startedAtMs = 0;
  readonly #members: ChildProcess[] = [];
  readonly #files: string[] = [];
  readonly #ended: Promise<unknown>;
  #errors = '';

  constructor(dir: string, size: number, options: Omit<MemberOptions, 'file' | 'member' | 'skewMs' | 'instances'>) {
    for (let member = 0; member < size; member += 1) {
      const file = join(dir, `grants-${member}.ndjson`);
      const skewMs = Math.round(((2 * member) / (size - 1) - 1) * SKEW_MAX_MS);
      const full: MemberOptions = { ...options, file, member, skewMs, instances: size };
      const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MEMBER, JSON.stringify(full)], {
        stdio: ['pipe', 'pipe', 'pipe'],
      });
      child.stderr?.on('data', (text) => (this.#errors += String(text)));
      this.#members.push(child);
      this.#files.push(file);
    }
    this.#ended = Promise.all(this.#members.map((child) => once(child, 'exit')));
  }

  /** Lets all processes begin, together, as soon as they have started, for `durationMs`. */
  async begin(durationMs: number): Promise<void> {
    await Promise.all(this.#members.map((child) => Promise.race([once(child.stdout!, 'data'), once(child, 'exit')])));
    this.startedAtMs = Date.now();
    for (const child of this.#members) child.stdin?.end(`${this.startedAtMs + durationMs}\n`);
  }

  /** Waits until `ms` after the start. */
  async at(ms: number): Promise<void> {
    await wait(Math.max(0, this.startedAtMs + ms - Date.now()));
  }

  /** Every place that was given, in the order of their times. @throws Error when a process failed. */
  async grants(): Promise<readonly Grant[]> {
    await this.#ended;
    if (this.#errors !== '') throw new Error(this.#errors);
    const failed = this.#members.find(({ exitCode }) => exitCode !== 0);
    if (failed !== undefined)
      throw new Error(`a process of the fleet ended with ${failed.exitCode ?? failed.signalCode}`);
    const texts = await Promise.all(this.#files.map((file) => readFile(file, 'utf8').catch(() => '')));
    const lines = texts.flatMap((text) => text.split('\n').filter((line) => line !== ''));
    const grants = lines.map((line) => JSON.parse(line) as Grant);
    return grants.toSorted((a, b) => a.atMs - b.atMs);
  }

  /** Ends what still runs. */
  kill(): void {
    for (const child of this.#members) child.kill('SIGKILL');
  }
}

/** Calls beyond the limit in the fullest window of each length, over all users and for the worst user. */
export function callsOver(
  grants: readonly Grant[],
  limits: { readonly upstream: number; readonly user: number },
): { readonly upstream: number; readonly user: number; readonly fullest: number } {
  const byUser = new Map<string, number[]>();
  for (const { userId, atMs } of grants) byUser.set(userId, [...(byUser.get(userId) ?? []), atMs]);
  const times = grants.map(({ atMs }) => atMs);
  let upstream = 0;
  let user = 0;
  for (const seconds of [1, 2, 10]) {
    upstream = Math.max(upstream, densest(times, seconds * 1000) - seconds * limits.upstream);
    for (const own of byUser.values()) user = Math.max(user, densest(own, seconds * 1000) - seconds * limits.user);
  }
  return { upstream: Math.max(0, upstream), user: Math.max(0, user), fullest: densest(times, 1000) };
}
