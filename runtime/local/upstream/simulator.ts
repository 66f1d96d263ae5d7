import { once } from 'node:events';
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { SimulatedUser } from './accounts.ts';
import { serveAdmin } from './admin.ts';
import type { SimulatorControl, SimulatorStats } from './admin.ts';
import { html } from './replies.ts';
import type { ItemsPerList } from './lists.ts';
import { resolveScenario } from './scenarios.ts';
import type { ScenarioFields } from './scenarios.ts';
import type { ServedItem, TruthView } from './truth.ts';
import { send } from './wire.ts';
import type { Ending } from './wire.ts';
import { World } from './world.ts';
import type { PageReply } from './world.ts';

const USERS_MAX = 1_000_000;

const KEEP_ALIVE_MS = 60_000;

/** Options of `startSimulator`; also the JSON line that `main.ts` reads. */
export interface SimulatorOptions {
  /** Default 0: any free port. */
  readonly port?: number;
  /** Everything by chance follows from it. Default 1. */
  readonly seed?: number;
  /** u1 to uN, 1..1,000,000. */
  readonly users: number;
  /** A name, a path to a JSON file, or fields merged over calm or over `name`. Default calm. */
  readonly scenario?: string | ScenarioFields;
  /** Overrides the scenario's. */
  readonly epoch?: number;
  /** Where the users file is written at the start and after each renewal of tokens. Default: nowhere. */
  readonly usersFile?: string;
  /** Mean length of a list, from none to eight times as many, or an exact one. Default 120. */
  readonly itemsPerList?: ItemsPerList;
  /** Size of an item in bytes, about. Default 370. */
  readonly itemBytes?: number;
}

/** A running upstream simulator. */
export interface Simulator extends SimulatorControl {
  readonly port: number;
  readonly url: string;
  readonly usersFile: string | undefined;
  users(): readonly SimulatedUser[];
  /** Cuts every connection. Idempotent. */
  close(): Promise<void>;
}

/**
 * Starts an upstream that speaks upstream-api.md on 127.0.0.1, with admin endpoints under `/_sim/`. The caller closes it.
 * @throws Error that names the option, its rule and its value; or with the code of the failed listen (EADDRINUSE).
 */
export async function startSimulator(options: SimulatorOptions): Promise<Simulator> {
  const simulator = new LocalSimulator(options);
  await simulator.listen(options.port ?? 0);
  return simulator;
}

class LocalSimulator implements Simulator {
  readonly usersFile: string | undefined;
  readonly #world: World;
  readonly #server: Server;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #calls: Record<string, number> = {};
  #pages = 0;
  #items = 0;
  #closed: Promise<void> | undefined;

  constructor(options: SimulatorOptions) {
    const { seed = 1, users, itemsPerList = 120, itemBytes = 370, usersFile } = options;
    const scenario = resolveScenario(options.scenario ?? 'calm');
    requireWhole('seed', seed, 0, 2 ** 32 - 1);
    requireWhole('users', users, 1, USERS_MAX);
    requireWhole('itemsPerList', typeof itemsPerList === 'number' ? itemsPerList : itemsPerList.exactly, 0, 1_000_000);
    requireWhole('itemBytes', itemBytes, 0, 100_000_000);
    this.usersFile = usersFile;
    this.#world = new World({
      seed,
      users,
      scenario,
      epoch: epochOf(options.epoch ?? scenario.epoch),
      itemsPerList,
      itemBytes,
    });
    this.#server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 0 }, (request, response) =>
      this.#handle(request, response),
    );
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async listen(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#writeUsers();
  }

  users(): readonly SimulatedUser[] {
    return this.#world.accounts.users();
  }

  stats(): SimulatorStats {
    const { scenario, epoch, truth, accounts } = this.#world;
    return {
      scenario,
      epoch,
      users: accounts.count,
      pages: this.#pages,
      items: this.#items,
      servedItems: truth.distinct,
      truth: truth.changes,
      pagesAgain: truth.pagesAgain,
      itemsAgain: truth.itemsAgain,
      calls: { ...this.#calls },
    };
  }

  truth(
    { miner, userId }: { miner?: string | undefined; userId?: string | undefined } = {},
    view: TruthView = 'distinct',
  ): Iterable<ServedItem> {
    const { truth, lists, accounts } = this.#world;
    // A user who is not there has been served nothing: no list has the number 0.
    const userNumber = userId === undefined ? undefined : (accounts.find(userId) ?? 0);
    return truth.items(lists, { miner, userNumber }, view);
  }

  setEpoch(epoch: number): void {
    this.#world.become(this.#world.scenario, epochOf(epoch));
  }

  setScenario(given: string | ScenarioFields): void {
    const scenario = typeof given === 'string' ? resolveScenario(given) : resolveScenario(given, this.#world.scenario);
    this.#world.become(scenario, Math.max(this.#world.epoch, epochOf(scenario.epoch)));
  }

  renewTokens(userIds?: readonly string[]): number {
    const { accounts } = this.#world;
    const numbers = userIds?.map((userId) => {
      const userNumber = accounts.find(userId);
      if (userNumber === undefined) throw new Error(`no user ${JSON.stringify(userId)}`);
      return userNumber;
    });
    const renewed = this.#world.renewTokens(numbers);
    this.#writeUsers();
    return renewed;
  }

  close(): Promise<void> {
    this.#closed ??= new Promise((resolve) => {
      for (const timer of this.#timers) clearTimeout(timer);
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
    return this.#closed;
  }

  #writeUsers(): void {
    if (this.usersFile !== undefined) this.#world.accounts.write(this.usersFile);
  }

  #handle(request: IncomingMessage, response: ServerResponse): void {
    const [path = '', query = ''] = (request.url ?? '/').split('?', 2);
    if (path.startsWith('/_sim/')) {
      // A client that leaves in the middle of the truth is its own business.
      serveAdmin(this, request, response).catch(() => response.destroy());
      return;
    }
    const [, userId = '', miner = ''] =
      request.method === 'GET' ? (/^\/users\/([^/]+)\/([^/]+)$/.exec(path) ?? []) : [];
    const reply =
      miner === ''
        ? { ...html(404, 'Not Found'), delayMs: 0 }
        : this.#world.page({
            userId: decoded(userId),
            miner: decoded(miner),
            query: new URLSearchParams(query),
            authorization: request.headers.authorization,
            acceptEncoding: request.headers['accept-encoding'] ?? '',
            nowMs: Date.now(),
          });
    this.#sendLater(response, reply);
  }

  #sendLater(response: ServerResponse, reply: PageReply): void {
    const sendNow = (): void => send(response, reply, (ending) => this.#count(reply, ending));
    if (reply.delayMs < 1) return sendNow();
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      sendNow();
    }, reply.delayMs);
    this.#timers.add(timer);
  }

  #count(reply: PageReply, ending: Ending): void {
    this.#calls[ending] = (this.#calls[ending] ?? 0) + 1;
    if (ending !== 200 || reply.served === undefined) return;
    this.#pages += 1;
    this.#items += reply.served.ordinals.length;
    this.#world.truth.record(reply.served);
  }
}

/** A segment that is not valid percent encoding names nobody. */
function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return '';
  }
}

function epochOf(epoch: number): number {
  requireWhole('epoch', epoch, 0, 10_000);
  return epoch;
}

function requireWhole(name: string, value: unknown, least: number, most: number): void {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return;
  throw new Error(`${name} must be a whole number ${least}..${most}, got ${JSON.stringify(value)}`);
}
