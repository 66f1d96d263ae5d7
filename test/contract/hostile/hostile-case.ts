import type { Socket } from 'node:net';
import type { FaultCode } from '../../../runtime/core/faults.ts';
import type { User } from '../../../runtime/core/miner.ts';
import type { RunState } from '../../../runtime/core/run.ts';

/** One call as the server of a case sees it. */
export interface HostileCall {
  /** Marker asked for; null = head of the list. */
  readonly after: string | null;
  readonly limit: number;
  /** Calls of this user for the same marker before this one. */
  readonly earlier: number;
  /** Calls of this user before this one. */
  readonly index: number;
  /** Time of the engine's clock, epoch in ms. */
  readonly nowMs: number;
}

/** An answer in the form of HTTP, or whatever the server does to the socket. */
export type HostileReply =
  | {
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string | Uint8Array;
    }
  | ((socket: Socket) => void);

/** What must have become of the run, and of what was served. */
export interface HostileOutcome {
  readonly state: RunState;
  /** A fault that must have been met. Absent: none may have been met, but for a call that a busy machine made late. */
  readonly fault?: FaultCode;
  /** JSON texts in the lake, in any order. Default: those of `PLAIN`. */
  readonly items?: readonly string[];
  /** JSON texts that were set aside, in any order. Default: none. */
  readonly rejected?: readonly string[];
  /** Least time between the first call of the user and the last one, by the engine's clock, which every wait of anybody moves. */
  readonly waitMs?: number;
  /** What the upstream was understood to ask for, in ms: least and most, or null when it was not understood. */
  readonly askedMs?: readonly [min: number, max: number] | null;
  /** Most calls of the user. Default 50: an upstream that never recovers is not asked for ever. */
  readonly callsMax?: number;
}

/** One named way in which an upstream, or somebody on the way to it, misbehaves towards one user. */
export interface HostileCase {
  readonly name: string;
  readonly answer: (call: HostileCall) => HostileReply;
  readonly outcome: HostileOutcome;
  /** Default: a name made of the place in the table. */
  readonly userId?: string;
  readonly user?: Partial<User>;
}

/** What a user has in the lake when nothing odd is served. */
export const PLAIN: readonly string[] = ['{"id":"a","n":1}', '{"id":"b","n":2}'];

/** The text of a page. Items are JSON texts, sent as they are; `next` is the marker of the page behind it. */
export function pageText(items: readonly string[], next?: string): string {
  if (next === undefined) return `{"data":[${items.join(',')}]}`;
  const paging = JSON.stringify({ cursors: { after: next }, next: 'http://elsewhere.invalid/next' });
  return `{"data":[${items.join(',')}],"paging":${paging}}`;
}

/** One page of items and the end. */
export function page(items: readonly string[] = PLAIN): HostileReply {
  return { body: pageText(items) };
}

/** The first call goes wrong; the page comes after it. */
export function once(wrong: HostileReply): HostileCase['answer'] {
  return ({ index }) => (index === 0 ? wrong : page());
}

/** Every call is answered alike. */
export function always(reply: HostileReply): HostileCase['answer'] {
  return () => reply;
}

/** The error envelope of the contract. */
export function refusal(
  status: number,
  error: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): HostileReply {
  return { status, headers, body: JSON.stringify({ error: { message: 'no', type: 'OAuthException', ...error } }) };
}
