import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startSimulator } from '../../../runtime/local/upstream/simulator.ts';
import type { Simulator, SimulatorOptions } from '../../../runtime/local/upstream/simulator.ts';
import { openReader } from './reader.ts';
import type { Reader } from './reader.ts';

/** Everything by chance in these tests follows from it. */
export const SEED = 41;

const closers: (() => Promise<void> | void)[] = [];

/** For `afterEach`: closes and removes what a test has started. */
export async function closeAll(): Promise<void> {
  for (const close of closers.splice(0).reverse()) await close();
}

export async function start(
  options: Partial<SimulatorOptions> = {},
): Promise<{ simulator: Simulator; reader: Reader }> {
  const simulator = await startSimulator({ seed: SEED, users: 3, ...options });
  closers.push(() => simulator.close());
  const reader = openReader(simulator);
  closers.push(() => reader.close());
  return { simulator, reader };
}

/** A GET without a body, a POST with one. */
export async function admin(
  simulator: Simulator,
  path: string,
  body?: unknown,
): Promise<{ status: number; text: string }> {
  const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
  const response = await fetch(`${simulator.url}/_sim/${path}`, init);
  return { status: response.status, text: await response.text() };
}

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'adit-sim-'));
  closers.push(() => rmSync(folder, { recursive: true }));
  return folder;
}

export function idsOf(items: readonly { readonly id: string }[]): string[] {
  return items.map(({ id }) => id);
}
