import { createHash } from 'node:crypto';
import { WORLD_START_MS } from './scheduler.ts';

/** Lines kept for whoever looks at a failure. */
const KEPT_LINES = 60;

/** Everything that happened, as a hash: two runs of one seed are the same when their hashes are. */
export class Trace {
  readonly #hash = createHash('sha256');
  readonly #last: string[] = [];
  readonly #echo: ((line: string) => void) | undefined;
  lines = 0;

  /** `echo`: told every line. */
  constructor(echo?: (line: string) => void) {
    this.#echo = echo;
  }

  add(nowMs: number, text: string): void {
    const line = `${((nowMs - WORLD_START_MS) / 1000).toFixed(3)} ${text}`;
    this.lines += 1;
    this.#hash.update(line);
    this.#echo?.(line);
    this.#last.push(line);
    if (this.#last.length > 4 * KEPT_LINES) this.#last.splice(0, this.#last.length - KEPT_LINES);
  }

  last(): readonly string[] {
    return this.#last.slice(-KEPT_LINES);
  }

  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }
}
