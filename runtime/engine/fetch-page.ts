import { proxyCredentialsIn } from '../core/credentials-in.ts';
import { Fault } from '../core/faults.ts';
import { MARKER_LIMIT_BYTES, markerBytes } from '../core/marker.ts';
import type { Miner, PageRequest, User } from '../core/miner.ts';
import { redactText, withoutValues } from '../core/redact.ts';
import { parseServed } from '../core/served-json.ts';
import type { ReplyFault, UpstreamDefinition, UpstreamReply } from '../core/upstream.ts';
import type { Clock } from '../ports.ts';
import type { ClientCall, ClientPool } from './client-pool.ts';
import type { Permit } from './limits.ts';

/** Items of one page, whatever limit was asked for: millions of empty ones fit into its bytes, and each costs more than its bytes. */
export const PAGE_ITEMS_LIMIT = 100_000;

/** What a fetch works with. */
export interface FetchDeps {
  readonly clock: Clock;
  readonly clients: Pick<ClientPool, 'call' | 'wayOf'>;
}

/** One page to ask for. Sizes in bytes, times in ms. */
export interface PageSource {
  readonly miner: Miner;
  readonly definition: UpstreamDefinition;
  /** Without a trailing slash. */
  readonly baseUrl: string;
  readonly user: User;
  readonly marker: string | null;
  readonly limit: number;
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** For this one call. */
  readonly permit: Permit;
}

/** A page that passed every check of its shape. */
export interface FetchedPage {
  readonly items: readonly unknown[];
  /** Marker of the next page, or null at the end of the list. */
  readonly next: string | null;
  /** When the answer came, epoch in ms: telling others what it says of limits may take long. */
  readonly answeredAtMs: number;
}

/**
 * Asks for one page and judges the answer.
 * @throws Fault for everything that is not a page; the signal's reason when it was aborted.
 */
export async function fetchPage(deps: FetchDeps, source: PageSource, signal: AbortSignal): Promise<FetchedPage> {
  try {
    return await askForPage(deps, source, signal);
  } catch (error) {
    throw error instanceof Fault ? withoutSecrets(error, source.user) : error;
  }
}

async function askForPage(deps: FetchDeps, source: PageSource, signal: AbortSignal): Promise<FetchedPage> {
  const { definition, user, permit } = source;
  const call = callOf(source);
  const answer = await permit.run(() => deps.clients.call(definition, user, call, signal));
  const answeredAtMs = deps.clock.now();
  // An error that quotes the token that it was sent would take it into reasons, cut anywhere. A page stays as served.
  const text = answer.status === 200 ? answer.text : withoutValues(answer.text, secretsOf(user));
  const reply: UpstreamReply = { ...answer, body: parseBody(text) };
  const judged = definition.classify(reply, source.marker !== null, answeredAtMs);
  const fault = judged?.code === 'page-shape' && answer.mayBeCut === true ? cutOf(judged) : judged;
  await permit.note(definition.usage(reply), fault);
  if (fault !== undefined) {
    throw new Fault(fault.code, fault.reason, fault.retryAfterMs === undefined ? {} : { waitMs: fault.retryAfterMs });
  }
  return { items: parsePage(source.miner, reply.body), next: nextOf(definition, reply), answeredAtMs };
}

/** A reason is written into the run's row and read by people, whoever made it: an upstream, a proxy, a certificate. */
function withoutSecrets(fault: Fault, user: User): Fault {
  const message = redactText(withoutValues(fault.message, secretsOf(user)));
  if (message === fault.message) return fault;
  const { code, cause, waitMs } = fault;
  return new Fault(code, message, { ...(cause !== undefined && { cause }), ...(waitMs !== undefined && { waitMs }) });
}

function secretsOf({ accessToken, proxyUrl }: User): readonly string[] {
  return [accessToken, ...(proxyUrl === null ? [] : proxyCredentialsIn(proxyUrl))];
}

function callOf(source: PageSource): ClientCall {
  const request = requestOf(source);
  const query = new URLSearchParams({
    ...request.query,
    ...source.definition.paginate(source.marker, source.limit),
  });
  return {
    url: `${source.baseUrl}${request.path}?${query.toString()}`,
    maxBytes: source.maxBytes,
    timeoutMs: source.timeoutMs,
  };
}

/** Some ids cannot be asked for: a lone surrogate has no percent-encoding, and `..` is another address. Other errors are bugs. */
function requestOf({ miner, user }: PageSource): PageRequest {
  try {
    return miner.request(user.userId);
  } catch (cause) {
    if (!(cause instanceof RangeError || cause instanceof URIError)) throw cause;
    throw new Fault('refused', `no address of ${miner.name} can be made of this user's id`, { cause });
  }
}

/** Nothing but its text says that the body is no page, and it may be just the beginning of one. */
function cutOf({ reason }: ReplyFault): ReplyFault {
  return { code: 'transient', reason: `${reason}, and may be cut: its length was not stated` };
}

function parseBody(text: string): unknown {
  try {
    return parseServed(text);
  } catch {
    // Not JSON: the upstream definition decides what that means for this status.
    return undefined;
  }
}

function parsePage(miner: Miner, body: unknown): readonly unknown[] {
  const items = itemsOf(miner, body);
  if (items.length <= PAGE_ITEMS_LIMIT) return items;
  throw new Fault('page-too-large', `a page of ${items.length} items, more than ${PAGE_ITEMS_LIMIT}`);
}

function itemsOf(miner: Miner, body: unknown): readonly unknown[] {
  try {
    return miner.page(body).items;
  } catch (cause) {
    throw new Fault('page-shape', `the body is not a page of ${miner.name}`, { cause });
  }
}

function nextOf(definition: UpstreamDefinition, reply: UpstreamReply): string | null {
  const next = definition.next(reply);
  if (next.kind === 'broken') throw new Fault('marker-missing', next.reason);
  if (next.kind === 'end') return null;
  const sizeBytes = markerBytes(next.marker);
  if (sizeBytes <= MARKER_LIMIT_BYTES) return next.marker;
  throw new Fault('page-shape', `the marker has ${sizeBytes} bytes, and at most ${MARKER_LIMIT_BYTES} are taken`);
}
