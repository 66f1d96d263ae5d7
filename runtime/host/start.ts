import { SealingError } from '../core/key-ring.ts';
import { isDiskFull } from '../engine/paced.ts';
import { StateFolderError } from '../local/state-folder.ts';
import { BadInput, EXIT } from './bad-input.ts';
import { readEnvironment } from './config.ts';
import { guardProcess, tell } from './exits.ts';
import { runLocal } from './local.ts';
import { readStartOptions } from './options.ts';

/** `npm start`. Answers with the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  guardProcess();
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(EXIT.incomplete);
    stop.abort(new Error('stopped by a signal'));
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    const environment = readEnvironment();
    const options = readStartOptions(args, environment);
    return options === undefined ? EXIT.ok : await runLocal(options, environment, stop.signal);
  } catch (error) {
    return explain(error);
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

/** A person's mistake is one message and exit code 2; anything else is ours and keeps its stack. */
export function explain(error: unknown): number {
  const message = messageFor(error);
  if (message === undefined) throw error;
  tell(message);
  return EXIT.badInput;
}

function messageFor(error: unknown): string | undefined {
  if (error instanceof BadInput || error instanceof StateFolderError || error instanceof SealingError)
    return error.message;
  if (!isDiskFull(error)) return undefined;
  return `${error.message}\nNext: free some space, or use a folder on another disk: npm start -- --state DIR. Nothing is lost; the same command goes on.`;
}
