import type { Command } from 'commander';
import { BadInput, EXIT } from '../host/bad-input.ts';
import { handOver, tell } from '../host/exits.ts';
import { runBroker } from '../host/broker-command.ts';
import { STATE_FOLDER_DEFAULT } from '../host/options.ts';

const PORT_MAX = 65_535;

/** The command that runs a broker by itself. `exit` is told an exit code other than 0. */
export function addBroker(broker: Command, exit: (code: number) => void): void {
  broker
    .option('--state <dir>', 'state folder; its journal is served', STATE_FOLDER_DEFAULT)
    .option('--port <n>', 'port of 127.0.0.1; 0 = any free one', '0')
    .action(async ({ state, port }: { state: string; port: string }) => {
      if (!/^\d{1,5}$/.test(port) || Number(port) > PORT_MAX)
        throw new BadInput(
          `--port must be a whole number 0..${PORT_MAX}, got ${JSON.stringify(port)}. Example: --port 5672`,
        );
      const code = await runBroker({ state, port: Number(port) }, (variable) => {
        handOver(variable);
        tell(
          `The broker of ${state} is ready. Next, as often as you like: export '<the line on stdout>' && npm start -- --state ${state}`,
        );
      });
      if (code !== EXIT.ok) exit(code);
    });
}
