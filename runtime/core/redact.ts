import { KnownSecrets, type SecretRange } from './known-secrets.ts';
import { findSecretPatterns } from './secret-patterns.ts';

/** Stands where a secret stood. */
export const MASK = '[masked]';

/** Longest text of a log field, a reason or a dead letter that is looked at and passed on, in characters. */
export const TEXT_LIMIT = 16_384;

/** So much behind the cut is looked at too, because a secret may begin before it. In characters. */
const LOOK_BEHIND_CUT = 64;

/** What credentials are written with; a run of it that a cut goes through is left out whole. */
const CREDENTIAL_CHARACTER = /[\w.~+/=%|:-]/;

const NOTHING_KNOWN = new KnownSecrets(1);

/**
 * A text without secrets: neither one that is `known`, in any of its forms, nor what is shaped like one. Longer than `limit`
 * characters, it is cut, and says so. What is no secret stays as it is. Article ch. 7; departs: it knows the values, goes on behind
 * the first dot of a JWT, and has a limit.
 */
export function redactText(text: string, known: KnownSecrets = NOTHING_KNOWN, limit = TEXT_LIMIT): string {
  const isLong = text.length > limit;
  const looked = isLong ? text.slice(0, limit + LOOK_BEHIND_CUT) : text;
  const safe = masked(looked, [...known.find(looked), ...findSecretPatterns(looked)], Math.min(limit, looked.length));
  if (!isLong) return safe;
  return `${safe.slice(0, startOfLastRun(safe))}[${text.length - limit} characters more]`.toWellFormed();
}

function startOfLastRun(text: string): number {
  let at = text.length;
  while (at > 0 && CREDENTIAL_CHARACTER.test(text.charAt(at - 1))) at -= 1;
  return at;
}

/**
 * A text without these values, in any of their forms, whatever else is in it and however long it is: for a body that is still to be
 * parsed.
 */
export function withoutValues(text: string, values: readonly string[]): string {
  const known = new KnownSecrets(Math.max(1, values.length));
  for (const value of values) known.know(value);
  return masked(text, known.find(text), text.length);
}

/** Ranges may overlap; what is behind `end` is left out. */
function masked(text: string, ranges: readonly SecretRange[], end: number): string {
  if (ranges.length === 0) return text.slice(0, end);
  const parts: string[] = [];
  let at = 0;
  for (const range of ranges.toSorted((left, right) => left.start - right.start)) {
    if (range.start >= end) break;
    // Neighbours are one mask: two would tell where one secret ends.
    if (range.start > at || at === 0) parts.push(text.slice(at, range.start), MASK);
    at = Math.max(at, range.end);
  }
  parts.push(text.slice(Math.min(at, end), end));
  return parts.join('');
}
