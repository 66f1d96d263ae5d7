import type { Brake, BrakeFault, BrakeTarget } from '../core/brake.ts';
import { Fault } from '../core/faults.ts';
import { type CountedCode, hasEndedBy, isCounted, MASS_OF, massLimit, reopenRun } from '../core/mass.ts';
import type { Miner, User } from '../core/miner.ts';
import type { Log } from '../ports.ts';
import type { Brakes } from './brakes.ts';
import { type MarkerSenderDeps, sendMarkers } from './marker-sender.ts';
import { type Fallen, MassCount, type MassCountDeps } from './mass-count.ts';
import type { Progress } from './progress.ts';
import type { Runs } from './runs.ts';
import type { Users } from './users.ts';

/** What watching for mass faults works with. */
export interface MassFaultsDeps extends MassCountDeps, MarkerSenderDeps {
  readonly brakes: Brakes;
  readonly runs: Runs;
  readonly users: Users;
  readonly progress: Progress;
  readonly log: Pick<Log, 'warn'>;
  /** Wait of a run that was given back, in ms: its lane is stopped. */
  readonly brakeLookMs: number;
}

/** One user who met a counted fault. */
export interface Sighting {
  readonly miner: Pick<Miner, 'name' | 'lane' | 'upstream'>;
  readonly user: Pick<User, 'userId'>;
  readonly code: CountedCode;
  readonly countId: string;
}

/** `within`: the user may fall; `confirm` is called afterwards. `mass`: nobody may, and this fault is treated instead. */
export type Noted =
  | { readonly kind: 'within'; readonly sighting: Sighting }
  | { readonly kind: 'mass'; readonly fault: Fault };

/** Who engaged a brake that nobody engaged. */
const BY_ITSELF = 'adit';

/** Why a run that was given back waits, for people. */
const STOPPED = 'its lane is stopped';

/** Users given back at once. */
const GIVE_BACK_BATCH = 50;

/**
 * Sets users aside whom the upstream does not know any more, or whose tokens it refuses, unless there are more of them in one
 * firing than max(5, 2 %): then everybody of this firing is given back and the lane stops until a person releases it, because a
 * wrong base URL must not deactivate everyone.
 */
export class MassFaults {
  readonly #deps: MassFaultsDeps;
  readonly #count: MassCount;

  constructor(deps: MassFaultsDeps) {
    this.#deps = deps;
    this.#count = new MassCount(deps);
  }

  /** A firing begins. See `MassCount.begin`. */
  begin(upstream: string, firing: { readonly users?: number; readonly isWhole: boolean }): Promise<void> {
    return this.#count.begin(upstream, firing);
  }

  /** A firing has reached all its users. */
  complete(upstream: string, users: number): Promise<void> {
    return this.#count.complete(upstream, users);
  }

  /** Counts a user who met `fault`, before anything is done about it. Undefined: the fault is of another kind. */
  async note(fault: Fault, miner: Sighting['miner'], user: Sighting['user']): Promise<Noted | undefined> {
    const { code } = fault;
    if (!isCounted(code)) return undefined;
    const { upstream } = miner;
    const { userId } = user;
    const { countId, users } = await this.#count.size(upstream);
    const sighting: Sighting = { miner, user, code, countId };
    const total = await this.#count.total(upstream, code, countId);
    const limit = massLimit(users);
    // Nobody is counted after the one that passes the limit: that is how everybody sees that it was passed.
    const isNew = total <= limit && (await this.#count.add(upstream, code, countId, { userId, minerName: miner.name }));
    if (total + (isNew ? 1 : 0) > limit) {
      return { kind: 'mass', fault: await this.#trip(sighting, { total: limit + 1, users }) };
    }
    return { kind: 'within', sighting };
  }

  /** After the user was set aside: gives him back when the limit was passed meanwhile. */
  async confirm(sighting: Sighting): Promise<void> {
    const { miner, user, code, countId } = sighting;
    const { upstream, name } = miner;
    const size = await this.#count.size(upstream);
    const total = await this.#count.total(upstream, code, countId);
    if (size.countId === countId && total <= massLimit(size.users)) return;
    if (size.countId !== countId && !(await this.#hasTripped(sighting))) return;
    await this.#trip(sighting, { total, users: size.users });
    await this.#giveBackOne({ userId: user.userId, minerNames: [name] }, code);
  }

  /** Ends what a process has left half done that died while it gave users back. How many brakes it was. */
  async finish(): Promise<number> {
    const open = (await this.#deps.brakes.list()).filter(({ fault }) => fault?.isGivenBack === false);
    for (const brake of open) await this.#giveBackAll(brake);
    return open.length;
  }

  async #hasTripped({ miner, countId }: Sighting): Promise<boolean> {
    const brakes = await this.#deps.brakes.list();
    return brakes.some(({ fault }) => fault?.countId === countId && fault.upstream === miner.upstream);
  }

  /** Stops the lane, then gives everybody back. */
  async #trip(sighting: Sighting, seen: { readonly total: number; readonly users: number }): Promise<Fault> {
    const { miner, code, countId } = sighting;
    const { upstream, lane } = miner;
    const fault = new Fault(MASS_OF[code], textOf(sighting, seen));
    const target: BrakeTarget = { kind: 'lane', name: lane };
    const reason = `${fault.code}: ${fault.message}`;
    const cause: BrakeFault = { code: fault.code, upstream, countId, isGivenBack: false };
    const brake = await this.#deps.brakes.engage(target, { engagedBy: BY_ITSELF, reason, fault: cause });
    const isOurs = brake.fault?.countId === countId && brake.fault.code === cause.code;
    if (isOurs && brake.fault.isGivenBack) return fault;
    this.#deps.log.warn(`${reason}. The lane ${lane} has stopped`, { code: fault.code, lane, ...seen });
    await this.#giveBackAll({ ...brake, fault: cause });
    return fault;
  }

  async #giveBackAll({ target, fault }: Brake): Promise<void> {
    if (fault === undefined) return;
    const { upstream, countId } = fault;
    const code: CountedCode = fault.code === 'mass-token' ? 'token' : 'user-gone';
    let batch: Fallen[] = [];
    for await (const one of this.#count.fallen(upstream, code, countId)) {
      batch.push(one);
      if (batch.length < GIVE_BACK_BATCH) continue;
      await Promise.all(batch.map((fallen) => this.#giveBackOne(fallen, code)));
      batch = [];
    }
    await Promise.all(batch.map((fallen) => this.#giveBackOne(fallen, code)));
    await this.#deps.brakes.givenBack(target, fault);
  }

  async #giveBackOne({ userId, minerNames }: Fallen, code: CountedCode): Promise<void> {
    const { users, runs, progress, clock, brakeLookMs } = this.#deps;
    if (code === 'user-gone') await users.setStatus(userId, 'active');
    for (const minerName of minerNames) {
      const [stored] = await runs.read(minerName, [userId]);
      // Another worker may have been faster: then it is told here, in the order in which it happened.
      if (stored?.run.state === 'live') progress.reopened(stored.run, STOPPED);
      if (stored === undefined || !hasEndedBy(stored.run, code)) continue;
      const nowMs = clock.now();
      const run = reopenRun(stored.run, nowMs, nowMs + brakeLookMs);
      const [etag] = await runs.write([{ run, etag: stored.etag }]);
      if (etag === undefined) continue;
      progress.reopened(run, STOPPED);
      await sendMarkers(this.#deps, minerName, [run]);
    }
  }
}

function textOf(
  { miner, code }: Sighting,
  { total, users }: { readonly total: number; readonly users: number },
): string {
  const what =
    code === 'token'
      ? 'had their tokens refused in one firing, and nobody was paused; check the address and the app that issues the tokens'
      : 'are gone in one firing, and nobody was set inactive; check the address';
  return `${total} of ${users} users ${what} of the upstream ${miner.upstream}`;
}
