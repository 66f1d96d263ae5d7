/** Message ids that an entity remembers for duplicate detection. Above this the oldest are forgotten early. */
const SEEN_LIMIT = 1_000_000;

/** Ids with the time until which they count as duplicates. All are kept equally long, so the oldest come first. */
export class SeenIds {
  readonly #untilMs = new Map<string, number>();

  has(messageId: string, nowMs: number): boolean {
    return (this.#untilMs.get(messageId) ?? 0) > nowMs;
  }

  add(messageId: string, untilMs: number): void {
    this.#untilMs.delete(messageId);
    this.#untilMs.set(messageId, untilMs);
  }

  /** Forgets the ids whose time is over. @returns them, to be removed from disk */
  purge(nowMs: number): readonly string[] {
    const gone: string[] = [];
    for (const [messageId, untilMs] of this.#untilMs) {
      if (untilMs > nowMs && this.#untilMs.size - gone.length <= SEEN_LIMIT) break;
      gone.push(messageId);
    }
    for (const messageId of gone) this.#untilMs.delete(messageId);
    return gone;
  }
}
