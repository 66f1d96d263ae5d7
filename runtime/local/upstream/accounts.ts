import { renameSync, writeFileSync } from 'node:fs';

import { mix, textHash } from './chance.ts';

/** One line of the users file (upstream-api.md, "Users"). */
export interface SimulatedUser {
  readonly userId: string;
  readonly accessToken: string;
  readonly proxyUrl: null;
  readonly status: 'active';
}

/** The users u1..uN and their tokens. A token is a pure function of seed, user and how often it was renewed. */
export class Accounts {
  readonly #seed: number;
  readonly #tokens: string[] = [];
  readonly #renewals: number[] = [];

  constructor(seed: number, count: number) {
    this.#seed = seed;
    for (let userNumber = 1; userNumber <= count; userNumber += 1) {
      this.#renewals.push(0);
      this.#tokens.push(tokenOf(seed, userNumber, 0));
    }
  }

  get count(): number {
    return this.#tokens.length;
  }

  /** 1 for u1, or `undefined` for nobody. */
  find(userId: string): number | undefined {
    const userNumber = /^u[1-9]\d{0,8}$/.test(userId) ? Number(userId.slice(1)) : 0;
    return userNumber >= 1 && userNumber <= this.count ? userNumber : undefined;
  }

  tokenOf(userNumber: number): string {
    return this.#tokens[userNumber - 1] ?? '';
  }

  /** How often the token was renewed. */
  renewalsOf(userNumber: number): number {
    return this.#renewals[userNumber - 1] ?? 0;
  }

  /** Gives a user a new token; the old one is refused from now on. */
  renew(userNumber: number): void {
    const renewals = this.renewalsOf(userNumber) + 1;
    this.#renewals[userNumber - 1] = renewals;
    this.#tokens[userNumber - 1] = tokenOf(this.#seed, userNumber, renewals);
  }

  users(): readonly SimulatedUser[] {
    return this.#tokens.map((accessToken, index) => ({
      userId: `u${index + 1}`,
      accessToken,
      proxyUrl: null,
      status: 'active',
    }));
  }

  /** Writes the users file, all or nothing, readable by its owner only. */
  write(path: string): void {
    const temporary = `${path}.${process.pid}.tmp`;
    writeFileSync(
      temporary,
      this.users()
        .map((user) => `${JSON.stringify(user)}\n`)
        .join(''),
      { mode: 0o600 },
    );
    renameSync(temporary, path);
  }
}

function tokenOf(seed: number, userNumber: number, renewals: number): string {
  const hash = mix(mix(mix(seed, textHash('token')), userNumber), renewals);
  const digits = Array.from({ length: 5 }, (_, index) => mix(hash, index).toString(16).padStart(8, '0'));
  return `EAAB${digits.join('')}`;
}
