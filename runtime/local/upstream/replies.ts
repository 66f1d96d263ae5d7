import type { Answer } from './visit.ts';

/** A reply with the error envelope of upstream-api.md. */
export function envelope(
  status: number,
  code: number,
  message: string,
  more: Readonly<Record<string, unknown>> = {},
): Answer {
  const error = {
    message: `(#${code}) ${message}`,
    type: code === 190 ? 'OAuthException' : 'GraphMethodException',
    code,
    ...more,
  };
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ error: { ...error, fbtrace_id: 'A1b2C3d4E5f' } }),
  };
}

/** A page for people, as gateways and wrong addresses send it. */
export function html(status: number, title: string, headers: Readonly<Record<string, string>> = {}): Answer {
  const body = `<!doctype html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>\n`;
  return { status, headers: { 'content-type': 'text/html; charset=utf-8', ...headers }, body };
}

/** JSON or plain text of the simulator's own. */
export function plain(status: number, body: string, contentType = 'text/plain'): Answer {
  return { status, headers: { 'content-type': contentType }, body };
}
