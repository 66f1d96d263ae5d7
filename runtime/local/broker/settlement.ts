import { notAllowed } from './conditions.ts';
import type { AmqpFault } from './conditions.ts';
import type { Lock, Place } from './consumer.ts';
import { ACTIVE, DEFERRED } from './message.ts';
import type { Message } from './message.ts';
import { withNote, withProperties } from './message-codec.ts';

/** Application properties that a receiver sets while it settles. */
export type Changes = Readonly<Record<string, unknown>>;

/** Told when the settlement is on disk, or at once with the reason why it cannot be done. */
export type Settled = (fault?: AmqpFault) => void;

/** The message is done: off the disk, then `settled`. */
export function complete(lock: Lock, settled: Settled): void {
  const { box, message } = lock;
  box.unlock(lock);
  box.desk.journal.commit(
    (store) => store.remove(message.seq),
    () => {
      box.leave(message);
      settled();
    },
  );
}

/**
 * The message goes back to where it was, counted as delivered once more; at its box's limit it is dead-lettered.
 * Neither a deferred message (counted when it was received) nor one in a dead-letter queue is counted.
 */
export function abandon(lock: Lock, changes: Changes, settled: Settled): void {
  const { box, message } = lock;
  box.unlock(lock);
  const isCounted = !lock.isDeferred && box.rules.deadLetterBox !== undefined;
  if (isCounted) message.deliveryCount += 1;
  if (isCounted && message.deliveryCount >= box.rules.maxDeliveryCount) {
    const description = `Message could not be consumed after ${box.rules.maxDeliveryCount} delivery attempts.`;
    bury(
      box,
      message,
      { DeadLetterReason: 'MaxDeliveryCountExceeded', DeadLetterErrorDescription: description },
      settled,
    );
    return;
  }
  rewrite(box, message, changes, () => {
    box.putBack(message);
    box.pumpFor(message);
    settled();
  });
}

/** The message waits until it is received by its number. */
export function defer(lock: Lock, changes: Changes, settled: Settled): void {
  const { box, message } = lock;
  box.unlock(lock);
  box.restate(message, DEFERRED);
  rewrite(box, message, changes, () => {
    box.putBack(message);
    settled();
  });
}

/** Moves the message to the dead-letter queue, which has none of its own. */
export function deadLetter(lock: Lock, changes: Changes, settled: Settled): void {
  const { box, message } = lock;
  if (box.rules.deadLetterBox === undefined) {
    settled(notAllowed('a message of a dead-letter queue cannot be dead-lettered.'));
    return;
  }
  box.unlock(lock);
  bury(box, message, changes, settled);
}

/** The receiver gave the message back unseen: receivable again at once, not counted. */
export function release(lock: Lock): void {
  lock.box.unlock(lock);
  lock.box.putBack(lock.message);
  lock.box.pumpFor(lock.message);
}

/** The lock ended without settlement, by time or with its connection. */
export function lose(lock: Lock): void {
  abandon(lock, {}, ignore);
}

function ignore(): void {
  // A lost lock has nobody left who would be told.
}

/** The message's time to live is over. */
export function expire(box: Place, message: Message): void {
  if (box.rules.deadLetterBox !== undefined && box.rules.deadLetterOnExpiry) {
    const description = 'The message expired and was dead lettered.';
    bury(box, message, { DeadLetterReason: 'TTLExpiredException', DeadLetterErrorDescription: description }, ignore);
    return;
  }
  box.desk.journal.commit(
    (store) => store.remove(message.seq),
    () => box.leave(message),
  );
}

/** Writes a message's new state, and its body when properties changed. */
function rewrite(box: Place, message: Message, changes: Changes, done: () => void): void {
  const { journal, bodies } = box.desk;
  if (Object.keys(changes).length === 0) {
    journal.commit((store) => store.touch(message), done);
    return;
  }
  const raw = withProperties(bodies.load(message), changes);
  journal.commit(
    (store) => store.put(message, box.id, raw),
    () => {
      bodies.drop(message);
      message.raw = raw;
      bodies.keep(message);
      done();
    },
  );
}

/** Moves a message that is in no list to the dead-letter box. It keeps its number and never expires there. */
function bury(box: Place, message: Message, changes: Changes, settled: Settled): void {
  const grave = box.rules.deadLetterBox;
  if (grave === undefined) return settled();
  const { journal, bodies } = box.desk;
  const raw = withProperties(bodies.load(message), changes);
  const notes = withNote(message.notes, 'x-opt-deadletter-source', box.path);
  const dead: Message = { ...message, raw, notes, state: ACTIVE, expiresAtMs: Infinity, isOut: false };
  journal.commit(
    (store) => store.put(dead, grave.id, raw),
    () => {
      box.leave(message);
      grave.arrive(dead);
      grave.pump();
      settled();
    },
  );
}
