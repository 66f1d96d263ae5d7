import type { Bus, Consumer, Handled, IncomingMessage } from '../../runtime/ports.ts';
import type { FunctionsCore, RpcData } from './functions-core-stub.ts';

/** Messages of one queue handled at once. */
const CONCURRENCY = 8;

/** A stand-in for the Functions host: receives with the real client, invokes, completes what returns and abandons what throws. */
export class FunctionsHost {
  readonly errors: unknown[] = [];
  readonly #core: FunctionsCore;
  readonly #consumers: Consumer[];

  constructor(core: FunctionsCore, bus: Bus) {
    this.#core = core;
    const queues = [...core.functions.keys()].flatMap((name) => {
      const { type, queueName } = core.trigger(name);
      return type === 'serviceBusTrigger' ? [{ name, queueName: String(queueName) }] : [];
    });
    const onError = (error: unknown): void => void this.errors.push(error);
    this.#consumers = queues.map(({ name, queueName }) =>
      bus.consume(queueName, { concurrency: CONCURRENCY, onError }, (message) => this.#invoke(name, message)),
    );
  }

  async #invoke(name: string, message: IncomingMessage): Promise<Handled> {
    try {
      await this.#core.invoke(name, { bytes: message.body }, triggerMetadata(message));
      return { settlement: { kind: 'complete' } };
    } catch (error) {
      this.errors.push(error);
      return { settlement: { kind: 'abandon' } };
    }
  }

  /** Stops receiving, waits for the invocations, then ends the app. */
  async stop(): Promise<void> {
    await Promise.all(this.#consumers.map((consumer) => consumer.stop(10_000)));
    await this.#core.terminate();
  }
}

/** What the host of extension 5.x says about a single message: its own names, the first delivery is number 1, text as text. */
export function triggerMetadata(message: IncomingMessage): Readonly<Record<string, RpcData>> {
  const enqueued = new Date(message.enqueuedAtMs).toISOString();
  return {
    MessageId: { string: message.messageId },
    DeliveryCount: { json: String(message.deliveryCount + 1) },
    EnqueuedTimeUtc: { json: JSON.stringify(enqueued.replace('Z', '')) },
    EnqueuedTime: { json: JSON.stringify(enqueued.replace('Z', '+00:00')) },
    ApplicationProperties: { json: JSON.stringify(message.properties) },
    UserProperties: { json: JSON.stringify(message.properties) },
    ...(message.contentType === undefined ? {} : { ContentType: { string: message.contentType } }),
    ...(message.subject === undefined ? {} : { Subject: { string: message.subject } }),
    ...(message.sessionId === undefined ? {} : { SessionId: { string: message.sessionId } }),
  };
}
