/** Error conditions that clients translate into codes of their own; the texts are free unless noted. */
export interface AmqpFault {
  readonly condition: string;
  readonly description: string;
}

/** Clients recognise a missing entity by this very sentence, not by the condition alone. */
export function entityNotFound(host: string, path: string): AmqpFault {
  return {
    condition: 'amqp:not-found',
    description: `The messaging entity 'sb://${host}/${path}' could not be found.`,
  };
}

/** Something that an entity of this kind never does. */
export function notAllowed(description: string): AmqpFault {
  return { condition: 'amqp:not-allowed', description: `InvalidOperationError: ${description}` };
}

/** A message over the limit. Clients do not try again. */
export function messageTooLarge(sizeBytes: number, limitBytes: number): AmqpFault {
  return {
    condition: 'amqp:link:message-size-exceeded',
    description: `The received message (${sizeBytes} bytes) exceeds the limit of ${limitBytes} bytes.`,
  };
}

/** Bytes that are no message. */
export const UNDECODABLE: AmqpFault = {
  condition: 'amqp:decode-error',
  description: 'The message is not valid AMQP 1.0.',
};

/** The token of a link is over, or none was put for its path. Azure ends a link so when its token is not renewed. */
export function tokenOver(path: string): AmqpFault {
  return {
    condition: 'amqp:unauthorized-access',
    description: `ExpiredToken: no token for '${path}' that is still good. Put a new one and attach again.`,
  };
}

/** The settlement came after the end of the lock. */
export const MESSAGE_LOCK_LOST: AmqpFault = {
  condition: 'com.microsoft:message-lock-lost',
  description:
    'The lock supplied is invalid. Either the lock expired, or the message has already been removed from the queue.',
};

/** The session's lock ended, and its receiver with it. */
export const SESSION_LOCK_LOST: AmqpFault = {
  condition: 'com.microsoft:session-lock-lost',
  description: 'The session lock has expired on the session. Accept the session again.',
};

/** The wait for any session is over. Clients try again. */
export const SESSION_TIMEOUT: AmqpFault = {
  condition: 'com.microsoft:timeout',
  description: 'No session with messages became free within the time that the receiver allowed.',
};

/** Another receiver holds the session. */
export function sessionCannotBeLocked(sessionId: string): AmqpFault {
  return {
    condition: 'com.microsoft:session-cannot-be-locked',
    description: `The requested session '${sessionId}' cannot be accepted. It may be locked by another receiver.`,
  };
}
