import type { Draft } from './message-codec.ts';

/** Receivable or locked. States are numbered as receivers see them in `x-opt-message-state`. */
export const ACTIVE = 0;
/** Receivable by its number only. */
export const DEFERRED = 1;
/** Waits for its time. */
export const SCHEDULED = 2;
/** One of the three states. */
export type MessageState = typeof ACTIVE | typeof DEFERRED | typeof SCHEDULED;
/** States of a message that has been delivered. */
export type DeliveredState = typeof ACTIVE | typeof DEFERRED;

/** A message in one box. Times are epochs in ms, `Infinity` = never. */
export interface Message {
  /** Given once, never again, over all boxes and restarts. */
  readonly seq: number;
  /** Number at the place of the original send; differs from `seq` behind a topic or a forward. */
  readonly enqueueSeq: number;
  readonly enqueuedAtMs: number;
  readonly dueAtMs: number;
  readonly expiresAtMs: number;
  readonly sessionId: string | undefined;
  readonly isDurable: boolean;
  readonly priority: number | undefined;
  readonly ttlMs: number | undefined;
  /** Encoded annotation pairs, see `Draft.notes`. */
  readonly notes: Buffer;
  state: MessageState;
  /** Earlier deliveries that did not settle the message. */
  deliveryCount: number;
  /** `undefined`: only on disk, because memory is full or the broker was restarted. */
  raw: Buffer | undefined;
  /** Handed out, or on its way to another box. A list that still holds it skips it. */
  isOut: boolean;
  /** Left its box for good. */
  isGone: boolean;
}

/** Numbers and times of a message that arrives somewhere. */
export interface Arrival {
  readonly seq: number;
  readonly enqueueSeq: number;
  readonly nowMs: number;
  /** Shortest time to live that an entity on the way allows; `Infinity` = no limit. */
  readonly ttlLimitMs: number;
}

/** A message from a draft. It is scheduled when its time lies ahead, else active. */
export function messageOf(draft: Draft, arrival: Arrival): Message {
  const { seq, enqueueSeq, nowMs } = arrival;
  const isScheduled = draft.scheduledAtMs !== undefined && draft.scheduledAtMs > nowMs;
  const dueAtMs = isScheduled && draft.scheduledAtMs !== undefined ? draft.scheduledAtMs : Infinity;
  const livesMs = Math.min(draft.ttlMs ?? Infinity, arrival.ttlLimitMs);
  return {
    seq,
    enqueueSeq,
    enqueuedAtMs: isScheduled ? dueAtMs : nowMs,
    dueAtMs,
    expiresAtMs: (isScheduled ? dueAtMs : nowMs) + livesMs,
    sessionId: draft.sessionId,
    isDurable: draft.isDurable,
    priority: draft.priority,
    ttlMs: draft.ttlMs,
    notes: draft.notes,
    state: isScheduled ? SCHEDULED : ACTIVE,
    deliveryCount: 0,
    raw: draft.raw,
    isOut: false,
    isGone: false,
  };
}
