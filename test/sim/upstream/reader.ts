import { openUndiciUpstream } from '../../../runtime/adapters/undici-upstream.ts';
import { Fault } from '../../../runtime/core/faults.ts';
import { parseServed, stringifyServed } from '../../../runtime/core/served-json.ts';
import type { UpstreamReply } from '../../../runtime/core/upstream.ts';
import type { Simulator } from '../../../runtime/local/upstream/simulator.ts';
import type { ServedItem } from '../../../runtime/local/upstream/truth.ts';
import type { Upstream } from '../../../runtime/ports.ts';
import { graph } from '../../../runtime/upstreams/graph.ts';

/** Pages read of one list before a test is said to run away. */
const PAGES_MAX = 500;

export interface Reader {
  readonly upstream: Upstream;
  /** One page; never throws for a reply of the upstream. */
  page(userId: string, miner: string, options?: PageOptions): Promise<UpstreamReply>;
  /** A whole list, as a patient miner reads it: transient faults and limits are asked again at once. */
  list(userId: string, miner: string, limit?: number): Promise<ReadList>;
  close(): Promise<void>;
}

export interface PageOptions {
  readonly limit?: number;
  readonly after?: string | null;
  readonly token?: string;
}

export interface ReadList {
  /** All items in the order of service, repetitions included. */
  readonly items: readonly ReadItem[];
  /** Item counts of the pages. */
  readonly sizes: readonly number[];
  /** What was asked again. */
  readonly faults: readonly string[];
}

export interface ReadItem {
  readonly id: string;
  /** JSON text, numbers as served. */
  readonly text: string;
}

export function openReader(simulator: Simulator): Reader {
  const upstream = openUndiciUpstream();
  const tokens = new Map(simulator.users().map((user) => [user.userId, user.accessToken]));

  async function page(
    userId: string,
    miner: string,
    { limit = 100, after = null, token }: PageOptions = {},
  ): Promise<UpstreamReply> {
    const accessToken = token ?? tokens.get(userId) ?? 'none';
    const query = new URLSearchParams(graph.paginate(after, limit)).toString();
    const { status, headers, text } = await upstream.call({
      url: `${simulator.url}/users/${userId}/${miner}?${query}`,
      headers: graph.authorize({ userId, accessToken, proxyUrl: null, status: 'active' }),
      proxyUrl: null,
      maxBytes: 16_000_000,
      timeoutMs: 10_000,
    });
    return { status, headers, body: bodyOf(text) };
  }

  async function list(userId: string, miner: string, limit = 100): Promise<ReadList> {
    const items: ReadItem[] = [];
    const sizes: number[] = [];
    const faults: string[] = [];
    let after: string | null = null;
    for (let calls = 0; calls < PAGES_MAX; calls += 1) {
      const reply: UpstreamReply | Fault = await page(userId, miner, { limit, after }).catch(asFault);
      const fault = reply instanceof Fault ? reply : graph.classify(reply, after !== null, Date.now());
      if (fault !== undefined) {
        faults.push(fault.code);
        if (fault.code === 'dead-marker') after = null;
        else if (!/^(transient|rate-limit)/.test(fault.code)) throw new Fault(fault.code, 'reading the list');
        continue;
      }
      const found = itemsOf(reply as UpstreamReply);
      items.push(...found);
      sizes.push(found.length);
      const next = graph.next(reply as UpstreamReply);
      if (next.kind === 'end') return { items, sizes, faults };
      if (next.kind === 'broken') throw new Fault('marker-missing', next.reason);
      after = next.marker;
    }
    throw new Fault('no-progress', `the list does not end in ${PAGES_MAX} calls`);
  }

  return { upstream, page, list, close: () => upstream.close() };
}

function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  throw error;
}

function bodyOf(text: string): unknown {
  try {
    return parseServed(text);
  } catch {
    return undefined;
  }
}

/** The good items of a page: those with an id. */
export function itemsOf(reply: UpstreamReply): readonly ReadItem[] {
  const { data } = reply.body as { data: readonly unknown[] };
  return data.flatMap((item) => {
    const id = (item as { id?: unknown } | null)?.id;
    return typeof id === 'string' && id !== '' ? [{ id, text: stringifyServed(item) }] : [];
  });
}

/** Distinct (miner, user, id, content), for comparison with the truth. */
export function namesOf(miner: string, userId: string, items: readonly ReadItem[]): Set<string> {
  return new Set(items.map(({ id, text }) => `${miner} ${userId} ${id} ${text}`));
}

export function truthNames(items: Iterable<ServedItem>): Set<string> {
  return new Set(
    [...items].map(({ miner, userId, id, data }) => `${miner} ${userId} ${id} ${stringifyServed(parseServed(data))}`),
  );
}
