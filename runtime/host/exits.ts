import { once } from 'node:events';
import { safeError, safeErrorText, safeJson, safeOutput } from './redaction.ts';

/** Exit code of a process that met an error nobody foresaw. */
const EXIT_CRASHED = 1;

/** A text for people or a pipe, on stdout. Ends with a newline where `text` does. */
export function print(text: string): void {
  process.stdout.write(safeOutput(text));
}

/** One JSON object on a line of its own, on stdout. */
export function printJson(value: unknown): void {
  process.stdout.write(`${safeJson(value)}\n`);
}

/** A line for people, on stderr. */
export function tell(line: string): void {
  process.stderr.write(safeOutput(`${line}\n`));
}

/** What a text that redraws itself needs of a terminal. */
export interface Terminal {
  readonly isTTY: boolean;
  readonly columns: number;
  write(text: string): unknown;
}

/** Stderr for texts that draw. */
export const STDERR: Terminal = {
  get isTTY() {
    return process.stderr.isTTY;
  },
  get columns() {
    return process.stderr.columns;
  },
  write: (text) => process.stderr.write(safeOutput(text)),
};

/** Colours are for where the text goes: stdout may be a terminal while stderr is piped, and the other way round. */
export const STDERR_STYLE = { stream: process.stderr } as const;

/** Lines of the lake on stdout, as they were served: they are data, and leave without being looked at. */
export async function printData(lines: AsyncIterable<string>): Promise<void> {
  for await (const line of lines) {
    if (!process.stdout.write(`${line}\n`)) await once(process.stdout, 'drain');
  }
}

/** The address of a broker on this machine, key included, for whoever asked for one to hand it to another process. */
export function handOver(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** An error that nobody foresaw, with its stack, on stderr. */
export function tellCrash(error: unknown): void {
  process.stderr.write(`${safeErrorText(error)}\n`);
}

/** What Node would print by itself, of errors that nobody caught and of warnings, is printed without secrets. Idempotent. */
export function guardProcess(): void {
  if (process.listeners('uncaughtException').includes(crash)) return;
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
  process.removeAllListeners('warning');
  process.on('warning', (warning) => tell(`(node:${process.pid}) ${warning.name}: ${warning.message}`));
}

/** In a worker of somebody else, who prints what nobody caught: it is made safe before it gets there. Idempotent. */
export function guardWorker(): void {
  if (process.listeners('uncaughtException').includes(makeSafe)) return;
  process.prependListener('uncaughtException', makeSafe);
  process.prependListener('unhandledRejection', makeSafe);
}

function makeSafe(error: unknown): void {
  if (!(error instanceof Error)) return;
  const { message, stack } = safeError(error);
  for (const name of Object.getOwnPropertyNames(error)) Reflect.deleteProperty(error, name);
  for (const [name, value] of Object.entries({ message, stack })) {
    Object.defineProperty(error, name, { value, configurable: true, writable: true });
  }
}

function crash(error: unknown): void {
  tellCrash(error);
  process.exit(EXIT_CRASHED);
}
