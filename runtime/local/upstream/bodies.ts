/** Bytes of bodies that are kept. */
const KEPT_BYTES_MAX = 64 * 1024 * 1024;

/** Bodies of pages by name, the least recently used ones dropped first. */
export class Bodies {
  readonly #bodies = new Map<string, Buffer>();
  #sizeBytes = 0;

  get(name: string): Buffer | undefined {
    const body = this.#bodies.get(name);
    if (body === undefined) return undefined;
    this.#bodies.delete(name);
    this.#bodies.set(name, body);
    return body;
  }

  set(name: string, body: Buffer): void {
    this.#bodies.set(name, body);
    this.#sizeBytes += body.length;
    for (const [oldest, { length }] of this.#bodies) {
      if (this.#sizeBytes <= KEPT_BYTES_MAX) return;
      this.#bodies.delete(oldest);
      this.#sizeBytes -= length;
    }
  }

  clear(): void {
    this.#bodies.clear();
    this.#sizeBytes = 0;
  }
}
