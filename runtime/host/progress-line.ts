import type { Terminal } from './exits.ts';

/** Time between two lines, on a terminal and piped, in ms. */
const TERMINAL_EVERY_MS = 100;
const PIPED_EVERY_MS = 1000;

/** A counter on stderr: one line that replaces itself on a terminal, plain lines when piped. Says nothing about short work. */
export class ProgressLine {
  readonly #stream: Terminal;
  readonly #what: string;
  readonly #worthTelling: number;
  #lastAtMs = Number.NEGATIVE_INFINITY;
  #isDrawn = false;

  /** `what`: the noun and what is done with it. `worthTelling`: fewer than that many in all are done before anybody could read. */
  constructor(stream: Terminal, what: string, worthTelling: number) {
    this.#stream = stream;
    this.#what = what;
    this.#worthTelling = worthTelling;
  }

  show(done: number, total: number): void {
    const { isTTY } = this.#stream;
    const nowMs = performance.now();
    if (total < this.#worthTelling) return;
    if (done < total && nowMs - this.#lastAtMs < (isTTY ? TERMINAL_EVERY_MS : PIPED_EVERY_MS)) return;
    this.#lastAtMs = nowMs;
    const text = `${done} of ${total} ${this.#what}`;
    this.#stream.write(isTTY ? `\r${text}\x1b[K` : `${text}\n`);
    this.#isDrawn = isTTY;
  }

  /** Leaves what was drawn, and the rest of the terminal to others. */
  end(): void {
    if (this.#isDrawn) this.#stream.write('\n');
    this.#isDrawn = false;
  }
}
