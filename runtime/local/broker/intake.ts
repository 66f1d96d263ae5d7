import type { EventContext, Receiver } from 'rhea';
import { DecodeError } from './amqp-bytes.ts';
import { UNDECODABLE, messageTooLarge } from './conditions.ts';
import type { AmqpFault } from './conditions.ts';
import { BATCH_FORMAT, readBatch, readDraft } from './message-codec.ts';
import type { Draft } from './message-codec.ts';
import type { Namespace } from './namespace.ts';
import type { Node } from './nodes.ts';
import { publish } from './routing.ts';

/** Transfers that a client may have under way on one link, and the number at which it gets more credit. */
const CREDIT = 1_000;
const TOP_UP_AT = 500;

/** Takes what a client sends on a link into an entity, and accepts it when it is on disk. */
export function openIntake(space: Namespace, receiver: Receiver, node: Node): void {
  let usedCredit = 0;
  const finish = (): void => {
    usedCredit += 1;
    if (usedCredit < TOP_UP_AT) return;
    receiver.add_credit(usedCredit);
    usedCredit = 0;
  };
  receiver.on('message', ({ message, delivery }: EventContext) => {
    if (!Buffer.isBuffer(message) || delivery === undefined) return;
    const fault = take(space, node, { bytes: message, isBatch: delivery.format === BATCH_FORMAT }, () => {
      delivery.accept();
      finish();
    });
    if (fault === undefined) return;
    delivery.reject(fault);
    finish();
  });
  receiver.add_credit(CREDIT);
}

interface Transfer {
  readonly bytes: Buffer;
  readonly isBatch: boolean;
}

function take(space: Namespace, node: Node, transfer: Transfer, accept: () => void): AmqpFault | undefined {
  const { bytes } = transfer;
  if (bytes.length > space.maxMessageBytes) return messageTooLarge(bytes.length, space.maxMessageBytes);
  let drafts: readonly Draft[];
  try {
    const messages = transfer.isBatch ? readBatch(bytes) : [bytes];
    drafts = messages.map((message) => readDraft(message, () => space.mintId()));
  } catch (error) {
    if (error instanceof DecodeError) return UNDECODABLE;
    throw error;
  }
  return publish(space, node, drafts, accept);
}
