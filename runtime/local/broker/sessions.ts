import type { Consumer, SessionSlot } from './consumer.ts';
import { ReadyList } from './ready-list.ts';

/** A receiver that waits for any session with messages. `grant` is told the session once. */
export type SessionWaiter = (slot: SessionSlot) => void;

/** The sessions of one box. A session is in memory only while it has messages or a holder. */
export class SessionTable {
  readonly #slots = new Map<string, SessionSlot>();
  /** Sessions with messages and without holder, longest waiting first. */
  readonly #available = new Set<SessionSlot>();
  /** Sessions with a holder, in the order in which their locks end. */
  readonly #held = new Set<SessionSlot>();
  readonly #waiters = new Set<SessionWaiter>();

  /** The session of this name, new when there is none. */
  slot(id: string): SessionSlot {
    let slot = this.#slots.get(id);
    if (slot === undefined) {
      slot = { id, ready: new ReadyList(), locks: new Set(), holder: undefined, lockedUntilMs: 0 };
      this.#slots.set(id, slot);
    }
    return slot;
  }

  find(id: string): SessionSlot | undefined {
    return this.#slots.get(id);
  }

  /** Ids of the sessions in memory. */
  ids(): readonly string[] {
    return [...this.#slots.keys()];
  }

  /** Offers a session with messages to a waiting receiver, or keeps it for the next one. */
  offer(slot: SessionSlot): void {
    const [waiter] = this.#waiters;
    if (waiter === undefined) {
      this.#available.add(slot);
      return;
    }
    this.#waiters.delete(waiter);
    waiter(slot);
  }

  /** The session that has waited longest for a receiver. */
  nextAvailable(): SessionSlot | undefined {
    const [slot] = this.#available;
    return slot;
  }

  /** The session has no message for a receiver after all. */
  withdraw(slot: SessionSlot): void {
    this.#available.delete(slot);
    this.#forgetIdle(slot);
  }

  await(waiter: SessionWaiter): void {
    this.#waiters.add(waiter);
  }

  /** True when it still waited. */
  stopAwaiting(waiter: SessionWaiter): boolean {
    return this.#waiters.delete(waiter);
  }

  hold(slot: SessionSlot, holder: Consumer, lockedUntilMs: number): void {
    slot.holder = holder;
    this.#available.delete(slot);
    this.extend(slot, lockedUntilMs);
  }

  extend(slot: SessionSlot, lockedUntilMs: number): void {
    slot.lockedUntilMs = lockedUntilMs;
    this.#held.delete(slot);
    this.#held.add(slot);
  }

  /** Ends the hold. The caller has given the messages back, and then offers the session. */
  free(slot: SessionSlot): void {
    slot.holder = undefined;
    slot.lockedUntilMs = 0;
    this.#held.delete(slot);
    this.#forgetIdle(slot);
  }

  #forgetIdle(slot: SessionSlot): void {
    if (slot.holder !== undefined || slot.ready.size > 0 || slot.locks.size > 0) return;
    this.#available.delete(slot);
    if (this.#slots.get(slot.id) === slot) this.#slots.delete(slot.id);
  }

  /** The held session whose lock ends first. */
  firstHeld(): SessionSlot | undefined {
    const [slot] = this.#held;
    return slot;
  }
}
