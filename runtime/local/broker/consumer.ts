import type { Box } from './box.ts';
import type { Message } from './message.ts';
import type { SessionSlot } from './sessions.ts';

/** The locks that end when their connection ends. */
export type LockOwner = Set<Lock>;

/** One message handed out and not settled. */
export interface Lock {
  /** 16 bytes in network order; the delivery tag is the same in .NET Guid order. */
  readonly token: Buffer;
  /** The token as text, for maps. */
  readonly key: string;
  readonly box: Box;
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
