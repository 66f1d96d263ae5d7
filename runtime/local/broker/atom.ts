import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  describe,
  describeNamespace,
  describeRule,
  entry,
  entryDocument,
  errorDocument,
  feedDocument,
} from './atom-xml.ts';
import type { Frame } from './atom-xml.ts';
import type { Namespace } from './namespace.ts';
import type { Node, TopicNode } from './nodes.ts';

/** Entries of one page, as on Azure. */
const PAGE_LIMIT = 100;

interface Answer {
  readonly status: number;
  readonly body: string;
}

interface Item {
  readonly path: string;
  readonly content: string;
}

/** The management API over HTTP, read-only: entities come from the catalog, not from clients. */
export function answerAtom(space: Namespace, request: IncomingMessage, response: ServerResponse): void {
  const { status, body } = answer(space, request);
  response.writeHead(status, { 'content-type': 'application/atom+xml;type=entry;charset=utf-8' });
  response.end(body);
  request.resume();
}

function answer(space: Namespace, request: IncomingMessage): Answer {
  if (request.method !== 'GET') {
    return failure(405, 'Entities of the local broker come from the catalog: this API only reads.');
  }
  const { host = 'localhost' } = request.headers;
  const url = URL.parse(request.url ?? '/', `http://${host}`);
  const path = url === null ? undefined : decodePath(url.pathname);
  if (url === null || path === undefined) return failure(400, 'The address cannot be read.');
  const frame = { base: `http://${host}`, startedAtMs: space.startedAtMs };
  const items = listed(space, frame, path);
  if (items !== undefined) return { status: 200, body: page(frame, path, items, url.searchParams) };
  const item = found(space, frame, path);
  if (item === undefined) return failure(404, `The messaging entity 'sb://${host}/${path}' could not be found.`);
  return { status: 200, body: entryDocument(frame, item.path, item.content) };
}

function decodePath(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname).replace(/^\/+|\/+$/g, '');
  } catch {
    return undefined;
  }
}

function failure(status: number, detail: string): Answer {
  return { status, body: errorDocument(status, detail) };
}

/** One entity, rule or the namespace itself. */
function found(space: Namespace, frame: Frame, path: string): Item | undefined {
  if (path.toLowerCase() === '$namespaceinfo') return { path, content: describeNamespace(frame) };
  const node = space.node(path);
  if (node !== undefined) return itemOf(frame, node);
  const [owner = '', name = ''] = path.split(/\/Rules\//i);
  return rulesOf(space, frame, owner)?.find((item) => item.path.toLowerCase().endsWith(`/rules/${name.toLowerCase()}`));
}

/** The members of a list, when the path names one. */
function listed(space: Namespace, frame: Frame, path: string): readonly Item[] | undefined {
  const lower = path.toLowerCase();
  const ofKind = (kind: Node['kind']): readonly Item[] => {
    return [...space.nodes()].filter((node) => node.kind === kind).map((node) => itemOf(frame, node));
  };
  if (lower === '$resources/queues') return ofKind('queue');
  if (lower === '$resources/topics') return ofKind('topic');
  if (lower.endsWith('/subscriptions')) {
    const topic = space.node(path.slice(0, -'/subscriptions'.length));
    return topic?.kind === 'topic' ? subscriptionsOf(frame, topic) : undefined;
  }
  return lower.endsWith('/rules') ? rulesOf(space, frame, path.slice(0, -'/rules'.length)) : undefined;
}

function itemOf(frame: Frame, node: Node): Item {
  return { path: node.path, content: describe(frame, node) };
}

function subscriptionsOf(frame: Frame, topic: TopicNode): readonly Item[] {
  return topic.subscriptions.map((node) => itemOf(frame, node));
}

function rulesOf(space: Namespace, frame: Frame, path: string): readonly Item[] | undefined {
  const node = space.node(path);
  if (node?.kind !== 'subscription') return undefined;
  return node.rules
    .list()
    .map((rule) => ({ path: `${node.path}/Rules/${rule.name}`, content: describeRule(frame, rule) }));
}

function page(frame: Frame, path: string, items: readonly Item[], query: URLSearchParams): string {
  const skip = countOf(query.get('$skip'), 0);
  const top = Math.min(countOf(query.get('$top'), PAGE_LIMIT), PAGE_LIMIT);
  const entries = items.slice(skip, skip + top).map((item) => entry(frame, item.path, item.content));
  const nextPath = skip + top < items.length ? `${path}?$skip=${skip + top}&$top=${top}` : undefined;
  return feedDocument(frame, path, entries, nextPath);
}

function countOf(text: string | null, fallback: number): number {
  return text !== null && /^\d{1,9}$/.test(text) ? Number(text) : fallback;
}
