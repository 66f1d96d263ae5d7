import { systemClock, systemRandom } from '../../../runtime/adapters/system.ts';
import { expect, vi } from 'vitest';
import type { ServiceBusEvent } from '../../../runtime/adapters/service-bus-session.ts';
import { openServiceBus } from '../../../runtime/adapters/service-bus.ts';
import type { ServiceBusOptions } from '../../../runtime/adapters/service-bus.ts';
import type { Bus, Handled } from '../../../runtime/ports.ts';
import { BrokerProcess } from './broker-process.ts';

export const COMPLETE: Handled = { settlement: { kind: 'complete' } };

/** For `vi.waitFor`: how long a condition may take, in ms. */
export const WAIT = { timeout: 60_000, interval: 20 };

export function texts(count: number, prefix = 'm'): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`);
}

/** Counts how often each text was handled and settled. */
export class Seen {
  readonly handled = new Map<string, number>();
  settled = 0;
  readonly errors: unknown[] = [];
  readonly onError = (error: unknown): void => void this.errors.push(error);

  add(text: string): Handled {
    this.handled.set(text, (this.handled.get(text) ?? 0) + 1);
    return { ...COMPLETE, settled: () => (this.settled += 1) };
  }

  get twice(): readonly string[] {
    return [...this.handled].filter(([, times]) => times > 1).map(([text]) => text);
  }

  /** Resolves when `count` messages are settled. */
  async waitForSettled(count: number): Promise<void> {
    await vi.waitFor(() => expect(this.settled).toBe(count), WAIT);
  }
}

/** A broker in a process of its own and the buses that a test opens on it. */
export class BusBed {
  readonly broker: BrokerProcess;
  readonly events: ServiceBusEvent[] = [];
  readonly #buses: Bus[] = [];

  private constructor(broker: BrokerProcess) {
    this.broker = broker;
  }

  static async start(...options: Parameters<typeof BrokerProcess.start>): Promise<BusBed> {
    return new BusBed(await BrokerProcess.start(...options));
  }

  open(options: Partial<ServiceBusOptions> = {}): Bus {
    const connect = { connectionString: this.broker.connectionString };
    const onEvent = (event: ServiceBusEvent): void => void this.events.push(event);
    const bus = openServiceBus({
      clock: systemClock,
      random: systemRandom,
      connect,
      lockDurationMs: 30_000,
      onEvent,
      ...options,
    });
    this.#buses.push(bus);
    return bus;
  }

  /** Closes what the test has opened and forgets its events. */
  async endTest(): Promise<void> {
    await Promise.all(this.#buses.splice(0).map((bus) => bus.close()));
    this.events.length = 0;
  }
}
