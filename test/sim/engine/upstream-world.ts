import { sha256Digest } from '../../../runtime/adapters/system.ts';
import { versionText } from '../../../runtime/core/envelope.ts';
import { Fault } from '../../../runtime/core/faults.ts';
import { VERSION_DIGITS } from '../../../runtime/engine/take-page.ts';
import type { UpstreamAnswer } from '../../../runtime/ports.ts';
import type { Dice } from '../../fakes/dice.ts';
import { failure, page, type ScriptedCall } from '../../fakes/scripted-upstream.ts';
import type { ListTrouble, Plan } from './plan.ts';
import { WORLD_START_MS } from './scheduler.ts';

/** One item of a list as it is now. */
interface ListItem {
  readonly id: string;
  value: number;
  readonly padding: string;
}

/** One list of one user. */
export interface UserList {
  readonly userId: string;
  readonly minerName: string;
  readonly items: ListItem[];
  trouble: ListTrouble | undefined;
  /** What was done to its callers, so that a run that was set aside can be told from one that should not have been. */
  readonly codes: Set<string>;
}

/** One page that was served whole. */
export interface Serve {
  readonly minerName: string;
  readonly userId: string;
  readonly marker: string | null;
  /** Who asked. */
  readonly process: string;
  readonly askedAtMs: number;
  readonly servedAtMs: number;
  answeredAtMs: number;
  readonly items: readonly { readonly id: string; readonly version: string }[];
}

/** How long an upstream thinks, in ms. */
export const THINKS_MS = 200;

/** Slices of one run that a process may have under way at once, because their locks were lost. */
const GIVEN_KEPT = 8;

/** Codes of a rate limit of everybody and of one user; a bare one says neither. */
export const RATE_LIMIT_UPSTREAM_CODE = 4;
const RATE_LIMIT_USER_CODE = 17;
const BARE_SHARE = 0.3;

const NEW_ITEMS_MAX = 14;
const PADDING_LARGE = 5000;

/** What was asked of the upstream. */
export interface Asked extends ScriptedCall {
  readonly process: string;
  readonly askedAtMs: number;
}

/** The lists of all users, and what the upstream does to those who ask for them. */
export class UpstreamWorld {
  readonly lists = new Map<string, UserList>();
  readonly serves: Serve[] = [];
  readonly #byAsked = new Map<string, Serve[]>();
  readonly #plan: Plan;
  readonly #dice: Dice;
  readonly #now: () => number;
  readonly #versions = new Map<string, string>();
  #made = 0;
  isHealed = false;

  constructor(plan: Plan, dice: Dice, now: () => number) {
    this.#plan = plan;
    this.#dice = dice;
    this.#now = now;
    for (let user = 0; user < plan.users; user += 1) {
      for (const miner of plan.miners) this.#addList(`u${user}`, miner.name);
    }
    for (const { user, miner, trouble } of plan.troubledLists) {
      const list = this.list(`u${user}`, plan.miners[miner]!.name);
      if (list !== undefined) list.trouble = trouble;
    }
  }

  list(userId: string, minerName: string): UserList | undefined {
    return this.lists.get(`${userId}/${minerName}`);
  }

  /** A page has reached its caller. */
  reached(serve: Serve): void {
    serve.answeredAtMs = this.#now();
    this.serves.push(serve);
    const key = askedKey(serve);
    const before = this.#byAsked.get(key);
    if (before === undefined) this.#byAsked.set(key, [serve]);
    else before.push(serve);
  }

  /** The newest pages that a process was given of one place of a list. */
  given(asked: Pick<Serve, 'minerName' | 'userId' | 'marker' | 'process'>): readonly Serve[] {
    return this.#byAsked.get(askedKey(asked))?.slice(-GIVEN_KEPT) ?? [];
  }

  /** What goes away with the healing goes; a list that is stuck stays so, which is its nature. */
  heal(): void {
    this.isHealed = true;
    for (const list of this.lists.values()) {
      if (list.trouble !== 'stuck' && list.trouble !== 'cycle') list.trouble = undefined;
    }
  }

  /** Lists change by themselves too: items are edited, also back to what they were, come at the head, or go. */
  edit(list: UserList): void {
    const dice = this.#dice;
    const at = dice.upTo(list.items.length);
    const item = list.items[at];
    const kind = dice.of(['change', 'change', 'change', 'insert', 'remove']);
    if (kind === 'change' && item !== undefined) item.value = dice.upTo(3);
    if (kind === 'insert') list.items.unshift(this.#newItem());
    if (kind === 'remove' && list.items.length > 3) list.items.splice(at, 1);
  }

  /** Version of every item of a list as it is now. */
  versions(list: UserList): ReadonlyMap<string, string> {
    return new Map(list.items.map((item) => [item.id, this.#versionOf(bodyOf(item))]));
  }

  /**
   * Answers a call. `whole` is called when the answer has reached its caller, and only then.
   * @throws Fault as the adapter does for a call that brought no answer.
   */
  answer(asked: Asked, minerName: string): { answer: UpstreamAnswer; serve: Serve | undefined } {
    const list = this.list(asked.userId, minerName);
    if (list === undefined) return { answer: failure(404, 803), serve: undefined };
    if (!this.isHealed && this.#plan.edits > 0 && this.#dice.chance(this.#plan.edits)) this.edit(list);
    const refusal = this.#refusal(list, asked);
    if (refusal !== undefined) return { answer: refusal, serve: undefined };
    return this.#page(list, asked);
  }

  #refusal(list: UserList, asked: Asked): UpstreamAnswer | undefined {
    const troubled = this.#troubled(list, asked);
    if (troubled !== undefined || this.isHealed) return troubled;
    const { rateLimitUser, rateLimitUpstream, serverError, timeout, tooLarge } = this.#plan.upstream;
    const dice = this.#dice;
    const waits: Record<string, string> = dice.chance(0.6) ? { 'retry-after': String(dice.of([0, 1, 5, 90])) } : {};
    if (rateLimitUser > 0 && dice.chance(rateLimitUser)) {
      const code = dice.chance(BARE_SHARE) ? undefined : RATE_LIMIT_USER_CODE;
      return this.#coded(list, failure(429, code, waits));
    }
    if (rateLimitUpstream > 0 && dice.chance(rateLimitUpstream))
      return this.#coded(list, failure(400, RATE_LIMIT_UPSTREAM_CODE, waits));
    if (this.#isStorm() || (serverError > 0 && dice.chance(serverError)))
      return this.#coded(list, failure(dice.of([500, 502, 503]), 2));
    if (timeout > 0 && dice.chance(timeout)) throw this.#fault(list, 'transient', 'no answer in time');
    if (tooLarge > 0 && asked.limit > 1 && dice.chance(tooLarge / 3))
      throw this.#fault(list, 'page-too-large', 'too large');
    return undefined;
  }

  /** Times in which it answers nobody. */
  #isStorm(): boolean {
    const atMs = this.#now() - WORLD_START_MS;
    return this.#plan.storms.some((storm) => atMs >= storm.atMs && atMs < storm.atMs + storm.forMs);
  }

  #troubled(list: UserList, asked: Asked): UpstreamAnswer | undefined {
    switch (list.trouble) {
      case 'token':
        return asked.token.endsWith('fresh') ? undefined : this.#coded(list, failure(401, 190));
      case 'gone':
        return this.#coded(list, failure(404, 803));
      case 'permission':
        return this.#coded(list, failure(403, 10));
      case 'page-shape':
        list.codes.add('page-shape');
        return { status: 200, headers: {}, text: this.#dice.of(['<html>', '{"data":7}', '']) };
      case 'redirect':
        list.codes.add('wrong-address');
        return failure(302);
      case 'marker-missing':
        list.codes.add('marker-missing');
        return { status: 200, headers: {}, text: '{"data":[],"paging":{"next":"http://x/"}}' };
      case 'stuck':
      case 'cycle':
      case undefined:
        return undefined;
    }
  }

  #fault(list: UserList, code: 'transient' | 'page-too-large', message: string): Fault {
    list.codes.add(code);
    return new Fault(code, message);
  }

  #coded(list: UserList, answer: UpstreamAnswer): UpstreamAnswer {
    list.codes.add(`${answer.status}`);
    return answer;
  }

  #page(list: UserList, asked: Asked): { answer: UpstreamAnswer; serve: Serve | undefined } {
    const start = this.#startOf(list, asked.after);
    if (start === undefined) {
      list.codes.add('dead-marker');
      return { answer: failure(400, 100), serve: undefined };
    }
    const isEmpty = asked.after?.endsWith('e') === true;
    const items = isEmpty ? [] : list.items.slice(start, start + asked.limit);
    const bodies: Record<string, unknown>[] = items.map(bodyOf);
    const last = bodies.at(-1);
    if (!this.isHealed && last !== undefined && this.#dice.chance(0.1)) {
      // The same id twice on a page, changed or not; the list itself then holds the later one.
      const isChanged = this.#plan.edits > 0 && this.#dice.chance(0.5);
      bodies.push({ ...last, value: isChanged ? (list.items[start + items.length - 1]!.value = 7) : last['value'] });
    }
    const serve: Serve = {
      ...{ minerName: list.minerName, userId: list.userId, marker: asked.after, process: asked.process },
      ...{ askedAtMs: asked.askedAtMs, servedAtMs: this.#now(), answeredAtMs: Infinity },
      items: bodies.map((body) => ({ id: String(body['id']), version: this.#versionOf(body) })),
    };
    if (this.#plan.rejects && !this.isHealed && this.#dice.chance(0.1)) bodies.push({ value: this.#dice.upTo(3) });
    const next = this.#nextOf(list, start + items.length, isEmpty);
    const answer = page(bodies, next);
    return { answer: { ...answer, headers: { ...answer.headers, ...this.#usage() } }, serve };
  }

  #usage(): Record<string, string> {
    const { usage } = this.#plan.upstream;
    if (this.isHealed || usage === 0 || !this.#dice.chance(usage)) return {};
    const percent = this.#dice.of([50, 80, 96, 100]);
    if (this.#dice.chance(0.5)) return { 'x-app-usage': JSON.stringify({ call_count: percent }) };
    const use = [{ call_count: percent, estimated_time_to_regain_access: this.#dice.upTo(2) }];
    return { 'x-business-use-case-usage': JSON.stringify({ b: use }) };
  }

  /** Position of a marker; undefined when it is dead. */
  #startOf(list: UserList, marker: string | null): number | undefined {
    if (marker === null) return 0;
    const text = marker.replace(/e$/, '');
    if (text.startsWith('o')) return Math.min(Number(text.slice(1)), list.items.length);
    const at = list.items.findIndex(({ id }) => id === text.slice(1));
    return at < 0 ? undefined : at + 1;
  }

  #nextOf(list: UserList, end: number, wasEmpty: boolean): string | undefined {
    const { listStyle } = this.#plan;
    const marker = (at: number): string =>
      listStyle === 'offset' || at === 0 ? `o${at}` : `a${list.items[at - 1]!.id}`;
    if (end >= list.items.length) {
      if (list.trouble === 'stuck') return marker(Math.max(0, list.items.length - 1));
      return list.trouble === 'cycle' ? marker(Math.min(2, list.items.length)) : undefined;
    }
    if (this.isHealed || wasEmpty) return marker(end);
    // Now and then an empty page in the middle, or one that repeats the last item of the page before.
    const isOverlapping = listStyle === 'offset' && end > 1 && this.#dice.chance(0.15);
    return `${marker(isOverlapping ? end - 1 : end)}${this.#dice.chance(0.1) ? 'e' : ''}`;
  }

  #addList(userId: string, minerName: string): void {
    const items = Array.from({ length: this.#dice.between(0, NEW_ITEMS_MAX) }, () => this.#newItem());
    this.lists.set(`${userId}/${minerName}`, { userId, minerName, items, trouble: undefined, codes: new Set() });
  }

  #newItem(): ListItem {
    this.#made += 1;
    const isLarge = this.#plan.oversize && this.#dice.chance(0.1);
    return { id: `i${this.#made}`, value: this.#dice.upTo(3), padding: 'x'.repeat(isLarge ? PADDING_LARGE : 20) };
  }

  #versionOf(body: Readonly<Record<string, unknown>>): string {
    const text = versionText(body);
    const known = this.#versions.get(text);
    if (known !== undefined) return known;
    const version = sha256Digest.sha256(text, VERSION_DIGITS);
    this.#versions.set(text, version);
    return version;
  }
}

function bodyOf({ id, value, padding }: ListItem): Record<string, unknown> {
  return { id, value, padding };
}

function askedKey({
  minerName,
  userId,
  marker,
  process,
}: Pick<Serve, 'minerName' | 'userId' | 'marker' | 'process'>): string {
  return `${minerName}/${userId}/${marker}/${process}`;
}
