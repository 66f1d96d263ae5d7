import { redactError } from '../core/redact-error.ts';
import { redactText } from '../core/redact.ts';

/** Exit code of a server that met an error nobody foresaw. */
const EXIT_CRASHED = 1;

/** A line for people on stderr, which is that of the process that started this server. Peers send credentials: none is in it. */
export function complain(line: string): void {
  process.stderr.write(`${redactText(line)}\n`);
}

/** What Node would print by itself, of errors that nobody caught, is printed without secrets. */
export function guardServer(): void {
  const crash = (error: unknown): void => {
    process.stderr.write(`${redactError(error)}\n`);
    process.exit(EXIT_CRASHED);
  };
  process.on('uncaughtException', crash);
  process.on('unhandledRejection', crash);
}
