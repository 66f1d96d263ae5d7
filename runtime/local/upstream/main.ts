import { createInterface } from 'node:readline';

import { redactText } from '../../core/redact.ts';
import { guardServer } from '../last-words.ts';
import { startSimulator } from './simulator.ts';
import type { Simulator, SimulatorOptions } from './simulator.ts';

/** Exit code for options that make no sense and for a port that is taken. */
const EXIT_CANNOT_START = 2;

/**
 * Process entry. Reads one JSON line of options from stdin, prints one JSON line `{"port","url","usersFile"}` when it listens,
 * and runs until stdin ends or SIGTERM comes.
 */
async function main(): Promise<void> {
  guardServer();
  // Ctrl-C reaches the whole process group; the process that started this one decides when it ends.
  process.on('SIGINT', () => undefined);
  const input = createInterface({ input: process.stdin });
  const ended = new Promise<void>((resolve) => {
    input.on('close', resolve);
    process.on('SIGTERM', () => resolve());
    // The parent may have died before it could read the answer.
    process.stdout.on('error', () => resolve());
  });
  const line = await Promise.race([new Promise<string>((resolve) => input.once('line', resolve)), ended]);
  if (line === undefined) return;
  const simulator = await start(line);
  if (simulator === undefined) return;
  const { port, url, usersFile } = simulator;
  process.stdout.write(`${JSON.stringify({ port, url, usersFile: usersFile ?? null })}\n`);
  await ended;
  await simulator.close();
}

async function start(line: string): Promise<Simulator | undefined> {
  try {
    return await startSimulator(JSON.parse(line) as SimulatorOptions);
  } catch (error) {
    const { code = 'INVALID_OPTIONS', message } = error as NodeJS.ErrnoException;
    process.stdout.write(`${JSON.stringify({ error: { code, message: redactText(message) } })}\n`);
    process.exitCode = EXIT_CANNOT_START;
    return undefined;
  }
}

await main();
process.stdin.destroy();
