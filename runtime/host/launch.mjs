// The first file that runs. Plain JavaScript, so that any Node can read it far enough to be told what is missing.
import { existsSync } from 'node:fs';
import module from 'node:module';
import { fileURLToPath } from 'node:url';

/** First Node that the runtime works on: type stripping without a flag, and the floor of undici 8. */
const NODE_FLOOR = [22, 19];

/**
 * Where Node keeps what it has compiled, so that the next start does not compile it again: a start takes 0.6 s of
 * CPU instead of 1.15 s (2 cores, Node 24.21, 2026-11-28). Inside node_modules, which belongs to whoever installed it; where that is
 * read-only, nothing is kept and nothing fails.
 */
const COMPILE_CACHE = fileURLToPath(new URL('../../node_modules/.cache/compiled', import.meta.url));

/** Every command, and the module whose `main(args)` runs it and answers with the exit code. */
const COMMANDS = {
  start: () => import('./start.ts'),
  adit: () => import('../ops/cli.ts'),
  prices: () => import('./refresh-prices.ts'),
};

/** Exit code for "could not begin": nothing was started and nothing was changed. */
const EXIT_NOT_STARTED = 2;

function obstacle() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < NODE_FLOOR[0] || (major === NODE_FLOOR[0] && minor < NODE_FLOOR[1])) {
    return [
      `Adit needs Node ${NODE_FLOOR.join('.')} or newer, this is ${process.versions.node} (${process.execPath}).`,
      'Run "npm ci", which installs Node 24 into node_modules for the npm scripts, then "npm start" or "npm run adit".',
      'Where npm may not run install scripts, install Node 24 yourself.',
    ].join('\n');
  }
  if (!existsSync(new URL('../../node_modules', import.meta.url))) {
    return 'The packages are not installed: run "npm ci" first.';
  }
  if (!Object.hasOwn(COMMANDS, process.argv[2] ?? '')) {
    return `Unknown command "${process.argv[2] ?? ''}". Say "npm start" or "npm run adit -- --help".`;
  }
  return undefined;
}

/** Type stripping and node:sqlite announce themselves on every start. Every other warning is still printed. */
function silenceExperimentalWarnings() {
  const emitWarning = process.emitWarning.bind(process);
  process.emitWarning = (warning, ...rest) => {
    const [options] = rest;
    const type = warning instanceof Error ? warning.name : typeof options === 'object' ? options?.type : options;
    if (type !== 'ExperimentalWarning') emitWarning(warning, ...rest);
  };
}

function isMissingPackage(error) {
  return error?.code === 'ERR_MODULE_NOT_FOUND' && /Cannot find package/.test(error.message);
}

/** Without secrets. A command that got so far as to read one has loaded this file already. */
async function printCrash(crash) {
  try {
    const { tellCrash } = await import('./exits.ts');
    tellCrash(crash);
  } catch (error) {
    if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    console.error(crash);
  }
}

async function launch() {
  const problem = obstacle();
  if (problem !== undefined) {
    console.error(problem);
    return EXIT_NOT_STARTED;
  }
  module.enableCompileCache(COMPILE_CACHE);
  silenceExperimentalWarnings();
  const [, , command, ...args] = process.argv;
  try {
    const { main } = await COMMANDS[command]();
    // Now, because a process that is killed would keep nothing.
    module.flushCompileCache();
    return await main(args);
  } catch (error) {
    if (isMissingPackage(error)) {
      console.error(`${error.message}\nThe packages are not all installed: run "npm ci" first.`);
      return EXIT_NOT_STARTED;
    }
    await printCrash(error);
    return 1;
  }
}

process.exitCode = await launch();
