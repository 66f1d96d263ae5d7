import type { KnownSecrets } from './known-secrets.ts';
import { redactValue } from './redact-value.ts';

/** Causes of causes that are told. */
const CAUSES_LIMIT = 5;

/** An error for people, without secrets: its stack, its own members as JSON, its causes. Any other value as JSON. Never throws. */
export function redactError(error: unknown, known?: KnownSecrets): string {
  return describe(redactValue(error, known), 0);
}

function describe(plain: unknown, depth: number): string {
  if (typeof plain !== 'object' || plain === null) return String(plain);
  const { name, message, stack, cause, errors, ...members } = plain as Readonly<Record<string, unknown>>;
  if (typeof message !== 'string') return JSON.stringify(plain);
  const lines = [typeof stack === 'string' ? stack : `${typeof name === 'string' ? name : 'Error'}: ${message}`];
  if (Object.keys(members).length > 0) lines.push(`  ${JSON.stringify(members)}`);
  const below = [...(cause === undefined ? [] : [cause]), ...(Array.isArray(errors) ? (errors as unknown[]) : [])];
  if (depth < CAUSES_LIMIT) lines.push(...below.map((one) => `cause: ${describe(one, depth + 1)}`));
  return lines.join('\n');
}
