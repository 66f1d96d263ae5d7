import type { Bus, Clock, Consumer, Handled, IncomingMessage, OutgoingMessage } from '../../runtime/ports.ts';

/** A message as the bus holds it. */
export interface HeldMessage {
  readonly entity: string;
  readonly message: OutgoingMessage;
  readonly enqueuedAtMs: number;
  deliveryCount: number;
}

/** A bus without consumers: a test takes messages out by hand, delivers them as often as it likes, and settles them. */
export class HandBus implements Bus {
  readonly #clock: Clock;
  readonly #forwards: ReadonlyMap<string, string>;
  readonly held: HeldMessage[] = [];
  readonly deadLetters: { readonly held: HeldMessage; readonly reason: string }[] = [];
  /** Every message that the bus has ever taken. */
  readonly sent: HeldMessage[] = [];
  /** May throw before a message is taken. */
  beforeSend: ((entity: string, messages: readonly OutgoingMessage[]) => void | Promise<void>) | undefined;
  /** May throw after it was taken: a send in doubt. */
  afterSend: ((entity: string, messages: readonly OutgoingMessage[]) => void | Promise<void>) | undefined;

  /** `forwards`: entity -> the queue that its messages end in. */
  constructor(clock: Clock, forwards: Readonly<Record<string, string>> = {}) {
    this.#clock = clock;
    this.#forwards = new Map(Object.entries(forwards));
  }

  async send(entity: string, messages: readonly OutgoingMessage[]): Promise<void> {
    await this.beforeSend?.(entity, messages);
    for (const message of messages) {
      const held = {
        entity: this.#forwards.get(entity) ?? entity,
        message,
        enqueuedAtMs: this.#clock.now(),
        deliveryCount: 0,
      };
      this.held.push(held);
      this.sent.push(held);
    }
    await this.afterSend?.(entity, messages);
  }

  /** Messages of an entity, oldest first, scheduled ones too. */
  in(entity: string): readonly HeldMessage[] {
    return this.held.filter((held) => held.entity === entity);
  }

  /** Settles a message as a handler said; one that is settled already stays so and tells nobody. */
  settle(held: HeldMessage, { settlement, settled }: Handled): void {
    const index = this.held.indexOf(held);
    if (index < 0) return;
    if (settlement.kind === 'abandon') {
      this.giveBack(held);
      return;
    }
    this.held.splice(index, 1);
    if (settlement.kind === 'dead-letter') this.deadLetters.push({ held, reason: settlement.reason });
    settled?.();
  }

  giveBack(held: HeldMessage): void {
    held.deliveryCount += 1;
  }

  consume(): Consumer {
    throw new Error('messages of this bus are taken by hand');
  }

  async close(): Promise<void> {
    this.held.length = 0;
  }
}

/** A message as a consumer sees it. */
export function incoming({ message, deliveryCount, enqueuedAtMs }: HeldMessage): IncomingMessage {
  const { messageId, body, contentType, subject, sessionId, properties } = message;
  return { messageId, body, contentType, subject, sessionId, properties, deliveryCount, enqueuedAtMs };
}
