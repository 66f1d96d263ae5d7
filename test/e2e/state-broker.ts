import { brotli } from '../../runtime/adapters/compression.ts';
import { openServiceBus } from '../../runtime/adapters/service-bus.ts';
import { sha256Digest, systemClock, systemRandom } from '../../runtime/adapters/system.ts';
import {
  encodeEnvelope,
  ENVELOPE_CONTENT_TYPE,
  ENVELOPE_SCHEMA_VERSION,
  type EnvelopeItem,
} from '../../runtime/core/envelope.ts';
import { connectBus } from '../../runtime/host/bus-place.ts';
import { readEnvironment } from '../../runtime/host/config.ts';
import { releaseAll, type Release } from '../../runtime/host/release.ts';
import type { Bus, OutgoingMessage } from '../../runtime/ports.ts';

/** An item of `u1` whose data is its id. */
export function itemNamed(id: string): EnvelopeItem {
  const version = sha256Digest.sha256(id, 32);
  return { userId: 'u1', runId: 'r', id, version, observedAtMs: Date.now(), dataText: JSON.stringify({ id }) };
}

/** A whole envelope, as a miner sends it. */
export async function envelopeOf(items: readonly EnvelopeItem[], minerName = 'chats'): Promise<OutgoingMessage> {
  const envelopeId = systemRandom.uuid();
  const text = encodeEnvelope({
    ...{ schemaVersion: ENVELOPE_SCHEMA_VERSION, envelopeId, minerName, source: 'mine' as const },
    ...{ composedAtMs: Date.now(), items },
  });
  return {
    ...{ messageId: envelopeId, body: await brotli.compress(text), contentType: ENVELOPE_CONTENT_TYPE },
    ...{ subject: minerName, properties: { minerName, items: items.length } },
  };
}

/** Works on the broker of a state folder that nobody runs on. */
export async function onBroker(state: string, work: (bus: Bus) => Promise<void>): Promise<void> {
  const releases: Release[] = [];
  try {
    const place = { state, stack: undefined, environment: readEnvironment({}) };
    const connect = await connectBus(place, releases);
    const bus = openServiceBus({ connect, clock: systemClock, random: systemRandom });
    releases.push(() => bus.close());
    await work(bus);
  } finally {
    await releaseAll(releases);
  }
}
