/** `setTimeout` counts in signed 32 bits; a longer wait is done in steps. */
const STEP_LIMIT_MS = 2_000_000_000;

/** One timer that is moved to the earliest time asked for. */
export class Alarm {
  readonly #ring: () => void;
  #timer: NodeJS.Timeout | undefined;
  #atMs = Infinity;

  /** `ring` is called once per setting; it sets the alarm again when more is due. */
  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Rings at `atMs` (epoch) or earlier, when an earlier time is set already. */
  set(atMs: number, nowMs: number): void {
    if (atMs >= this.#atMs || atMs === Infinity) return;
    this.clear();
    this.#atMs = atMs;
    this.#timer = setTimeout(() => this.#fire(), Math.min(Math.max(atMs - nowMs, 0), STEP_LIMIT_MS));
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#atMs = Infinity;
  }

  #fire(): void {
    this.clear();
    this.#ring();
  }
}
