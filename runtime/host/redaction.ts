import { credentialsIn, proxyCredentialsIn } from '../core/credentials-in.ts';
import { KnownSecrets } from '../core/known-secrets.ts';
import { redactError } from '../core/redact-error.ts';
import { redactText } from '../core/redact.ts';
import { redactValue, type ValueLimits } from '../core/redact-value.ts';
import type { UpstreamCall } from '../ports.ts';

/** What people and machines are told by a command may be long: a list of runs, not one line of a log. */
const OUTPUT_LIMITS: Required<ValueLimits> = { text: 1_048_576, depth: 12, width: 1_000_000 };

/** Headers that every client sends and that hold no credential. */
const PLAIN_HEADERS: ReadonlySet<string> = new Set([
  ...['accept', 'accept-encoding', 'accept-language', 'content-type', 'content-length', 'host', 'user-agent'],
]);

/** What this process knows to be secret. There is one, as there is one stdout: whatever leaves the process goes by it. */
const known = new KnownSecrets();

/** Keeps the secrets of a connection for good: an address with a password, a connection string, a ring of sealing keys. */
export function keepSecret(text: string | undefined): void {
  for (const value of text === undefined ? [] : credentialsIn(text)) known.keep(value);
}

/** A secret that comes and goes, such as a token that a service was entered with. */
export function knowSecret(value: string): void {
  known.know(value);
}

/** Knows what a call carries from now on: the credential of a user, and those of the user's proxy. */
export function knowCall({ headers, proxyUrl }: Pick<UpstreamCall, 'headers' | 'proxyUrl'>): void {
  for (const [name, value] of Object.entries(headers)) {
    if (PLAIN_HEADERS.has(name)) continue;
    known.know(value);
    known.know(value.slice(value.lastIndexOf(' ') + 1));
  }
  for (const value of proxyUrl === null ? [] : proxyCredentialsIn(proxyUrl)) known.know(value);
}

/** A line for a log, a reason, a label: without secrets, at most 16,384 characters. */
export function safeText(text: string): string {
  return redactText(text, known);
}

/** Fields for a log, plain and bounded. */
export function safeFields(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return redactValue(fields, known) as Readonly<Record<string, unknown>>;
}

/** What a log is opened with. */
export const LOG_REDACTION = { text: safeText, fields: safeFields } as const;

/** What a command tells: without secrets, at most a million characters. */
export function safeOutput(text: string): string {
  return redactText(text, known, OUTPUT_LIMITS.text);
}

/** One JSON object for machines, without secrets. */
export function safeJson(value: unknown): string {
  return JSON.stringify(redactValue(value, known, OUTPUT_LIMITS));
}

/** An error for people, with stack, members and causes. */
export function safeErrorText(error: unknown): string {
  return redactError(error, known);
}

/** An error for a host that logs what its functions throw: nothing of the original but its safe texts. */
export function safeError(error: unknown): Error {
  const {
    message,
    name = 'Error',
    stack,
  } = redactValue(error instanceof Error ? error : new Error(String(error)), known) as {
    name?: string;
    message?: string;
    stack?: string;
  };
  const safe = new Error(message);
  safe.name = name;
  safe.stack = stack ?? `${name}: ${message}`;
  return safe;
}
