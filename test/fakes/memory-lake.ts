import { assertObjectName } from '../../runtime/core/lake-name.ts';
import type { Lake } from '../../runtime/ports.ts';

/** A lake in memory. `objects` holds name -> text; tests may look, and set `fail` to have every call reject. */
export class MemoryLake implements Lake {
  readonly objects = new Map<string, string>();
  fail: Error | undefined;

  async write(name: string, text: string): Promise<void> {
    this.#assertUsable(name);
    this.objects.set(name, text);
  }

  async create(name: string, text: string): Promise<boolean> {
    this.#assertUsable(name);
    if (this.objects.has(name)) return false;
    this.objects.set(name, text);
    return true;
  }

  async read(name: string): Promise<string | undefined> {
    this.#assertUsable(name);
    return this.objects.get(name);
  }

  async *list(prefix: string): AsyncGenerator<string> {
    if (this.fail !== undefined) throw this.fail;
    yield* [...this.objects.keys()].filter((name) => name.startsWith(prefix)).toSorted(byBytes);
  }

  #assertUsable(name: string): void {
    if (this.fail !== undefined) throw this.fail;
    assertObjectName(name);
  }
}

/** Names are ASCII, so the order of characters is the order of bytes. */
function byBytes(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
