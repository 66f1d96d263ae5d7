import { miners } from '../../catalog.ts';
import { Accounts } from './accounts.ts';
import { Bodies } from './bodies.ts';
import { mix, textHash, unit } from './chance.ts';
import { Lists } from './lists.ts';
import type { ItemsPerList, List } from './lists.ts';
import { envelope, html } from './replies.ts';
import type { Scenario } from './scenarios.ts';
import { deadMarker, TROUBLES } from './troubles.ts';
import { type DeliveredPage, Truth } from './truth.ts';
import { HEAD, isPickedUser, readMarker, Visit } from './visit.ts';
import type { Answer, Memory, Override, Plan, Position } from './visit.ts';

const LIMIT_DEFAULT = 25;
const LIMIT_MAX = 1_000;

const ENCODING = textHash('encoding');

export type Encoding = 'gzip' | 'br' | 'zstd';

export interface WorldOptions {
  readonly seed: number;
  readonly users: number;
  readonly scenario: Scenario;
  readonly epoch: number;
  readonly itemsPerList: ItemsPerList;
  readonly itemBytes: number;
}

/** A request as the upstream sees it. */
export interface PageQuery {
  readonly userId: string;
  readonly miner: string;
  readonly query: URLSearchParams;
  readonly authorization: string | undefined;
  readonly acceptEncoding: string;
  readonly nowMs: number;
}

/** A reply, ready to be sent. */
export interface PageReply extends Answer {
  readonly encoding?: Encoding | undefined;
  readonly delayMs: number;
  readonly cut?: Override['cut'];
  /** What goes into the truth once the page is delivered. */
  readonly served?: DeliveredPage;
}

interface ListState {
  readonly memory: Memory;
  calls: number;
  /** Items that came while the list was read; grows by a fraction. */
  inserted: number;
}

/** Users, data, scenario and memory of the simulated upstream; knows nothing of sockets. */
export class World {
  readonly options: WorldOptions;
  readonly accounts: Accounts;
  readonly lists: Lists;
  readonly truth = new Truth();
  #scenario: Scenario;
  #epoch: number;
  readonly #bodies = new Bodies();
  readonly #memory: Memory = {};
  readonly #userMemories = new Map<number, Memory>();
  readonly #listStates = new Map<string, ListState>();

  constructor(options: WorldOptions) {
    this.options = options;
    this.accounts = new Accounts(options.seed, options.users);
    this.lists = new Lists(options);
    this.#scenario = options.scenario;
    this.#epoch = options.epoch;
  }

  get scenario(): Scenario {
    return this.#scenario;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Changes how the upstream behaves and which state its data is in, from the next call on. */
  become(scenario: Scenario, epoch: number): void {
    this.#scenario = scenario;
    this.#epoch = epoch;
    this.#bodies.clear();
  }

  /** Gives new tokens to the users whose token is refused, or to those named. Returns how many. */
  renewTokens(userNumbers?: readonly number[]): number {
    const all = Array.from({ length: this.accounts.count }, (_, index) => index + 1);
    const share = this.scenario.expiredUserShare;
    const isExpired = (userNumber: number): boolean =>
      this.accounts.renewalsOf(userNumber) === 0 && isPickedUser(this.options, userNumber, share, 'expired');
    const chosen = userNumbers ?? all.filter(isExpired);
    for (const userNumber of chosen) this.accounts.renew(userNumber);
    return chosen.length;
  }

  page(request: PageQuery): PageReply {
    const minerIndex = miners.findIndex(({ name }) => name === request.miner);
    if (minerIndex < 0) return { ...html(404, 'Not Found'), delayMs: 0 };
    const userNumber = this.accounts.find(request.userId);
    if (userNumber === undefined)
      return { ...envelope(404, 803, 'Some of the aliases you requested do not exist'), delayMs: 0 };
    if (request.authorization !== `Bearer ${this.accounts.tokenOf(userNumber)}`) {
      return { ...envelope(401, 190, 'Error validating access token'), delayMs: 0 };
    }
    const limit = limitOf(request.query.get('limit'));
    if (limit === undefined) return { ...envelope(400, 100, 'limit must be 1..1000'), delayMs: 0 };
    const marker = request.query.get('after');
    const position = marker === null ? HEAD : readMarker(marker, request.miner, userNumber);
    if (position === undefined) return { ...deadMarker(), delayMs: 0 };
    const visit = this.#visit(request, userNumber, minerIndex, limit, position);
    return this.#reply(visit, misbehave(visit), request.acceptEncoding);
  }

  #reply(
    visit: Visit,
    { answer, plan: otherPlan, edit, headers, delayMs = 0, cut }: Override,
    acceptEncoding: string,
  ): PageReply {
    if (answer !== undefined) return { ...answer, headers: { ...headers, ...answer.headers }, delayMs, cut };
    const plan = otherPlan ?? ordinaryPlan(visit);
    if (plan === undefined) return { ...deadMarker(), delayMs, cut };
    const { miner, userNumber, list } = visit.facts;
    const { ordinals } = plan;
    return {
      status: 200,
      headers: { ...headers, 'content-type': 'application/json; charset=utf-8' },
      body: edit === undefined ? this.#body(visit, plan) : Buffer.from(edit(pageText(visit, plan))),
      encoding: this.#encodingFor(userNumber, acceptEncoding),
      delayMs,
      cut,
      served: {
        miner,
        userNumber,
        ordinals,
        contents: ordinals.map((ordinal) => list().content(ordinal)),
        from: visit.facts.position.ordinal,
        isEnd: plan.after === undefined,
      },
    };
  }

  /** The same place of the same list is often asked for again: by the next run, by a benchmark, by a list that is stuck. */
  #body(visit: Visit, plan: Plan): Buffer {
    const { miner, userNumber, limit } = visit.facts;
    const { ordinals, after } = plan;
    const name = `${miner}\n${userNumber}\n${ordinals[0]}\n${ordinals.length}\n${after}\n${limit}`;
    let body = this.#bodies.get(name);
    if (body === undefined) this.#bodies.set(name, (body = Buffer.from(pageText(visit, plan))));
    return body;
  }

  /** Compression goes by user, so that one client meets all of them. */
  #encodingFor(userNumber: number, accepted: string): Encoding | undefined {
    const { gzipShare, brShare, zstdShare } = this.scenario;
    const place = unit(mix(mix(this.options.seed, ENCODING), userNumber));
    const encoding =
      place < gzipShare
        ? 'gzip'
        : place < gzipShare + brShare
          ? 'br'
          : place < gzipShare + brShare + zstdShare
            ? 'zstd'
            : undefined;
    return encoding !== undefined && accepted.includes(encoding) ? encoding : undefined;
  }

  #visit(request: PageQuery, userNumber: number, minerIndex: number, limit: number, position: Position): Visit {
    const { scenario } = this;
    const { miner, nowMs } = request;
    const state = this.#listState(miner, userNumber);
    const userMemory = this.#userMemory(userNumber);
    userMemory['calls'] = (userMemory['calls'] ?? 0) + 1;
    state.calls += 1;
    state.inserted = Math.min(scenario.insertsPerListMax, state.inserted + scenario.insertsPerPage);
    const inserted = Math.floor(state.inserted);
    let list: List | undefined;
    return new Visit({
      seed: this.options.seed,
      scenario,
      users: this.accounts.count,
      userNumber,
      renewals: this.accounts.renewalsOf(userNumber),
      miner,
      minerIndex,
      miners: miners.length,
      call: state.calls,
      limit,
      position,
      nowMs,
      userMemory,
      listMemory: state.memory,
      memory: this.#memory,
      list: () => (list ??= this.lists.at(miner, userNumber, this.epoch, scenario, inserted)),
    });
  }

  #userMemory(userNumber: number): Memory {
    let memory = this.#userMemories.get(userNumber);
    if (memory === undefined) this.#userMemories.set(userNumber, (memory = {}));
    return memory;
  }

  #listState(miner: string, userNumber: number): ListState {
    const name = `${miner}\n${userNumber}`;
    let state = this.#listStates.get(name);
    if (state === undefined) this.#listStates.set(name, (state = { memory: {}, calls: 0, inserted: 0 }));
    return state;
  }
}

/** What all troubles together do to one reply. Nothing is asked any more once one of them has given an answer. */
function misbehave(visit: Visit): Override {
  let all: Override = {};
  for (const trouble of TROUBLES) {
    const one = trouble(visit);
    if (one === undefined) continue;
    const delayMs = (all.delayMs ?? 0) + (one.delayMs ?? 0);
    all = { ...one, ...all, headers: { ...all.headers, ...one.headers }, delayMs };
    if (all.answer !== undefined || all.cut === 'before' || all.cut === 'hang') return all;
  }
  return all;
}

function ordinaryPlan(visit: Visit): Plan | undefined {
  const start = visit.start();
  return start === undefined ? undefined : visit.planFrom(start, visit.facts.limit);
}

function pageText(visit: Visit, { ordinals, after }: Plan): string {
  const { list: listOf, userNumber, miner, limit } = visit.facts;
  const list = listOf();
  let data = '';
  for (const ordinal of ordinals) data += data === '' ? list.text(ordinal) : `,${list.text(ordinal)}`;
  if (after === undefined) return `{"data":[${data}],"paging":{}}`;
  // The host is not this server's: a client must go on by the marker.
  const next = `https://graph.invalid/users/u${userNumber}/${miner}?limit=${limit}&after=${after}`;
  return `{"data":[${data}],"paging":{"cursors":{"after":"${after}"},"next":"${next}"}}`;
}

function limitOf(text: string | null): number | undefined {
  if (text === null) return LIMIT_DEFAULT;
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  return limit >= 1 && limit <= LIMIT_MAX ? limit : undefined;
}
