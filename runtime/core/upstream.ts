import type { PageFaultCode } from './faults.ts';
import type { User } from './miner.ts';

/** A response as an upstream definition sees it. Header names are lower case. */
export interface UpstreamReply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Parsed JSON, or `undefined` when the body is not JSON. */
  readonly body: unknown;
}

/** How the list goes on after a page. */
export type NextPage =
  | { readonly kind: 'end' }
  | { readonly kind: 'more'; readonly marker: string }
  /** The list says that it continues, but not where. */
  | { readonly kind: 'broken'; readonly reason: string };

/** What a reply that is not a page means. */
export interface ReplyFault {
  readonly code: PageFaultCode;
  /** For people: status, code and message of the upstream. The engine takes secrets out before anybody sees it. */
  readonly reason: string;
  /** How long the upstream asks to wait, in ms; absent when it does not say. */
  readonly retryAfterMs?: number;
  /** A rate limit that does not say whose it is: when several users meet one at once, it is everybody's. */
  readonly isBare?: true;
}

/** How much of an allowance is used, in per cent of it, and for how long a full one lasts. */
export interface Usage {
  readonly scope: 'user' | 'upstream';
  readonly percent: number;
  readonly regainMs?: number;
}

/** One API: authorisation, paging, error classes and usage headers. One file in `upstreams/`, one line in `catalog.ts`. */
export interface UpstreamDefinition {
  readonly name: string;
  /** Request headers that carry the user's credential. Lower-case names. */
  authorize(user: User): Readonly<Record<string, string>>;
  /** Query parameters that ask for one page. `marker` is null for the head of the list. */
  paginate(marker: string | null, limit: number): Readonly<Record<string, string>>;
  next(reply: UpstreamReply): NextPage;
  /** The fault in a reply, or `undefined` for a page. `nowMs` is needed for dates in Retry-After. */
  classify(reply: UpstreamReply, hadMarker: boolean, nowMs: number): ReplyFault | undefined;
  usage(reply: UpstreamReply): readonly Usage[];
}
