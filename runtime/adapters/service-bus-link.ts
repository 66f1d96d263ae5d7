import type { ProcessErrorArgs, ServiceBusReceivedMessage, ServiceBusReceiver } from '@azure/service-bus';
import { createReceiver } from './service-bus-session.ts';
import type { Session } from './service-bus-session.ts';
import { codedError, finishedWithin } from './service-bus-time.ts';

/** What one receiver link works with. */
export interface LinkSettings {
  readonly session: Session;
  readonly entity: string;
  /** Messages delivered and not yet handled, 1..250. */
  readonly window: number;
  /** Handles one message; resolves to whether the broker has confirmed its settlement. Never rejects. */
  readonly onMessage: (message: ServiceBusReceivedMessage) => Promise<boolean>;
  /** The link is attached; `isAgain` when the client had to attach it anew by itself. */
  readonly onReady: (isAgain: boolean) => void;
}

/** Why a link takes no more messages. */
export type IntakeEnd =
  | { readonly kind: 'rolled' }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'failed'; readonly error: unknown };

/**
 * Deliveries after the oldest unsettled one at which a link is rolled. The client's buffer holds 2,048 and frees them
 * only in order, so a link with one slow message stops for ever after 2,047 others; a window of 250 may still come.
 */
export const ROLL_DISTANCE = 1500;

/** How long a link may take to attach before another is tried, in ms. */
const ATTACH_LIMIT_MS = 15_000;

/** A detach that is not answered for so long means that the connection is dead. Below the client's 60 s. */
const DETACH_LIMIT_MS = 10_000;

/** One receiving link: from its attach until its messages are handled. Never reattached by us; a new one is opened. */
export class ReceiverLink {
  readonly #settings: LinkSettings;
  readonly #receiver: ServiceBusReceiver;
  readonly #subscription: { close(): Promise<void> };
  /** Ordinals of deliveries that still occupy the client's buffer, oldest first. */
  readonly #unsettled = new Set<number>();
  readonly #attachTimer: NodeJS.Timeout;
  /** Resolves when the messages of the link are handled and it is detached. Never rejects. */
  readonly closed: Promise<void>;
  /** Resolves when the link stops taking messages. Never rejects. */
  readonly intakeEnd: Promise<IntakeEnd>;
  #endIntake: (end: IntakeEnd) => void = () => undefined;
  #markClosed: () => void = () => undefined;
  #delivered = 0;
  #busy = 0;
  #wasReady = false;
  #hasIntake = true;
  #isClosing = false;

  constructor(settings: LinkSettings) {
    this.#settings = settings;
    this.intakeEnd = new Promise((resolve) => {
      this.#endIntake = resolve;
    });
    this.closed = new Promise((resolve) => {
      this.#markClosed = resolve;
    });
    const { session, entity, window } = settings;
    this.#receiver = createReceiver(session.client, entity);
    const handlers = {
      processMessage: (message: ServiceBusReceivedMessage) => this.#onMessage(message),
      processError: async (args: ProcessErrorArgs) => this.#onError(args),
      // Known to 7.9.5 but not to its types: called whenever the link is attached, before the first message.
      postInitialize: async () => this.#onAttached(),
    };
    this.#subscription = session.run(() =>
      this.#receiver.subscribe(handlers, { autoCompleteMessages: false, maxConcurrentCalls: window }),
    );
    this.#attachTimer = setTimeout(() => this.#fail(codedError('TIMED_OUT', 'no link yet')), ATTACH_LIMIT_MS);
    session.lost.addEventListener('abort', this.#onLost, { once: true });
  }

  /** True once the link was attached. */
  get wasReady(): boolean {
    return this.#wasReady;
  }

  /** Takes no more messages; what the broker had already sent is still handed to `onMessage`. Bounded, never rejects. */
  async stopIntake(): Promise<void> {
    this.#retire({ kind: 'stopped' });
    await finishedWithin(this.#isClosing ? this.closed : this.#subscription.close(), DETACH_LIMIT_MS);
  }

  async #onMessage(message: ServiceBusReceivedMessage): Promise<void> {
    this.#markReady();
    const ordinal = this.#delivered;
    this.#delivered += 1;
    this.#unsettled.add(ordinal);
    const oldest = this.#unsettled.values().next().value ?? ordinal;
    if (ordinal - oldest >= ROLL_DISTANCE) this.#retire({ kind: 'rolled' });
    this.#busy += 1;
    const isSettled = await this.#settings.onMessage(message);
    this.#busy -= 1;
    // A delivery without a confirmed settlement keeps its place in the client's buffer, so it counts as the oldest.
    if (isSettled) this.#unsettled.delete(ordinal);
    if (this.#hasIntake) return;
    this.#closeWhenIdle();
    // Returning gives credit for another message: a link without intake returns only when it is closed.
    await this.closed;
  }

  #onError(args: ProcessErrorArgs): void {
    // Errors of handlers and settlements are reported where they happen.
    if (args.errorSource === 'receive') this.#fail(args.error);
  }

  #onAttached(): void {
    guardClose(this.#receiver);
    const isAgain = this.#wasReady;
    this.#markReady();
    this.#settings.onReady(isAgain);
  }

  #markReady(): void {
    if (this.#wasReady) return;
    this.#wasReady = true;
    clearTimeout(this.#attachTimer);
    this.#settings.session.noteSuccess();
  }

  readonly #onLost = (): void => this.#fail(this.#settings.session.lost.reason);

  #fail(error: unknown): void {
    const { session } = this.#settings;
    if (!session.lost.aborted && this.#hasIntake) {
      session.isWorthRetry(error);
      session.noteFailure();
    }
    this.#retire({ kind: 'failed', error });
  }

  #retire(end: IntakeEnd): void {
    if (!this.#hasIntake) return;
    this.#hasIntake = false;
    clearTimeout(this.#attachTimer);
    this.#settings.session.lost.removeEventListener('abort', this.#onLost);
    this.#endIntake(end);
    this.#closeWhenIdle();
    // Without this the client would attach a failed link again, beside its successor. A rolled one just gets no credit.
    const isHalfAlive = end.kind === 'failed' && !this.#isClosing && !this.#settings.session.lost.aborted;
    if (isHalfAlive) void finishedWithin(this.#subscription.close(), DETACH_LIMIT_MS);
  }

  #closeWhenIdle(): void {
    if (this.#busy > 0 || this.#isClosing) return;
    this.#isClosing = true;
    void this.#close();
  }

  async #close(): Promise<void> {
    const { session } = this.#settings;
    if (!session.lost.aborted) {
      const isDetached = await finishedWithin(this.#detach(), DETACH_LIMIT_MS);
      if (!isDetached) session.fail('detach-unanswered');
    }
    this.#markClosed();
  }

  async #detach(): Promise<void> {
    await this.#subscription.close();
    await this.#receiver.close();
  }
}

/**
 * Keeps a rejected detach from ending the process: 7.9.5 detaches inside a timer without a catch when a drain is not
 * answered within 200 ms (azure-sdk-for-js #39348). The one place that looks into the client: its link is not exported.
 */
function guardClose(receiver: object): void {
  const link: unknown = readPath(receiver, ['_streamingReceiver', 'link']);
  if (typeof link !== 'object' || link === null || !('close' in link) || typeof link.close !== 'function') return;
  const close = link.close.bind(link) as (options?: unknown) => Promise<void>;
  link.close = async (options?: unknown): Promise<void> => {
    await close(options).catch(() => undefined);
  };
}

function readPath(from: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, key) => (typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined),
    from,
  );
}
