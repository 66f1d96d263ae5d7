/** What the tokens of one connection are kept with. */
export interface TokensOptions {
  /** Longest time that a token counts, in ms. */
  readonly lifetimeMs: number;
  /** Epoch in ms. */
  readonly now: () => number;
  /** Told when the token for a path has run out and no other has come. */
  readonly onEnd: (path: string) => void;
}

/**
 * The tokens of one connection, a path each: as on Azure, a link lives no longer than the token that was put for its path. The
 * broker does not check who signed a token, only when it ends.
 */
export class Tokens {
  readonly #options: TokensOptions;
  readonly #timers = new Map<string, NodeJS.Timeout>();

  constructor(options: TokensOptions) {
    this.#options = options;
  }

  /** Takes a token for a path, or says false when it is over already. */
  put(path: string, token: string): boolean {
    const { lifetimeMs, now, onEnd } = this.#options;
    const leftMs = Math.min(lifetimeMs, endOf(token) - now());
    if (leftMs <= 0) return false;
    clearTimeout(this.#timers.get(path));
    const end = (): void => {
      this.#timers.delete(path);
      onEnd(path);
    };
    this.#timers.set(path, setTimeout(end, leftMs));
    return true;
  }

  has(path: string): boolean {
    return this.#timers.has(path);
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}

/** When a token says that it ends, epoch in ms: `se` of a SAS, `exp` of a JWT, both in seconds. One that does not say never ends. */
function endOf(token: string): number {
  const sas = /(?:^|[ &])se=(\d+)/.exec(token)?.[1];
  if (sas !== undefined) return Number(sas) * 1000;
  try {
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as { exp?: unknown };
    return typeof claims.exp === 'number' ? claims.exp * 1000 : Infinity;
  } catch {
    return Infinity;
  }
}
