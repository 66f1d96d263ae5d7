import rhea from 'rhea';
import type { Box } from './box.ts';
import { MESSAGE_LOCK_LOST, SESSION_LOCK_LOST } from './conditions.ts';
import type { AmqpFault } from './conditions.ts';
import type { Lock } from './consumer.ts';
import type { Message } from './message.ts';
import { encodeDelivery, readDraft } from './message-codec.ts';
import {
  RequestError,
  listField,
  mapField,
  numberField,
  numbersField,
  optionalText,
  textField,
  toMap,
  tokensField,
  type Answer,
  type ManagementRequest,
} from './request.ts';
import { publish } from './routing.ts';
import { abandon, complete, deadLetter, defer } from './settlement.ts';
import type { Changes, Settled } from './settlement.ts';

/** Type codes of array items. */
const TIMESTAMP = 0x83;
const LONG = 0x81;

/** Messages and bytes in one answer to a peek. The client asks again for the rest. */
const PEEK_LIMIT = 1_000;
const PEEK_LIMIT_BYTES = 2 * 1024 * 1024;

const MESSAGE_NOT_FOUND: AmqpFault = {
  condition: 'com.microsoft:message-not-found',
  description: 'Failed to find one or more of the messages: they were settled, or are in another state.',
};

/** Extends locks, all of them or none. */
export function renewLocks(request: ManagementRequest, answer: Answer): void {
  const locks = findLocks(request.box, tokensField(request.body, 'lock-tokens'));
  if (locks === undefined) return answer({ status: 410, fault: MESSAGE_LOCK_LOST });
  for (const lock of locks) request.box.renewLock(lock);
  const times = locks.map((lock) => lock.expiresAtMs);
  answer({ status: 200, body: { expirations: rhea.types.wrap_array(times, TIMESTAMP, undefined) } });
}

function findLocks(box: Box, tokens: readonly Buffer[]): readonly Lock[] | undefined {
  const locks: Lock[] = [];
  for (const token of tokens) {
    const lock = box.findLock(token);
    if (lock === undefined) return undefined;
    locks.push(lock);
  }
  return locks;
}

/** All messages in order, locked, deferred and scheduled ones too. */
export function peek(request: ManagementRequest, answer: Answer): void {
  const { space, box, body } = request;
  const limit = Math.min(numberField(body, 'message-count', 1), PEEK_LIMIT);
  const fromSeq = numberField(body, 'from-sequence-number', 0);
  const page = space.store.page(box.id, fromSeq, limit, optionalText(body, 'session-id'));
  const messages: { message: Buffer }[] = [];
  let sizeBytes = 0;
  for (const message of page) {
    const bytes = encodeDelivery(message, message.raw ?? Buffer.alloc(0));
    sizeBytes += bytes.length;
    if (messages.length > 0 && sizeBytes > PEEK_LIMIT_BYTES) break;
    messages.push({ message: bytes });
  }
  answer(messages.length === 0 ? { status: 204 } : { status: 200, body: { messages } });
}

/** Sends messages that wait for their time. Answers with their numbers. */
export function schedule(request: ManagementRequest, answer: Answer): void {
  const { space, target, body } = request;
  const drafts = listField(body, 'messages').map((entry) => {
    const bytes = toMap(entry)?.['message'];
    if (!Buffer.isBuffer(bytes)) throw new RequestError('messages must hold encoded messages');
    return readDraft(bytes, () => space.mintId());
  });
  const fault = publish(space, target.node, drafts, (seqs) => {
    answer({ status: 200, body: { 'sequence-numbers': rhea.types.wrap_array([...seqs], LONG, undefined) } });
  });
  if (fault !== undefined) answer({ status: 400, fault });
}

/** Takes scheduled messages back, all of them or none. */
export function cancelScheduled(request: ManagementRequest, answer: Answer): void {
  const { space, box, body } = request;
  const messages = numbersField(body, 'sequence-numbers').map((seq) => box.scheduled.get(seq));
  const found = messages.filter((message) => message !== undefined);
  if (found.length < messages.length) return answer({ status: 404, fault: MESSAGE_NOT_FOUND });
  // Out of the list now, so that the alarm cannot send on what is being cancelled.
  for (const message of found) box.scheduled.delete(message.seq);
  space.journal.commit(
    (store) => {
      for (const message of found) store.remove(message.seq);
    },
    () => {
      for (const message of found) box.leave(message);
      answer({ status: 200 });
    },
  );
}

/** Deferred messages by number: all of them or none. Receiving one counts as a delivery. */
export function receiveDeferred(request: ManagementRequest, answer: Answer): void {
  const { box, body } = request;
  const sessionId = optionalText(body, 'session-id');
  const messages = numbersField(body, 'sequence-numbers').map((seq) => box.deferred.get(seq));
  const found = messages.filter(
    (message) => message !== undefined && message.sessionId === (sessionId ?? message.sessionId),
  );
  const deferred = found.filter((message) => message !== undefined);
  if (deferred.length < messages.length) return answer({ status: 404, fault: MESSAGE_NOT_FOUND });
  for (const message of deferred) box.deferred.delete(message.seq);
  const isDestructive = numberField(body, 'receiver-settle-mode', 1) === 0;
  if (isDestructive) takeDeferred(request, deferred, answer);
  else lendDeferred(request, deferred, answer);
}

function takeDeferred(request: ManagementRequest, deferred: readonly Message[], answer: Answer): void {
  const { space, box } = request;
  const entries = deferred.map((message) => ({
    message: encodeDelivery(message, space.bodies.load(message)),
    'lock-token': rhea.types.wrap_uuid(Buffer.alloc(16)),
  }));
  space.journal.commit(
    (store) => {
      for (const message of deferred) store.remove(message.seq);
    },
    () => {
      for (const message of deferred) box.leave(message);
      answer({ status: 200, body: { messages: entries } });
    },
  );
}

function lendDeferred(request: ManagementRequest, deferred: readonly Message[], answer: Answer): void {
  const { space, box, owner, body } = request;
  const sessionId = optionalText(body, 'session-id');
  const slot = sessionId === undefined ? undefined : box.sessions?.find(sessionId);
  const entries = deferred.map((message) => {
    message.deliveryCount += 1;
    const lock = box.lock(message, owner, slot?.holder === undefined ? undefined : slot);
    const bytes = encodeDelivery(message, space.bodies.load(message), lock.expiresAtMs);
    return { message: bytes, 'lock-token': rhea.types.wrap_uuid(lock.token) };
  });
  space.journal.commit(
    (store) => {
      for (const message of deferred) store.touch(message);
    },
    () => answer({ status: 200, body: { messages: entries } }),
  );
}

/** Settles by lock token: deferred messages, and those whose receiver link is closed. */
export function updateDisposition(request: ManagementRequest, answer: Answer): void {
  const { box, body } = request;
  const locks = findLocks(box, tokensField(body, 'lock-tokens'));
  if (locks === undefined) {
    const isSession = optionalText(body, 'session-id') !== undefined;
    return answer({ status: 410, fault: isSession ? SESSION_LOCK_LOST : MESSAGE_LOCK_LOST });
  }
  const settle = settlementOf(body);
  let openCount = locks.length;
  let failure: AmqpFault | undefined;
  for (const lock of locks) {
    settle(lock, (fault) => {
      failure ??= fault;
      openCount -= 1;
      if (openCount === 0) answer(failure === undefined ? { status: 200 } : { status: 400, fault: failure });
    });
  }
}

function settlementOf(body: ManagementRequest['body']): (lock: Lock, settled: Settled) => void {
  const changes: Changes = mapField(body, 'properties-to-modify');
  const status = textField(body, 'disposition-status');
  switch (status) {
    case 'completed':
      return complete;
    case 'abandoned':
      return (lock, settled) => abandon(lock, changes, settled);
    case 'defered':
      return (lock, settled) => defer(lock, changes, settled);
    case 'suspended':
      return (lock, settled) => deadLetter(lock, { ...changes, ...burialReason(body) }, settled);
    default:
      throw new RequestError(`the disposition '${status}' is not supported`);
  }
}

function burialReason(body: ManagementRequest['body']): Changes {
  const reason = optionalText(body, 'deadletter-reason');
  const description = optionalText(body, 'deadletter-description');
  return {
    ...(reason === undefined ? {} : { DeadLetterReason: reason }),
    ...(description === undefined ? {} : { DeadLetterErrorDescription: description }),
  };
}
