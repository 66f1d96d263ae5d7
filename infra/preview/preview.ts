import { styleText } from 'node:util';
import { type Against, differenceAgainst, findAgainst } from './against.ts';
import { costLines } from './cost.ts';
import { findingLines } from './finding.ts';
import { markdownOf } from './markdown.ts';
import { HELP, type PreviewOptions, readPreviewOptions } from './options.ts';
import { ProgramFault } from './program-fault.ts';
import type { Diagnostic } from './registered-resource.ts';
import type { RunOptions } from './run-program.ts';
import { previewStack, type StackPreview, type StackPreviewOptions } from './stack-preview.ts';
import { jsonOf, treeOf } from './tree.ts';

/** Exit codes of the preview. */
const EXIT = { ok: 0, failed: 1, badInput: 2, stopped: 130 } as const;

/** Where the preview runs and to whom it speaks. */
export interface PreviewSurroundings extends Pick<RunOptions, 'dir' | 'entry' | 'limitMs' | 'signal'> {
  readonly out: NodeJS.WritableStream;
  readonly err: NodeJS.WritableStream;
  /** Milliseconds since any fixed moment. */
  now(): number;
}

/** What was asked for, once it is known to be a preview. */
type Asked = Extract<PreviewOptions, { kind: 'preview' }>;

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
    return await show(options, surroundings);
  } catch (error) {
    return explain(error, err);
  }
}

async function show(asked: Asked, surroundings: PreviewSurroundings): Promise<number> {
  const { out, err } = surroundings;
  const { stack } = asked;
  const startMs = surroundings.now();
  const note = (text: string): void => void err.write(`${styled(err, 'dim', text)}\n`);
  const { dir, entry, limitMs, signal } = surroundings;
  // Stdout belongs to the tree, the JSON or the Markdown alone.
  const onText = (text: string): void => void err.write(text);
  const options = { dir, entry, limitMs, signal, stack, onText, onNote: note };
  const against = asked.against === undefined ? undefined : await findAgainst(dir, asked.against);
  const planned = await previewStack(options);
  planned.run.diagnostics.forEach((diagnostic) => err.write(`${lineOf(diagnostic)}\n`));
  out.write(await textOf(asked, against, planned, options));
  note(`${stack}: ${((surroundings.now() - startMs) / 1000).toFixed(1)} s, nothing was asked of Azure`);
  const isRefused = planned.judgement?.findings.some(({ level }) => level === 'mandatory') === true;
  return isRefused ? EXIT.failed : EXIT.ok;
}

async function textOf(
  { json: isJson, stack }: Asked,
  against: Against | undefined,
  planned: StackPreview,
  options: StackPreviewOptions,
): Promise<string> {
  const json = jsonOf(planned);
  const difference = against === undefined ? undefined : await differenceAgainst(against, options, json);
  if (isJson) return `${JSON.stringify(difference === undefined ? json : { ...json, difference })}\n`;
  if (difference !== undefined) return markdownOf(stack, difference, json.findings ?? []);
  const { run, judgement } = planned;
  const judged =
    judgement === undefined ? [] : ['', ...costLines(judgement.monthlyCost), '', ...findingLines(judgement.findings)];
  return `${[...treeOf(run), ...judged].join('\n')}\n`;
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
