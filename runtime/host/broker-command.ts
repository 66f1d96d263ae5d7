import { openStateFolder } from '../local/state-folder.ts';
import { CONNECTIONS } from '../connections.ts';
import { EXIT } from './bad-input.ts';
import { JOURNAL_LOST_EXIT } from './child.ts';
import { startBroker } from './local-broker.ts';

/** Where the broker keeps its journal, and on which port of 127.0.0.1 it listens; 0 = any free one. */
export interface BrokerCommandOptions {
  readonly state: string;
  readonly port: number;
}

/**
 * Runs the broker of a state folder until SIGINT or SIGTERM, so that several `npm start` may share both. `ready` is told the
 * variable to start them with. The exit code is the answer.
 * @throws BadInput when the port is in use, StateFolderError when an `npm start` has the folder for itself.
 */
export async function runBroker(options: BrokerCommandOptions, ready: (variable: string) => void): Promise<number> {
  const folder = await openStateFolder(options.state, { isShared: true });
  try {
    const broker = await startBroker(folder.dir, options.port);
    const stop = (): void => void broker.stop();
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
    try {
      ready(`${CONNECTIONS.bus.variable}=${String(broker.ready['connectionString'])}`);
      const { code } = await broker.ended;
      return code === JOURNAL_LOST_EXIT || code === null ? EXIT.incomplete : EXIT.ok;
    } finally {
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      await broker.stop();
    }
  } finally {
    await folder.close();
  }
}
