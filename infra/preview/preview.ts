import { styleText } from 'node:util';
import { readConfigFile } from '../config-file.ts';
import { HELP, readPreviewOptions } from './options.ts';
import { ProgramFault } from './program-fault.ts';
import type { Diagnostic } from './registered-resource.ts';
import { type ProgramRun, type RunOptions, runProgram } from './run-program.ts';
import { jsonOf, treeOf } from './tree.ts';
import { SECRET } from './wire-value.ts';

/** Exit codes of the preview. */
const EXIT = { ok: 0, failed: 1, badInput: 2, stopped: 130 } as const;

/** Where the preview runs and to whom it speaks. */
export interface PreviewSurroundings extends Pick<RunOptions, 'dir' | 'entry' | 'limitMs' | 'signal'> {
  readonly out: NodeJS.WritableStream;
  readonly err: NodeJS.WritableStream;
  /** Milliseconds since any fixed moment. */
  now(): number;
}

/** `npm run preview`. Answers with the exit code. */
export async function preview(args: readonly string[], surroundings: PreviewSurroundings): Promise<number> {
  const { out, err } = surroundings;
  const options = readPreviewOptions(args);
  if (options.kind === 'help') {
    out.write(HELP);
    return EXIT.ok;
  }
  if (options.kind === 'mistake') {
    err.write(`${options.message}\n`);
    return EXIT.badInput;
  }
  try {
    const startMs = surroundings.now();
    const run = await runStack(options.stack, surroundings);
    const seconds = ((surroundings.now() - startMs) / 1000).toFixed(1);
    run.diagnostics.forEach((diagnostic) => err.write(`${lineOf(diagnostic)}\n`));
    out.write(options.json ? `${JSON.stringify(jsonOf(run))}\n` : `${treeOf(run).join('\n')}\n`);
    err.write(`${styled(err, 'dim', `${options.stack}: ${seconds} s, nothing was asked of Azure`)}\n`);
    return EXIT.ok;
  } catch (error) {
    return explain(error, err);
  }
}

async function runStack(stack: string, surroundings: PreviewSurroundings): Promise<ProgramRun> {
  const { dir, entry, limitMs, signal, err } = surroundings;
  const { values, secrets } = readConfig(dir, stack);
  err.write(`${styled(err, 'dim', `${stack}: running the program`)}\n`);
  return runProgram({
    dir,
    entry,
    stack,
    // What is encrypted stays so: the program only learns that there is a value.
    config: { ...values, ...Object.fromEntries(secrets.map((key) => [key, SECRET])) },
    secretKeys: secrets,
    isPreview: true,
    limitMs,
    signal,
    // Stdout belongs to the tree or the JSON alone.
    onText: (text) => void err.write(text),
  });
}

function readConfig(dir: string, stack: string): ReturnType<typeof readConfigFile> {
  try {
    return readConfigFile(dir, stack);
  } catch (error) {
    throw new ProgramFault('refused', error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** A fault of the program is one message; anything else is a mistake of ours and keeps its stack. */
function explain(error: unknown, err: NodeJS.WritableStream): number {
  if (!(error instanceof ProgramFault)) throw error;
  err.write(`${error.message}\n`);
  switch (error.kind) {
    case 'refused':
      return EXIT.badInput;
    case 'stopped':
      return EXIT.stopped;
    default:
      return EXIT.failed;
  }
}

function lineOf({ severity, message }: Diagnostic): string {
  return severity === 'info' ? message : `${severity}: ${message}`;
}

/** Colours only where they are seen and wanted: on a terminal, without NO_COLOR. */
function styled(stream: NodeJS.WritableStream, style: 'dim', text: string): string {
  return styleText(style, text, { stream });
}
