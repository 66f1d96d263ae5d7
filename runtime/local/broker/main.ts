import { createInterface } from 'node:readline';
import { redactText } from '../../core/redact.ts';
import { complain, guardServer } from '../last-words.ts';
import { BrokerError } from './broker-error.ts';
import { startBroker } from './broker.ts';
import type { BrokerOptions } from './broker.ts';

/**
 * The broker as a process of its own. One line of JSON on stdin: BrokerOptions. One line on stdout: `{port,
 * connectionString}`, or `{error: {code, message}}` with exit code 2. It runs until stdin ends, which also happens when
 * the parent dies, or until SIGTERM; exit code 3 means that the journal could not be written any more.
 */
async function main(): Promise<void> {
  guardServer();
  // Ctrl-C reaches the whole process group; the parent stops the broker last, when its clients are done.
  process.on('SIGINT', () => undefined);
  const ended = Promise.withResolvers<void>();
  process.on('SIGTERM', () => ended.resolve());
  // The parent may have died before it could read the answer.
  process.stdout.on('error', () => ended.resolve());
  const lines = createInterface({ input: process.stdin });
  const firstLine = Promise.withResolvers<string>();
  lines.once('line', (line) => firstLine.resolve(line));
  lines.once('close', () => {
    firstLine.resolve('');
    ended.resolve();
  });
  const broker = await startBroker(readOptions(await firstLine.promise));
  process.stdout.write(`${JSON.stringify({ port: broker.port, connectionString: broker.connectionString })}\n`);
  const failure = await Promise.race([ended.promise, broker.failed]);
  if (failure !== undefined) {
    complain(failure.message);
    process.exit(3);
  }
  await broker.close();
  process.exit(0);
}

function readOptions(line: string): BrokerOptions {
  const options = parse(line) as Partial<BrokerOptions> | null;
  const isComplete =
    typeof options?.stateDir === 'string' && typeof options.port === 'number' && Array.isArray(options.entities);
  if (!isComplete) throw new BrokerError('OPTIONS', 'the options need stateDir, port and entities');
  return options as BrokerOptions;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new BrokerError('OPTIONS', 'the first line on stdin must be the options as JSON', error);
  }
}

try {
  await main();
} catch (error) {
  const code = error instanceof BrokerError ? error.code : 'FAILED';
  const message = error instanceof Error ? error.message : String(error);
  process.stdout.write(`${JSON.stringify({ error: { code, message: redactText(message) } })}\n`);
  process.exitCode = 2;
  process.stdin.destroy();
}
