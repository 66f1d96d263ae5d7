import type { Store } from './store.ts';

interface Entry {
  readonly write: (store: Store) => void;
  readonly done: () => void;
}

/**
 * Group commit: everything that one turn of the event loop asked for goes to disk in one transaction, then all of it is
 * acknowledged. A transaction that fails ends the broker (`onFailure`), because memory is then ahead of the disk:
 * nothing of it was acknowledged, so clients send again and a restarted broker reads back what is true.
 */
export class Journal {
  readonly #store: Store;
  readonly #onFailure: (error: unknown) => void;
  #entries: Entry[] = [];
  #timer: NodeJS.Immediate | undefined;
  #hasEnded = false;

  constructor(store: Store, onFailure: (error: unknown) => void) {
    this.#store = store;
    this.#onFailure = onFailure;
  }

  /** `write` runs inside the next transaction, `done` when that is on disk. */
  commit(write: (store: Store) => void, done: () => void): void {
    this.#entries.push({ write, done });
    this.#timer ??= setImmediate(() => this.flush());
  }

  /** Commits what is waiting, and nothing after it: whoever asks later is not acknowledged. */
  close(): void {
    this.flush();
    this.#hasEnded = true;
  }

  /** Commits now what is waiting. */
  flush(): void {
    clearImmediate(this.#timer);
    this.#timer = undefined;
    const entries = this.#entries;
    if (entries.length === 0 || this.#hasEnded) return;
    this.#entries = [];
    try {
      this.#store.transaction(() => {
        for (const entry of entries) entry.write(this.#store);
      });
    } catch (error) {
      this.#hasEnded = true;
      this.#onFailure(error);
      return;
    }
    for (const entry of entries) entry.done();
  }
}
