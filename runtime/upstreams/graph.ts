import type { User } from '../core/miner.ts';
import { redactText } from '../core/redact.ts';
import { servedNumber } from '../core/served-json.ts';
import type { NextPage, ReplyFault, UpstreamDefinition, UpstreamReply, Usage } from '../core/upstream.ts';

/** A page or error marker longer than this cannot be carried in a URL and a marker message. */
const MARKER_LENGTH_MAX = 4_096;

const REASON_LENGTH_MAX = 200;

/** A longer wait asked for by the upstream is cut to this: one call a day finds out whether it still holds. */
const WAIT_MS_MAX = 24 * 60 * 60 * 1000;

const RATE_LIMIT_UPSTREAM_CODES: ReadonlySet<number> = new Set([4, 341]);
const RATE_LIMIT_USER_CODES: ReadonlySet<number> = new Set([17, 32, 613, 80001, 80002, 80003, 80004, 80005, 80006]);
const TOKEN_CODES: ReadonlySet<number> = new Set([102, 190]);
const TRANSIENT_CODES: ReadonlySet<number> = new Set([1, 2]);
const USER_GONE_CODE = 803;
const BAD_PARAMETER_CODE = 100;

/** The error envelope of a reply: `{"error":{"message","type","code","is_transient"}}`. */
interface ErrorEnvelope {
  readonly code: number | undefined;
  readonly type: string;
  readonly message: string;
  readonly isTransient: boolean;
}

/** An API shaped after the Graph API: cursors, an error envelope with codes, usage headers. */
export const graph: UpstreamDefinition = {
  name: 'graph',
  authorize: (user: User) => ({ authorization: `Bearer ${user.accessToken}` }),
  paginate: (marker, limit) => (marker === null ? { limit: String(limit) } : { limit: String(limit), after: marker }),
  next: nextPage,
  classify,
  usage: (reply) => [...appUsage(reply), ...businessUsage(reply)],
};

/** `paging.next` says that the list goes on; its URL may name any host and is ignored, the marker counts. */
function nextPage(reply: UpstreamReply): NextPage {
  const paging = member(reply.body, 'paging');
  const next = member(paging, 'next');
  if (next === undefined || next === null || next === '') return { kind: 'end' };
  const after = member(member(paging, 'cursors'), 'after');
  if (typeof after !== 'string') return { kind: 'broken', reason: `next without a marker (after is ${kindOf(after)})` };
  if (after === '') return { kind: 'broken', reason: 'next with an empty marker' };
  if (after.length > MARKER_LENGTH_MAX)
    return { kind: 'broken', reason: `marker longer than ${MARKER_LENGTH_MAX} characters` };
  if (!after.isWellFormed()) return { kind: 'broken', reason: 'marker is not valid Unicode' };
  return { kind: 'more', marker: after };
}

/** One row of the contract's error table per line, in its order. */
function classify(reply: UpstreamReply, hadMarker: boolean, nowMs: number): ReplyFault | undefined {
  const { status } = reply;
  const error = errorEnvelope(reply.body);
  const fault = (code: ReplyFault['code']): ReplyFault => ({ code, reason: reasonOf(status, error) });
  const waiting = (code: ReplyFault['code']): ReplyFault => withWait(fault(code), reply, nowMs);
  if (status >= 200 && status < 300) {
    if (status === 200 && reply.body !== undefined) return undefined;
    return {
      code: 'page-shape',
      reason: `status ${status}, body is ${reply.body === undefined ? 'not JSON' : 'not a page'}`,
    };
  }
  if (status >= 300 && status < 400) return fault('wrong-address');
  const code = error?.code;
  const isIn = (codes: ReadonlySet<number>): boolean => code !== undefined && codes.has(code);
  if (status === 400 || status === 403 || status === 429) {
    if (isIn(RATE_LIMIT_UPSTREAM_CODES)) return waiting('rate-limit-upstream');
    if (isIn(RATE_LIMIT_USER_CODES)) return waiting('rate-limit-user');
    if (status === 429) return { ...waiting('rate-limit-user'), ...(code === undefined && { isBare: true }) };
  }
  if (status < 500) {
    if (status === 401 || isIn(TOKEN_CODES)) return fault('token');
    if (status === 403 && isPermissionCode(code)) return fault('permission');
    if ((status === 404 && error !== undefined) || code === USER_GONE_CODE) return fault('user-gone');
    if (status === 404) return fault('wrong-address');
    if (status === 400 && code === BAD_PARAMETER_CODE && hadMarker) return fault('dead-marker');
  }
  if (status >= 500 || status === 408 || isIn(TRANSIENT_CODES) || error?.isTransient === true)
    return waiting('transient');
  return fault('refused');
}

function isPermissionCode(code: number | undefined): boolean {
  return code !== undefined && (code === 10 || (code >= 200 && code <= 299));
}

function errorEnvelope(body: unknown): ErrorEnvelope | undefined {
  const error = member(body, 'error');
  const code = servedNumber(member(error, 'code'));
  const message = member(error, 'message');
  if (code === undefined && typeof message !== 'string') return undefined;
  const type = member(error, 'type');
  return {
    code,
    type: typeof type === 'string' ? type : '',
    message: typeof message === 'string' ? message : '',
    isTransient: member(error, 'is_transient') === true,
  };
}

/** For people; control characters become spaces. Whoever asked takes the secrets out before and afterwards. */
function reasonOf(status: number, error: ErrorEnvelope | undefined): string {
  if (error === undefined) return `status ${status}`;
  const code = error.code === undefined ? '' : `, code ${error.code}`;
  const text = [error.type, error.message].filter((part) => part !== '').join(': ');
  // Redacted before it is cut, because half a credential is not known as one. It may be megabytes.
  const safe = redactText(text, undefined, 2 * REASON_LENGTH_MAX).replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
  return `status ${status}${code}${safe === '' ? '' : `: ${safe}`}`.slice(0, REASON_LENGTH_MAX).toWellFormed();
}

function withWait(fault: ReplyFault, reply: UpstreamReply, nowMs: number): ReplyFault {
  const retryAfterMs = retryAfter(reply.headers['retry-after'], nowMs);
  return retryAfterMs === undefined ? fault : { ...fault, retryAfterMs };
}

/** The three forms of RFC 9110, section 5.6.7. Whole, because `Date.parse` finds a year for any beginning of one. */
const HTTP_DATE =
  /^(?:[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} [\d:]{8} GMT|[A-Z][a-z]{5,8}, \d\d-[A-Z][a-z]{2}-\d\d [\d:]{8} GMT|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} \d{4})$/;

/** Seconds or an HTTP date, its two obsolete forms included; anything else is ignored. */
function retryAfter(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.min(Math.ceil(Number(text) * 1000), WAIT_MS_MAX);
  if (!HTTP_DATE.test(text)) return undefined;
  const atMs = Date.parse(text.endsWith('GMT') ? text : `${text} GMT`);
  return Number.isNaN(atMs) ? undefined : Math.min(Math.max(0, atMs - nowMs), WAIT_MS_MAX);
}

/** `X-App-Usage: {"call_count":28,"total_time":25,"total_cputime":25}`, per cent of what all users share. */
function appUsage(reply: UpstreamReply): readonly Usage[] {
  const percent = percentOf([jsonHeader(reply, 'x-app-usage')]);
  return percent === undefined ? [] : [{ scope: 'upstream', percent }];
}

/** `X-Business-Use-Case-Usage: {"<id>":[{"call_count":..,"estimated_time_to_regain_access":<minutes>}]}`. */
function businessUsage(reply: UpstreamReply): readonly Usage[] {
  const header = jsonHeader(reply, 'x-business-use-case-usage');
  if (typeof header !== 'object' || header === null) return [];
  const entries: unknown[] = Object.values(header).flatMap((value: unknown) =>
    Array.isArray(value) ? (value as unknown[]) : [],
  );
  const percent = percentOf(entries);
  if (percent === undefined) return [];
  const minutes = largest(entries.map((entry) => member(entry, 'estimated_time_to_regain_access')));
  if (minutes === undefined || minutes === 0) return [{ scope: 'user', percent }];
  return [{ scope: 'user', percent, regainMs: Math.min(minutes * 60_000, WAIT_MS_MAX) }];
}

function percentOf(entries: readonly unknown[]): number | undefined {
  const names = ['call_count', 'total_time', 'total_cputime'];
  return largest(entries.flatMap((entry) => names.map((name) => member(entry, name))));
}

function largest(values: readonly unknown[]): number | undefined {
  const numbers = values.filter(
    (value) => typeof value === 'number' && Number.isFinite(value) && value >= 0,
  ) as number[];
  return numbers.length === 0 ? undefined : numbers.reduce((high, value) => Math.max(high, value));
}

/** A malformed header says nothing; it must not cost the page. */
function jsonHeader(reply: UpstreamReply, name: string): unknown {
  const text = reply.headers[name];
  // Most pages have no such header, and a parser that throws for each of them costs more than the rest of the page's reading.
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function member(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : typeof value;
}
