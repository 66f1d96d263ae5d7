import { miners } from '../../catalog.ts';
import { Accounts } from './accounts.ts';
import { mix, textHash, unit } from './chance.ts';
import { Lists } from './lists.ts';
import type { ItemsPerList, List } from './lists.ts';
import { envelope, html } from './replies.ts';
import type { Scenario } from './scenarios.ts';
import { deadMarker, TROUBLES } from './troubles.ts';
import { Truth } from './truth.ts';
import { HEAD, isPickedUser, readMarker, Visit } from './visit.ts';
import type { Answer, Memory, Override, Plan, Position } from './visit.ts';

const LIMIT_DEFAULT = 25;
const LIMIT_MAX = 1_000;

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

/** What goes into the truth once the page is delivered. */
export interface ServedPage {
  readonly miner: string;
  readonly userNumber: number;
  readonly ordinals: readonly number[];
  readonly contents: readonly number[];
}

/** A reply, ready to be sent. */
export interface PageReply extends Answer {
  readonly encoding?: Encoding | undefined;
  readonly delayMs: number;
  readonly cut?: Override['cut'];
  readonly served?: ServedPage;
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
  scenario: Scenario;
  epoch: number;
  readonly #memory: Memory = {};
  readonly #userMemories = new Map<number, Memory>();
  readonly #listStates = new Map<string, ListState>();

  constructor(options: WorldOptions) {
    this.options = options;
    this.accounts = new Accounts(options.seed, options.users);
    this.lists = new Lists(options);
    this.scenario = options.scenario;
    this.epoch = options.epoch;
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
    if (userNumber === undefined) return { ...envelope(404, 803, 'Some of the aliases you requested do not exist'), delayMs: 0 };
    if (request.authorization !== `Bearer ${this.accounts.tokenOf(userNumber)}`) {
      return { ...envelope(401, 190, 'Error validating access token'), delayMs: 0 };
    }
    const limit = limitOf(request.query.get('limit'));
    if (limit === undefined) return { ...envelope(400, 100, 'limit must be 1..1000'), delayMs: 0 };
    const marker = request.query.get('after');
    const position = marker === null ? HEAD : readMarker(marker, request.miner, userNumber);
    const override = combine(this.#visit(request, userNumber, minerIndex, limit, position ?? HEAD));
    return this.#reply(request, userNumber, override, position !== undefined);
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
}
