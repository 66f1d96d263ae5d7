import type { Delivery, EventContext, Sender } from 'rhea';
import type { Box } from './box.ts';
import { MESSAGE_LOCK_LOST, SESSION_LOCK_LOST } from './conditions.ts';
import type { Consumer, Lock, LockOwner, SessionSlot } from './consumer.ts';
import { mintToken, swapGuid } from './lock-token.ts';
import type { Message } from './message.ts';
import { encodeDelivery } from './message-codec.ts';
import { ACCEPTED, answerDrain, isBlocked, rejectedState, roomOf, settleForGood, waitingOf } from './rhea-patches.ts';
import { abandon, complete, deadLetter, defer, lose, release } from './settlement.ts';
import type { Changes, Settled } from './settlement.ts';

type Settle = (lock: Lock, outcome: Outcome, settled: Settled) => void;

/** Fields of the outcomes that clients send, as rhea decodes them. */
interface Outcome {
  readonly undeliverable_here?: boolean;
  readonly message_annotations?: Changes;
  readonly error?: { readonly info?: Changes };
}

const SETTLEMENTS: Readonly<Record<string, Settle>> = {
  accepted: (lock, _outcome, settled) => complete(lock, settled),
  rejected: (lock, outcome, settled) => deadLetter(lock, outcome.error?.info ?? {}, settled),
  modified: (lock, outcome, settled) => {
    const settle = outcome.undeliverable_here === true ? defer : abandon;
    settle(lock, outcome.message_annotations ?? {}, settled);
  },
  released: (lock, _outcome, settled) => {
    release(lock);
    settled();
  },
};

/** A receiver link of a client: takes messages out of a box, and settles them. */
export class Outlet implements Consumer {
  readonly sender: Sender;
  readonly box: Box;
  readonly owner: LockOwner;
  readonly isDestructive: boolean;
  readonly session: SessionSlot | undefined;
  isOpen = true;
  /** Messages on their way out that wait for their removal from disk. */
  #reserved = 0;
  #isDraining = false;
  /** Something else than credit stopped it: it is fed again after the turn that ends that. */
  #isBlocked = false;
  readonly #locks = new Map<Delivery, Lock>();

  constructor(options: {
    sender: Sender;
    box: Box;
    owner: LockOwner;
    isDestructive: boolean;
    session: SessionSlot | undefined;
  }) {
    this.sender = options.sender;
    this.box = options.box;
    this.owner = options.owner;
    this.isDestructive = options.isDestructive;
    this.session = options.session;
    this.sender.on('sender_flow', () => this.box.feed(this));
    this.sender.on('sender_draining', () => {
      this.#isDraining = true;
    });
    for (const [name, settle] of Object.entries(SETTLEMENTS)) {
      this.sender.on(name, (context: EventContext) => this.#settle(context, settle));
    }
  }

  capacity(): number {
    if (!this.isOpen) return 0;
    this.#isBlocked ||= isBlocked(this.sender);
    return roomOf(this.sender) - this.#reserved;
  }

  reserve(): void {
    this.#reserved += 1;
  }

  hand(message: Message, raw: Buffer, lock: Lock | undefined): void {
    const bytes = encodeDelivery(message, raw, lock?.expiresAtMs);
    const delivery = this.sender.send(bytes, lock === undefined ? mintToken() : swapGuid(lock.token), 0);
    if (lock === undefined) this.#reserved -= 1;
    else this.#locks.set(delivery, lock);
  }

  #settle(context: EventContext, settle: Settle): void {
    const { delivery } = context;
    if (delivery === undefined || this.isDestructive) return;
    const lock = this.#locks.get(delivery);
    this.#locks.delete(delivery);
    if (lock === undefined || !lock.isHeld) {
      settleForGood(delivery, rejectedState(this.session === undefined ? MESSAGE_LOCK_LOST : SESSION_LOCK_LOST));
      return;
    }
    settle(lock, delivery.remote_state ?? {}, (fault) => {
      settleForGood(delivery, fault === undefined ? ACCEPTED : rejectedState(fault));
    });
  }

  /** After rhea has written what was waiting: resumes what was blocked, answers a drain when nothing more is under way. */
  afterTurn(): void {
    if (this.#isBlocked && !isBlocked(this.sender)) {
      this.#isBlocked = false;
      this.box.feed(this);
    }
    if (!this.#isDraining || this.#reserved > 0 || waitingOf(this.sender) > 0) return;
    this.#isDraining = false;
    if (this.isOpen) answerDrain(this.sender);
  }

  loseSession(): void {
    this.end();
    this.sender.close(SESSION_LOCK_LOST);
  }

  /** The link is gone. A session ends with it; other locks stay until they run out or the connection ends. */
  end(): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.box.dismiss(this);
    const { session } = this;
    if (session === undefined || session.holder !== this) return;
    session.holder = undefined;
    for (const lock of [...session.locks]) lose(lock);
    this.box.freeSession(session);
  }
}
