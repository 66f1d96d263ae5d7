import { ServiceBusClient } from '@azure/service-bus';
import type { DeadLetters } from '../ports.ts';
import { toIncomingMessage } from './service-bus-message.ts';
import { createReceiver, type ServiceBusConnect } from './service-bus-session.ts';
import { within } from './service-bus-time.ts';

/** Messages asked for at once; the broker sends fewer when they are large. */
const PAGE_MESSAGES = 250;

/** Limit of one answer, in ms. */
const ANSWER_LIMIT_MS = 15_000;

/** The client's own limits for one request. */
const CLIENT_OPTIONS = { retryOptions: { timeoutInMs: 5000, maxRetries: 2, retryDelayInMs: 200 } };

/**
 * Looks at dead letters by peeking, which locks nothing and counts no delivery. The caller closes it.
 * `peek` rejects with the client's error, or with code `TIMED_OUT`.
 */
export function openServiceBusDeadLetters(options: { readonly connect: ServiceBusConnect }): DeadLetters {
  const { connect } = options;
  const client =
    'connectionString' in connect
      ? new ServiceBusClient(connect.connectionString, CLIENT_OPTIONS)
      : new ServiceBusClient(connect.fullyQualifiedNamespace, connect.credential, CLIENT_OPTIONS);
  return {
    async *peek(path, limit) {
      const receiver = createReceiver(client, path);
      try {
        let left = limit;
        let from: { fromSequenceNumber?: Long } = {};
        while (left > 0) {
          const asked = Math.min(left, PAGE_MESSAGES);
          const page = await within(receiver.peekMessages(asked, from), ANSWER_LIMIT_MS);
          for (const message of page) yield toIncomingMessage(message);
          const last = page.at(-1)?.sequenceNumber;
          if (last === undefined) return;
          left -= page.length;
          from = { fromSequenceNumber: last.add(1) };
        }
      } finally {
        await receiver.close().catch(() => undefined);
      }
    },
    close: () => client.close(),
  };
}

type Long = NonNullable<
  Awaited<ReturnType<ReturnType<typeof createReceiver>['peekMessages']>>[number]['sequenceNumber']
>;
