import type { Message } from './message.ts';
import type { Store } from './store.ts';

/**
 * Bytes of message bodies that stay in memory over all boxes. A body that arrives above the limit stays only in the
 * journal and is read when its message is handed out, so a queue may be longer than memory: what remains in memory is
 * about 300 bytes per message. After a restart every body is read from the journal.
 */
export const RESIDENT_LIMIT_BYTES = 256 * 1024 * 1024;

/** The bodies in memory, counted. */
export class Bodies {
  readonly #store: Store;
  readonly #limitBytes: number;
  #residentBytes = 0;

  constructor(store: Store, limitBytes = RESIDENT_LIMIT_BYTES) {
    this.#store = store;
    this.#limitBytes = limitBytes;
  }

  /** Counts the body of a message that is now on disk, or drops it from memory when there is no room. */
  keep(message: Message): void {
    if (message.raw === undefined) return;
    if (this.#residentBytes + message.raw.length > this.#limitBytes) message.raw = undefined;
    else this.#residentBytes += message.raw.length;
  }

  /** Ends the counting of a message that was kept. */
  drop(message: Message): void {
    this.#residentBytes -= message.raw?.length ?? 0;
    message.raw = undefined;
  }

  /** The body, from memory or from the journal. */
  load(message: Message): Buffer {
    return message.raw ?? this.#store.raw(message.seq);
  }
}
