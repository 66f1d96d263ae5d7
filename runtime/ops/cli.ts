import { Command, CommanderError } from 'commander';
import { BadInput, EXIT } from '../host/bad-input.ts';
import { guardProcess, print, printData } from '../host/exits.ts';
import { exportLake } from '../host/export-lake.ts';
import { SIZE_OPTIONS, sizeText } from '../host/size-command.ts';
import { explain } from '../host/start.ts';
import { addBrake } from './brake.ts';
import { addBroker } from './broker.ts';
import { addDiscard } from './discard.ts';
import { addRuns } from './runs.ts';
import { addRedrive } from './redrive.ts';
import { addUsers } from './users.ts';
import { addPlace, type PlaceFlags, placeOf } from './where.ts';

/** `npm run adit -- ...`. Answers with the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  guardProcess();
  let code: number = EXIT.ok;
  const program = buildProgram((ended) => (code = ended));
  // A reader such as `head` that has seen enough is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    throw error;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    if (!(error instanceof CommanderError)) return explain(error);
    if (error.exitCode === 0) return EXIT.ok;
    return explain(
      new BadInput(`${error.message.replace(/^error: /, '')}\nNext: npm run adit -- --help`, { cause: error }),
    );
  }
}

function buildProgram(exit: (code: number) => void): Command {
  const program = new Command('npm run adit --').description('Looks at and steers what Adit mines.').exitOverride();
  program.configureOutput({ outputError: () => undefined });
  addPlace(program.command('export').description('prints the lake as NDJSON, the versions of an item together'))
    .option('--miner <name>', 'only this data type')
    .option('--user <id>', 'only this user')
    .action(async (flags: PlaceFlags & { miner?: string; user?: string }) => {
      await printData(exportLake(placeOf(flags), { minerName: flags.miner, userId: flags.user }));
    });
  addSize(
    program.command('size').description('the cheapest size of every tier that carries a workload, and the next one'),
  );
  addBroker(
    program.command('broker').description('runs the broker of a state folder, for several npm start on one machine'),
    exit,
  );
  addRuns(program);
  addBrake(program.command('brake').description('stops lanes and miners, and lets them go on'));
  addRedrive(program.command('redrive').description('sends dead letters again, each as a message of its own'), exit);
  addDiscard(
    program.command('discard').description('gives dead letters up for good; their items are mined again'),
    exit,
  );
  addUsers(program.command('users').description('the users to mine'), exit);
  return program;
}

/** Every field of a workload is an option. */
function addSize(size: Command): void {
  for (const { flags, description } of SIZE_OPTIONS) size.option(flags, description);
  size.option('--json', 'one JSON object', false).action((flags: Record<string, string> & { json: boolean }) => {
    const { json, ...given } = flags;
    print(`${sizeText(given, json)}\n`);
  });
}
