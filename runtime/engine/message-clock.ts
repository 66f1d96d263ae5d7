import type { Clock, IncomingMessage } from '../ports.ts';

/**
 * The clock for the work on one message. It is never before the time at which the broker enqueued the message: in a process whose
 * clock is behind, a message "for later" would else be due at once, and come again at once, for as long as the clock is behind.
 */
export function messageClock(clock: Clock, message: Pick<IncomingMessage, 'enqueuedAtMs'>): Clock {
  const behindMs = message.enqueuedAtMs - clock.now();
  if (!(behindMs > 0)) return clock;
  return { now: () => clock.now() + behindMs, sleep: (ms, signal) => clock.sleep(ms, signal) };
}
