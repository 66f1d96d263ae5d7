import { ServiceBusAdministrationClient, parseServiceBusConnectionString } from '@azure/service-bus';
import type { ServiceBusAdministrationClientOptions, TokenCredential } from '@azure/service-bus';
import type { Depth, Depths } from '../ports.ts';

/** Which namespace to ask. */
export interface ServiceBusDepthsOptions {
  readonly connect:
    | { readonly connectionString: string }
    | { readonly fullyQualifiedNamespace: string; readonly credential: TokenCredential };
}

/** Limit of one question, retries included, in ms. */
const ANSWER_LIMIT_MS = 5000;

/** Retries of one question; the client waits between them. */
const RETRIES: ServiceBusAdministrationClientOptions = {
  retryOptions: { maxRetries: 2, retryDelayInMs: 200, maxRetryDelayInMs: 1000 },
};

/**
 * Message counts from the management API of Service Bus: each call is a billed operation and 10 throttling credits.
 * `depth` rejects with the client's error, or an AbortError after 5 s.
 */
export function openServiceBusDepths(options: ServiceBusDepthsOptions): Depths {
  const client = openClient(options.connect);
  return {
    async depth(entity) {
      const abortSignal = AbortSignal.timeout(ANSWER_LIMIT_MS);
      const subscription = /^(.+)\/subscriptions\/([^/]+)$/i.exec(entity);
      if (subscription?.[1] === undefined || subscription[2] === undefined) {
        return queueDepth(await client.getQueueRuntimeProperties(entity, { abortSignal }));
      }
      const counts = await client.getSubscriptionRuntimeProperties(subscription[1], subscription[2], { abortSignal });
      // A subscription holds no scheduled messages: they wait in the topic.
      return queueDepth({ ...counts, scheduledMessageCount: 0 });
    },
  };
}

interface Counts {
  readonly activeMessageCount: number;
  readonly scheduledMessageCount: number;
  readonly deadLetterMessageCount: number;
  readonly transferDeadLetterMessageCount: number;
}

function queueDepth(counts: Counts): Depth {
  return {
    active: counts.activeMessageCount,
    scheduled: counts.scheduledMessageCount,
    deadLetter: counts.deadLetterMessageCount,
    transferDeadLetter: counts.transferDeadLetterMessageCount,
  };
}

function openClient(connect: ServiceBusDepthsOptions['connect']): ServiceBusAdministrationClient {
  if (!('connectionString' in connect)) {
    return new ServiceBusAdministrationClient(connect.fullyQualifiedNamespace, connect.credential, RETRIES);
  }
  const client = new ServiceBusAdministrationClient(connect.connectionString, RETRIES);
  if (/(^|;)\s*UseDevelopmentEmulator=true\s*(;|$)/.test(connect.connectionString)) {
    usePlainHttp(client, connect.connectionString);
  }
  return client;
}

/** 7.9.5 always asks over https; a broker on this machine serves plain HTTP on the port of its connection string. */
function usePlainHttp(client: ServiceBusAdministrationClient, connectionString: string): void {
  const { endpoint } = parseServiceBusConnectionString(connectionString);
  const { host } = new URL(endpoint.replace(/^\w+:/, 'http:'));
  client.pipeline.addPolicy({
    name: 'plainHttp',
    sendRequest(request, next) {
      const url = new URL(request.url);
      request.url = `http://${host}${url.pathname}${url.search}`;
      request.allowInsecureConnection = true;
      return next(request);
    },
  });
}
