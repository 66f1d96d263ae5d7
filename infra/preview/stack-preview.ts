import { readConfigFile } from '../config-file.ts';
import { type Analyzer, hasPack, startAnalyzer } from './analyzer.ts';
import { type MonthlyCost, monthlyCostOf } from './cost.ts';
import type { Finding } from './finding.ts';
import { ProgramFault } from './program-fault.ts';
import { type ProgramRun, type RunOptions, runProgram } from './run-program.ts';
import { SECRET } from './wire-value.ts';

/** Which stack of which folder. */
export interface StackPreviewOptions extends Pick<RunOptions, 'dir' | 'entry' | 'limitMs' | 'signal' | 'onText'> {
  readonly stack: string;
  /** Is told what a person should know while it runs. */
  readonly onNote: (note: string) => void;
}

/** What the policies and the prices say about a stack. */
export interface Judgement {
  readonly monthlyCost: MonthlyCost;
  readonly findings: readonly Finding[];
}

/** A stack as a change would make it. */
export interface StackPreview {
  readonly run: ProgramRun;
  /** As the program and the policies were given it: what is secret is masked. */
  readonly config: Readonly<Record<string, string>>;
  /** Undefined: the folder has no policy pack, so it is not judged. */
  readonly judgement: Judgement | undefined;
}

/**
 * Runs the program of a stack and asks its policy pack, which starts meanwhile.
 * @throws ProgramFault when either of them gives no result.
 */
export async function previewStack(options: StackPreviewOptions): Promise<StackPreview> {
  const { dir, stack, signal, onNote } = options;
  const { values, secrets } = readConfig(dir, stack);
  // What is encrypted stays so: program and policies only learn that there is a value.
  const config = { ...values, ...Object.fromEntries(secrets.map((key) => [key, SECRET])) };
  onNote(`${stack}: running the program`);
  const starting = hasPack(dir) ? startAnalyzer({ dir, stack, config, signal }) : undefined;
  // It may fail while the program still runs; it is awaited, and reported, after that.
  starting?.catch(() => undefined);
  try {
    const run = await runProgram({ ...options, config, secretKeys: secrets, isPreview: true });
    const analyzer = await starting;
    return { run, config, judgement: analyzer === undefined ? undefined : await judge(analyzer, run, config) };
  } finally {
    await starting?.then(
      (analyzer) => analyzer.close(),
      () => undefined,
    );
  }
}

async function judge(
  analyzer: Analyzer,
  run: ProgramRun,
  config: Readonly<Record<string, string>>,
): Promise<Judgement> {
  refuseUnknown(await analyzer.policies(), config['adit:exceptions']);
  const findings = await analyzer.analyze(run.resources);
  return { monthlyCost: monthlyCostOf(run.resources, config), findings };
}

/** Only the pack knows its policies; the program has accepted the form of the exceptions. */
function refuseUnknown(policies: readonly string[], exceptions: string | undefined): void {
  const named = (JSON.parse(exceptions || '[]') as readonly { readonly policy: string }[]).map(({ policy }) => policy);
  const unknown = named.filter((policy) => !policies.includes(policy));
  if (unknown.length === 0) return;
  const lines = unknown.map((policy) => `adit:exceptions names ${JSON.stringify(policy)}, which is no policy.`);
  throw new ProgramFault('refused', [...lines, `There are: ${policies.join(', ')}`].join('\n'));
}

function readConfig(dir: string, stack: string): ReturnType<typeof readConfigFile> {
  try {
    return readConfigFile(dir, stack);
  } catch (error) {
    throw new ProgramFault('refused', error instanceof Error ? error.message : String(error), { cause: error });
  }
}
