import { setTimeout as wait } from 'node:timers/promises';
import { type Monitor, startMonitor } from './monitor.ts';
import { type ProgramEnd, type ProgramOptions, type RunningProgram, startProgram } from './program.ts';
import { ProgramFault } from './program-fault.ts';
import type { ComputeOutputs } from './recording.ts';
import type { Diagnostic, RegisteredResource } from './registered-resource.ts';
import type { JsonObject } from './wire-value.ts';

/** Name of the project in Pulumi.yaml. */
const PROJECT_DEFAULT = 'adit';

/** Time for a program to end, in ms. Ours takes a few seconds; one that waits for something waits for ever. */
const LIMIT_DEFAULT_MS = 120_000;

/** Which program, as which stack, with which configuration. */
export interface RunOptions extends Omit<ProgramOptions, 'project' | 'monitorAddress' | 'engineAddress'> {
  /** Default `adit`. */
  readonly project?: string | undefined;
  /** What only the cloud knows of a resource, when it is no preview. Default: nothing. */
  readonly computeOutputs?: ComputeOutputs | undefined;
  /** Time for the program to end, in ms. Default 120 s. */
  readonly limitMs?: number | undefined;
  /** Ends the program. */
  readonly signal?: AbortSignal | undefined;
}

/** What a program is, as the engine would have seen it. */
export interface ProgramRun {
  /** In the order of arrival, without the stack itself. */
  readonly resources: readonly RegisteredResource[];
  /** Outputs of the stack. */
  readonly outputs: JsonObject;
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Runs a Pulumi program without the CLI, an account or a network, and answers with what it registered.
 * @throws ProgramFault when the program refuses its configuration, crashes, does not end in time, or is stopped.
 */
export async function runProgram(options: RunOptions): Promise<ProgramRun> {
  const project = options.project ?? PROJECT_DEFAULT;
  const monitor = await startMonitor({ ...options, project });
  try {
    const { address } = monitor;
    const program = startProgram({ ...options, project, monitorAddress: address, engineAddress: address });
    const end = await endOf(program, options);
    if (end.code !== 0 || monitor.diagnostics.some(isError)) throw ProgramFault.ofEnd(end, monitor.diagnostics);
    return runOf(monitor);
  } finally {
    monitor.close();
  }
}

function runOf({ recording: { resources, outputs }, diagnostics }: Monitor): ProgramRun {
  return { resources, outputs, diagnostics };
}

function isError({ severity }: Diagnostic): boolean {
  return severity === 'error';
}

async function endOf(program: RunningProgram, { limitMs = LIMIT_DEFAULT_MS, signal }: RunOptions): Promise<ProgramEnd> {
  const over = new AbortController();
  const limit = wait(limitMs, undefined, { signal: over.signal }).then(() => ProgramFault.ofLimit(limitMs));
  const stopped = new Promise<ProgramFault>((resolve) => {
    const onAbort = (): void => resolve(ProgramFault.ofStop());
    if (signal?.aborted === true) onAbort();
    else signal?.addEventListener('abort', onAbort, { once: true, signal: over.signal });
  });
  try {
    const first = await Promise.race([stopped, program.ended, limit]);
    if (first instanceof ProgramFault) throw first;
    return first;
  } finally {
    over.abort();
    limit.catch(() => undefined);
    program.stop();
    await program.ended.catch(() => undefined);
  }
}
