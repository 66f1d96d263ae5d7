import rhea from 'rhea';
import type { Sender } from 'rhea';
import type { Box } from './box.ts';
import { SESSION_TIMEOUT, sessionCannotBeLocked } from './conditions.ts';
import type { AmqpFault } from './conditions.ts';
import { setAttach, withholdAttach } from './rhea-patches.ts';
import type { SessionSlot } from './consumer.ts';
import type { SessionWaiter } from './sessions.ts';

/** Key of the session in the filters of a receiver's source. */
export const SESSION_FILTER = 'com.microsoft:session-filter';

/** Wait for a session when the client does not say how long, and the longest wait. */
const WAIT_MS = 60_000;
const WAIT_LIMIT_MS = 600_000;

/** .NET ticks (100 ns since the year 1) of the Unix epoch. */
const EPOCH_TICKS = 621_355_968_000_000_000n;

/** What a receiver asked for: `undefined` no session, `null` any session, else the session of this name. */
export function wantedSession(sender: Sender): string | null | undefined {
  const filter = sender.source?.filter;
  if (filter === undefined || filter === null || !Object.hasOwn(filter, SESSION_FILTER)) return undefined;
  const value: unknown = filter[SESSION_FILTER];
  if (typeof value === 'string') return value;
  // .NET and Go send a described string; rhea leaves it typed.
  if (typeof value === 'object' && value !== null && 'value' in value && typeof value.value === 'string')
    return value.value;
  return null;
}

/** A named session, or why it cannot be had. */
export function namedSession(box: Box, id: string): SessionSlot | AmqpFault {
  const slot = box.sessions?.slot(id);
  return slot === undefined || slot.holder !== undefined ? sessionCannotBeLocked(id) : slot;
}

/** Says in the attach which session was granted and until when. */
export function announceSession(sender: Sender, slot: SessionSlot, address: string): void {
  sender.set_source({ address, filter: { [SESSION_FILTER]: slot.id } });
  const ticks = Buffer.alloc(8);
  ticks.writeBigInt64BE(BigInt(slot.lockedUntilMs) * 10_000n + EPOCH_TICKS);
  setAttach(sender, { properties: { 'com.microsoft:locked-until-utc': rhea.types.wrap_long(ticks) } });
}

/**
 * Waits for any session with messages: the attach is withheld until one is free or the client's time is over.
 * `grant` is called before the attach goes out. @returns a function that gives the wait up
 */
export function awaitSession(box: Box, sender: Sender, grant: (slot: SessionSlot) => void): () => void {
  const free = box.nextSession();
  if (free !== undefined) {
    grant(free);
    return () => undefined;
  }
  withholdAttach(sender);
  const waiter: SessionWaiter = (slot) => {
    clearTimeout(timer);
    grant(slot);
    sender.attach();
  };
  const refuse = (): void => {
    clearTimeout(timer);
    if (box.sessions?.stopAwaiting(waiter) !== true) return;
    sender.attach();
    sender.close(SESSION_TIMEOUT);
  };
  const timer = setTimeout(refuse, waitMs(sender));
  box.sessions?.await(waiter);
  return refuse;
}

function waitMs(sender: Sender): number {
  const wanted: unknown = sender.properties?.['com.microsoft:timeout'];
  return typeof wanted === 'number' ? Math.min(wanted, WAIT_LIMIT_MS) : WAIT_MS;
}
