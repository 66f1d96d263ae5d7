import type { Exchange } from './exchange.ts';
import { parseJson } from '../runtime/core/json.ts';

/** How a deployment stands. */
export type DeploymentState =
  | { readonly kind: 'pending'; readonly text: string }
  | { readonly kind: 'deployed'; readonly text: string }
  /** `isPassing`: another try may succeed. */
  | { readonly kind: 'ended'; readonly text: string; readonly isPassing: boolean };

/** One entry of a deployment's log. */
export interface LogEntry {
  readonly message: string;
  /** Where more is said, or empty. */
  readonly detailsUrl: string;
}

/** Answers of an endpoint whose roles or app are not there yet, or that is busy. */
const PASSING_STATUS = new Set([401, 403, 404, 408, 409, 429]);

/** What is said while the roles of the app's own identity are not there yet, or when another deployment came between. */
const PASSING_TEXT =
  /InaccessibleStorage|BlobUploadFailed|AuthorizationPermissionMismatch|\b403\b|Forbidden|Bad ?Gateway|another deployment/i;

const DEPLOYED: DeploymentState = { kind: 'deployed', text: 'succeeded' };
const DEPLOYED_IN_PART: DeploymentState = { kind: 'deployed', text: 'succeeded in part' };
const FAILED: DeploymentState = { kind: 'ended', text: 'failed', isPassing: false };
const CANCELLED: DeploymentState = { kind: 'ended', text: 'was cancelled by another deployment', isPassing: true };

/** Statuses of Kudu, which runs the deployments, that are an end; 6 is a partial success, and the app tells how far. */
const ENDINGS: ReadonlyMap<number, DeploymentState> = new Map<number, DeploymentState>([
  [-1, CANCELLED],
  [3, FAILED],
  [4, DEPLOYED],
  [5, CANCELLED],
  [6, DEPLOYED_IN_PART],
]);

/** Whether an answer is a success. */
export function isSuccess(answer: Exchange): boolean {
  return answer.kind === 'answer' && answer.status >= 200 && answer.status < 300;
}

/** Whether the same request may succeed later. */
export function mayPass(answer: Exchange): boolean {
  if (answer.kind === 'unreachable') return true;
  const { status, text } = answer;
  return PASSING_STATUS.has(status) || status >= 500 || (status === 400 && isPassingText(text));
}

/** Whether a text names a reason that passes by itself. */
export function isPassingText(text: string): boolean {
  return PASSING_TEXT.test(text);
}

/** How the deployment stands according to an answer of its status URL; `undefined` when the answer does not tell. */
export function deploymentStateIn(answer: Exchange): DeploymentState | undefined {
  const status = answeredRecord(answer)['status'];
  if (typeof status !== 'number') return undefined;
  return ENDINGS.get(status) ?? { kind: 'pending', text: `status ${status}` };
}

/** The short text that comes with a status, or empty. */
export function statusTextIn(answer: Exchange): string {
  return textOf(answeredRecord(answer)['status_text']);
}

/** Where an accepted deployment is followed: the header, else the id in the body, else whatever is latest. */
export function statusUrlOf(scmUrl: string, answer: Extract<Exchange, { kind: 'answer' }>): string {
  const location = sameOrigin(answer.location ?? '', scmUrl);
  if (location !== undefined) return location;
  return `${scmUrl}/api/deployments/${deploymentIdIn(answer.text) ?? 'latest'}`;
}

/** The log of a deployment, by its status URL. */
export function logUrlOf(statusUrl: string): string {
  const url = new URL(statusUrl);
  url.pathname = `${url.pathname.replace(/\/$/, '')}/log`;
  return url.href;
}

/** Entries of a log; none when the answer is not a log. */
export function logEntriesIn(answer: Exchange): readonly LogEntry[] {
  const parsed = answered(answer);
  if (!Array.isArray(parsed)) return [];
  return parsed.map(recordOf).map((entry) => ({
    message: textOf(entry['message']),
    detailsUrl: textOf(entry['details_url']),
  }));
}

/** The version that an app says it is, or `undefined`. */
export function versionIn(answer: Exchange): string | undefined {
  const version = textOf(answeredRecord(answer)['version']);
  return version === '' ? undefined : version;
}

/** `url` when it is of the origin of `base`: another origin must never be sent the token. */
export function sameOrigin(url: string, base: string): string | undefined {
  if (url === '' || !URL.canParse(url, base)) return undefined;
  const absolute = new URL(url, base);
  return absolute.origin === new URL(base).origin ? absolute.href : undefined;
}

/** The id comes as JSON text, in an object or bare. */
function deploymentIdIn(body: string): string | undefined {
  const parsed = parseJson(body);
  const id = typeof parsed === 'string' ? parsed : textOf(recordOf(parsed)['id']) || body.trim();
  return /^[\w-]{1,100}$/.test(id) ? id : undefined;
}

/** The JSON of a success. */
function answered(answer: Exchange): unknown {
  return answer.kind === 'answer' && isSuccess(answer) ? parseJson(answer.text) : undefined;
}

const answeredRecord = (answer: Exchange): Readonly<Record<string, unknown>> => recordOf(answered(answer));

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
