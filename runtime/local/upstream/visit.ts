import { isPicked, mix, textHash, unit } from './chance.ts';
import type { List } from './lists.ts';
import type { Scenario } from './scenarios.ts';

/** A reply that is not built from a list. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string | Buffer;
}

/** What a page holds: places in the list, newest first, and where the list goes on. */
export interface Plan {
  readonly ordinals: readonly number[];
  /** Marker of the next page; absent = end of the list. */
  readonly after?: string | undefined;
}

/** What a trouble does to a reply. The first `answer`, `plan` and `cut` of all troubles count, delays add up. */
export interface Override {
  readonly answer?: Answer;
  readonly plan?: Plan;
  /** Changes the body's text. */
  readonly edit?: (text: string) => string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly delayMs?: number;
  /** Where the connection is cut; `hang`: no byte is ever sent; `drip`: a byte now and then, for ever. */
  readonly cut?: 'before' | 'inside' | 'after' | 'hang' | 'drip';
}

/** One way in which an upstream misbehaves. Draws its chance from the visit only. */
export type Trouble = (visit: Visit) => Override | undefined;

/** What troubles remember of a user, or of one list of a user, between calls. */
export type Memory = Record<string, number>;

export interface VisitFacts {
  readonly seed: number;
  readonly scenario: Scenario;
  readonly users: number;
  readonly userNumber: number;
  /** How often the user's token was renewed. */
  readonly renewals: number;
  readonly miner: string;
  /** Place of the miner in the catalog, and how many there are. */
  readonly minerIndex: number;
  readonly miners: number;
  /** Calls of this user for this miner so far, this one included. */
  readonly call: number;
  readonly limit: number;
  readonly position: Position;
  readonly nowMs: number;
  readonly userMemory: Memory;
  readonly listMemory: Memory;
  /** Shared by all users. */
  readonly memory: Memory;
  readonly list: () => List;
}

/** Where a page begins: behind the item at `ordinal`; Infinity = the head of the list. */
export interface Position {
  readonly ordinal: number;
  /** Makes markers of one place differ: 0 for an ordinary one. */
  readonly nonce: number;
  /** True when the client sent a marker. */
  readonly hasMarker: boolean;
}

export const HEAD: Position = { ordinal: Number.POSITIVE_INFINITY, nonce: 0, hasMarker: false };

/** One call for a page, as troubles see it. */
export class Visit {
  readonly facts: VisitFacts;
  readonly #hash: number;

  constructor(facts: VisitFacts) {
    this.facts = facts;
    this.#hash = mix(mix(mix(facts.seed, textHash(facts.miner)), facts.userNumber), facts.call);
  }

  get scenario(): Scenario {
    return this.facts.scenario;
  }

  /** An integer of 32 bits for this call, another one for each name. */
  draw(name: string): number {
    return mix(this.#hash, textHash(name));
  }

  /** True for a share of the calls. */
  happens(share: number, name: string): boolean {
    return share > 0 && unit(this.draw(name)) < share;
  }

  /** True for a share of the users, at least one, whatever they call. */
  isPickedUser(share: number, name: string): boolean {
    return isPickedUser(this.facts, this.facts.userNumber, share, name);
  }

  /** True for a share of the lists. */
  isPickedList(share: number, name: string): boolean {
    if (share === 0) return false;
    return (
      unit(mix(mix(mix(this.facts.seed, textHash(name)), textHash(this.facts.miner)), this.facts.userNumber)) < share
    );
  }

  /** Index in `list().alive` behind the first item of the page; `undefined` when the marker's item is gone. */
  start(): number | undefined {
    const { alive } = this.facts.list();
    const { ordinal } = this.facts.position;
    if (ordinal === Number.POSITIVE_INFINITY) return alive.length;
    const index = indexOf(alive, ordinal);
    return alive[index] === ordinal ? index : undefined;
  }

  /** The page of up to `count` items in front of the index `start`. */
  planFrom(start: number, count: number): Plan {
    const { alive } = this.facts.list();
    const end = Math.max(0, start - count);
    const ordinals: number[] = [];
    for (let index = start - 1; index >= end; index -= 1) ordinals.push(alive[index] ?? 0);
    const last = ordinals.at(-1);
    return end === 0 || last === undefined ? { ordinals } : { ordinals, after: this.marker(last, 0) };
  }

  /** The marker of the place behind an item; Infinity = the head. */
  marker(ordinal: number, nonce: number): string {
    const place = ordinal === Number.POSITIVE_INFINITY ? 'h' : String(ordinal);
    return Buffer.from(`${this.facts.miner}:${this.facts.userNumber}:${place}:${nonce}`).toString('base64url');
  }
}

/** True for a share of the users, at least one when it is above 0. */
export function isPickedUser(
  of: Pick<VisitFacts, 'seed' | 'users'>,
  userNumber: number,
  share: number,
  name: string,
): boolean {
  return isPicked(mix(of.seed, textHash(name)), userNumber, of.users, share);
}

/** The position that a marker means, or `undefined` when it is not one of this list's. */
export function readMarker(marker: string, miner: string, userNumber: number): Position | undefined {
  const parts = Buffer.from(marker, 'base64url').toString('latin1').split(':');
  const [name, owner, place = '', nonce = ''] = parts;
  if (parts.length !== 4 || name !== miner || owner !== String(userNumber) || !/^\d{1,9}$/.test(nonce))
    return undefined;
  if (place === 'h') return { ordinal: Number.POSITIVE_INFINITY, nonce: Number(nonce), hasMarker: true };
  if (!/^\d{1,9}$/.test(place)) return undefined;
  return { ordinal: Number(place), nonce: Number(nonce), hasMarker: true };
}

/** First index whose value is not below `value`, in an ascending list. */
function indexOf(ascending: readonly number[], value: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ascending[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
