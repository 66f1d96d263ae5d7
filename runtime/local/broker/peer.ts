import type { Connection, EventContext, Receiver, Sender, Session, link } from 'rhea';
import { entityNotFound, notAllowed, tokenOver } from './conditions.ts';
import type { AmqpFault } from './conditions.ts';
import type { LockOwner, SessionSlot } from './consumer.ts';
import { openIntake } from './intake.ts';
import { serveManagement, serveTokens } from './management.ts';
import type { Namespace, Target } from './namespace.ts';
import { Outlet } from './outlet.ts';
import { setAttach } from './rhea-patches.ts';
import { announceSession, awaitSession, namedSession, wantedSession } from './session-attach.ts';
import { lose } from './settlement.ts';
import { Tokens } from './tokens.ts';

const MANAGEMENT_SUFFIX = '/$management';
const TOKENS_ADDRESS = '$cbs';

/** One client connection: its links, and the locks that end with it. */
export class Peer {
  readonly #space: Namespace;
  readonly #host: string;
  readonly #locks: LockOwner = new Set();
  readonly #outlets = new Map<link, Outlet>();
  /** Receivers that wait for a session, with the way to give up. */
  readonly #waits = new Map<link, () => void>();
  /** Undefined: every token is good for ever, because the broker listens on this machine only. */
  readonly #tokens: Tokens | undefined;
  /** Paths of the links that live by a token. */
  readonly #guarded = new Map<link, string>();

  constructor(space: Namespace, connection: Connection, host: string) {
    this.#space = space;
    this.#host = host;
    const { tokenLifetimeMs: lifetimeMs } = space;
    if (lifetimeMs !== undefined) {
      this.#tokens = new Tokens({ lifetimeMs, now: () => space.now(), onEnd: (path) => this.#endToken(path) });
    }
    connection.on('receiver_open', ({ receiver }: EventContext) => receiver && this.#openReceiver(receiver));
    connection.on('sender_open', ({ sender }: EventContext) => sender && this.#openSender(sender));
    connection.on('sender_close', ({ sender }: EventContext) => sender && this.#endLink(sender));
    connection.on('session_close', ({ session }: EventContext) => session && this.#endSession(session));
    // Without a listener rhea treats what a client reports as an uncaught error.
    for (const name of ['sender_error', 'receiver_error', 'session_error', 'connection_error']) {
      connection.on(name, () => undefined);
    }
    connection.on('receiver_close', ({ receiver }: EventContext) => receiver && this.#guarded.delete(receiver));
  }

  /** After rhea has written what was waiting. */
  afterTurn(): void {
    for (const outlet of this.#outlets.values()) outlet.afterTurn();
  }

  /** The connection is gone: sessions are free and locked messages receivable at once. */
  end(): void {
    for (const sender of [...this.#waits.keys(), ...this.#outlets.keys()]) this.#endLink(sender);
    for (const lock of [...this.#locks]) lose(lock);
    this.#tokens?.clear();
  }

  /** A client that sends. */
  #openReceiver(receiver: Receiver): void {
    const address = addressOf(receiver.target?.address);
    receiver.set_source({ address: receiver.source?.address ?? '' });
    receiver.set_target({ address: receiver.target?.address ?? '' });
    if (address === TOKENS_ADDRESS) return serveTokens(receiver, (...token) => this.#putToken(...token));
    if (!this.#guard(receiver, address)) return;
    if (address.toLowerCase().endsWith(MANAGEMENT_SUFFIX)) {
      return serveManagement(this.#space, receiver, address, this.#locks);
    }
    const node = this.#space.node(address);
    if (node === undefined) return refuse(receiver, entityNotFound(this.#host, address));
    if (node.kind === 'subscription')
      return refuse(receiver, notAllowed(`'${address}' is a subscription: send to its topic.`));
    setAttach(receiver, { max_message_size: this.#space.maxMessageBytes });
    openIntake(this.#space, receiver, node);
  }

  /** A client that receives. */
  #openSender(sender: Sender): void {
    const address = addressOf(sender.source?.address);
    const modes = { snd_settle_mode: sender.snd_settle_mode, rcv_settle_mode: sender.rcv_settle_mode };
    setAttach(sender, modes);
    sender.set_source({ address: sender.source?.address ?? '' });
    sender.set_target({ address: sender.target?.address ?? '' });
    if (address === TOKENS_ADDRESS || !this.#guard(sender, address)) return;
    if (address.toLowerCase().endsWith(MANAGEMENT_SUFFIX)) return;
    const target = this.#space.target(address);
    if (target === undefined || target.node.kind === 'topic')
      return refuse(sender, entityNotFound(this.#host, address));
    const wanted = wantedSession(sender);
    if ((target.box.sessions !== undefined) !== (wanted !== undefined)) return refuse(sender, wrongKind(target));
    if (wanted === undefined) this.#addOutlet(sender, target, undefined);
    else this.#openSession(sender, target, wanted);
  }

  #openSession(sender: Sender, target: Target, wanted: string | null): void {
    const grant = (slot: SessionSlot): void => {
      this.#waits.delete(sender);
      const outlet = this.#addOutlet(sender, target, slot);
      target.box.holdSession(slot, outlet);
      announceSession(sender, slot, sender.source.address);
    };
    if (wanted === null) {
      const giveUp = awaitSession(target.box, sender, grant);
      if (!this.#outlets.has(sender)) this.#waits.set(sender, giveUp);
      return;
    }
    const slot = namedSession(target.box, wanted);
    if ('condition' in slot) refuse(sender, slot);
    else grant(slot);
  }

  #addOutlet(sender: Sender, target: Target, session: SessionSlot | undefined): Outlet {
    const isDestructive = sender.snd_settle_mode === 1;
    const outlet = new Outlet({ sender, box: target.box, owner: this.#locks, isDestructive, session });
    this.#outlets.set(sender, outlet);
    return outlet;
  }

  #putToken(audience: string, token: string): boolean {
    return this.#tokens?.put(addressOf(audience).toLowerCase(), token) ?? true;
  }

  /** Whether a link may attach; with a token its life ends when that does. */
  #guard(link: Sender | Receiver, address: string): boolean {
    if (this.#tokens === undefined) return true;
    const path = address.toLowerCase();
    if (this.#tokens.has(path)) {
      this.#guarded.set(link, path);
      return true;
    }
    refuse(link, tokenOver(address));
    return false;
  }

  #endToken(ended: string): void {
    for (const [link, path] of [...this.#guarded]) {
      if (path !== ended) continue;
      this.#endLink(link);
      link.close(tokenOver(path));
    }
  }

  #endLink(sender: link): void {
    this.#guarded.delete(sender);
    this.#waits.get(sender)?.();
    this.#waits.delete(sender);
    this.#outlets.get(sender)?.end();
    this.#outlets.delete(sender);
  }

  #endSession(session: Session): void {
    for (const sender of [...this.#waits.keys(), ...this.#outlets.keys()]) {
      if (sender.session === session) this.#endLink(sender);
    }
  }
}

/** Clients give a path, some with a leading slash or as a whole URI. */
function addressOf(address: string | undefined): string {
  return (address ?? '').replace(/^(?:sb|amqps?):\/\/[^/]*\//, '').replace(/^\/+/, '');
}

/** The link attaches without a place to read from or write to, and is detached with the reason. */
function refuse(refused: Sender | Receiver, fault: AmqpFault): void {
  refused.close(fault);
}

function wrongKind(target: Target): AmqpFault {
  return target.box.sessions === undefined
    ? notAllowed(`a sessionful receiver cannot be created on '${target.node.path}', which has no sessions.`)
    : notAllowed(`'${target.node.path}' requires sessions: it is not possible to create a non-sessionful receiver.`);
}
