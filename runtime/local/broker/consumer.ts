import type { Bodies } from './bodies.ts';
import type { Journal } from './journal.ts';
import type { DeliveredState, Message } from './message.ts';
import type { ReadyList } from './ready-list.ts';
import type { Store } from './store.ts';

/** What every box of a broker shares. */
export interface Desk {
  readonly store: Store;
  readonly journal: Journal;
  readonly bodies: Bodies;
  /** Epoch in ms. */
  now(): number;
}

/** How one box treats its messages. */
export interface BoxRules {
  readonly lockDurationMs: number;
  /** Deliveries after which a message is dead-lettered; `Infinity` in dead-letter boxes. */
  readonly maxDeliveryCount: number;
  readonly requiresSession: boolean;
  /** Where dead messages go; a dead-letter box has none. */
  readonly deadLetterBox: Place | undefined;
  readonly deadLetterOnExpiry: boolean;
}

/** A box as settlements see it; `Box` says what each step does. */
export interface Place {
  readonly id: number;
  readonly path: string;
  readonly rules: BoxRules;
  readonly desk: Desk;
  arrive(message: Message): void;
  leave(message: Message): void;
  putBack(message: Message): void;
  restate(message: Message, state: DeliveredState): void;
  unlock(lock: Lock): void;
  pump(): void;
  pumpFor(message: Message): void;
}

/** The locks that end when their connection ends. */
export type LockOwner = Set<Lock>;

/** One message handed out and not settled. */
export interface Lock {
  /** 16 bytes in network order; the delivery tag is the same in .NET Guid order. */
  readonly token: Buffer;
  /** The token as text, for maps. */
  readonly key: string;
  readonly box: Place;
  readonly message: Message;
  readonly owner: LockOwner;
  /** Set when the session's lock covers the message; it then has no end of its own. */
  readonly session: SessionSlot | undefined;
  /** Received by sequence number: goes back to the deferred ones, not to the ready ones. */
  readonly isDeferred: boolean;
  expiresAtMs: number;
  /** False once it was settled, lost or given back. */
  isHeld: boolean;
}

/** One session of a box: its messages in order, and who may receive them. */
export interface SessionSlot {
  readonly id: string;
  readonly ready: ReadyList<Message>;
  /** Messages handed out to the holder. */
  readonly locks: Set<Lock>;
  holder: Consumer | undefined;
  lockedUntilMs: number;
}

/** A receiver link as a box sees it. */
export interface Consumer {
  readonly owner: LockOwner;
  /** Receive and delete: messages are handed out without a lock, after they are off the disk. */
  readonly isDestructive: boolean;
  /** The session that it holds, in a box of sessions. */
  readonly session: SessionSlot | undefined;
  readonly isOpen: boolean;
  /** How many more messages it takes now. */
  capacity(): number;
  /** Counts a message that will be handed out when its removal is on disk. */
  reserve(): void;
  hand(message: Message, raw: Buffer, lock: Lock | undefined): void;
  /** Its session's lock ran out. */
  loseSession(): void;
}
