import type { Upstream, UpstreamAnswer, UpstreamCall } from '../../runtime/ports.ts';

/** A call as a script sees it. */
export interface ScriptedCall {
  readonly userId: string;
  /** Name of the list: the last segment of the path. */
  readonly list: string;
  readonly after: string | null;
  readonly limit: number;
  readonly token: string;
  /** Calls before this one. */
  readonly index: number;
}

export type Script = (call: ScriptedCall, signal: AbortSignal | undefined) => UpstreamAnswer | Promise<UpstreamAnswer>;

/** What a call asks for; `index` counts the calls before it. */
export function scriptedCallOf(call: UpstreamCall, index: number): ScriptedCall {
  const url = new URL(call.url);
  const [, , userId = '', list = ''] = url.pathname.split('/').map(decodeURIComponent);
  return {
    ...{ userId, list, index },
    after: url.searchParams.get('after'),
    limit: Number(url.searchParams.get('limit')),
    token: (call.headers['authorization'] ?? '').replace('Bearer ', ''),
  };
}

/** An upstream of the contract's form whose answers a test writes. `calls` holds what was asked. */
export class ScriptedUpstream implements Upstream {
  readonly calls: ScriptedCall[] = [];
  /** Calls under way. */
  inFlight = 0;
  script: Script;

  constructor(script: Script) {
    this.script = script;
  }

  async call(call: UpstreamCall, signal?: AbortSignal): Promise<UpstreamAnswer> {
    const scripted = scriptedCallOf(call, this.calls.length);
    this.calls.push(scripted);
    this.inFlight += 1;
    try {
      return await this.script(scripted, signal);
    } finally {
      this.inFlight -= 1;
    }
  }

  async close(): Promise<void> {
    this.calls.length = 0;
  }
}

/** A page. `next`: marker of the next one; absent at the end of the list. Items may be JSON text, which is served as it is. */
export function page(items: readonly unknown[], next?: string): UpstreamAnswer {
  const data = items.map((item) => (typeof item === 'string' ? item : JSON.stringify(item))).join(',');
  const paging =
    next === undefined ? '' : `,"paging":${JSON.stringify({ cursors: { after: next }, next: 'http://x/' })}`;
  return { status: 200, headers: { 'content-type': 'application/json' }, text: `{"data":[${data}]${paging}}` };
}

/** An answer with the contract's error envelope. */
export function failure(status: number, code?: number, headers: Readonly<Record<string, string>> = {}): UpstreamAnswer {
  const text = code === undefined ? '' : JSON.stringify({ error: { message: 'no', type: 'T', code } });
  return { status, headers, text };
}

/** Serves lists of pages: page n has the marker `m<n>`. */
export function serveLists(lists: Readonly<Record<string, readonly (readonly unknown[])[]>>): Script {
  return ({ userId, after }) => {
    const pages = lists[userId];
    if (pages === undefined) return failure(404, 803);
    const at = after === null ? 0 : Number(after.slice(1));
    return page(pages[at] ?? [], at + 1 < pages.length ? `m${at + 1}` : undefined);
  };
}
