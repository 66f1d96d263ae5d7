/**
 * The broker cannot start or go on. `code` is stable: STATE_NEWER, STATE_LOCKED, STATE_UNREADABLE,
 * OPTIONS, JOURNAL (later, when it cannot be written), or the listener's (EADDRINUSE).
 */
export class BrokerError extends Error {
  readonly code: string;

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'BrokerError';
    this.code = code;
  }
}
