import type { User } from '../core/miner.ts';
import type { Log } from '../ports.ts';
import type { Users } from './users.ts';

/** Users that may be gone in one firing before nobody is: max(5, 2 %) (upstream-api: a wrong base URL must not deactivate everyone). */
const GONE_LIMIT_MIN = 5;
const GONE_LIMIT_SHARE = 0.02;

/** Sets users inactive whom the upstream does not know any more, unless there are too many of them. */
export class GoneUsers {
  readonly #users: Users;
  readonly #log: Log;
  readonly #gone = new Map<string, User>();
  #fired = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(deps: { users: Users; log: Log }) {
    this.#users = deps.users;
    this.#log = deps.log;
  }

  /** A new firing over `users` users begins. */
  firing(users: number): void {
    this.#gone.clear();
    this.#fired = users;
  }

  /** Deactivates the user, or gives everyone back who was deactivated in this firing when the limit is passed. */
  add(user: User): Promise<void> {
    // In turn: a user who is still being set inactive must not stay so when everyone is given back.
    const added = this.#turn.then(() => this.#add(user));
    this.#turn = added.catch(() => undefined);
    return added;
  }

  async #add(user: User): Promise<void> {
    const limit = Math.max(GONE_LIMIT_MIN, this.#fired * GONE_LIMIT_SHARE);
    this.#gone.set(user.userId, user);
    if (this.#gone.size <= limit) {
      await this.#users.setInactive(user.userId);
      this.#log.warn('the upstream does not know a user any more: set inactive', { userId: user.userId });
      return;
    }
    if (this.#gone.size - 1 <= limit) await this.#users.import([...this.#gone.values()]);
    this.#log.warn('mass-gone: too many users are gone at once, nobody is set inactive; check the base URL', {
      gone: this.#gone.size,
      users: this.#fired,
    });
  }
}
