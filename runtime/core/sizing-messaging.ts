import type { BusOperations, Traffic } from './cost-traffic.ts';
import { amountText, chargeOf, type Confidence, meterIn, type Prices } from './cost.ts';
import { type SizeChoice, type SizedTier, sizedTier, timesText } from './sizing-choice.ts';
import type { Workload } from './workload-fields.ts';

/** Credits a second of a namespace below Premium (Microsoft, "Throttling operations on Azure Service Bus"). */
const CREDITS_PER_SECOND = 1000;

/** Bytes of a message below Premium. */
const MESSAGE_MAX_BYTES = 256 * 1024;

/** What one Premium unit is taken to do beside Standard: judgement, nobody publishes it. */
const PREMIUM_FACTOR = 2;

const PREMIUM_UNITS = [1, 2, 4, 8, 16];

const MILLION = 1_000_000;

/** Credits of the busiest second: send and receive of a message are one each, a topic adds filter, copy and readers. */
export function peakCreditsOf(workload: Workload, traffic: Traffic): number {
  if (traffic.calls === 0) return 0;
  const perPage = traffic.peakPagesPerSecond / traffic.calls;
  const markers = traffic.slices * perPage * 2;
  const viaTopic = 2 + (1 + workload.topicReaders) * 2;
  const envelopes = traffic.envelopes * perPage * (2 + traffic.topicShare * (viaTopic - 2));
  return markers + envelopes;
}

/** Service Bus Basic, Standard and Premium, by topics, credits a second, message size and price of the operations. */
export function sizeMessaging(workload: Workload, traffic: Traffic, bus: BusOperations, prices: Prices): SizedTier {
  const credits = peakCreditsOf(workload, traffic);
  const headroom = Math.min(CREDITS_PER_SECOND / Math.max(credits, 1e-9), MESSAGE_MAX_BYTES / traffic.envelopeBytes);
  const shared = { headroom, capacity: 1 };
  const isTooBusy =
    headroom < 1 ? `needs ${amountText(credits)} credits/s, a namespace has ${CREDITS_PER_SECOND}` : undefined;
  const needsTopics = workload.dataTopics > 0 ? `has no topics, ${workload.dataTopics} are needed` : undefined;
  const choices: SizeChoice[] = [
    {
      ...{ ...shared, name: 'Basic', sku: 'Basic' },
      ...priceOf(prices, [['servicebus-basic-operations', bus.total / MILLION]]),
      carries: needsTopics === undefined && isTooBusy === undefined,
      headroom: needsTopics === undefined ? headroom : 0,
      why: needsTopics ?? isTooBusy ?? 'queues only',
    },
    {
      ...{ ...shared, name: 'Standard', sku: 'Standard' },
      ...priceOf(prices, [
        ['servicebus-standard-base', 1],
        ['servicebus-standard-operations', bus.total / MILLION],
      ]),
      carries: isTooBusy === undefined,
      why: isTooBusy ?? 'what the stack deploys',
    },
    ...PREMIUM_UNITS.map((units) => premiumChoice(units, headroom, prices)),
  ];
  return sizedTier('service-bus', arithmeticOf(workload, traffic, bus, credits), choices, (chosen) => {
    if (chosen.sku === 'Premium') return 'more than its units carry: measure before you buy';
    if (chosen.sku === 'Basic') return 'one data type with a topic';
    const messages = `messages above 256 KB (now ${amountText(traffic.envelopeBytes)} B)`;
    return `${CREDITS_PER_SECOND} credits/s, ${timesText(CREDITS_PER_SECOND / Math.max(credits, 1e-9))}; ${messages}`;
  });
}

function premiumChoice(units: number, headroom: number, prices: Prices): SizeChoice {
  const carried = headroom * PREMIUM_FACTOR * units;
  return {
    ...{
      name: `Premium, ${units} ${units === 1 ? 'unit' : 'units'}`,
      sku: 'Premium',
      capacity: units,
      headroom: carried,
    },
    ...priceOf(prices, [['servicebus-premium-unit', units]]),
    carries: carried >= 1,
    why: `operations included; a unit is taken for ${PREMIUM_FACTOR} namespaces, which is judgement`,
  };
}

function arithmeticOf(workload: Workload, traffic: Traffic, bus: BusOperations, credits: number): readonly string[] {
  const { marker, direct, viaTopic } = bus;
  const counts = (count: typeof direct): string =>
    `${count.send} send + ${count.forward} forward + ${count.receive} receive + ${count.settle} settle = ${count.total}`;
  return [
    `marker message: ${counts(marker)} operations; ${amountText(traffic.slices)} slices a month`,
    `envelope: ${amountText(traffic.itemsPerEnvelope)} items x ${amountText(traffic.envelopeBytes / traffic.itemsPerEnvelope)} B sealed` +
      ` = ${amountText(traffic.envelopeBytes)} B, ${direct.units} x 64 KB; ${amountText(traffic.envelopes)} a month`,
    `direct: ${counts(direct)}; through a topic (${amountText(traffic.topicShare * 100)} %): ${counts(viaTopic)}`,
    `operations a month: ${amountText(bus.markers)} markers + ${amountText(bus.envelopes)} envelopes` +
      ` + ${amountText(bus.redelivered)} again + ${amountText(bus.looks)} looks = ${amountText(bus.total)}`,
    `busiest second: ${amountText(traffic.peakPagesPerSecond)} pages (${workload.users} users at once) = ${amountText(credits)} credits of ${CREDITS_PER_SECOND}`,
  ];
}

/** What several meters cost together: null when one of them is unknown or missing, with the least of their confidences. */
export function priceOf(
  prices: Prices,
  usages: readonly (readonly [meter: string, quantity: number])[],
): { readonly usdPerMonth: number | null; readonly confidence: Confidence } {
  let usdPerMonth: number | null = 0;
  let confidence: Confidence = 'sourced';
  for (const [id, quantity] of usages) {
    const meter = meterIn(prices, id);
    const usd = meter === undefined ? null : chargeOf(meter, quantity).usd;
    usdPerMonth = usdPerMonth === null || usd === null ? null : usdPerMonth + usd;
    if (meter?.confidence === 'recalled' && confidence === 'sourced') confidence = 'recalled';
  }
  return { usdPerMonth, confidence: usdPerMonth === null ? 'unknown' : confidence };
}
