import type { Socket } from 'node:net';
import rhea from 'rhea';
import type { Connection, Container, Delivery, Receiver, Sender } from 'rhea';
import type { AmqpFault } from './conditions.ts';

/**
 * Everything that reaches into rhea 3.0.5 beyond its typings. rhea is pinned; each function here has a test of its own,
 * so that an upgrade shows at once which of these internals moved.
 */

/** Message format given to a transfer of format 0, so that rhea hands its bytes over instead of decoding them. */
export const RAW_FORMAT = 1;

interface Frame {
  readonly performative: { message_format: number | null | undefined };
}

interface AttachFields {
  snd_settle_mode?: number;
  rcv_settle_mode?: number;
  max_message_size?: number;
  properties?: Readonly<Record<string, unknown>>;
}

interface LinkInternals {
  readonly local: { readonly attach: AttachFields };
  readonly state: { local_open: boolean; open_requests: number };
  readonly session: SessionInternals;
  credit: number;
  delivery_count: number;
  _draining: boolean;
  _get_drain?: () => boolean;
}

interface SessionInternals {
  readonly outgoing: {
    readonly next_delivery_id: number;
    readonly next_pending_delivery: number;
    available(): number;
    transfer_window(): number;
  };
  _write_flow(link: LinkInternals): void;
}

interface ConnectionInternals {
  accept(socket: Socket): void;
  on_transfer(frame: Frame): void;
  _process(): void;
  _write_frame(): void;
  _disconnected(): void;
}

interface DeliveryInternals {
  settled: boolean;
  remote_settled: boolean;
}

interface Outcome {
  described(): unknown;
}

interface Outcomes {
  accepted(): Outcome;
  rejected(fields: { error: AmqpFault }): Outcome;
}

function linkOf(link: Sender | Receiver): LinkInternals {
  const internals: unknown = link;
  return internals as LinkInternals;
}

function connectionOf(connection: Connection): ConnectionInternals {
  const internals: unknown = connection;
  return internals as ConnectionInternals;
}

const internalOutcomes: unknown = rhea.message;
const outcomes = internalOutcomes as Outcomes;

/** The state "accepted", encoded once. */
export const ACCEPTED: unknown = outcomes.accepted().described();

/** The state "rejected" with a reason. */
export function rejectedState(fault: AmqpFault): unknown {
  return outcomes.rejected({ error: fault }).described();
}

/** Starts the server side of a connection on a socket that something else has accepted. */
export function acceptSocket(
  container: Container,
  socket: Socket,
  options: Readonly<Record<string, unknown>>,
): Connection {
  const creator: { create_connection(options: unknown): Connection } = container;
  const connection = creator.create_connection(options);
  connectionOf(connection).accept(socket);
  // rhea listens for `end` and `error`, not for `close`: a destroyed socket would leave its timers running.
  socket.on('close', () => connectionOf(connection)._disconnected());
  return connection;
}

/** Messages arrive as their exact bytes (format `RAW_FORMAT`): rhea would decode format 0 and drop the bytes. */
export function receiveRaw(connection: Connection): void {
  const internals = connectionOf(connection);
  const onTransfer = internals.on_transfer.bind(connection);
  internals.on_transfer = (frame) => {
    if (!frame.performative.message_format) frame.performative.message_format = RAW_FORMAT;
    onTransfer(frame);
  };
}

/** One network write per turn instead of one per frame. `afterTurn` runs when rhea has written what was waiting. */
export function corkTurns(connection: Connection, socket: Socket, afterTurn: () => void): void {
  const internals = connectionOf(connection);
  const turn = internals._process.bind(connection);
  internals._process = () => {
    socket.cork();
    try {
      turn();
      afterTurn();
    } finally {
      socket.uncork();
    }
  };
}

/**
 * Answers every read with at least an empty frame, which carries the TCP acknowledgement. Clients write without
 * TCP_NODELAY: their next small write waits for that acknowledgement, which the kernel delays by 40 ms when the answer
 * has to wait for anything, a second frame of the same request for instance.
 */
export function acknowledgeReads(connection: Connection, socket: Socket): void {
  let turnsLeft = 0;
  let writtenBytes = 0;
  const check = (): void => {
    turnsLeft -= 1;
    if (turnsLeft > 0) {
      setImmediate(check);
      return;
    }
    const isSilent = socket.bytesWritten === writtenBytes && socket.writable;
    if (isSilent && connection.is_open()) connectionOf(connection)._write_frame();
  };
  socket.on('data', () => {
    // Counted from the last read: an answer to an earlier one does not acknowledge this one.
    writtenBytes = socket.bytesWritten;
    if (turnsLeft === 0) setImmediate(check);
    // Two turns: the journal commits in the first, and its acknowledgements make the empty frame unnecessary.
    turnsLeft = 2;
  });
}

/** What this end says about a link when it attaches. Call it before rhea's turn ends. */
export function setAttach(link: Sender | Receiver, fields: AttachFields): void {
  Object.assign(linkOf(link).local.attach, fields);
}

/** Takes back the attach that rhea has prepared. `link.attach()` sends it later. */
export function withholdAttach(link: Sender | Receiver): void {
  const { state } = linkOf(link);
  state.local_open = false;
  state.open_requests = 0;
}

/** Deliveries that this sender may still be given: by its credit, the peer's window, and rhea's buffer. */
export function roomOf(sender: Sender): number {
  const { credit, session, state } = linkOf(sender);
  if (state.open_requests > 0) return 0;
  const waiting = waitingOf(sender);
  const windowed = session.outgoing.transfer_window() - waiting;
  return Math.min(credit - waiting, windowed, session.outgoing.available());
}

/**
 * True when it is not the credit that stops this sender: its attach is not written yet, and rhea would write a message
 * before it, or the peer's session window is shut. rhea tells nobody when either ends.
 */
export function isBlocked(sender: Sender): boolean {
  const link = linkOf(sender);
  const waiting = waitingOf(sender);
  return link.state.open_requests > 0 || (link.credit > waiting && link.session.outgoing.transfer_window() <= waiting);
}

/** Deliveries that rhea has not written yet. */
export function waitingOf(sender: Sender): number {
  const { outgoing } = linkOf(sender).session;
  return outgoing.next_delivery_id - outgoing.next_pending_delivery;
}

/** True when rhea has a place for one more delivery; `send` throws without. */
export function canQueue(sender: Sender): boolean {
  return linkOf(sender).session.outgoing.available() > 0;
}

/** Settles a delivery that was sent, and lets rhea free it: it would wait for an answer that never comes. */
export function settleForGood(delivery: Delivery, state: unknown): void {
  delivery.update(true, state);
  const internals: unknown = delivery;
  (internals as DeliveryInternals).remote_settled = true;
}

/** Marks a delivery as settled before it is written, so that no answer is expected. */
export function presettle(delivery: Delivery): void {
  const internals: unknown = delivery;
  (internals as DeliveryInternals).settled = true;
}

/** Uses up the credit and says so. rhea itself stays silent when no credit is left, and clients wait for the answer. */
export function answerDrain(sender: Sender): void {
  const link = linkOf(sender);
  link.delivery_count += link.credit;
  link.credit = 0;
  link._draining = false;
  link._get_drain = () => true;
  try {
    link.session._write_flow(link);
  } finally {
    delete link._get_drain;
  }
}
