import { type InstanceSeconds, miningText, type Traffic } from './cost-traffic.ts';
import { amountText, HOURS_PER_MONTH, type Prices } from './cost.ts';
import { type SizeChoice, type SizedTier, sizedTier, timesText } from './sizing-choice.ts';
import { priceOf } from './sizing-messaging.ts';
import type { Workload } from './workload-fields.ts';

/** Sizes of an instance on Flex Consumption and their cores (Microsoft, "Flex Consumption plan", 2026). */
const FLEX_SIZES = [
  { memoryMb: 512, cores: 0.25, note: 'Azure has refused it (azure-rest-api-specs #40898), so try it in dev' },
  { memoryMb: 2048, cores: 1, note: 'the default' },
  { memoryMb: 4096, cores: 2, note: 'for pages that need it' },
] as const;

/** Part of a core that work may take while latency stays calm. */
const BUSY_SHARE = 0.7;

const MILLION = 1_000_000;

/** Memory that the legacy plan gives and bills at most. */
const CONSUMPTION_GB = 1.5;

/** Functions on the legacy plan and on every size of Flex, by memory and cores of an instance. */
export function sizeCompute(workload: Workload, traffic: Traffic, seconds: InstanceSeconds, prices: Prices): SizedTier {
  const cores = coresOf(workload, traffic);
  const flex = FLEX_SIZES.map((size): SizeChoice => {
    const headroom = Math.min(size.memoryMb / workload.processMb, (size.cores * BUSY_SHARE) / Math.max(cores, 1e-9));
    const lacks =
      size.memoryMb < workload.processMb
        ? `${workload.processMb} MB are needed`
        : `${amountText(cores)} cores are needed`;
    return {
      ...{
        name: `Flex, ${size.memoryMb} MB, ${size.cores} ${size.cores === 1 ? 'core' : 'cores'}`,
        sku: 'FC1',
        capacity: size.memoryMb,
        headroom,
      },
      config: `adit:instanceMemoryMb: ${size.memoryMb}`,
      ...priceOf(prices, [
        ['functions-flex-gb-seconds', (seconds.total * size.memoryMb) / 1024],
        ['functions-flex-executions', seconds.executions / MILLION],
      ]),
      carries: headroom >= 1,
      why: headroom >= 1 ? size.note : lacks,
    };
  });
  const legacy: SizeChoice = {
    ...{
      name: 'Consumption (legacy), 1.5 GB',
      sku: 'Y1',
      capacity: CONSUMPTION_GB * 1024,
      headroom: 0,
      carries: false,
    },
    ...priceOf(prices, [
      ['functions-consumption-gb-seconds', seconds.total * CONSUMPTION_GB],
      ['functions-consumption-executions', seconds.executions / MILLION],
    ]),
    why: 'Linux Consumption gets no new language versions and retires 2028-09-30; no stack deploys it',
  };
  return sizedTier(
    'functions',
    arithmeticOf(workload, traffic, seconds, cores),
    [legacy, ...flex],
    (chosen) =>
      `more than ${chosen.capacity} MB in one process (now ${workload.processMb}), or ${timesText(chosen.headroom)} of an instance`,
  );
}

/** Cores that one instance keeps busy. */
function coresOf(workload: Workload, traffic: Traffic): number {
  const perSecond = Math.min(
    traffic.slicesAtOnce / traffic.pageSeconds,
    workload.callsInFlight / workload.secondsPerCall,
  );
  return perSecond * workload.cpuSecondsPerCall;
}

function arithmeticOf(
  workload: Workload,
  traffic: Traffic,
  seconds: InstanceSeconds,
  cores: number,
): readonly string[] {
  const { secondsPerCall, deliverySeconds, userCallsPerSecond, cpuSecondsPerCall } = workload;
  const alone = (traffic.calls * secondsPerCall) / 3600;
  return [
    `one page: the pace of a user (${amountText(1 / userCallsPerSecond)} s) or ${secondsPerCall} s call + ${deliverySeconds} s delivery = ${amountText(traffic.pageSeconds)} s`,
    miningText(workload, traffic, seconds) +
      ` (waiting for every call alone would be ${amountText(alone)} hours of instance)`,
    `ingest: ${amountText(traffic.envelopes)} envelopes within ${amountText(traffic.busySeconds)} busy seconds = ${amountText(seconds.ingest)} s`,
    `timers: one look a minute of at least 1 s, ${amountText(seconds.timers)} s of ${amountText(HOURS_PER_MONTH * 3600)}`,
    `paid: ${amountText(seconds.total)} s x memory; ${amountText(seconds.executions)} executions`,
    `an instance: ${workload.processMb} MB, ${amountText(cores)} cores (${cpuSecondsPerCall * 1000} ms a page)`,
  ];
}

/** Sockets that one host of this size is taken to hold: judgement, to be measured when something captures. */
const LISTENERS = [
  { name: 'Container App, 0.25 vCPU, 0.5 GiB, always on', sku: 'container-app', sockets: 2000 },
  { name: 'App Service B1 Linux', sku: 'B1', sockets: 5000 },
  { name: 'App Service P0v3 Linux', sku: 'P0v3', sockets: 10_000 },
  { name: 'App Service P1v3 Linux', sku: 'P1v3', sockets: 20_000 },
] as const;

const SECONDS_PER_MONTH = HOURS_PER_MONTH * 3600;

/** Always-on hosts of sockets. Functions are none: their workers are recycled. */
export function sizeListener(workload: Workload, prices: Prices): SizedTier {
  const { sockets } = workload;
  const none: SizeChoice = {
    ...{ name: 'none', sku: 'none', capacity: 0, config: 'adit:listener: none', usdPerMonth: 0, confidence: 'sourced' },
    ...{
      carries: sockets === 0,
      headroom: sockets === 0 ? 1 : 0,
      why: sockets === 0 ? 'nothing captures' : `${sockets} sockets need a host`,
    },
  };
  const hosts = LISTENERS.map((host): SizeChoice => {
    const headroom = host.sockets / Math.max(sockets, 1);
    const usages: readonly (readonly [string, number])[] =
      host.sku === 'container-app'
        ? [
            ['containerapp-vcpu-seconds', 0.25 * SECONDS_PER_MONTH],
            ['containerapp-memory-seconds', 0.5 * SECONDS_PER_MONTH],
          ]
        : [[`appservice-${host.sku.toLowerCase()}`, 1]];
    const why = `${host.sockets} sockets, which is judgement`;
    return {
      name: host.name,
      sku: host.sku,
      capacity: 1,
      headroom,
      ...priceOf(prices, usages),
      carries: headroom >= 1,
      why,
    };
  });
  const arithmetic = [
    sockets === 0 ? 'no socket is held, because nothing captures yet' : `${sockets} sockets held all month`,
  ];
  return sizedTier('listener', arithmetic, [none, ...hosts], (chosen) =>
    chosen.sku === 'none' ? 'the first socket' : `more than ${amountText(sockets * chosen.headroom)} sockets`,
  );
}
