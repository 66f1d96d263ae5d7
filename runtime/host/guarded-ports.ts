import type { Bus, Handled, Handler, Meter, OutgoingMessage, Upstream } from '../ports.ts';
import { knowCall, safeText } from './redaction.ts';

/** An upstream whose callers' credentials are known to every exit of this process from their first call on. */
export function guardUpstream(upstream: Upstream): Upstream {
  return {
    call: (call, signal) => {
      knowCall(call);
      return upstream.call(call, signal);
    },
    close: () => upstream.close(),
  };
}

/**
 * A bus with no secret in the reasons of its dead letters and in the properties of its messages: both are read by people, in the
 * portal and by every tool that lists messages. Bodies are data and stay as they are.
 */
export function guardBus(bus: Bus): Bus {
  return {
    send: (entity, messages, signal) => bus.send(entity, messages.map(guardMessage), signal),
    consume: (entity, options, handler) => bus.consume(entity, options, guardHandler(handler)),
    close: () => bus.close(),
  };
}

/** A meter with no secret in its labels. */
export function guardMeter(meter: Meter): Meter {
  return {
    count: (name, value, labels) => meter.count(name, value, labels === undefined ? undefined : guardTexts(labels)),
  };
}

function guardMessage(message: OutgoingMessage): OutgoingMessage {
  return { ...message, properties: guardTexts(message.properties) };
}

function guardHandler(handler: Handler): Handler {
  return async (message, lock): Promise<Handled> => {
    const handled = await handler(message, lock);
    const { settlement } = handled;
    if (settlement.kind !== 'dead-letter') return handled;
    const { reason, description } = settlement;
    return { ...handled, settlement: { ...settlement, reason: safeText(reason), description: safeText(description) } };
  };
}

function guardTexts<T>(texts: Readonly<Record<string, T>>): Record<string, T> {
  const safe: Record<string, T> = {};
  for (const [name, text] of Object.entries(texts))
    safe[name] = (typeof text === 'string' ? safeText(text) : text) as T;
  return safe;
}
