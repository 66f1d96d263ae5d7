/** One HTTP request. */
export interface Request {
  readonly method: 'GET' | 'POST';
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array<ArrayBuffer>;
  /** For the whole exchange, in ms. */
  readonly timeoutMs: number;
}

/** What came back: a whole answer, or why there is none. */
export type Exchange =
  | { readonly kind: 'answer'; readonly status: number; readonly location: string | null; readonly text: string }
  | { readonly kind: 'unreachable'; readonly reason: string; readonly cause: unknown };

/** Nothing that is read here is longer; the rest is left unread. */
const TEXT_MAX_BYTES = 256 * 1024;

/**
 * One request and its answer, whatever the status. A connection that fails or takes longer than `timeoutMs` is a value
 * too. Redirects are not followed, so a credential stays with the host that it was meant for.
 * @throws the signal's reason when it is aborted.
 */
export async function exchange(fetchOf: typeof fetch, request: Request, signal: AbortSignal): Promise<Exchange> {
  signal.throwIfAborted();
  const { method, url, headers = {}, body, timeoutMs } = request;
  const timeout = AbortSignal.timeout(Math.max(1, Math.ceil(timeoutMs)));
  try {
    const answer = await fetchOf(url, {
      method,
      headers,
      redirect: 'manual',
      signal: AbortSignal.any([signal, timeout]),
      ...(body === undefined ? {} : { body }),
    });
    const text = await boundedText(answer);
    return { kind: 'answer', status: answer.status, location: answer.headers.get('location'), text };
  } catch (error) {
    signal.throwIfAborted();
    const reason = timeout.aborted ? `no answer within ${Math.ceil(timeoutMs / 1000)} s` : reasonOf(error);
    return { kind: 'unreachable', reason, cause: error };
  }
}

async function boundedText({ body }: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let sizeBytes = 0;
  for await (const chunk of (body ?? []) as AsyncIterable<Uint8Array>) {
    text += decoder.decode(chunk, { stream: true });
    sizeBytes += chunk.byteLength;
    if (sizeBytes >= TEXT_MAX_BYTES) break;
  }
  return text + decoder.decode();
}

/** The innermost message: fetch itself only says "fetch failed". */
function reasonOf(error: unknown): string {
  let inner = error;
  while (inner instanceof Error && inner.cause !== undefined) inner = inner.cause;
  if (!(inner instanceof Error)) return String(inner);
  const code = 'code' in inner && typeof inner.code === 'string' ? inner.code : '';
  return inner.message === '' ? code : inner.message;
}
