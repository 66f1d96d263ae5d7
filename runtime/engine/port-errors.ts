import type { Bus, Depths, Lake, Ledger, Sealing, Upstream } from '../ports.ts';

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

/** The ports whose errors are told from our own. */
export interface WatchedPorts {
  readonly sealing: Sealing;
  readonly bus: Bus;
  readonly depths: Depths;
  readonly lake: Lake;
  readonly upstream: Upstream;
  readonly ledger: Ledger;
}

/** The same ports, whose errors are known as theirs. */
export function watchPorts<Ports extends WatchedPorts>(ports: Ports, errors: PortErrors): Ports {
  const { sealing, bus, depths, lake, upstream, ledger } = ports;
  return {
    ...ports,
    sealing: errors.watch(sealing),
    bus: errors.watch(bus),
    depths: errors.watch(depths),
    lake: errors.watch(lake),
    upstream: errors.watch(upstream),
    ledger: {
      items: errors.watch(ledger.items),
      envelopes: errors.watch(ledger.envelopes),
      runs: errors.watch(ledger.runs),
      users: errors.watch(ledger.users),
      control: errors.watch(ledger.control),
      close: () => ledger.close(),
    },
  };
}
