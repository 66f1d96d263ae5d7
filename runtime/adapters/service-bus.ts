import type { Bus, Clock, Random } from '../ports.ts';
import { ServiceBusConsumer } from './service-bus-consumer.ts';
import { Outbox } from './service-bus-outbox.ts';
import { SessionSource } from './service-bus-session.ts';
import type { ServiceBusConnect, ServiceBusEvent } from './service-bus-session.ts';

/** How the bus connects and waits. */
export interface ServiceBusOptions {
  readonly connect: ServiceBusConnect;
  /** Limit of one attempt to send or settle, in ms, 100..60,000. Default 5,000. */
  readonly sendTimeoutMs?: number;
  /** Lock duration of the entities that are consumed, in ms, 500..300,000. Default 300,000. Locks are renewed at half of it. */
  readonly lockDurationMs?: number;
  /** Told about what the adapter survives by itself. Must not throw. */
  readonly onEvent?: (event: ServiceBusEvent) => void;
  readonly clock: Clock;
  readonly random: Random;
}

interface Range {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

const SEND_TIMEOUT_MS: Range = { min: 100, max: 60_000, default: 5000 };
const LOCK_DURATION_MS: Range = { min: 500, max: 300_000, default: 300_000 };
const CONCURRENCY: Range = { min: 1, max: 500, default: 1 };

/** How long `close` waits for messages that were accepted for sending, in ms. */
const CLOSE_GRACE_MS = 5000;

/**
 * The bus on @azure/service-bus 7.9.5, with one connection for everything it sends and consumes. Nothing is opened
 * before the first send or consume. The caller closes it.
 *
 * `send` rejects with an Error of code `MESSAGE_TOO_LARGE` (the other messages of the call may have been sent),
 * `BUS_CLOSED`, `SEND_QUEUE_FULL`, or with the client's error when it is permanent or after 60 s of retries.
 * @throws RangeError for an option out of its range.
 */
export function openServiceBus(options: ServiceBusOptions): Bus {
  const sendTimeoutMs = inRange('sendTimeoutMs', options.sendTimeoutMs, SEND_TIMEOUT_MS);
  const lockDurationMs = inRange('lockDurationMs', options.lockDurationMs, LOCK_DURATION_MS);
  const clock = options.clock;
  const random = options.random;
  const onEvent = options.onEvent ?? ((): void => undefined);
  const source = new SessionSource({ connect: options.connect, requestTimeoutMs: sendTimeoutMs, onEvent, clock });
  const outboxes = new Map<string, Outbox>();
  const consumers = new Set<ServiceBusConsumer>();
  const outboxOf = (entity: string): Outbox => {
    const outbox = outboxes.get(entity) ?? new Outbox({ entity, source, random, sendTimeoutMs, onEvent });
    outboxes.set(entity, outbox);
    return outbox;
  };
  const closeAll = async (): Promise<void> => {
    await Promise.all([...consumers].map((consumer) => consumer.stop(0)));
    await Promise.all([...outboxes.values()].map((outbox) => outbox.close(CLOSE_GRACE_MS)));
    await source.close();
  };
  let closed: Promise<void> | undefined;
  return {
    send: async (entity, messages, signal) => outboxOf(entity).send(messages, signal),
    consume(entity, consumeOptions, handler) {
      inRange('concurrency', consumeOptions.concurrency, CONCURRENCY);
      const consumer: ServiceBusConsumer = new ServiceBusConsumer({
        ...consumeOptions,
        entity,
        source,
        random,
        lockDurationMs,
        settleTimeoutMs: sendTimeoutMs,
        onEvent,
        handler,
        onStopped: () => void consumers.delete(consumer),
      });
      consumers.add(consumer);
      return consumer;
    },
    close() {
      closed ??= closeAll();
      return closed;
    },
  };
}

function inRange(name: string, value: number | undefined, range: Range): number {
  const chosen = value ?? range.default;
  if (Number.isInteger(chosen) && chosen >= range.min && chosen <= range.max) return chosen;
  throw new RangeError(`${name} must be ${range.min}..${range.max}, got ${chosen}`);
}
