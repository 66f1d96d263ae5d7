import { Alarm } from './alarm.ts';
import type { BoxRules, Consumer, Desk, Lock, LockOwner, Place, SessionSlot } from './consumer.ts';
import { Heap } from './heap.ts';
import { mintToken, tokenKey } from './lock-token.ts';
import { DEFERRED, SCHEDULED } from './message.ts';
import type { DeliveredState, Message } from './message.ts';
import { ReadyList } from './ready-list.ts';
import { SessionTable } from './sessions.ts';

/** What a box asks the broker to do when a time has come. */
export interface BoxEvents {
  lockExpired(lock: Lock): void;
  sessionExpired(slot: SessionSlot): void;
  due(messages: readonly Message[]): void;
  expired(message: Message): void;
}

/** How many messages a box has. */
export interface BoxCounts {
  /** Ready, locked and deferred, as Azure counts them. */
  readonly active: number;
  readonly scheduled: number;
}

/** Stale entries that a time heap may hold before it is rebuilt. */
const STALE_LIMIT = 1_024;

/** One place where messages wait: a queue, a subscription, or a dead-letter queue of either. In memory; the journal has it on disk. */
export class Box implements Place {
  readonly id: number;
  readonly path: string;
  readonly rules: BoxRules;
  readonly desk: Desk;
  readonly sessions: SessionTable | undefined;
  readonly deferred = new Map<number, Message>();
  readonly scheduled = new Map<number, Message>();
  readonly #ready = new ReadyList<Message>();
  /** Locks that end by themselves, in the order in which they end: all have the same duration. */
  readonly #locks = new Map<string, Lock>();
  readonly #hungry = new Set<Consumer>();
  readonly #dueTimes = new Heap<Message>((message) => message.dueAtMs);
  readonly #expiryTimes = new Heap<Message>((message) => message.expiresAtMs);
  readonly #counts = [0, 0, 0];
  readonly #alarm = new Alarm(() => this.#ring());
  readonly #events: BoxEvents;

  constructor(place: { id: number; path: string }, rules: BoxRules, desk: Desk, eventsOf: (box: Box) => BoxEvents) {
    this.id = place.id;
    this.path = place.path;
    this.rules = rules;
    this.desk = desk;
    this.sessions = rules.requiresSession ? new SessionTable() : undefined;
    this.#events = eventsOf(this);
  }

  counts(): BoxCounts {
    const [active = 0, deferred = 0, scheduled = 0] = this.#counts;
    return { active: active + deferred, scheduled };
  }

  /** Takes in a message that is on disk. Call `pump` after the last one. */
  arrive(message: Message): void {
    this.#count(message, 1);
    this.#compact();
    this.desk.bodies.keep(message);
    if (message.state === SCHEDULED) {
      this.scheduled.set(message.seq, message);
      this.#dueTimes.add(message);
      this.#alarm.set(message.dueAtMs, this.desk.now());
      return;
    }
    if (message.expiresAtMs !== Infinity) {
      this.#expiryTimes.add(message);
      this.#alarm.set(message.expiresAtMs, this.desk.now());
    }
    this.putBack(message);
  }

  /** A message that was taken in before is receivable again. */
  putBack(message: Message): void {
    message.isOut = false;
    if (message.state === DEFERRED) {
      this.deferred.set(message.seq, message);
    } else if (this.sessions !== undefined && message.sessionId !== undefined) {
      const slot = this.sessions.slot(message.sessionId);
      slot.ready.add(message);
      this.offerSession(slot);
    } else {
      this.#ready.add(message);
    }
  }

  /** The message is no longer in this box, on disk neither. */
  leave(message: Message): void {
    this.#count(message, -1);
    message.isGone = true;
    this.desk.bodies.drop(message);
    this.deferred.delete(message.seq);
    this.scheduled.delete(message.seq);
  }

  /** Changes the state of a message together with the counts. */
  restate(message: Message, state: DeliveredState): void {
    this.#count(message, -1);
    message.state = state;
    this.#count(message, 1);
  }

  #count(message: Message, change: number): void {
    this.#counts[message.state] = (this.#counts[message.state] ?? 0) + change;
  }

  /** A consumer has room: hands out what is ready. */
  feed(consumer: Consumer): void {
    if (consumer.session === undefined) this.#hungry.add(consumer);
    this.pump(consumer.session);
  }

  /** A consumer ends. Its locks are its owner's to give back. */
  dismiss(consumer: Consumer): void {
    this.#hungry.delete(consumer);
  }

  /** Hands out messages while there are both messages and room: of one session, or of the box. */
  pump(slot?: SessionSlot): void {
    const list = slot === undefined ? this.#ready : slot.ready;
    for (let message = this.#firstLive(list); message !== undefined; message = this.#firstLive(list)) {
      const consumer = slot === undefined ? this.#nextHungry() : slot.holder;
      if (consumer === undefined || consumer.capacity() <= 0) return;
      list.take();
      if (consumer.isDestructive) this.#give(message, consumer);
      else this.#lend(message, consumer);
    }
  }

  /** Pumps the session of a message, or the box. */
  pumpFor(message: Message): void {
    if (this.sessions === undefined || message.sessionId === undefined) return this.pump();
    const slot = this.sessions.find(message.sessionId);
    if (slot?.holder !== undefined) this.pump(slot);
  }

  /** First message of a list that is still there and has not expired; drops the others. */
  #firstLive(list: ReadyList<Message>): Message | undefined {
    const nowMs = this.desk.now();
    for (let message = list.first(); message !== undefined; message = list.first()) {
      const isLive = !message.isGone && !message.isOut;
      if (isLive && message.expiresAtMs > nowMs) return message;
      list.take();
      if (isLive) this.#expire(message);
    }
    return undefined;
  }

  /** A message that is handed out does not expire; the list finds it expired when it comes back. */
  #expire(message: Message): void {
    if (message.isGone || message.isOut) return;
    message.isOut = true;
    this.deferred.delete(message.seq);
    this.#events.expired(message);
  }

  /** The consumer that has waited longest among those with room. */
  #nextHungry(): Consumer | undefined {
    for (const consumer of this.#hungry) {
      this.#hungry.delete(consumer);
      if (consumer.capacity() <= 0) continue;
      this.#hungry.add(consumer);
      return consumer;
    }
    return undefined;
  }

  #lend(message: Message, consumer: Consumer): void {
    const lock = this.lock(message, consumer.owner, consumer.session);
    consumer.hand(message, this.desk.bodies.load(message), lock);
  }

  /** Removes the message from disk first: at most once. A consumer that has gone meanwhile gets it not, so it comes back. */
  #give(message: Message, consumer: Consumer): void {
    const raw = this.desk.bodies.load(message);
    message.isOut = true;
    consumer.reserve();
    this.desk.journal.commit(
      (store) => store.remove(message.seq),
      () => {
        this.leave(message);
        if (consumer.isOpen) return consumer.hand(message, raw, undefined);
        const again: Message = { ...message, raw, isOut: false, isGone: false };
        this.desk.journal.commit(
          (store) => store.put(again, this.id, raw),
          () => {
            this.arrive(again);
            this.pumpFor(again);
          },
        );
      },
    );
  }

  /** Locks a message that is in no list. */
  lock(message: Message, owner: LockOwner, session: SessionSlot | undefined): Lock {
    const nowMs = this.desk.now();
    message.isOut = true;
    const token = mintToken();
    const expiresAtMs = session === undefined ? nowMs + this.rules.lockDurationMs : session.lockedUntilMs;
    const isDeferred = message.state === DEFERRED;
    const key = tokenKey(token);
    const lock: Lock = { token, key, box: this, message, owner, session, isDeferred, expiresAtMs, isHeld: true };
    owner.add(lock);
    session?.locks.add(lock);
    this.#locks.set(lock.key, lock);
    if (session === undefined) this.#alarm.set(expiresAtMs, nowMs);
    return lock;
  }

  findLock(token: Buffer): Lock | undefined {
    return this.#locks.get(tokenKey(token));
  }

  renewLock(lock: Lock): void {
    lock.expiresAtMs = this.desk.now() + this.rules.lockDurationMs;
    this.#locks.delete(lock.key);
    this.#locks.set(lock.key, lock);
  }

  /** Ends a lock. What becomes of the message is the caller's next step. */
  unlock(lock: Lock): void {
    lock.isHeld = false;
    this.#locks.delete(lock.key);
    lock.owner.delete(lock);
    lock.session?.locks.delete(lock);
  }

  /** Locks a session for a consumer. @returns until when, as an epoch in ms */
  holdSession(slot: SessionSlot, consumer: Consumer): number {
    const nowMs = this.desk.now();
    this.sessions?.hold(slot, consumer, nowMs + this.rules.lockDurationMs);
    this.#alarm.set(slot.lockedUntilMs, nowMs);
    return slot.lockedUntilMs;
  }

  /** Ends the hold of a session whose messages were given back, and offers it to the next receiver. */
  freeSession(slot: SessionSlot): void {
    this.sessions?.free(slot);
    this.offerSession(slot);
  }

  /** Offers a session to a receiver, when it has no holder and messages that are still there. */
  offerSession(slot: SessionSlot): void {
    if (slot.holder === undefined && this.#firstLive(slot.ready) !== undefined) this.sessions?.offer(slot);
  }

  /** The session that has waited longest for a receiver, and has messages. */
  nextSession(): SessionSlot | undefined {
    for (let slot = this.sessions?.nextAvailable(); slot !== undefined; slot = this.sessions?.nextAvailable()) {
      if (this.#firstLive(slot.ready) !== undefined) return slot;
      this.sessions?.withdraw(slot);
    }
    return undefined;
  }

  renewSession(slot: SessionSlot): number {
    this.sessions?.extend(slot, this.desk.now() + this.rules.lockDurationMs);
    for (const lock of slot.locks) lock.expiresAtMs = slot.lockedUntilMs;
    return slot.lockedUntilMs;
  }

  close(): void {
    this.#alarm.clear();
  }

  #ring(): void {
    const nowMs = this.desk.now();
    for (const lock of this.#locks.values()) {
      if (lock.session !== undefined) continue;
      if (lock.expiresAtMs > nowMs) break;
      this.#events.lockExpired(lock);
    }
    for (let slot = this.sessions?.firstHeld(); slot !== undefined; slot = this.sessions?.firstHeld()) {
      if (slot.lockedUntilMs > nowMs) break;
      this.#events.sessionExpired(slot);
    }
    const due = takeUntil(this.#dueTimes, (message) => message.dueAtMs <= nowMs);
    const scheduled = due.filter((message) => this.scheduled.delete(message.seq));
    if (scheduled.length > 0) this.#events.due(scheduled);
    for (const message of takeUntil(this.#expiryTimes, (item) => item.expiresAtMs <= nowMs)) this.#expire(message);
    this.#setAlarm(nowMs);
  }

  #setAlarm(nowMs: number): void {
    let atMs = Math.min(
      this.#dueTimes.first()?.dueAtMs ?? Infinity,
      this.#expiryTimes.first()?.expiresAtMs ?? Infinity,
    );
    for (const lock of this.#locks.values()) {
      if (lock.session !== undefined) continue;
      atMs = Math.min(atMs, lock.expiresAtMs);
      break;
    }
    const slot = this.sessions?.firstHeld();
    this.#alarm.set(Math.min(atMs, slot?.lockedUntilMs ?? Infinity), nowMs);
  }

  /** Drops the times of messages that are gone, when they are the larger part: their own time may be far away. */
  #compact(): void {
    const [active = 0, deferred = 0, scheduled = 0] = this.#counts;
    if (this.#dueTimes.size > scheduled * 2 + STALE_LIMIT)
      this.#dueTimes.retain((item) => this.scheduled.has(item.seq));
    if (this.#expiryTimes.size > (active + deferred) * 2 + STALE_LIMIT)
      this.#expiryTimes.retain((item) => !item.isGone);
  }
}

function takeUntil<Item>(heap: Heap<Item>, isDue: (item: Item) => boolean): readonly Item[] {
  const taken: Item[] = [];
  for (let item = heap.first(); item !== undefined && isDue(item); item = heap.first()) {
    taken.push(item);
    heap.take();
  }
  return taken;
}
