import rhea from 'rhea';
import type { EventContext, Receiver, Sender, Session } from 'rhea';
import { entityNotFound } from './conditions.ts';
import type { LockOwner } from './consumer.ts';
import {
  cancelScheduled,
  peek,
  receiveDeferred,
  renewLocks,
  schedule,
  updateDisposition,
} from './management-messages.ts';
import { addRule, enumerateRules, removeRule } from './management-rules.ts';
import { getSessionState, listSessions, renewSession, setSessionState } from './management-sessions.ts';
import type { Namespace } from './namespace.ts';
import { RequestError, optionalText, toMap } from './request.ts';
import type { ManagementReply, Operation } from './request.ts';
import { DecodeError } from './amqp-bytes.ts';
import { canQueue, presettle } from './rhea-patches.ts';

/** Requests that a link may have under way. */
const REQUEST_CREDIT = 500;

const OPERATIONS: Readonly<Record<string, Operation>> = {
  'renew-lock': renewLocks,
  'peek-message': peek,
  'schedule-message': schedule,
  'cancel-scheduled-message': cancelScheduled,
  'receive-by-sequence-number': receiveDeferred,
  'update-disposition': updateDisposition,
  'renew-session-lock': renewSession,
  'get-session-state': getSessionState,
  'set-session-state': setSessionState,
  'get-message-sessions': listSessions,
  'add-rule': addRule,
  'remove-rule': removeRule,
  'enumerate-rules': enumerateRules,
};

const OPERATION_PREFIX = 'com.microsoft:';

type Message = ReturnType<typeof rhea.message.decode>;

/** Serves the requests that arrive on a link, by answering on the link of the same AMQP session that reads from `address`. */
function serve(receiver: Receiver, address: string, handle: (request: Message, reply: ReplyLink) => void): void {
  receiver.on('message', (context: EventContext) => {
    const { message, delivery, session } = context;
    receiver.add_credit(1);
    if (!Buffer.isBuffer(message) || delivery === undefined || session === undefined) return;
    delivery.accept();
    const request = rhea.message.decode(message);
    handle(request, new ReplyLink(session, address, request));
  });
  receiver.add_credit(REQUEST_CREDIT);
}

/** Where the answer to one request goes. */
class ReplyLink {
  readonly #session: Session;
  readonly #address: string;
  readonly #request: Message;

  constructor(session: Session, address: string, request: Message) {
    this.#session = session;
    this.#address = address;
    this.#request = request;
  }

  send(properties: Readonly<Record<string, unknown>>, body: unknown): void {
    const sender = this.#find();
    // A client that asks and never reads the answers loses them, not the broker's memory.
    if (sender === undefined || !sender.is_open() || !canQueue(sender)) return;
    const requestId: unknown = this.#request['message_id'];
    const reply = { correlation_id: requestId, application_properties: properties, body };
    presettle(sender.send(rhea.message.encode(reply), undefined, 0));
  }

  /** The link named by `reply-to`, else any that reads from the address. */
  #find(): Sender | undefined {
    const replyTo: unknown = this.#request['reply_to'];
    const isRead = (link: Sender): boolean => link.source?.address?.toLowerCase() === this.#address.toLowerCase();
    const isNamed = (link: Sender): boolean => link.name === replyTo || link.target?.address === replyTo;
    return (
      this.#session.find_sender((link: Sender) => isRead(link) && isNamed(link)) ?? this.#session.find_sender(isRead)
    );
  }
}

/** `$cbs`: `put` says whether a token is good for an audience. */
export function serveTokens(receiver: Receiver, put: (audience: string, token: string) => boolean): void {
  serve(receiver, '$cbs', (request, reply) => {
    const audience = optionalText(toMap(request['application_properties']) ?? {}, 'name') ?? '';
    const isGood = put(audience, String(request['body']));
    const [code, description] = isGood ? [202, 'Accepted'] : [401, 'ExpiredToken: the token is over.'];
    reply.send({ 'status-code': rhea.types.wrap_int(code), 'status-description': description }, null);
  });
}

/** `<entity>/$management`. */
export function serveManagement(space: Namespace, receiver: Receiver, address: string, owner: LockOwner): void {
  const path = address.slice(0, address.lastIndexOf('/'));
  serve(receiver, address, (message, link) => {
    const answer = (reply: ManagementReply): void => link.send(propertiesOf(reply), reply.body ?? null);
    const target = space.target(path);
    if (target === undefined) return answer({ status: 404, fault: entityNotFound('localhost', path) });
    const properties = toMap(message['application_properties']) ?? {};
    const name = optionalText(properties, 'operation') ?? '';
    const operation = OPERATIONS[name.startsWith(OPERATION_PREFIX) ? name.slice(OPERATION_PREFIX.length) : name];
    if (operation === undefined) return answer(badRequest(`the operation '${name}' is not supported`));
    const body = toMap(message['body']) ?? {};
    try {
      operation({ space, target, box: target.box, owner, body }, answer);
    } catch (error) {
      if (!(error instanceof RequestError) && !(error instanceof DecodeError)) throw error;
      answer(badRequest(error.message));
    }
  });
}

function badRequest(description: string): ManagementReply {
  return { status: 400, fault: { condition: 'amqp:not-allowed', description } };
}

function propertiesOf(reply: ManagementReply): Readonly<Record<string, unknown>> {
  const { status, fault } = reply;
  const description = fault?.description ?? (status === 204 ? 'No Content' : 'OK');
  const properties = { statusCode: rhea.types.wrap_int(status), statusDescription: description };
  return fault === undefined ? properties : { ...properties, errorCondition: rhea.types.wrap_symbol(fault.condition) };
}
