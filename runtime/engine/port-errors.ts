import type { Bus, Depths, Lake, Ledger, Sealing, Upstream } from '../ports.ts';

/** Ports whose errors say that a service is away. */
export interface WatchedPorts {
  readonly sealing: Sealing;
  readonly bus: Bus;
  readonly depths: Depths;
  readonly lake: Lake;
  readonly upstream: Upstream;
  readonly ledger: Ledger;
}

/** Knows which errors came out of a port, so that a service that is away is told from a mistake of our own. */
export class PortErrors {
  readonly #seen = new WeakSet<object>();

  has(error: unknown): boolean {
    return typeof error === 'object' && error !== null && this.#seen.has(error);
  }

  /** The same port; what its methods throw, reject with, or throw while they are read is remembered. */
  watch<Port extends object>(port: Port): Port {
    return new Proxy(port, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        return (...args: readonly unknown[]): unknown => this.#call(() => Reflect.apply(member, target, args));
      },
    });
  }

  /** The same ports, whose errors are remembered as theirs. Everything else in `deps` stays as it is. */
  watchAll<Deps extends WatchedPorts>(deps: Deps): Deps {
    const { ledger } = deps;
    const watch = <Port extends object>(port: Port): Port => this.watch(port);
    return {
      ...deps,
      sealing: watch(deps.sealing),
      bus: watch(deps.bus),
      depths: watch(deps.depths),
      lake: watch(deps.lake),
      upstream: watch(deps.upstream),
      ledger: {
        items: watch(ledger.items),
        envelopes: watch(ledger.envelopes),
        runs: watch(ledger.runs),
        users: watch(ledger.users),
        control: watch(ledger.control),
        close: () => ledger.close(),
      },
    };
  }

  #call(work: () => unknown): unknown {
    try {
      const answer = work();
      if (answer instanceof Promise) return this.#settled(answer);
      return isAsyncIterable(answer) ? this.#read(answer) : answer;
    } catch (error) {
      throw this.#note(error);
    }
  }

  async #settled(answer: Promise<unknown>): Promise<unknown> {
    try {
      return await answer;
    } catch (error) {
      throw this.#note(error);
    }
  }

  async *#read(answer: AsyncIterable<unknown>): AsyncIterable<unknown> {
    try {
      yield* answer;
    } catch (error) {
      throw this.#note(error);
    }
  }

  #note(error: unknown): unknown {
    if (typeof error === 'object' && error !== null) this.#seen.add(error);
    return error;
  }
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}
