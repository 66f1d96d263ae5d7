import { parseJson } from '../../runtime/core/json.ts';

/** An answer of Azure Resource Manager, whatever its status. */
export interface AzureAnswer {
  readonly status: number;
  /** Parsed JSON, or undefined when the body is none. */
  readonly body: unknown;
}

/** Azure Resource Manager, as far as preflight asks it. Reads and validations only: it changes nothing. */
export interface AzureApi {
  /** @param path - path with its query, `api-version` included. */
  get(path: string): Promise<AzureAnswer>;
  post(path: string, body: unknown): Promise<AzureAnswer>;
}

/** Where Azure Resource Manager is, and who asks. */
export interface AzureApiOptions {
  /** Default `https://management.azure.com`. */
  readonly baseUrl?: string;
  /** A bearer token; a secret. */
  readonly token: string;
  /** Longest wait for one answer, in ms. Default 30,000. */
  readonly timeoutMs?: number;
}

const BASE_URL = 'https://management.azure.com';
const TIMEOUT_MS = 30_000;

/** Attempts of one question: the first, and after 429 or 5xx. */
const ATTEMPTS_LIMIT = 3;
const RETRY_AFTER_MS = 1000;
const RETRY_AFTER_MAX_MS = 20_000;

/** Opens the API. Nothing is asked before the first call. */
export function openAzureApi(options: AzureApiOptions): AzureApi {
  const baseUrl = options.baseUrl ?? BASE_URL;
  const headers = { authorization: `Bearer ${options.token}`, 'content-type': 'application/json' };
  const ask = async (path: string, init: RequestInit): Promise<AzureAnswer> => {
    for (let attempt = 1; ; attempt += 1) {
      const signal = AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS);
      const reply = await fetch(baseUrl + path, { ...init, headers, signal, redirect: 'error' });
      const text = await reply.text();
      if (attempt === ATTEMPTS_LIMIT || (reply.status !== 429 && reply.status < 500)) {
        return { status: reply.status, body: parseJson(text) };
      }
      await pause(reply.headers.get('retry-after'));
    }
  };
  return {
    get: (path) => ask(path, { method: 'GET' }),
    post: (path, body) => ask(path, { method: 'POST', body: JSON.stringify(body) }),
  };
}

async function pause(retryAfter: string | null): Promise<void> {
  const seconds = Number(retryAfter ?? Number.NaN);
  const waitMs = Number.isFinite(seconds) ? Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) : RETRY_AFTER_MS;
  await new Promise((resolve) => setTimeout(resolve, waitMs));
}

/** A member of a JSON object; undefined when there is none. */
export function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}

/** A text member of a JSON object; empty when there is none. */
export function textOf(value: unknown, name: string): string {
  const text = memberOf(value, name);
  return typeof text === 'string' ? text : '';
}

/** The elements of a JSON array; empty when it is none. */
export function elementsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as unknown[]) : [];
}

/** What Azure says went wrong, deepest detail first, without the ids of requests. */
export function errorText({ status, body }: AzureAnswer): string {
  const messages: string[] = [];
  const collect = (error: unknown, depth: number): void => {
    if (depth > 5) return;
    for (const detail of elementsOf(memberOf(error, 'details'))) collect(detail, depth + 1);
    const code = memberOf(error, 'code');
    const message = memberOf(error, 'message');
    if (typeof message === 'string') messages.push(typeof code === 'string' ? `${code}: ${message}` : message);
  };
  collect(memberOf(body, 'error') ?? body, 0);
  return messages[0] ?? `status ${status}`;
}
